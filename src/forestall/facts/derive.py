"""The registry of derivers: payload in, labels out. Never raises, never says safe of the unknown.

A deriver gives *views*: one label assignment for each thing the payload would do. Three commands
in a pipeline are three views. The evaluator decides under every view and the strictest decision
stands, so no part of a payload can hide behind another (ADR-0004).
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from forestall.limits import VIEWS_MAX

LabelView = Mapping[str, str]


class PayloadKind(StrEnum):
    """What a payload is written in."""

    SHELL = "shell"


class Derivation(msgspec.Struct, frozen=True, kw_only=True):
    """Payloads of these topics are of this kind, and stand in these fields of the payload."""

    kind: PayloadKind
    topics: tuple[str, ...]
    fields: tuple[str, ...]


SHELL_FIELDS = (
    "prompt",
    "context",
    "context.command",
    "context.commands",
    "context.cmd",
    "context.args",
    "context.argv",
    "context.script",
    "context.code",
    "context.input",
)
DEFAULT_DERIVATIONS = (
    Derivation(kind=PayloadKind.SHELL, topics=("job.exec.*",), fields=SHELL_FIELDS),
)
# Labels that a deriver owns: a client's value for one of them can tighten, never loosen.
DERIVED_LABELS = frozenset({"command_class", "command_program"})

_UNKNOWN_VIEW: LabelView = {"command_class": "unknown", "command_program": ""}


class TooMuchToDeriveError(ValueError):
    """A payload does more things than can be decided one by one. The evaluator denies it.

    Keeping only some of them would let an agent hide one command behind a hundred others.
    """


def derive(derivation: Derivation, payload: Any) -> tuple[LabelView, ...]:
    """The label views of `payload` ({"prompt": text, "context": anything}); never empty.

    Raises TooMuchToDeriveError past VIEWS_MAX views, and nothing else.
    """
    texts = [text for field in derivation.fields for text in _texts_at(payload, field)]
    return _shell_views(texts)


def _shell_views(texts: list[str]) -> tuple[LabelView, ...]:
    # Imported here: the parser is loaded by those who parse, not by `forestall --help`.
    from forestall.facts.shell import COMMANDS_MAX, commands_in

    views: dict[tuple[str, str], LabelView] = {}
    for text in texts:
        commands = commands_in(text)
        if len(commands) >= COMMANDS_MAX:
            raise TooMuchToDeriveError
        for command in commands:
            for kind in sorted(command.classes):
                views[command.program, kind.value] = {
                    "command_class": kind.value,
                    "command_program": command.program,
                }
    if len(views) > VIEWS_MAX:
        raise TooMuchToDeriveError
    return tuple(views.values()) or (_UNKNOWN_VIEW,)


def _texts_at(payload: Any, field: str) -> Iterator[str]:
    """The texts at a dotted path. A list of words is one command line, as a worker would run it."""
    value = payload
    for name in field.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, list):
        words = [item for item in value if isinstance(item, str)]
        if words:
            yield " ".join(_quoted(word) for word in words)
            # The same list may also be a list of commands: what it would do as one counts too.
            yield from (word for word in words if " " in word or len(words) == 1)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\"'\"'") + "'"
