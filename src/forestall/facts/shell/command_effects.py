"""What one command does, and what it would run in turn: the answer of every handler."""

import re

import msgspec

from forestall.facts.shell.arguments import Arg
from forestall.facts.shell.command_classes import Classes


class CommandEffects(msgspec.Struct, frozen=True, kw_only=True):
    """What one command does by itself (`classes`), and what it would run in turn.

    A handler only describes; `command_judge` decides how far to follow.
    """

    classes: Classes
    argvs: tuple[tuple[Arg, ...], ...] = ()  # commands, word by word
    texts: tuple[str, ...] = ()  # shell text
    code: tuple[str, ...] = ()  # program text in another language
    suspects: tuple[Arg, ...] = ()  # words among which a command may start anywhere
    runs_input: bool = False  # runs what it reads as shell text
    deletion: re.Pattern[str] | None = None  # runs what it reads as code; this finds deletion in it
    appends_input: bool = False  # adds what it reads to the words of the commands it runs
    assignments: tuple[str, ...] = ()  # NAME=value words
    defines: tuple[str, ...] = ()  # names to which it gives a new meaning
