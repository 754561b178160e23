"""Programs of a policy file: beside the built-in table, tried on their examples, for one file.

The abuses come first: entries that try to make something looser than it is.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from forestall.limits import OWN_PROGRAM_OPTIONS_MAX, OWN_PROGRAMS_MAX
from forestall.policy import (
    Decision,
    Effect,
    PolicyError,
    Request,
    Snapshot,
    compile_policy,
    evaluate,
    explain,
    load_policy,
)
from forestall.policy.language.policy_file import load_policies
from forestall.policy.lint.warnings import analyse
from forestall.policy.lint.weaker import weakened
from forestall.policy.testing import run_tests

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOPIC = "job.exec.shell"
TABLE = """\
programs:
  deployctl:
    does: [write, network]
    options: {--purge: destructive}
    value_options: [-e]
    plain_options: -v
    subcommands:
      status ls: read
      config: {does: read, extra_words: {above: 1, add: write}}
    examples:
      'deployctl -e staging status': read
      'deployctl config a b': write
      'deployctl --purge status': destructive
"""
RULES = """\
rules:
  - id: no
    decision: deny
    match: {topics: ["job.exec.*"], labels: {command_class: [destructive, unknown]}}
  - id: ask
    decision: require_approval
    match: {topics: ["job.exec.*"], labels: {command_class: [write, network]}}
  - {id: ok, decision: allow, match: {topics: ["job.exec.*"], labels: {command_class: read}}}
