"""What the clients of databases do: psql, mysql, sqlite3, redis-cli.

A client only looks when its options are all listed in its entry, its words are all literal, and the
SQL room says of every statement that it reads. This module refuses to follow a client further: a
file of statements, a command of the client itself, or an input that is not seen is `unknown`.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from forestall.facts.shell.arguments import (
    Args,
    is_option,
    joined,
    options_in,
    positional_indices,
    positional_texts,
    unknown_if_ambiguous,
    unknown_unless_literal,
)
from forestall.facts.shell.command_classes import (
    DESTRUCTIVE,
    NETWORK,
    NOTHING,
    READ,
    UNKNOWN,
    WRITE,
    Classes,
    CommandClass,
)
from forestall.facts.shell.command_effects import CommandEffects
from forestall.facts.shell.program_entry import ProgramEffect, classes_of
from forestall.facts.shell.program_table import effect_of
from forestall.facts.shell.word_lists import SHELL_WORDS


class _SqlClient(NamedTuple):
    """The dialect of a client's SQL, and the options whose value is SQL."""

    dialect: str
    statement_options: tuple[str, ...] = ()


_SQL_CLIENTS: Final = {
    "psql": _SqlClient("postgres", ("-c", "--command")),
    "mysql": _SqlClient("mysql", ("-e", "--execute")),
    "mariadb": _SqlClient("mysql", ("-e", "--execute")),
    "sqlite3": _SqlClient("sqlite"),  # its words are a file and statements
}
_DATABASE_OPTIONS: Final = ("-d", "--dbname", "-D", "--database")
_LIST_OPTIONS: Final = frozenset(("-l", "--list"))  # psql lists the databases, without a statement
_DATABASE_NAME: Final = re.compile(r"[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*")  # no connection string
_DATABASE_FILE: Final = re.compile(r"[\w./~-]+")  # no `file:` address with settings
# Commands of the clients that only show. psql would run what stands between backticks.
_SHOWING_COMMAND: Final = re.compile(
    r"\\(?:d[a-zA-Z]{0,3}[S+]{0,2}|l\+?|conninfo|encoding)(?:\s+[\w.*]+)?"
    r"|\.(?:tables|schema|fullschema|databases|indexes|indices|dbinfo|show)(?:\s+[\w%]+)*"
)
_MYSQL_COMMAND: Final = re.compile(r"\\(?!G\s*\Z)|\n")  # mysql takes these out of a statement
_DELETION: Final = re.compile(
    r"\b(?:drop|truncate|delete|dropdatabase|deletemany|deleteone|remove|del|flushall|flushdb)\b",
    re.IGNORECASE,
)


def database(program: str, args: Args) -> CommandEffects:
    """A client that sends SQL, or another language, to a database."""
    client = _SQL_CLIENTS.get(program)
    if client is not None:
        classes = _sql_client_classes(program, client, effect_of(program), args)
        if CommandClass.UNKNOWN not in classes:
            return CommandEffects(classes=classes or READ)
    text = joined(args)
    stops_server = program == "mysqladmin" and "shutdown" in text
    return CommandEffects(
        classes=UNKNOWN | DESTRUCTIVE if stops_server else UNKNOWN,
        code=(text,),
        deletion=_DELETION,
    )


def _sql_client_classes(
    program: str, client: _SqlClient, effect: ProgramEffect, args: Args
) -> Classes:
    """The classes of a client that only looks, or `unknown` among others."""
    classes = classes_of(effect, args) - READ
    classes |= unknown_unless_literal(args) | unknown_if_ambiguous(args)
    words = positional_texts(args, effect.value_options)
    words += _option_values(args, _DATABASE_OPTIONS) or []
    if program == "sqlite3":
        databases, statements, database_pattern = words[:1], words[1:], _DATABASE_FILE
    else:
        named = _option_values(args, client.statement_options)
        if named is None:
            return classes | UNKNOWN
        databases, statements, database_pattern = words, named, _DATABASE_NAME
    lists = program == "psql" and any(arg.text in _LIST_OPTIONS for arg in args)
    if (
        not (statements or lists)
        or not all(map(database_pattern.fullmatch, databases))
        or not all(_only_looks(statement, client.dialect) for statement in statements)
    ):
        classes |= UNKNOWN
    return classes


def _option_values(args: Args, names: Sequence[str]) -> list[str] | None:
    """The values of an option that has these short and long names; None when one value may be
    joined to its short option, and cannot be read."""
    letters = [name[1] for name in names if len(name) == 2]
    values: list[str] = []
    for index, arg in enumerate(args):
        word = arg.text
        next_word = [following.text for following in args[index + 1 : index + 2]]
        if word in names:
            values += next_word
        elif word.startswith("--"):
            name, _, value = word.partition("=")
            values += [value] if name in names else []
        elif is_option(word) and any(letter in word for letter in letters):
            if word[-1] not in letters:
                return None
            values += next_word
    return values


def _only_looks(statement: str, dialect: str) -> bool:
    """Whether a text only looks: SQL, or a command of the client."""
    from forestall.facts.sql.statements import SqlClass, statements_in  # slow to load, seldom used

    if statement[:1] in ("\\", "."):
        return dialect != "mysql" and _SHOWING_COMMAND.fullmatch(statement) is not None
    if dialect == "mysql":
        if _MYSQL_COMMAND.search(statement):
            return False
        statement = statement.removesuffix("\\G")
    facts = statements_in(statement, dialect=dialect)
    return all(fact.classes == {SqlClass.READ} for fact in facts)


_REDIS_READS: Final = SHELL_WORDS.set("redis_reading_commands")
_REDIS_WRITES: Final = SHELL_WORDS.set("redis_writing_commands")
_REDIS_PLAIN_OPTIONS: Final = SHELL_WORDS.set("redis_plain_options")
_REDIS_VALUE_OPTIONS: Final = "-h -p -s -a -u -n -r -i --user --pass -x -d --pattern --count"
_REDIS_LOSES: Final = frozenset(("FLUSHALL", "FLUSHDB", "SHUTDOWN"))


def redis(_: str, args: Args) -> CommandEffects:
    """redis-cli: without an option it talks to the database of the machine, as psql does."""
    indices = positional_indices(args, _REDIS_VALUE_OPTIONS)
    options = options_in(args)
    verb = args[indices[0]].text.upper() if indices else "SCAN" if "--scan" in options else ""
    is_local = options <= _REDIS_PLAIN_OPTIONS and not unknown_unless_literal(args)
    classes = NOTHING if is_local else NETWORK
    classes |= unknown_if_ambiguous(args[: indices[0] + 1] if indices else args)
    loses = any(arg.text.upper() in _REDIS_LOSES for arg in args)
    if loses or verb in ("DEL", "UNLINK"):
        classes |= DESTRUCTIVE
    if verb in _REDIS_READS:
        return CommandEffects(classes=classes or READ)
    if verb in _REDIS_WRITES:
        return CommandEffects(classes=classes | NETWORK | WRITE)
    code = (joined(args),) if verb else ()  # a script, a module, a setting
    return CommandEffects(classes=classes | NETWORK | UNKNOWN, code=code, deletion=_DELETION)
