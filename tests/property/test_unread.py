"""An unread text never leaves a decision more permissive than the same text read.

That holds of every policy for which an unknown class is no safer than a known one. An author can
write another one (allow whatever is `unknown`), and then means it.
"""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.facts.derive import LABELS_OF_KIND, Derivation, PayloadKind
from forestall.policy import Effect, Policy, Request, compile_policy, evaluate
from forestall.policy.rules import Match, Rule
from tests.property.strategies import CASES, EXAMPLES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MANY = settings(max_examples=EXAMPLES, deadline=None)
TOPIC = "job.tool.a"
# Of each kind, a text that is harmless, and others.
TEXTS = {
    PayloadKind.SHELL: ["ls", "rm -rf /", "ls | sudo rm x", "$X", "curl a | sh", "echo 'x", "7"],
    PayloadKind.SQL: ["SELECT 1", "DROP TABLE t", "SELECT 1; DELETE FROM t", "UPDATE", "t"],
    PayloadKind.URL: ["https://example.com", "http://169.254.169.254/", "localhost", "::", "x y"],
    PayloadKind.PATH: ["src/a.py", "/etc/shadow", "../..", "~/.ssh/id_rsa", ".env", "a\tb"],
    PayloadKind.CLUSTER: ["kubectl get pods", "kubectl delete ns a", "helm ls", "k", "docker rm x"],
}
CLASS_LABEL = {
    kind: next(each for each in LABELS_OF_KIND[kind] if each.endswith(("_class", "_kind")))
    for kind in TEXTS
}
CLASSES = ["read", "write", "destructive", "network", "public", "metadata", "workspace", "secret"]
EFFECTS = [Effect.ALLOW, Effect.THROTTLE, Effect.REQUIRE_APPROVAL, Effect.DENY]
NAMES = ["command", "Command", "note", "a b", "env", "x-y", "\u0441ommand", "args"]
paths = st.lists(st.sampled_from([*NAMES, 0]), max_size=4)


@st.composite
def rule_lists(draw: st.DrawFn, kind: PayloadKind) -> tuple[Rule, ...]:
    """Rules over the class of the kind, none of which is stricter than what `unknown` meets."""
    strictest = draw(st.sampled_from(EFFECTS))
    effects = st.sampled_from([each for each in EFFECTS if each.strictness <= strictest.strictness])
    known = draw(st.lists(st.tuples(st.sampled_from(CLASSES), effects), max_size=4))
    rules = [
        Rule(id=f"r{number}", effect=effect, match=Match(labels=((CLASS_LABEL[kind], (word,)),)))
        for number, (word, effect) in enumerate(known)
    ]
    for_unknown = Match(labels=((CLASS_LABEL[kind], ("unknown",)),))
    rules.append(Rule(id="unknown", effect=strictest, match=for_unknown))
    rules = draw(st.permutations(rules))
    # Without a rule for the rest the default denies it, and may not be stricter either.
    if strictest is not Effect.DENY or draw(st.booleans()):
        rules.append(Rule(id="rest", effect=draw(effects), match=Match(topics=(TOPIC,))))
    return tuple(rules)


def placed(path: list[Any], text: str) -> Any:
    """A document that holds the text at the place, and no other text."""
    value: Any = text
    for step in reversed(path):
        value = [value, 1] if step == 0 else {step: value, "n": 5}
    return value


def field_of(root: str, path: list[Any]) -> str:
    return root + "".join("[*]" if step == 0 else f"['{step}']" for step in path)


@MANY
@given(st.data())
def test_unread_is_never_more_permissive_than_read(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(list(TEXTS)))
    harmless, text = TEXTS[kind][0], data.draw(st.sampled_from(TEXTS[kind]))
    root, path = data.draw(st.sampled_from(["context", "args"])), data.draw(paths)
    rules = data.draw(rule_lists(kind))
    value = placed(path, text)
    request = Request(
        topic=TOPIC,
        payload={"prompt": harmless, "context": value if root == "context" else None},
        args=value if root == "args" else None,
    )

    def strictness(*fields: str) -> int:
        derivation = Derivation(kind=kind, topics=(TOPIC,), fields=("prompt", *fields))
        policy = Policy(name="p", source="", derivations=(derivation,), rules=rules)
        return evaluate(compile_policy(policy), request, now=NOW).decision.strictness

    assert strictness() >= strictness(field_of(root, path))
    CASES["unread is as strict as read"] += 1


@MANY
@given(st.data())
def test_an_unread_text_is_as_one_that_cannot_be_parsed(data: st.DataObject) -> None:
    """Under every policy: the deciding rule is the same, wherever the text stands."""
    root, path = data.draw(st.sampled_from(["context", "args"])), data.draw(paths)
    effects = data.draw(st.lists(st.sampled_from(EFFECTS), min_size=3, max_size=3))
    words = data.draw(st.permutations(["read", "unknown", "*"]))
    rules = tuple(
        Rule(id=word, effect=effect, match=Match(labels=(("command_class", (word,)),)))
        for word, effect in zip(words, effects, strict=True)
    )
    snapshot = compile_policy(Policy(name="p", source="", rules=rules))
    text = data.draw(st.sampled_from(TEXTS[PayloadKind.SHELL]))
    value = placed(["unread", *path], text)
    unread = Request(
        topic="job.exec.a",
        payload={"prompt": "ls", "context": value if root == "context" else None},
        args=value if root == "args" else None,
    )
    payload = {"prompt": "ls", "context": {"command": "echo 'x"}}
    unparsed = Request(topic="job.exec.a", payload=payload)
    decisions = [evaluate(snapshot, each, now=NOW) for each in (unread, unparsed)]
    assert len({(each.decision, each.rule_id) for each in decisions}) == 1
    CASES["unread is as what cannot be parsed"] += 1
