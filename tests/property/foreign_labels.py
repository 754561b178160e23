"""Random policies over labels that nothing derives for them, and files that derive these labels."""

from typing import Any

from hypothesis import strategies as st

from forestall.facts.derive import LABELS_OF_KIND, Derivation, PayloadKind
from forestall.facts.origin import Origin
from forestall.policy import Effect, Policy, Request
from forestall.policy.rules import (
    Constraints,
    FieldTest,
    Match,
    Operator,
    OutputRule,
    Rule,
    Verdict,
)

# On the last two, default derivations give some of the labels as well.
TOPICS = ["a", "ab", "job.a", "job.sql.a", "job.exec.sh"]
TEXTS = [
    *("rm -rf /", "ls", "git push --force", "SELECT a FROM users", "DROP TABLE users"),
    *("https://example.com/x", "/etc/shadow", "kubectl delete pod x", "(", ""),
]
GLOBS = ["*", "read", "destructive", "unknown", "rm", "users", "example.com", "?*", "[!u]*"]
PLACES = ["prompt", "context", "context.command", "args"]
KINDS = [PayloadKind.SHELL, PayloadKind.SQL, PayloadKind.URL, PayloadKind.PATH, PayloadKind.CLUSTER]

_globs = st.lists(st.sampled_from(GLOBS), min_size=1, max_size=2, unique=True).map(tuple)
_some_topics = st.lists(
    st.sampled_from([*TOPICS, "*", "a*", "job.*"]), min_size=1, max_size=2, unique=True
).map(tuple)
_places = st.lists(st.sampled_from(PLACES), min_size=1, max_size=2, unique=True).map(tuple)
# Mostly labels of commands, so that a rule and a derivation often meet.
_labels = st.sampled_from(["command_class", "command_program", "command_scope"]) | st.sampled_from(
    [label for kind in KINDS for label in LABELS_OF_KIND[kind] if label != "command_words"]
)


@st.composite
def matches(draw: st.DrawFn) -> Match:
    """A match that mostly reads a derived label, in one of the three ways."""
    way = draw(st.sampled_from(["label", "label", "not", "commands", "topic"]))
    fields: dict[str, Any] = {}
    if way == "label":
        names = draw(st.lists(_labels, min_size=1, max_size=2, unique=True))
        fields["labels"] = tuple((name, draw(_globs)) for name in sorted(names))
    elif way == "not":
        test = FieldTest(
            field=f"labels.{draw(_labels)}", operator=Operator.NOT, operand=draw(_globs)
        )
        fields["tests"] = (test,)
    elif way == "commands":
        fields["commands"] = (draw(st.sampled_from(["rm *", "git push *", "ls"])),)
    if draw(st.integers(0, 4)) == 0:
        fields["risk_tags"] = ("a",)
    return Match(**fields, topics=draw(st.just(()) | _some_topics))


_unless = st.none() | matches()
_derivations = st.lists(
    st.builds(
        lambda kind, topics, fields, ignore: Derivation(
            kind=kind, topics=topics, fields=fields, ignore=ignore
        ),
        st.sampled_from(KINDS),
        _some_topics,
        _places,
        st.just(()) | _places,
    ),
    max_size=2,
).map(tuple)


@st.composite
def readers(draw: st.DrawFn, name: str, *, derives: bool = False) -> Policy:
    """A file whose rules read derived labels, in any order of effects; with `derives` it may derive
    some itself."""
    effects = draw(st.lists(st.sampled_from(list(Effect)), min_size=1, max_size=4))
    verdicts = draw(st.lists(st.sampled_from(list(Verdict)), max_size=3))
    return Policy(
        name=name,
        source="",
        default_decision=draw(st.sampled_from([None, Effect.ALLOW])),
        danger_no_default_derivations=draw(st.sampled_from([False, False, True])),
        label_trust=draw(
            st.dictionaries(_labels, st.sampled_from([Origin.CLAIMED, Origin.SERVER]), max_size=1)
        ),
        derivations=draw(_derivations) if derives else (),
        rules=tuple(
            Rule(
                id=f"{name}.{number}",
                effect=effect,
                match=draw(matches()),
                unless=draw(_unless),
                constraints=Constraints() if effect is Effect.ALLOW_WITH_CONSTRAINTS else None,
            )
            for number, effect in enumerate(effects)
        ),
        output_rules=tuple(
            OutputRule(
                id=f"{name}.o{number}", verdict=verdict, match=draw(matches()), unless=draw(_unless)
            )
            for number, verdict in enumerate(verdicts)
        ),
    )


derivers = readers("added", derives=True) | st.builds(
    lambda derivations: Policy(name="added", source="", derivations=derivations), _derivations
)
_values = st.dictionaries(_labels, st.sampled_from(GLOBS[1:7]), max_size=2)
requests = st.builds(
    Request,
    topic=st.sampled_from(TOPICS),
    risk_tags=st.sampled_from([(), ("a",)]),
    labels=st.just({}) | _values,
    credential_labels=st.just({}) | _values,
    server_labels=st.just({}) | _values,
    payload=st.builds(
        lambda prompt, command: {"prompt": prompt, "context": command and {"command": command}},
        st.sampled_from(TEXTS),
        st.none() | st.sampled_from(TEXTS),
    ),
)
asked = st.lists(requests, min_size=4, max_size=4)
