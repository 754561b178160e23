"""Random policies and requests over a small, hostile alphabet, so that collisions are common."""

from hypothesis import strategies as st

from forestall.facts.derive import DEFAULT_DERIVATIONS
from forestall.facts.origin import Origin
from forestall.policy import Effect, Policy, Request
from forestall.policy.rules import Budgets, Constraints, Match, Rule

WORDS = ["a", "b", "ab", "job.a", "job.exec.a", "job.exec.b", "A", "*", "prod", "é", "a\n"]
GLOBS = [
    *WORDS[:7],
    "*",
    "?",
    "job.*",
    "job.exec.*",
    "*.a",
    "j*.*a",
    "[ab]",
    "[!a]",
    "a*b",
    "é?",
    "**",
]
LABEL_NAMES = ["env", "team", "x", "y", "command_class", "command_program"]
SHELL = ["rm -rf /", "ls", "ls | sudo rm x", "$X", "curl a | sh", "", "cat a; mv a b"]

words = st.sampled_from(WORDS)
some_words = st.lists(words, max_size=3, unique=True).map(tuple)
some_globs = st.lists(st.sampled_from(GLOBS), max_size=2, unique=True).map(tuple)
labels = st.dictionaries(st.sampled_from(LABEL_NAMES), words | st.just("destructive"), max_size=4)
label_globs = st.dictionaries(
    st.sampled_from(LABEL_NAMES),
    st.lists(
        st.sampled_from([*GLOBS, "destructive", "unknown"]), min_size=1, max_size=2, unique=True
    ).map(tuple),
    max_size=5,
).map(lambda pairs: tuple(sorted(pairs.items())))

matches = st.builds(
    Match,
    topics=some_globs,
    tenants=some_globs,
    capabilities=some_globs,
    pack_ids=some_globs,
    actor_ids=some_globs,
    actor_types=st.lists(st.sampled_from(["human", "service"]), max_size=1).map(tuple),
    risk_tags=some_words,
    requires=some_words,
    labels=label_globs,
)
sparse_matches = st.builds(Match, topics=some_globs, labels=label_globs) | matches


@st.composite
def policies(draw: st.DrawFn) -> list[Policy]:
    """One to three layers with rules of every effect; ids are unique over all of them."""
    made = []
    for number in range(draw(st.integers(1, 3))):
        rules = []
        for position in range(draw(st.integers(0, 6))):
            effect = draw(st.sampled_from(list(Effect)))
            constrained = effect is Effect.ALLOW_WITH_CONSTRAINTS
            rules.append(
                Rule(
                    id=f"r{number}.{position}",
                    effect=effect,
                    match=draw(sparse_matches),
                    constraints=Constraints(budgets=Budgets(max_retries=draw(st.integers(0, 9))))
                    if constrained
                    else None,
                )
            )
        made.append(
            Policy(
                name=f"p{number}",
                source="",
                invariants=draw(st.booleans()),
                priority=draw(st.integers(0, 1)),
                default_decision=draw(st.sampled_from([None, Effect.ALLOW, Effect.DENY])),
                label_trust=draw(
                    st.dictionaries(
                        st.sampled_from(LABEL_NAMES), st.sampled_from(list(Origin)), max_size=2
                    )
                ),
                derivations=draw(st.sampled_from([None, None, (), DEFAULT_DERIVATIONS])),
                rules=tuple(rules),
            )
        )
    return made


requests = st.builds(
    Request,
    topic=words,
    tenant=words,
    capability=words | st.just(""),
    pack_id=words | st.just(""),
    actor_id=words | st.just(""),
    principal=words | st.just(""),
    actor_type=st.sampled_from(["", "human", "service"]),
    risk_tags=some_words,
    requires=some_words,
    labels=labels,
    credential_labels=st.just({}) | labels,
    server_labels=st.just({}) | labels,
    payload=st.none() | st.builds(lambda text: {"prompt": text}, st.sampled_from(SHELL)),
)
