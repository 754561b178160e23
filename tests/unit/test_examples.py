"""The examples run as they stand, and do what their texts say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from forestall.cli.main import cli
from forestall.policy import PolicyError, compile_policy, load_policy
from forestall.policy.testing import run_tests

EXAMPLES = Path(__file__).parents[2] / "examples"
AGENTS = sorted((EXAMPLES / "policies").glob("*.yaml"))

PRINTED = """\
allow             look-around     job.exec.shell
deny              no-destruction  job.exec.shell
    files are not deleted; move them to the trash folder
    instead: Move it to the trash (job.file.trash)
allow             refund          job.pay.refund
require_approval  large-refund    job.pay.refund
    a person looks at refunds above 100
deny              rule_error      job.pay.refund
    rule `large-refund` could not be evaluated: `$.amount` is of type text where the rule \
wants number
deny              default         job.mail.send
    no rule allows this (default decision)
    nearest rule: trash; what failed: topics
"""


def test_embedding(tmp_path: Path) -> None:
    """From another directory, as a program of its own."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "embed.py")],
        cwd=tmp_path,
        env={**os.environ, "TZ": "Asia/Kathmandu"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", PRINTED)


def test_the_policy_passes_its_own_tests() -> None:
    outcomes = run_tests(compile_policy(load_policy(EXAMPLES / "policy.yaml")))
    assert outcomes
    assert [each.name for each in outcomes if not each.passed] == []


def test_there_are_four_agents() -> None:
    assert [path.stem for path in AGENTS] == [
        "coding-agent",
        "database-agent",
        "deploy-agent",
        "mail-agent",
    ]


@pytest.mark.parametrize("path", [*AGENTS, AGENTS[0].parent], ids=lambda path: path.stem)
def test_an_agents_policy_has_no_warning_and_each_rule_speaks_in_a_case(path: Path) -> None:
    for words in (["check", "--strict"], ["test", "--min-coverage", "100"]):
        done = CliRunner().invoke(cli, ["policy", *words, str(path)])
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    "text",
    [
        "rules:\n  - {id: a, decision: deny, match: {topics: [a]}}\n",
        "default_decision: deny",
        '{"default_decision":"deny"}',
        b"default_decision: deny",
    ],
)
def test_load_policy_takes_a_text(text: str | bytes) -> None:
    assert compile_policy(load_policy(text)).digest


@pytest.mark.parametrize("name", ["plain.yaml", "with:colon.yaml", "with space.yaml"])
def test_load_policy_takes_a_path(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("default_decision: deny")
    assert load_policy(path) == load_policy(str(path))
    assert load_policy(path).source == str(path)


def test_neither_a_text_nor_a_path() -> None:
    with pytest.raises(FileNotFoundError):
        load_policy("no-such-file.yaml")
    with pytest.raises(PolicyError, match="the file is empty"):
        load_policy("")
