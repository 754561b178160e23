"""What the clients of databases do: psql, mysql, sqlite3, redis-cli.

A client only looks when its options are all listed in its entry, its words are all literal, and the
SQL room says of every statement that it reads. This module refuses to follow a client further: a
file of statements, a command of the client itself, or an input that is not seen is `unknown`.
"""

import re
from collections.abc import Sequence
from typing import Final

from forestall.facts.shell.program_entry import (
    DESTRUCTIVE,
    READ,
    UNKNOWN,
    Arg,
    Classes,
    ProgramEffect,
    classes,
    classes_of,
    is_option,
)
from forestall.facts.shell.program_table import program as program_entry
from forestall.facts.shell.words import WORDS
from forestall.facts.shell.wrappers import ProgramEffects, doubt, join, options, positionals, unsure

Args = Sequence[Arg]
NETWORK: Final = classes("n")
_REDIS_READS: Final = WORDS.set("redis_reading_commands")
_REDIS_PLAIN_OPTIONS: Final = WORDS.set("redis_plain_options")
_LOSS: Final = re.compile(
    r"\b(?:drop|truncate|delete|dropdatabase|deletemany|deleteone|remove|del|flushall|flushdb)\b",
    re.IGNORECASE,
)
# By the program: the dialect of its SQL, and the options whose value is SQL.
_DIALECTS: Final = {
    "psql": ("postgres", ("-c", "--command")),
    "mysql": ("mysql", ("-e", "--execute")),
    "mariadb": ("mysql", ("-e", "--execute")),
    "sqlite3": ("sqlite", ()),
}
_LISTS: Final = frozenset(("-l", "--list"))  # psql lists the databases, without a statement
_DATABASE_NAME: Final = re.compile(r"[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*")  # no connection string
_DATABASE_FILE: Final = re.compile(r"[\w./~-]+")  # no `file:` address with settings
# Commands of the clients that only show. psql would run what stands between backticks.
_SHOWS: Final = re.compile(
    r"\\(?:d[a-zA-Z]{0,3}[S+]{0,2}|l\+?|conninfo|encoding)(?:\s+[\w.*]+)?"
    r"|\.(?:tables|schema|fullschema|databases|indexes|indices|dbinfo|show)(?:\s+[\w%]+)*"
)
_MYSQL_COMMAND: Final = re.compile(r"\\(?!G\s*\Z)|\n")  # mysql takes these out of a statement


def database(program: str, args: Args) -> ProgramEffects:
    """A client that sends SQL, or another language, to a database."""
    entry = program_entry(program)
    if entry is not None and entry.effect is not None and program in _DIALECTS:
        own = _looking(program, entry.effect, args)
        if UNKNOWN - own:
            return ProgramEffects(classes=own or READ)
    text = join(args)
    ends = program == "mysqladmin" and "shutdown" in text
    return ProgramEffects(
        classes=UNKNOWN | DESTRUCTIVE if ends else UNKNOWN, code=(text,), loss=_LOSS
    )


def _looking(program: str, entry: ProgramEffect, args: Args) -> Classes:
    """The classes of a client that only looks, or more than `unknown`."""
    dialect, statement_options = _DIALECTS[program]
    own = (classes_of(entry, args) - READ) | unsure(args) | doubt(args)
    names = [args[at].text for at in positionals(args, entry.value_options)]
    names += _values(args, ("-d", "--dbname", "-D", "--database")) or ()
    texts = _values(args, statement_options)
    name = _DATABASE_NAME
    if program == "sqlite3":
        names, texts, name = names[:1], names[1:], _DATABASE_FILE
    listed = program == "psql" and bool(_LISTS & {arg.text for arg in args})
    if texts is None or not (texts or listed) or not all(map(name.fullmatch, names)):
        return own | UNKNOWN
    return own if all(_reads(program, dialect, text) for text in texts) else own | UNKNOWN


def _values(args: Args, names: Sequence[str]) -> list[str] | None:
    """The values of an option that has a short and a long name; None when one cannot be read."""
    found: list[str] = []
    for at, arg in enumerate(args):
        word, following = arg.text, [one.text for one in args[at + 1 : at + 2]]
        if word in names:
            found += following
        elif word.startswith("--"):
            found += [word.partition("=")[2]] if word.partition("=")[0] in names else []
        elif is_option(word) and any(name[1] in word for name in names if len(name) == 2):
            if not any(word[-1] == name[1] for name in names if len(name) == 2):
                return None  # it may be joined to the option
            found += following
    return found


def _reads(program: str, dialect: str, text: str) -> bool:
    """Whether a text only looks: SQL, or a command of the client."""
    from forestall.facts.sql.statements import SqlClass, statements_in  # slow to load, seldom used

    if text[:1] in ("\\", "."):
        return dialect != "mysql" and _SHOWS.fullmatch(text) is not None
    if dialect == "mysql" and _MYSQL_COMMAND.search(text):
        return False
    bare = text.removesuffix("\\G") if dialect == "mysql" else text
    return all(one.classes == {SqlClass.READ} for one in statements_in(bare, dialect=dialect))


def redis(_: str, args: Args) -> ProgramEffects:
    """redis-cli: without an option it talks to the database of the machine, as psql does."""
    at = positionals(args, "-h -p -s -a -u -n -r -i --user --pass -x -d --pattern --count")
    found = options(args)
    verb = args[at[0]].text.upper() if at else "SCAN" if "--scan" in found else ""
    words = {arg.text.upper() for arg in args}
    own = classes("") if found <= _REDIS_PLAIN_OPTIONS and not unsure(args) else NETWORK
    own |= doubt(args[: at[0] + 1] if at else args)
    if words & {"FLUSHALL", "FLUSHDB", "SHUTDOWN"} or verb in ("DEL", "UNLINK"):
        own |= DESTRUCTIVE
    if verb not in _REDIS_READS:
        writes = ("SET", "INCR", "HSET", "LPUSH", "RPUSH", "SADD", "ZADD", "EXPIRE", *words)
        own |= NETWORK | (classes("w") if verb and verb in writes else UNKNOWN)
    return ProgramEffects(classes=own or READ, loss=None if verb else _LOSS)
