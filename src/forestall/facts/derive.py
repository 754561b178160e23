"""The registry of derivers: payload in, labels out. Never says safe of the unknown.

A deriver gives *views*: one label assignment for each thing the payload would do. Three commands
in a pipeline are three views. The evaluator decides under every view and the strictest decision
stands, so no part of a payload can hide behind another (ADR-0004). The parsers are imported by the
first payload that needs them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from forestall.limits import FACTS_PER_TEXT_MAX, PARSED_CHARS_MAX, VIEWS_MAX

LabelView = Mapping[str, str]
UNKNOWN = "unknown"
UNRESOLVED = "\u2026"  # in `command_words`: any words, because reading cannot tell which
_T = TypeVar("_T")


class PayloadKind(StrEnum):
    """What a payload is written in."""

    SHELL = "shell"
    SQL = "sql"
    URL = "url"
    PATH = "path"
    CLUSTER = "cluster"
    PYTHON = "python"
    POWERSHELL = "powershell"
    CMD = "cmd"
    CODE = "code"  # a program in any other language


class Derivation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Payloads of these topics are of this kind, and stand in these fields of the payload."""

    kind: PayloadKind
    topics: tuple[str, ...]
    fields: tuple[str, ...]
    dialect: str = ""  # of SQL, as sqlglot names it; empty: it must mean the same in all
    workspace: str = "/workspace"  # where relative paths start
    except_topics: tuple[str, ...] = ()  # topics, without wildcards, to which it does not apply


class TooMuchToDeriveError(ValueError):
    """A payload does more things than can be decided one by one. The evaluator denies it.

    Keeping only some of them would let an agent hide one command behind a hundred others.
    """


def _context(*names: str) -> tuple[str, ...]:
    return ("prompt", "context", *(f"context.{name}" for name in names))


_COMMAND_FIELDS = _context("command", "commands", "cmd", "args", "argv", "script", "code", "input")
# The last three are worked out only for a rule that reads them: they tell many commands apart.
_COMMAND_LABELS = (
    "command_class",
    "command_program",
    "command_path",
    "command_scope",
    "command_words",
)
# Kinds of programs in a language that no deriver follows: never `read`.
LANGUAGES = (PayloadKind.PYTHON, PayloadKind.POWERSHELL, PayloadKind.CMD, PayloadKind.CODE)
# The payload fields that a derivation reads unless the policy names others.
FIELDS_OF_KIND: Mapping[PayloadKind, tuple[str, ...]] = {
    PayloadKind.SHELL: _COMMAND_FIELDS,
    PayloadKind.SQL: _context("sql", "query", "queries", "statement", "statements"),
    PayloadKind.URL: _context("url", "urls", "uri", "target", "endpoint", "host", "redirect"),
    PayloadKind.PATH: _context("path", "paths", "file", "files", "source", "target", "destination"),
    PayloadKind.CLUSTER: _COMMAND_FIELDS,
    **dict.fromkeys(LANGUAGES, _COMMAND_FIELDS),
}
# What each deriver computes. A client's value for one of these can tighten, never loosen.
LABELS_OF_KIND: Mapping[PayloadKind, tuple[str, ...]] = {
    PayloadKind.SHELL: _COMMAND_LABELS,
    PayloadKind.SQL: ("sql_class", "sql_statement", "sql_table"),
    PayloadKind.URL: ("url_host", "url_host_kind", "url_scheme"),
    PayloadKind.PATH: ("path", "path_class"),
    PayloadKind.CLUSTER: (
        "cluster_class",
        "cluster_namespace",
        "cluster_resource",
        "cluster_tool",
        "cluster_verb",
    ),
    **dict.fromkeys(LANGUAGES, _COMMAND_LABELS),
}
DERIVED_LABELS = frozenset(label for labels in LABELS_OF_KIND.values() for label in labels)
# Below job.exec, the last part of a topic says what a payload is written in.
SHELL_TOPICS = tuple(
    f"job.exec.{name}" for name in ("shell", "sh", "bash", "zsh", "dash", "ksh", "ash")
)
_LANGUAGE_TOPICS: Mapping[PayloadKind, tuple[str, ...]] = {
    PayloadKind.PYTHON: ("job.exec.python", "job.exec.python3", "job.exec.py", "job.exec.ipython"),
    PayloadKind.POWERSHELL: ("job.exec.powershell", "job.exec.pwsh", "job.exec.ps1"),
    PayloadKind.CMD: ("job.exec.cmd", "job.exec.bat", "job.exec.batch"),
}
_FOLLOWED = tuple(topic for topics in _LANGUAGE_TOPICS.values() for topic in topics)
DEFAULT_DERIVATIONS = tuple(
    Derivation(kind=kind, topics=topics, fields=FIELDS_OF_KIND[kind], except_topics=others)
    for kind, topics, others in (
        (PayloadKind.SHELL, ("job.exec.*",), _FOLLOWED),
        *((kind, topics, ()) for kind, topics in _LANGUAGE_TOPICS.items()),
        (PayloadKind.CODE, ("job.exec.*",), SHELL_TOPICS + _FOLLOWED),
        (PayloadKind.SQL, ("job.sql.*",), ()),
        (PayloadKind.URL, ("job.http.*",), ()),
        (PayloadKind.PATH, ("job.file.*",), ()),
        (PayloadKind.CLUSTER, ("job.k8s.*",), ()),
    )
)