"""


def entry(name: str = "tool", example: str = "", **fields: str) -> str:
    """A file with one program: its fields as YAML, and one example of class `read`."""
    said = "".join(f"    {field}: {value}\n" for field, value in fields.items())
    shown = example or "{'tool --version': read}"
    return f"programs:\n  {name}:\n{said}    examples: {shown}\n"


def snapshot_of(*files: str) -> Snapshot:
    return compile_policy(
        load_policies([(f"f{number}.yaml", text.encode()) for number, text in enumerate(files)])
    )


def decide(snapshot: Snapshot, command: str, topic: str = TOPIC) -> Decision:
    request = Request(topic=topic, payload={"prompt": command})
    return evaluate(snapshot, request, now=NOW)


def refusal(*files: str) -> str:
    with pytest.raises(PolicyError) as caught:
        snapshot_of(*files)
    return caught.value.render()


# -- entries that try to make something looser --


@pytest.mark.parametrize(
    "name",
    ["sudo", "bash", "rm", "SUDO", "Rm", "git", "kubectl", "k", "python9", "zsh-5.9", "mkfs.own",
     "remove-item", "pip3.12", "nodejs", "terraform"],
)  # fmt: skip
def test_no_entry_replaces_a_built_in_program(name: str) -> None:
    assert "is a built-in program" in refusal(entry(name, does="read"))


@pytest.mark.parametrize(
    "name",
    ["''", "./deploy", "/usr/bin/deploy", "a/b", "'*'", "'dep?oy'", "'[x]'", "'a b'", '"a\\0b"',
     "-x", "'a=b'", "'$X'", "'('", "é", "'a\\b'", "..", "x" * 65, "deploy.exe"],
)  # fmt: skip
def test_a_name_is_one_plain_word(name: str) -> None:
    assert "is no own program" in refusal(entry(name, does="read"))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "needs `does`"),
        ({"does": "harmless"}, "invalid enum value"),
        ({"does": "[]"}, "expected `array` of length >= 1"),
        ({"does": "read", "optoins": "{}"}, "no such field"),
        ({"does": "read", "plain_options": "['-x', '-x']"}, "written twice"),
        ({"does": "read", "handler": "find"}, "`handler` is for built-in programs"),
        ({"does": "read", "any_case": "true"}, "`any_case` is for built-in programs"),
        ({"does": "read", "dotted_names": "true"}, "`dotted_names` is for built-in programs"),
        ({"same_as": "git"}, "is read by code of its own"),
        ({"same_as": "bash"}, "is read by code of its own"),
        ({"same_as": "nothing"}, "which has no entry"),
        ({"same_as": "tool"}, "leads to itself"),
        ({"does": "read", "subcommands": "{a: {same_as: tool}}"}, "`same_as`"),
    ],
)
def test_an_entry_is_held_to_the_schema_of_the_table(fields: dict[str, str], why: str) -> None:
    assert why in refusal(entry(**fields))


def test_an_entry_without_examples_is_refused() -> None:
    assert "examples" in refusal("programs: {tool: {does: read}}")
    assert "length >= 1" in refusal("programs: {tool: {does: read, examples: {}}}")


@pytest.mark.parametrize(
    ("example", "why"),
    [
        ("{'tool --force': read}", "it is unknown"),
        ("{'tool': write}", "it is read"),
        ("{'tool': [read, write]}", "it is read"),
        ("{'ls': read}", "it does not run `tool`"),
        ("{'echo tool': read}", "it does not run `tool`"),
        ("{'tool; rm x': read}", "destructive"),
    ],
)
def test_an_example_that_lies_does_not_load(example: str, why: str) -> None:
    text = refusal(entry(example=example, does="read"))
    assert "does not hold" in text
    assert why in text


def test_a_read_entry_is_closed() -> None:
    snapshot = snapshot_of(TABLE + RULES)
    assert decide(snapshot, "deployctl -v -e staging status").rule_id == "ok"
    for words in ("status --force", "status x", "--forc status", "stat", "$X", "status $X",
                  "-z status", "config a --b", "ls -l"):  # fmt: skip
        assert decide(snapshot, f"deployctl {words}").rule_id == "no", words


@pytest.mark.parametrize(
    "command",
    ["tool rm -rf /", "tool -- rm -rf /", "tool x; rm -rf /", "tool sudo rm x",
     "tool -c 'rm -rf /'", "tool $(rm -rf /)", "tool --run='rm -rf /'", "tool 'a' 'rm' -rf /"],
)  # fmt: skip
def test_an_entry_that_hides_a_runner_hides_no_loss(command: str) -> None:
    table = entry(does="read", words="any", plain_options="'*'")
    assert decide(snapshot_of(table + RULES), command).rule_id == "no"


def test_a_wrapper_shows_what_it_runs() -> None:
    table = (
        "programs:\n  asuser:\n    wrapper: {adds: read, value_options: [-g], words_before: 1}\n"
        "    examples: {'asuser web ls': read, 'asuser -g x web rm a': [read, destructive]}\n"
    )
    snapshot = snapshot_of(table + RULES)
    assert decide(snapshot, "asuser web cat notes").rule_id == "ok"
    for words in ("web rm notes", "web bash -c 'rm x'", "-g 'rm' web ls $X", "-z web ls",
                  "web sudo ls", "web asuser web rm x", "rm", "web notatool"):  # fmt: skip
        assert decide(snapshot, f"asuser {words}").decision is not Effect.ALLOW, words


def test_a_path_a_function_or_another_case_is_not_the_program() -> None:
    snapshot = snapshot_of(TABLE + RULES)
    for command in ("./deployctl status", "/tmp/deployctl status", "Deployctl status",
                    "deployctl() { rm x; }; deployctl status", "PATH=. deployctl status",
                    "deployctl.sh status"):  # fmt: skip
        assert decide(snapshot, command).rule_id == "no", command
    assert decide(snapshot, "/usr/bin/deployctl status").rule_id == "ok"


def test_words_of_an_own_program_are_paths_and_secrets() -> None:
    table = entry(does="read", words="any")
    rules = RULES.replace("unknown]", "unknown, secret]")
    assert decide(snapshot_of(table + rules), "tool ~/.ssh/id_rsa").rule_id == "no"
    system = (
        f"{table}rules: [{{id: no, decision: deny, match: {{topics: [{TOPIC}],"
        " labels: {command_scope: system}}}]\n"
    )
    assert decide(snapshot_of(system), "tool /etc/hosts").rule_id == "no"


# -- sizes --


def many(count: int, example: str = "") -> str:
    lines = (f"  t{n}: {{does: read, examples: {{'t{n}{example}': read}}}}" for n in range(count))
    return "programs:\n" + "\n".join(lines) + "\n"


def test_hostile_sizes_are_refused_by_name() -> None:
    assert f"{OWN_PROGRAMS_MAX} are allowed" in refusal(many(OWN_PROGRAMS_MAX + 1))
    assert "are allowed" in refusal(many(10_000))
    nested = "read"
    for _ in range(40):
        nested = f"{{does: read, subcommands: {{a: {nested}}}}}"
    assert "nested deeper" in refusal(entry(does="read", subcommands=f"{{a: {nested}}}"))
    options = ", ".join(f"--o{n}: write" for n in range(OWN_PROGRAM_OPTIONS_MAX + 1))
    assert "`options`" in refusal(entry(does="read", options=f"{{{options}}}"))
    long = " ".join(f"--option-{n}" for n in range(6_000))
    assert "characters long as JSON" in refusal(entry(does="read", plain_options=f"'{long}'"))
    example = f"{{? 'tool {'x' * 2_000}' : read}}"
    assert "characters long" in refusal(entry(example=example, does="read"))
    subs = ", ".join(f"a{n}: {{same_as: kubectl}}" for n in range(200))
    assert "`same_as`" in refusal(entry(does="read", subcommands=f"{{{subs}}}"))
    assert "is a mapping" in refusal("programs: [tool]")
    assert "`programs`" in refusal("programs: tool")


# -- whose rules a table speaks for --


def test_a_table_speaks_for_the_rules_of_its_file() -> None:
    own = snapshot_of(TABLE + RULES)
    assert decide(own, "deployctl status").rule_id == "ok"
    other = RULES.replace("id: ", "id: b-")
    for files in ([RULES, TABLE], [TABLE, RULES], [RULES, TABLE + other], [TABLE + other, RULES]):
        snapshot = snapshot_of(*files)
        assert decide(snapshot, "deployctl status").decision is Effect.DENY
        assert decide(snapshot, "ls").decision is Effect.ALLOW


def test_a_file_names_the_files_whose_programs_it_uses() -> None:
    users = RULES + "use_programs: [f0]\n"
    assert decide(snapshot_of(TABLE, users), "deployctl status").rule_id == "ok"
    both = (TABLE, users, users.replace("id: ", "id: b-"))
    assert decide(snapshot_of(*both), "deployctl status").decision is Effect.ALLOW
    one = (TABLE, users, RULES.replace("id: ", "id: b-"))
    assert decide(snapshot_of(*one), "deployctl status").decision is Effect.DENY
    assert "no other file named `f9`" in refusal(TABLE, RULES + "use_programs: [f9]\n")
    assert "no other file" in refusal(TABLE + RULES + "use_programs: [f0]\n")
    assert "no other file" in refusal(RULES + "use_programs: [f1]\n", RULES.replace(": ok", ": y"))


def test_rules_that_say_nothing_of_commands_leave_a_table_alone() -> None:
    other = "rules: [{id: mail, decision: allow, match: {topics: [job.mail]}}]\n"
    assert decide(snapshot_of(TABLE + RULES, other), "deployctl status").rule_id == "ok"


def test_two_files_never_describe_one_program() -> None:
    text = refusal(TABLE, "name: b\n" + TABLE)
    assert "`deployctl` is described twice" in text
    assert "f0.yaml:2" in text
    assert "f1.yaml:3" in text


def test_two_snapshots_in_one_process_do_not_mix() -> None:
    looser = snapshot_of(TABLE + RULES)
    stricter = snapshot_of(
        TABLE.replace("status ls: read", "status ls: destructive").replace(
            "status': read", "status': destructive"
        )
        + RULES
    )
    without = snapshot_of(RULES)
    for _ in range(2):
        for snapshot, rule in ((looser, "ok"), (stricter, "no"), (without, "no")):
            assert decide(snapshot, "deployctl status").rule_id == rule
    assert len({looser.digest, stricter.digest, without.digest}) == 3


def test_examples_and_places_change_no_digest() -> None:
    more = TABLE.replace("    examples:\n", "    examples:\n      'deployctl ls': read\n")
    digests = {snapshot_of(text + RULES).digest for text in (TABLE, more, f"# x\n{TABLE}")}
    assert len(digests) == 1
    used = snapshot_of(TABLE, RULES + "use_programs: [f0]\n").digest
    assert used != snapshot_of(TABLE, RULES).digest


def test_own_programs_may_be_the_same_as_others() -> None:
    table = TABLE + "  depl:\n    same_as: deployctl\n    examples: {'depl status': read}\n"
    table += "  ournpm:\n    same_as: npm\n    examples: {'ournpm ls': read}\n"
    assert decide(snapshot_of(table + RULES), "depl status").rule_id == "ok"
    assert decide(snapshot_of(table + RULES), "depl --purge status").rule_id == "no"


def test_patterns_know_the_options_of_an_own_program() -> None:
    rules = (
        f"rules:\n  - {{id: ok, decision: allow, match: {{topics: [{TOPIC}],"
        " commands: ['deployctl status *']}}\n"
        f"  - {{id: no, decision: deny, match: {{topics: [{TOPIC}],"
        " commands: ['deployctl -e prod config *']}}\n"
    )
    snapshot = snapshot_of(TABLE + rules)
    assert decide(snapshot, "deployctl -e staging status").rule_id == "ok"
    assert decide(snapshot, "deployctl -e prod config a").rule_id == "no"
    assert decide(snapshot, "deployctl config -e prod a").decision is Effect.DENY
    assert decide(snapshot, "deployctl -e status config a").decision is Effect.DENY
    used = snapshot_of(TABLE, rules + "use_programs: [f0]\n")
    assert decide(used, "deployctl -e staging status").rule_id == "ok"


def test_cluster_topics_know_own_programs() -> None:
    rules = (
        "rules:\n  - {id: ok, decision: allow, match: {topics: ['job.k8s.*'],"
        " labels: {cluster_class: read}}}\n"
    )
    table = TABLE + (
        "  inpod:\n    wrapper: {adds: read, words_before: 1}\n    examples: {'inpod a ls': read}\n"
    )
    snapshot = snapshot_of(table + rules)
    for command, wanted in (
        ("deployctl status", "ok"),
        ("inpod a kubectl get pods", "ok"),
        ("inpod a kubectl delete pod x", ""),
        ("deployctl config a b", ""),
    ):
        assert decide(snapshot, command, "job.k8s.x").rule_id == wanted, command


# -- what people see --


def test_policy_test_tries_the_examples() -> None:
    outcomes = run_tests(snapshot_of(TABLE + RULES))
    assert [each.name for each in outcomes] == [
        "program deployctl: deployctl -e staging status",
        "program deployctl: deployctl config a b",
        "program deployctl: deployctl --purge status",
    ]
    assert all(each.passed and each.line == 2 for each in outcomes)


def test_explain_names_the_program_and_who_knows_it() -> None:
    snapshot = snapshot_of(TABLE, RULES + "use_programs: [f0]\n", RULES.replace("id: ", "id: b-"))
    request = Request(topic=TOPIC, payload={"prompt": "ls; deployctl status"})
    [use] = explain(snapshot, request, now=NOW).own_programs
    assert (use.program, use.described_by, use.used_by) == ("deployctl", "f0", ("f0", "f1"))
    other = Request(topic=TOPIC, payload={"prompt": "ls"})
    assert explain(snapshot, other, now=NOW).own_programs == ()


def test_a_table_that_another_file_does_not_use_is_warned_of() -> None:
    snapshot = snapshot_of(TABLE + RULES, RULES.replace("id: ", "id: b-"))
    [warning] = [one for one in analyse(snapshot) if one.code == "unshared_programs"]
    assert warning.source == "f0.yaml"
    assert "`f1`" in warning.message
    assert not [one for one in analyse(snapshot_of(TABLE + RULES)) if one.code.startswith("unsh")]


def looser(old: Sequence[str], new: Sequence[str]) -> list[str]:
    found = weakened(snapshot_of(*old), snapshot_of(*new))
    return [each.message for each in found if each.code == "program_loosened"]


def test_what_a_change_of_a_table_makes_looser_is_reported() -> None:
    base = [TABLE + RULES]
    assert looser(base, base) == []
    added = looser([RULES], base)
    assert "`deployctl -e staging status` was unknown, becomes read" in added
    weaker = TABLE.replace("--purge: destructive", "--purge: write").replace(
        "status': destructive", "status': write"
    )
    assert "`deployctl --purge status` was destructive, becomes write" in looser(
        base, [weaker + RULES]
    )
    gone = looser(base, [RULES])
    assert "`deployctl --purge status` was destructive, becomes unknown" in gone
    listed = TABLE.replace("plain_options: -v", "plain_options: -v --not-seen")
    assert any("differs" in said or "becomes" in said for said in looser(base, [listed + RULES]))
    used = [TABLE, "name: r\n" + RULES]
    assert looser(used, [TABLE, "name: r\nuse_programs: [f0]\n" + RULES])


def test_one_file_alone_may_describe_programs() -> None:
    assert load_policy(TABLE).only_names
    assert "no `rules`" in refusal("use_programs: [x]\n")
