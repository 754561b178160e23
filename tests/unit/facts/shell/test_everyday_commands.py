"""Everyday commands are read, and what only looks like one is not.

The two texts beside this file were written before the entries that they try, by program family.
What an everyday command is held for on purpose stands here, with the reason.
"""

from pathlib import Path

import pytest

from forestall.facts.cluster.commands import verbs_in
from forestall.facts.cluster.tools import TOOLS
from forestall.facts.shell.commands import CommandClass, commands_in

HERE = Path(__file__)
READ = {CommandClass.READ}
HELD_SHARE_MAX = 0.1  # of the everyday commands: what is held on purpose, and no more

HELD_ON_PURPOSE = [
    ('git -C "$REPO" status --short', 'settings of another repository may name programs'),
    ("gh api repos/{owner}/{repo}/pulls --jq '.[].title'", 'method and host are not followed'),
    ('yarn why lodash', 'runs the program that .yarnrc names'),
    ('yarn info react version', 'runs the program that .yarnrc names'),
    ('node -p process.version', 'runs code'),
    ('terraform output -json', 'shows secrets'),
    ('openssl x509 -in cert.pem -noout -dates -subject', 'the key may stand in the same file'),
    ("psql -h db -d app -c 'select count(*) from users'", 'talks to a named server'),
    ('make -n deploy', 'runs parts of the makefile'),
]  # fmt: skip


def _lines(name: str) -> list[str]:
    lines = HERE.with_name(name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("# ")]


EVERYDAY = _lines("everyday_reads.txt")
HOSTILE = [tuple(line.split(" ## ")) for line in _lines("hostile_look_alikes.txt")]


def classes_in(text: str) -> set[CommandClass]:
    """All classes of a text."""
    return {kind for command in commands_in(text) for kind in command.classes}


@pytest.mark.parametrize("text", EVERYDAY)
def test_an_everyday_command_is_read(text: str) -> None:
    assert classes_in(text) == READ


@pytest.mark.parametrize(("text", "why"), HELD_ON_PURPOSE)
def test_what_is_held_on_purpose_is_held(text: str, why: str) -> None:
    assert classes_in(text) != READ, why


def test_few_everyday_commands_are_held() -> None:
    assert len(EVERYDAY) >= 150
    assert len(HELD_ON_PURPOSE) <= HELD_SHARE_MAX * (len(EVERYDAY) + len(HELD_ON_PURPOSE))


@pytest.mark.parametrize(("text", "why"), HOSTILE)
def test_a_hostile_look_alike_is_never_read(text: str, why: str) -> None:
    assert classes_in(text) != READ, why
    if text.split()[0] in TOOLS.names():
        assert {str(kind) for fact in verbs_in(text) for kind in fact.classes} != {"read"}, why


def test_enough_hostile_look_alikes() -> None:
    assert len(HOSTILE) >= 150
    assert len({text for text, _ in HOSTILE}) == len(HOSTILE)
