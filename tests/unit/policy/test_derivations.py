"""Derivations of all files add up: no file can weaken how the payload is read for another one."""

from datetime import UTC, datetime
from typing import Any

import pytest

from forestall.policy import Decision, Effect, Request, compile_policy, evaluate, load_policy
from forestall.policy.problems import PolicyError
from forestall.policy.snapshot import Snapshot

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READS = (
    'rules: [{id: NAME-reads, decision: allow, match: {topics: ["TOPIC"],'
    " labels: {command_class: read}}}]\n"
)
TOPIC = "job.exec.shell"


def reads(name: str, topic: str = TOPIC) -> str:
    return f"name: {name}\n" + READS.replace("NAME", name).replace("TOPIC", topic)


def snapshot_of(*files: str) -> Snapshot:
    return compile_policy([load_policy(text) for text in files])


def decide(files: tuple[str, ...], topic: str = TOPIC, **fields: Any) -> Decision:
    context = fields.pop("context", None)
    payload = {"prompt": fields.pop("prompt", ""), "context": context}
    return evaluate(snapshot_of(*files), Request(topic=topic, payload=payload, **fields), now=NOW)


def test_an_entry_of_another_kind_switches_nothing_off() -> None:
    other = 'name: b\nderive: [{kind: sql, topics: ["job.sql.*"], dialect: postgres}]\nrules: []\n'
    files = (reads("a"), other)
    assert decide(files, prompt="ls").decision is Effect.ALLOW
    assert decide(files, prompt="rm -rf /").decision is Effect.DENY


@pytest.mark.parametrize("more", ["fields: [args.note]", "ignore: [args.note]"])
def test_a_file_declares_places_for_its_own_rules_only(more: str) -> None:
    entry = f"derive: [{{kind: shell, topics: [{TOPIC}], {more}}}]\n"
    said: dict[str, Any] = {"prompt": "ls", "args": {"note": "ls"}}
    assert decide((reads("a"),), **said).decision is Effect.DENY
    assert decide((reads("a") + entry,), **said).decision is Effect.ALLOW
    assert decide((reads("a"), f"name: b\n{entry}rules: []\n"), **said).decision is Effect.DENY
    assert decide((reads("a"), reads("b") + entry), **said).decision is Effect.DENY
    both = (reads("a") + entry, reads("b") + entry)
    assert decide(both, **said).decision is Effect.ALLOW


def test_where_no_default_applies_the_file_with_an_entry_speaks_for_those_who_accept() -> None:
    entry = "derive: [{kind: shell, topics: [job.tool.x], fields: [args.run], ignore: [prompt]}]\n"
    accepting = "labels: {command_class: {trust: derived}}\n" + reads("a", "job.tool.*")
    files = (f"name: b\n{entry}rules: []\n", accepting)
    said: dict[str, Any] = {"topic": "job.tool.x", "prompt": "please"}
    assert decide(files, args={"run": "ls"}, **said).decision is Effect.ALLOW
    assert decide(files, args={"run": "ls", "more": "x"}, **said).decision is Effect.DENY


def test_what_another_file_reads_is_decided_under_too() -> None:
    deny = (
        "name: a\ndefault_decision: allow\n"
        "rules: [{id: no, decision: deny, match: {labels: {command_class: destructive}}}]\n"
    )
    entry = (
        "name: b\ndefault_decision: allow\n"
        "derive: [{kind: shell, topics: [job.tool.x], fields: [args.run]}]\n"
    )
    files = (deny, entry)
    assert decide(files, topic="job.tool.x", args={"run": "rm -rf /"}).rule_id == "no"
    assert decide(files, topic="job.tool.x", args={"run": "ls"}).decision is Effect.ALLOW


def test_a_dialect_is_for_the_rules_of_its_file() -> None:
    text = "SELECT name FROM users LIMIT 5 OFFSET 2"
    rule = (
        'rules: [{id: NAME, decision: allow, match: {topics: ["job.sql.*"],'
        " labels: {sql_class: read}}}]\n"
    )
    entry = 'derive: [{kind: sql, topics: ["job.sql.*"], dialect: postgres}]\n'
    strange = "SELECT 1 AS \"a\" WHERE 'a' ~ 'b'"  # means something in few dialects only
    one = ("name: a\n" + entry + rule.replace("NAME", "a"),)
    both = (*one, "name: b\n" + rule.replace("NAME", "b"))
    assert decide(one, topic="job.sql.run", prompt=text).decision is Effect.ALLOW
    assert decide(one, topic="job.sql.run", prompt=strange).decision is Effect.ALLOW
    assert decide(both, topic="job.sql.run", prompt=strange).decision is Effect.DENY


DANGER = "danger_no_default_derivations: true\n"


def test_a_default_goes_away_for_the_rules_of_the_file_that_says_danger() -> None:
    entry = f"derive: [{{kind: shell, topics: [{TOPIC}], fields: [args.run], ignore: [prompt]}}]\n"
    alone = (DANGER + entry + reads("a"),)
    said: dict[str, Any] = {"prompt": "please look", "args": {"run": "ls"}}
    assert decide(alone, **said).decision is Effect.ALLOW
    assert decide(alone, prompt="ls").decision is Effect.DENY  # nothing is read of it
    assert decide((*alone, reads("b")), **said).decision is Effect.DENY
    assert decide((DANGER + "name: b\nrules: []\n", reads("a")), prompt="rm x").rule_id == ""
    with pytest.raises(PolicyError, match="nothing derives the label"):
        snapshot_of(DANGER + reads("a"))


def test_the_digest_covers_what_is_ignored_and_the_danger() -> None:
    entry = f"derive: [{{kind: shell, topics: [{TOPIC}], ignore: [args.note]}}]\n"
    texts = [reads("a"), reads("a") + entry, reads("a") + entry.replace("note", "x")]
    texts.append(texts[-1] + DANGER)
    assert len({snapshot_of(text).digest for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("fields: [contxt.x]", "begins with `prompt`, `context`, `args` or `action`"),
        ("fields: [prompt.x]", "has no places in it"),
        ("fields: [labels.x]", "begins with"),
        ("fields: ['args[0]']", "`[*]` for any item"),
        ("ignore: ['context.*']", "name the place itself"),
        ("fields: [args.x], ignore: [args.x]", "`args.x` is under `fields` too"),
    ],
)
def test_a_place_that_cannot_be_is_a_load_error(line: str, says: str) -> None:
    with pytest.raises(PolicyError, match=r"1:\d+") as caught:
        load_policy(f"derive: [{{kind: shell, topics: [job.a], {line}}}]\nrules: []\n")
    assert says in caught.value.render()
