"""The index agrees with the oracle when blocks, chunks and parts are so small that any policy has
several of each. In their real sizes only policies of many hundreds of rules do."""

from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forestall.policy import Policy, Request, evaluate, index
from forestall.policy.compile import assemble
from forestall.policy.rules import Effect, Match, Rule
from tests.oracle import Verdict, oracle
from tests.property.strategies import CASES, POLICIES, SHARES, asked, policies

MANY = settings(
    max_examples=POLICIES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it sets sizes, which stay
)


@pytest.fixture
def tiny_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "BLOCK_RULES", 1)
    monkeypatch.setattr(index, "CHUNK_BLOCKS", 2)
    monkeypatch.setattr(index, "CHUNK_RULES", 2)
    monkeypatch.setattr(index, "_CHUNK", 0b11)
    monkeypatch.setattr(index, "PART_RULES_MIN", 1)


@pytest.mark.usefixtures("tiny_parts")
@pytest.mark.parametrize("share", range(SHARES))
@MANY
@given(policies(), asked)
def test_index_and_oracle_agree(
    share: int, layers: list[Policy], questions: list[tuple[Request, datetime]]
) -> None:
    snapshot = assemble(layers)
    for request, now in questions:
        decision = evaluate(snapshot, request, now=now)
        verdict = Verdict(decision.decision, decision.rule_id, decision.code)
        assert verdict == oracle(layers, request, now=now)
    CASES["index of tiny parts = oracle"] += len(questions)


SHORT = st.lists(st.sampled_from(["a", "ab", "a*", "*b", "b"]), max_size=2, unique=True)
FACT = st.sampled_from(["", "a", "b", "ab"])


@st.composite
def long_lists(draw: st.DrawFn) -> list[Match]:
    """Many rules over few fields, so that several parts hold candidates at once."""
    return [
        Match(
            topics=tuple(draw(SHORT)) or ("a",),
            capabilities=tuple(draw(SHORT)),
            risk_tags=tuple(draw(SHORT)),
            labels=tuple((name, ("a*", "b")) for name in draw(st.sets(st.sampled_from("xyz")))),
        )
        for _ in range(draw(st.integers(1, 40)))
    ]


@pytest.mark.usefixtures("tiny_parts")
@MANY
@given(
    long_lists(),
    FACT,
    FACT,
    st.lists(FACT, max_size=2),
    st.dictionaries(st.sampled_from("xyz"), FACT),
)
def test_candidates_come_in_order_and_none_is_missing(
    matches: list[Match],
    topic: str,
    capability: str,
    tags: list[str],
    labels: dict[str, str],
) -> None:
    # Somebody vouches for the tags: the index knows nothing of claims.
    proven = {"risk_tags": tuple(tags)}
    request = Request(
        topic=topic, capability=capability, risk_tags=tuple(tags), labels=labels, attested=proven
    )
    found = list(index.LayerIndex(matches).candidates(request, labels))
    alone = [
        number
        for number, match in enumerate(matches)
        if oracle(
            [Policy(name="p", source="p", rules=(Rule(id="r", effect=Effect.ALLOW, match=match),))],
            request,
        ).rule_id
    ]
    assert found == alone
