"""A label that only another file derives can tighten a decision and never loosen it."""

from datetime import UTC, datetime

import pytest

from forestall.output.scan import scan
from forestall.policy import Effect, Request, compile_policy, evaluate, explain, load_policy
from forestall.policy.compile import Snapshot
from forestall.policy.lint.warnings import analyse
from forestall.policy.output_verdict import detectors_for, judge

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TOPICS = "topics: [job.a]"
ALLOW = f"  - {{id: go, decision: allow, match: {{{TOPICS}}}}}\n"
DENY = f"  - {{id: no, decision: deny, match: {{{TOPICS}}}}}\n"
ELSEWHERE = "rules:\n  - {id: other, decision: deny, match: {topics: [job.other]}}\n"
ENTRY = "derive: [{kind: KIND, topics: [job.a], fields: [context.command], ignore: [prompt]}]\n"
LISTED = "labels: {LABEL: {trust: derived}}\n"
# The kind, the label, and a condition on it, which each text meets that is harmless.
CONDITIONS = {
    "any class": ("shell", "command_class", 'labels: {command_class: "*"}'),
    "read": ("shell", "command_class", "labels: {command_class: read}"),
    "not destructive": ("shell", "command_class", "labels: {command_class: {not: destructive}}"),
    "not system": ("shell", "command_scope", "labels: {command_scope: {not: system}}"),
    "not rm": ("shell", "command_program", "labels: {command_program: {not: rm}}"),
    "any program": ("shell", "command_program", 'labels: {command_program: "*"}'),
    "words": ("shell", "command_words", "commands: [ls]"),
    "sql": ("sql", "sql_class", "labels: {sql_class: {not: destructive}}"),
    "url": ("url", "url_host", 'labels: {url_host: "*.example.com"}'),
    "path": ("path", "path_class", "labels: {path_class: workspace}"),
    "cluster": ("cluster", "cluster_verb", "labels: {cluster_verb: get}"),
}
TEXTS = {
    "shell": "ls",
    "sql": "SELECT a FROM t",
    "url": "https://www.example.com/",
    "path": "src/a.py",
    "cluster": "kubectl get pods",
}
CASES = pytest.mark.parametrize(
    ("kind", "label", "condition"), CONDITIONS.values(), ids=list(CONDITIONS)
)


def compiled(*files: str) -> Snapshot:
    """The files as `p.yaml` and `q.yaml`; a file without rules gets one for another topic."""
    texts = [each if "rules:" in each else f"{each}{ELSEWHERE}" for each in files]
    sources = zip("pq", texts, strict=True)
    return compile_policy(
        [load_policy(text.encode(), source=f"{name}.yaml") for name, text in sources]
    )


def derives(kind: str) -> str:
    return ENTRY.replace("KIND", kind)


def asks(kind: str) -> Request:
    """What an attacker sends: the worker runs the prompt, and the other file looks elsewhere."""
    return Request(
        topic="job.a", payload={"prompt": "rm -rf /", "context": {"command": TEXTS[kind]}}
    )


def decided(snapshot: Snapshot, kind: str) -> tuple[Effect, str]:
    decision = evaluate(snapshot, asks(kind), now=NOON)
    return decision.decision, decision.rule_id


@CASES
def test_it_buys_no_exception(kind: str, label: str, condition: str) -> None:
    hold = f"  - {{id: hold, decision: deny, match: {{{TOPICS}}}, unless: {{{condition}}}}}\n"
    rules = f"rules:\n{hold}{ALLOW}"
    assert decided(compiled(rules, derives(kind)), kind) == (Effect.DENY, "hold")
    # A file that says so accepts it: it has the entry, too, or lists the label.
    assert decided(compiled(derives(kind) + rules, derives(kind)), kind) == (Effect.ALLOW, "go")
    listed = LISTED.replace("LABEL", label)
    assert decided(compiled(listed + rules, derives(kind)), kind) == (Effect.ALLOW, "go")


@CASES
def test_it_hides_no_rule_and_opens_nothing(kind: str, label: str, condition: str) -> None:
    go = f"  - {{id: some, decision: allow, match: {{{TOPICS}, {condition}}}}}\n"
    assert decided(compiled(f"rules:\n{go}{DENY}", derives(kind)), kind) == (Effect.DENY, "no")
    assert decided(compiled(f"rules:\n{go}", derives(kind)), kind) == (Effect.DENY, "")
    listed = LISTED.replace("LABEL", label)
    accepting = compiled(f"{listed}rules:\n{go}{DENY}", derives(kind))
    assert decided(accepting, kind) == (Effect.ALLOW, "some")


@CASES
def test_it_tightens(kind: str, label: str, condition: str) -> None:
    no = f"  - {{id: some, decision: deny, match: {{{TOPICS}, {condition}}}}}\n"
    assert decided(compiled(f"rules:\n{no}{ALLOW}", derives(kind)), kind) == (Effect.DENY, "some")


@CASES
def test_an_output_rule_reveals_nothing_by_it(kind: str, label: str, condition: str) -> None:
    show = f"{{id: show, decision: allow, match: {{{TOPICS}, {condition}}}}}"
    keep = f"{{id: keep, decision: quarantine, match: {{{TOPICS}}}, unless: {{{condition}}}}}"
    rest = f"{{id: rest, decision: quarantine, match: {{{TOPICS}}}}}"
    for rules, spoke in ((f"[{show}, {rest}]", "rest"), (f"[{keep}]", "keep")):
        snapshot = compiled(f"output_rules: {rules}\n", derives(kind))
        found = scan('"x"', detectors=detectors_for(snapshot))
        ruling = judge(snapshot, asks(kind), found, content_type="text/plain", now=NOON)
        assert (ruling.verdict, ruling.rule_id) == ("quarantine", spoke)


