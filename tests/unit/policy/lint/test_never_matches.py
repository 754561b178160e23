"""Rules that provably never match are refused, over all files together, and no others."""

import pytest

from forestall.policy import PolicyError, compile_policy, load_policy


def refusal(*texts: str) -> str:
    """Why policies are refused; empty when they are not."""
    policies = [
        load_policy(text.encode(), source=f"p{number}.yaml") for number, text in enumerate(texts)
    ]
    try:
        compile_policy(policies, wire=True)
    except PolicyError as error:
        return error.render()
    return ""


def deny(match: str, more: str = "") -> str:
    return f"rules:\n  - {{id: x, decision: deny, match: {{{match}}}{more}}}\n"


DESTRUCTIVE = "labels: {command_class: destructive}"


@pytest.mark.parametrize(
    ("label", "topic"),
    [
        ("command_class: destructive", "job.deploy.*"),
        ("command_program: rm", "job.sql.*"),
        ("sql_table: users", "job.exec.*"),
        ("url_host: '*.corp'", "job.http"),
        ("path: '/etc/*'", "job.files.*"),
        ("cluster_namespace: prod", "job.k8.*"),
    ],
)
def test_a_label_that_nothing_derives_on_the_topics(label: str, topic: str) -> None:
    text = refusal(deny(f'topics: ["{topic}"], labels: {{{label}}}'))
    assert "rule `x` never matches: nothing derives the label" in text
    assert f"`{label.partition(':')[0]}` on `{topic}`" in text
    assert "p0.yaml:2:" in text


@pytest.mark.parametrize(
    "topics", ["", 'topics: ["*"], ', 'topics: ["job.*"], ', "topics: [job.deploy.a, job.exec.a], "]
)
def test_a_label_that_may_be_derived(topics: str) -> None:
    assert refusal(deny(topics + DESTRUCTIVE)) == ""


def test_a_derivation_of_another_file_counts() -> None:
    rule = deny(f'topics: ["job.deploy.*"], {DESTRUCTIVE}')
    derive = "default_decision: deny\nderive: [{kind: shell, topics: [job.deploy.shell]}]\n"
    assert refusal(rule, derive) == ""


def test_a_label_that_a_file_lists_may_come_from_elsewhere() -> None:
    rule = deny(f'topics: ["job.deploy.*"], {DESTRUCTIVE}')
    assert refusal(f"labels: {{command_class: {{trust: credential}}}}\n{rule}") == ""


def test_an_exception_that_never_holds_is_refused_too() -> None:
    """An allow whose exception never applies allows more than it says."""
    allow = "rules: [{id: a, decision: allow, match: {topics: [job.deploy.a]}, unless: {U}}]\n"
    assert "nothing derives" in refusal(allow.replace("U", DESTRUCTIVE))
    apart = 'topics: ["job.exec.*"], ' + DESTRUCTIVE
    assert "nothing derives" in refusal(allow.replace("U", apart))


def test_a_label_that_must_not_have_a_value_is_held_to_the_same() -> None:
    assert "nothing derives" in refusal(
        deny("topics: [job.deploy.a], labels: {command_class: {not: read}}")
    )
    assert "did you mean `command_class`?" in refusal(deny("labels: {comand_class: {not: read}}"))


def test_output_rules_are_held_to_the_same() -> None:
    text = "output_rules: [{id: o, decision: redact, match: {topics: [job.a], L}}]\n"
    assert "output rule `o` never matches" in refusal(text.replace("L", DESTRUCTIVE))


def test_labels_of_two_kinds_of_payload() -> None:
    """Each part of a payload is a view with the labels of one kind."""
    text = refusal(deny("labels: {sql_class: write, cluster_namespace: prod}"))
    assert "derived by cluster and sql" in text


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("comand_class", "command_class"),
        ("Command_Class", "command_class"),
        ("command-class", "command_class"),
        ("sql_tables", "sql_table"),
        ("url_hostkind", "url_host_kind"),
        ("cluster_namespce", "cluster_namespace"),
    ],
)
def test_a_misspelt_derived_label(name: str, meant: str) -> None:
    text = refusal(deny(f"labels: {{{name}: x}}"))
    assert f"reads the label `{name}`" in text
    assert f"did you mean `{meant}`?" in text
    listed = f"labels: {{{name}: {{trust: claimed}}}}\n" + deny(f"labels: {{{name}: x}}")
    assert refusal(listed) == ""


@pytest.mark.parametrize("name", ["env", "team", "class", "url", "table", "patch", "namespace"])
def test_a_label_of_ones_own(name: str) -> None:
    assert refusal(deny(f"labels: {{{name}: x}}")) == ""


def test_a_trust_that_no_deriver_meets() -> None:
    text = refusal("labels: {env: {trust: derived}}\n" + deny("labels: {env: prod}"))
    assert "no deriver gives the label `env`" in text


@pytest.mark.parametrize(
    ("match", "unless"),
    [
        ("args: {$.n: {gt: 5, lt: 3}}", ""),
        ('topics: ["jobs.exec.*"]', ""),
        ("topics: [job.a]", 'topics: ["job.*"]'),
        ("tenants: [acme]", 'tenants: ["a*"]'),
        ("topics: [job.a], requires: [x, y]", "requires: [x]"),
        ("labels: {env: prod}", 'labels: {env: "p*"}'),
        ("time: {days: [mon]}", "time: {days: [mon, tue]}"),
        ('labels: {env: {not: "*"}}', ""),
        ('topics: {not: ["job.*", "*"]}', ""),
        ('labels: {env: {in: [prod], not: ["p*"]}}', ""),
        ("labels: {command_class: {gt: 5}}", ""),
        ('args: {$.a: {glob: "x*"}, "$[\'a\']": {glob: "y*"}}', ""),
    ],
)
def test_a_rule_that_contradicts_itself(match: str, unless: str) -> None:
    more = f", unless: {{{unless}}}" if unless else ""
    assert "rule `x` never matches" in refusal(deny(match, more))


def test_a_program_may_give_any_topic() -> None:
    """Without the wire no grammar binds a topic, so nothing is proven of `mail`."""
    compile_policy(load_policy(deny("topics: [mail]").encode()))


def test_two_files_mean_the_same_by_a_detector() -> None:
    """Rules name findings by their detector, so a file must not change what another one means."""
    text = """\
name: NAME
detectors: [{name: ours, pattern: "AB-[0-9]+", examples: {match: [AB-1], no_match: [AB]}}]
output_rules: [{id: NAME, decision: quarantine, match: {detectors: [ours]}}]
"""
    one, other = text.replace("NAME", "a"), text.replace("NAME", "b")
    assert refusal(one, other) == ""
    said = refusal(one, other.replace("AB", "CD"))
    assert "the detector `ours` finds other things than in another file" in said
