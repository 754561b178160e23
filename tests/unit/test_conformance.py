"""Every vector of `conformance/` against this implementation; the format is in its README."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import yaml

from forestall.policy import (
    Decision,
    Policy,
    PolicyError,
    compile_policy,
    evaluate,
    explain,
    load_policy,
)
from tests.asking import asked, instant
from tests.oracle import Verdict, oracle

FOLDER = Path(__file__).parents[2] / "conformance"
VECTORS_MIN = 180
POLICY_KEYS = ("policy", "policies")
VECTOR_KEYS = {"name", "request", "now", "lifted", "want", "want_error", *POLICY_KEYS}
WANT_KEYS = {
    "decision",
    "rule_id",
    "code",
    "reason",
    "clauses",
    "matched_rules",
    "constraints",
    "conflicts",
    "errors",
    "approval",
    "throttle",
    "remediations",
}


class Vector(NamedTuple):
    """One case: the policies it is decided under and everything else that it says."""

    name: str
    theme: str
    policies: tuple[str, ...]
    said: Mapping[str, Any]


def read_vectors() -> Iterator[Vector]:
    for path in sorted(FOLDER.glob("*.yaml")):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert document.keys() == {"groups"}, path.name
        for group in document["groups"]:
            assert group.keys() <= {"about", "vectors", *POLICY_KEYS}, path.name
            assert group["about"]
            for said in group["vectors"]:
                own = any(key in said for key in POLICY_KEYS)
                yield Vector(said["name"], path.stem, policy_texts(said if own else group), said)


def policy_texts(said: Mapping[str, Any]) -> tuple[str, ...]:
    assert ("policy" in said) != ("policies" in said), said.get("name")
    return tuple(said["policies"]) if "policies" in said else (said["policy"],)


VECTORS = list(read_vectors())
DECIDED = [vector for vector in VECTORS if "want" in vector.said]
REFUSED = [vector for vector in VECTORS if "want_error" in vector.said]


def vector_id(vector: Vector) -> str:
    return f"{vector.theme}: {vector.name}"


def tried(vectors: list[Vector]) -> list[Any]:
    """The vectors as parameters, named by theme."""
    return [pytest.param(vector, id=vector_id(vector)) for vector in vectors]


def loaded(vector: Vector) -> list[Policy]:
    texts = enumerate(vector.policies)
    return [load_policy(text.encode(), source=f"file{number}.yaml") for number, text in texts]


def plain(value: Any) -> Any:
    """A value of the product as JSON, lists as sorted lists: their order carries no meaning."""
    value = msgspec.to_builtins(value)
    if isinstance(value, dict):
        return {key: inner for key, item in value.items() if (inner := plain(item)) != {}}
    if isinstance(value, (list, tuple)):
        return sorted(map(plain, value), key=msgspec.json.Encoder(order="sorted").encode)
    return value


def said_by(decision: Decision, want: Mapping[str, Any]) -> dict[str, Any]:
    """The decision in the words of a vector, as far as that vector speaks of it."""
    said: dict[str, Any] = {
        "decision": decision.decision.value,
        "rule_id": decision.rule_id,
        "code": decision.code,
        "clauses": sorted({clause.field for clause in decision.clauses}),
        "constraints": plain(decision.constraints),
        "conflicts": sorted({conflict.label for conflict in decision.conflicts}),
        "errors": bool(decision.errors),
    }
    if "reason" in want:
        said["reason"] = decision.reason
    if "matched_rules" in want:
        said["matched_rules"] = list(decision.matched_rules)
    if "remediations" in want:
        said["remediations"] = [each.id for each in decision.remediations]
    if "throttle" in want:
        said["throttle"] = plain(decision.throttle)
    if "approval" in want:
        terms = decision.approval
        said["approval"] = terms and plain(
            {
                "each": [{"roles": each.roles, "quorum": each.quorum} for each in terms.each],
                "ttl_ms": terms.ttl_ms,
            }
        )
    return said


def wanted_of(want: Mapping[str, Any]) -> dict[str, Any]:
    """What a vector wants, with what it leaves out filled in: none of it."""
    filled = {"clauses": [], "constraints": None, "conflicts": [], "errors": False, **want}
    for key in ("clauses", "conflicts"):
        filled[key] = sorted(filled[key])
    for key in ("constraints", "throttle", "approval"):
        if filled.get(key) is not None:
            filled[key] = plain(filled[key])
    return filled


# -- the vectors themselves --


def test_there_are_many() -> None:
    assert len(VECTORS) >= VECTORS_MIN
    assert len(REFUSED) >= 40


def test_names_are_unique() -> None:
    names = [vector.name for vector in VECTORS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("vector", VECTORS, ids=vector_id)
def test_each_is_whole(vector: Vector) -> None:
    """A decision, a rule, and reasons: how it came about and the clauses that held."""
    said = vector.said
    assert said.keys() <= VECTOR_KEYS
    assert ("want" in said) != ("want_error" in said)
    if "want_error" in said:
        assert said["want_error"].keys() == {"line", "column", "contains"}
        return
    want = said["want"]
    assert want.keys() <= WANT_KEYS
    assert {"decision", "rule_id", "code"} <= want.keys()
    by_rule = want["code"] == "rule"
    assert bool(want["rule_id"]) == by_rule
    # Of a rule error the clause that could not be evaluated, where it was a clause.
    assert bool(want.get("clauses")) == by_rule or want["code"] == "rule_error"
    assert bool(want.get("errors")) == (want["code"] == "rule_error")


# -- this implementation --


@pytest.mark.parametrize("vector", tried(DECIDED))
def test_decides_as_wanted(vector: Vector) -> None:
    snapshot = compile_policy(loaded(vector))
    request, now = asked(vector.said["request"]), instant(vector.said)
    lifted = frozenset(vector.said.get("lifted", ()))
    decision = evaluate(snapshot, request, now=now, lifted=lifted)
    want = vector.said["want"]
    assert said_by(decision, want) == wanted_of(want)
    if not lifted:
        assert explain(snapshot, request, now=now).decision == decision


@pytest.mark.parametrize("vector", tried(REFUSED))
def test_refuses_with_the_place(vector: Vector) -> None:
    want = vector.said["want_error"]
    with pytest.raises(PolicyError) as caught:
        compile_policy(loaded(vector))
    found = [(each.line, each.column, each.message) for each in caught.value.problems]
    assert any(
        (line, column) == (want["line"], want["column"]) and want["contains"] in message
        for line, column, message in found
    ), found


@pytest.mark.parametrize("vector", tried(DECIDED))
def test_the_oracle_decides_as_wanted(vector: Vector) -> None:
    """The oracle is held to the same vectors, so that it and the index are not wrong together."""
    want = vector.said["want"]
    lifted = frozenset(vector.said.get("lifted", ()))
    verdict = oracle(
        loaded(vector), asked(vector.said["request"]), now=instant(vector.said), lifted=lifted
    )
    assert verdict == Verdict(want["decision"], want["rule_id"], want["code"])