def test_an_input_rule_buys_no_exception_by_it() -> None:
    hold = f"match: {{{TOPICS}, keywords: [rm]}}, unless: {{labels: {{url_host: x}}}}"
    text = f"rules:\n{ALLOW}input_rules:\n  - {{id: hold, decision: deny, {hold}}}\n"
    request = Request(
        topic="job.a", payload={"prompt": "rm -rf /", "context": {"command": "https://x/"}}
    )
    decision = evaluate(compiled(text, derives("url")), request, now=NOON)
    assert (decision.decision, decision.rule_id) == (Effect.DENY, "hold")


def test_a_default_derivation_is_foreign_to_a_file_that_switched_it_off() -> None:
    """Even a file that reads nothing lets the defaults derive; for this one it is another's."""
    rules = (
        "danger_no_default_derivations: true\nlabels: {command_class: {trust: claimed}}\nrules:\n"
        "  - {id: hold, decision: deny, match: {topics: [job.exec.sh]},"
        " unless: {labels: {command_class: read}}}\n"
        "  - {id: go, decision: allow, match: {topics: [job.exec.sh]}}\n"
    )
    other = "rules:\n  - {id: other, decision: allow, match: {topics: [job.exec.sh]}}\n"
    request = Request(topic="job.exec.sh", payload={"prompt": "ls"})
    decision = evaluate(compiled(rules, other), request, now=NOON)
    assert (decision.decision, decision.rule_id) == (Effect.DENY, "hold")


def test_what_a_credential_says_is_sure_whoever_derives_the_same() -> None:
    go = f"  - {{id: go, decision: allow, match: {{{TOPICS}, labels: {{command_class: read}}}}}}\n"
    snapshot = compiled(f"rules:\n{go}", derives("shell"))
    proven = Request(
        topic="job.a",
        credential_labels={"command_class": "read"},
        payload={"prompt": "", "context": {"command": "ls"}},
    )
    assert evaluate(snapshot, proven, now=NOON).decision is Effect.ALLOW


def test_only_rules_that_may_need_it_are_checked() -> None:
    """A label of the defaults, of the file itself, or on other topics costs nothing."""

    def checked(rule: str, own: str = "", other: str = derives("shell")) -> bool:
        text = f"{own}rules:\n  - {{id: r, decision: allow, {rule}}}\n"
        return "r" in compiled(text, other).foreign_of_rule

    on_class = "labels: {command_class: read}"
    assert checked(f"match: {{topics: [job.a], {on_class}}}")
    assert checked(f"match: {{topics: ['job.*'], {on_class}}}")
    assert checked(f"match: {{{on_class}}}")
    assert checked(f"match: {{topics: [job.a]}}, unless: {{{on_class}}}")
    assert checked("match: {topics: [job.a], commands: [ls]}")
    assert not checked("match: {topics: [job.a]}")
    assert not checked(f"match: {{topics: ['job.exec.*'], {on_class}}}")
    assert not checked("match: {topics: ['job.sql.*'], labels: {sql_class: read}}")
    assert not checked(f"match: {{topics: [job.a], {on_class}}}", own=derives("shell"))
    everywhere = "derive: [{kind: shell, topics: ['job.exec.*'], ignore: [context]}]\n"
    assert not checked(f"match: {{topics: ['job.exec.*'], {on_class}}}", other=everywhere)


def test_the_record_and_explain_say_on_what_a_rule_rests() -> None:
    hold = f"  - {{id: hold, decision: deny, match: {{{TOPICS}}}, unless: {{commands: [ls]}}}}\n"
    snapshot = compiled(f"rules:\n{hold}{ALLOW}", derives("shell"))
    explanation = explain(snapshot, asks("shell"), now=NOON)
    (conflict,) = explanation.decision.conflicts
    assert (conflict.label, conflict.origin, conflict.value) == ("command_words", "derived", "ls")
    first = explanation.rules[0]
    assert (first.rule_id, first.spoke, first.matched) == ("hold", True, True)


@pytest.mark.parametrize("condition", ["labels: {command_class: read}", "commands: [ls]"])
def test_an_allow_on_it_is_warned_of(condition: str) -> None:
    go = f"  - {{id: go, decision: allow, match: {{{TOPICS}, {condition}}}}}\n"
    (one,) = analyse(compiled(f"rules:\n{go}", derives("shell")))
    label = "command_words" if "commands" in condition else "command_class"
    assert (one.code, one.rule_id, one.source) == ("allow_on_foreign_label", "go", "p.yaml")
    assert one.message == (
        f"rule `go` allows nothing by itself on `job.a`: only the file `q` derives `{label}` there,"
        " and a label of another file never loosens"
    )
    assert f"labels: {{{label}: {{trust: derived}}}}" in one.hint
    assert "`derive`" in one.hint
    assert analyse(compiled(f"{derives('shell')}rules:\n{go}", derives("shell"))) == ()
    assert (
        analyse(compiled(LISTED.replace("LABEL", label) + f"rules:\n{go}", derives("shell"))) == ()
    )
    assert analyse(compiled(f"rules:\n{go.replace('allow', 'deny')}", derives("shell"))) == ()


def test_accepting_a_label_changes_the_digest() -> None:
    go = f"rules:\n  - {{id: go, decision: allow, match: {{{TOPICS}, commands: [ls]}}}}\n"
    listed = LISTED.replace("LABEL", "command_words")
    one, two = compiled(go, derives("shell")), compiled(listed + go, derives("shell"))
    assert one.digest != two.digest