def derive(
    derivation: Derivation, payload: Any, labels: frozenset[str] = DERIVED_LABELS
) -> tuple[LabelView, ...]:
    """The label views of `payload` ({"prompt": text, "context": anything}); never empty. `labels`
    are those that rules read: the others may be left out.

    Raises TooMuchToDeriveError past FACTS_PER_TEXT_MAX things in a text, VIEWS_MAX views, or
    PARSED_CHARS_MAX characters in several texts, and nothing else.
    """
    is_command = FIELDS_OF_KIND[derivation.kind] is _COMMAND_FIELDS
    texts = list(
        dict.fromkeys(
            text
            for field in derivation.fields
            for text in _texts_at(payload, field, is_command=is_command)
        )
    )
    # One text may be as long as it likes: beyond what its parser takes it is unknown, at no cost.
    if len(texts) > 1 and sum(map(len, texts)) > PARSED_CHARS_MAX:
        raise TooMuchToDeriveError
    # Without a text there is nothing to parse, and no parser to import for it.
    views: dict[tuple[str, ...], LabelView] = {}
    for view in _DERIVERS[derivation.kind](texts, derivation, labels) if texts else ():
        views.setdefault(tuple(view.values()), view)
        if len(views) > VIEWS_MAX:
            raise TooMuchToDeriveError
    return tuple(views.values()) or (_nothing(derivation.kind),)


def _nothing(kind: PayloadKind) -> LabelView:
    """The label view of a payload of which nothing is known."""
    view = {
        label: UNKNOWN if label.endswith(("_class", "_kind", "_scope")) else ""
        for label in LABELS_OF_KIND[kind]
    }
    return {**view, "command_words": UNRESOLVED} if "command_words" in view else view


def _shell_views(
    texts: list[str], derivation: Derivation, labels: frozenset[str]
) -> Iterator[LabelView]:
    from forestall.facts.shell.commands import CommandDetail, commands_in

    detail = CommandDetail(
        workspace=derivation.workspace,
        words="command_words" in labels,
        places=not labels.isdisjoint(("command_path", "command_scope")),
    )
    for text in texts:
        for command in _bounded(commands_in(text, detail), detail.commands_max):
            words = {"command_words": command.words} if detail.words else {}
            for kind in sorted(command.classes):
                view = {"command_class": kind.value, "command_program": command.program, **words}
                for place in command.label_places(labels):
                    yield {**view, **place}


def _code_views(
    texts: list[str], derivation: Derivation, labels: frozenset[str]
) -> Iterator[LabelView]:
    from forestall.facts.other_languages import programs_in

    for text in texts:
        for program in programs_in(text, derivation.kind.value):
            for kind in sorted(program.classes):
                yield {
                    **_nothing(derivation.kind),
                    "command_class": kind.value,
                    "command_program": program.program,
                }


def _sql_views(
    texts: list[str], derivation: Derivation, labels: frozenset[str]
) -> Iterator[LabelView]:
    from forestall.facts.sql.statements import TABLES_MAX, ParsedSql, statements_in

    parsed = ParsedSql()
    for text in texts:
        for one in _bounded(statements_in(text, dialect=derivation.dialect, parsed=parsed)):
            if len(one.tables) >= TABLES_MAX:
                raise TooMuchToDeriveError
            for kind in sorted(one.classes):
                for table in one.tables or ("",):
                    yield {
                        "sql_class": kind.value,
                        "sql_statement": one.statement,
                        "sql_table": table,
                    }


def _url_views(
    texts: list[str], derivation: Derivation, labels: frozenset[str]
) -> Iterator[LabelView]:
    from forestall.facts.urls import urls_in

    for text in texts:
        for one in _bounded(urls_in(text)):
            yield {
                "url_host": one.host,
                "url_host_kind": one.kind.value,
                "url_scheme": one.scheme,
            }


def _path_views(
    texts: list[str], derivation: Derivation, labels: frozenset[str]
) -> Iterator[LabelView]:
    from forestall.facts.file_paths import paths_in

    for one in _bounded(paths_in(texts, workspace=derivation.workspace)) if texts else ():
        for kind in sorted(one.classes):
            yield {"path": one.path, "path_class": kind.value}


def _cluster_views(
    texts: list[str], derivation: Derivation, labels: frozenset[str]
) -> Iterator[LabelView]:
    from forestall.facts.cluster.commands import verbs_in

    for text in texts:
        for one in _bounded(verbs_in(text)):
            for kind in sorted(one.classes):
                yield {
                    "cluster_class": kind.value,
                    "cluster_namespace": one.namespace,
                    "cluster_resource": one.resource,
                    "cluster_tool": one.tool,
                    "cluster_verb": one.verb,
                }


_DERIVERS: Mapping[
    PayloadKind, Callable[[list[str], Derivation, frozenset[str]], Iterable[LabelView]]
] = {
    PayloadKind.SHELL: _shell_views,
    PayloadKind.SQL: _sql_views,
    PayloadKind.URL: _url_views,
    PayloadKind.PATH: _path_views,
    PayloadKind.CLUSTER: _cluster_views,
    **dict.fromkeys(LANGUAGES, _code_views),
}


def _bounded(facts: tuple[_T, ...], facts_max: int = FACTS_PER_TEXT_MAX) -> tuple[_T, ...]:
    """A parser that reached its bound may have left something out."""
    if len(facts) >= facts_max:
        raise TooMuchToDeriveError
    return facts


def _texts_at(payload: Any, field: str, *, is_command: bool) -> Iterator[str]:
    """The texts at a dotted path. A list is a list of texts; where payloads are commands, it is
    also one command line, as a worker would run it."""
    value = payload
    for name in field.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, list):
        words = [item for item in value if isinstance(item, str)]
        if words and not is_command:
            yield from words
        elif words:
            yield " ".join(_quoted(word) for word in words)
            # The same list may also be a list of commands: what it would do as one counts too.
            yield from (word for word in words if " " in word or len(words) == 1)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\"'\"'") + "'"
