"""The registry of derivers: payload in, labels out. Never says safe of the unknown.

`payload.py` says what the payload is, and which of its texts are read. A deriver gives *views*:
one label assignment for each thing the payload would do. Three commands in a pipeline are three
views. The evaluator decides under every view and the strictest decision stands, so no part of a
payload can hide behind another (ADR-0004). The parsers are imported by the first payload that needs
them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from forestall.facts.payload import Part, PayloadTexts, Places, TooMuchToDeriveError
from forestall.facts.payload_places import DeclaredPlaces
from forestall.limits import FACTS_PER_TEXT_MAX, PARSED_CHARS_MAX, VIEWS_MAX

if TYPE_CHECKING:
    from forestall.facts.cluster.tool_facts import VerbFact
    from forestall.facts.shell.command_facts import Command, CommandDetail
    from forestall.facts.shell.program_table import ProgramTable

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


# Kinds of programs in a language that no deriver follows: never `read`.
LANGUAGES = (PayloadKind.PYTHON, PayloadKind.POWERSHELL, PayloadKind.CMD, PayloadKind.CODE)
_COMMANDS = frozenset({PayloadKind.SHELL, PayloadKind.CLUSTER, *LANGUAGES})


class Derivation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Payloads of these topics are of this kind, and stand in these fields of the payload. The
    places under `ignore` hold nothing that anybody runs."""

    kind: PayloadKind
    topics: tuple[str, ...]
    fields: tuple[str, ...]
    ignore: tuple[str, ...] = ()
    dialect: str = ""  # of SQL, as sqlglot names it; empty: it must mean the same in all
    workspace: str = "/workspace"  # where relative paths start
    except_topics: tuple[str, ...] = ()  # topics, without wildcards, to which it does not apply
    programs: "ProgramTable | None" = None  # with the policy's own entries; None: built in alone


class PayloadReading(NamedTuple):
    """How payloads of one topic are read as one kind, by the derivations of all files together.

    Each derivation of `parsed_as` parses every text that is read: they differ in dialect, workspace
    or own programs.
    """

    kind: PayloadKind
    places: Places
    parsed_as: tuple[Derivation, ...]

    def texts_of(self, parts: Iterable[Part]) -> PayloadTexts:
        """The texts of a payload that are parsed, and the places of those that are unread. Raises
        TooMuchToDeriveError."""
        return self.places.texts_of(parts, of_commands=self.kind in _COMMANDS)


def reading_of(derivation: Derivation) -> PayloadReading:
    """How payloads are read where one derivation alone applies. Raises PlaceError."""
    places = Places([DeclaredPlaces(derivation.fields, derivation.ignore)])
    return PayloadReading(derivation.kind, places, (derivation,))


# -- the labels of each kind --

# Path, scope and words are worked out only for a rule that reads them: by these labels, commands
# differ that are one command otherwise.
_COMMAND_LABELS = (
    "command_class",
    "command_program",
    "command_path",
    "command_scope",
    "command_words",
)
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
        *_COMMAND_LABELS,
    ),
    **dict.fromkeys(LANGUAGES, _COMMAND_LABELS),
}
DERIVED_LABELS = frozenset(label for labels in LABELS_OF_KIND.values() for label in labels)


# -- the fields of each kind --


def _fields(*names: str, resource: bool = False) -> tuple[str, ...]:
    """The prompt, and members of the context and of the arguments with these names. `resource`: the
    resource of a tool call too."""
    inner = (f"{root}{name}" for root in ("context", "args") for name in ("", *names))
    return ("prompt", *inner, *(("action.target_resource",) if resource else ()))


_COMMAND_FIELDS = _fields(
    *(".command", ".commands", ".commands[*]", ".cmd", ".program", ".executable"),
    *(".args", ".argv", ".arguments", ".script", ".code", ".input", ".run"),
)
# The payload fields that a derivation reads unless the policy names others. The items of a list of
# commands are commands; those of any other list of words are one command line.
FIELDS_OF_KIND: Mapping[PayloadKind, tuple[str, ...]] = {
    PayloadKind.SHELL: _COMMAND_FIELDS,
    PayloadKind.SQL: _fields(".sql", ".query", ".queries", ".statement", ".statements"),
    PayloadKind.URL: _fields(
        *(".url", ".urls", ".uri", ".uris", ".target", ".endpoint", ".host", ".hostname"),
        *(".redirect", ".base_url"),
        resource=True,
    ),
    PayloadKind.PATH: _fields(
        *(".path", ".paths", ".file", ".files", ".file_path", ".file_paths", ".filename"),
        *(".directory", ".source", ".target", ".destination", ".old_path", ".new_path"),
        resource=True,
    ),
    PayloadKind.CLUSTER: _COMMAND_FIELDS,
    **dict.fromkeys(LANGUAGES, _COMMAND_FIELDS),
}


# -- what applies without a policy: the topics of each kind --


def _default(kind: PayloadKind, *topics: str, except_topics: tuple[str, ...] = ()) -> Derivation:
    return Derivation(
        kind=kind, topics=topics, fields=FIELDS_OF_KIND[kind], except_topics=except_topics
    )


# Below job.exec, the last part of a topic says what a payload is written in. Any other topic there
# is read twice: as shell text, and as a program in an unnamed language.
SHELL_TOPICS = tuple(
    f"job.exec.{name}" for name in ("shell", "sh", "bash", "zsh", "dash", "ksh", "ash")
)
_LANGUAGE_DERIVATIONS = (
    _default(
        PayloadKind.PYTHON,
        *("job.exec.python", "job.exec.python3", "job.exec.py", "job.exec.ipython"),
    ),
    _default(PayloadKind.POWERSHELL, "job.exec.powershell", "job.exec.pwsh", "job.exec.ps1"),
    _default(PayloadKind.CMD, "job.exec.cmd", "job.exec.bat", "job.exec.batch"),
)
_LANGUAGE_TOPICS = tuple(
    topic for derivation in _LANGUAGE_DERIVATIONS for topic in derivation.topics
)
DEFAULT_DERIVATIONS = (
    _default(PayloadKind.SHELL, "job.exec.*", except_topics=_LANGUAGE_TOPICS),
    *_LANGUAGE_DERIVATIONS,
    _default(PayloadKind.CODE, "job.exec.*", except_topics=SHELL_TOPICS + _LANGUAGE_TOPICS),
    _default(PayloadKind.SQL, "job.sql.*"),
    _default(PayloadKind.URL, "job.http.*"),
    _default(PayloadKind.PATH, "job.file.*"),
    _default(PayloadKind.CLUSTER, "job.k8s.*"),
)


# -- deriving --


def derive(
    reading: PayloadReading, parts: Iterable[Part], labels: frozenset[str] = DERIVED_LABELS
) -> tuple[LabelView, ...]:
    """The label views of a payload; never empty. `parts` are its roots with their values, such as
    ("prompt", text); an unread text among them adds a view of class `unknown`. `labels` are those
    that rules read; some others may be left out.

    Raises TooMuchToDeriveError past FACTS_PER_TEXT_MAX things in a text, VIEWS_MAX views,
    PARSED_CHARS_MAX characters in several texts, or the bounds of a payload, and nothing else.
    """
    payload = reading.texts_of(parts)
    texts = [*payload.texts, *payload.programs, *payload.arguments]
    # One text may be as long as it likes: beyond what its parser takes it is unknown, at no cost.
    if len(texts) > 1 and sum(map(len, texts)) > PARSED_CHARS_MAX:
        raise TooMuchToDeriveError
    views: dict[tuple[tuple[str, str], ...], LabelView] = {}
    # Without a text there is nothing to parse, and no parser to import for it.
    for derivation in reading.parsed_as if texts else ():
        for view in _views(reading.kind, payload, derivation, labels):
            views.setdefault(tuple(view.items()), view)
            if len(views) > VIEWS_MAX:
                raise TooMuchToDeriveError
    if views and not payload.unread:
        return tuple(views.values())
    return (*views.values(), _unknown_view(reading.kind))


def _views(
    kind: PayloadKind, payload: PayloadTexts, derivation: Derivation, labels: frozenset[str]
) -> Iterator[LabelView]:
    """The label views of the texts.

    A program and its arguments in two members are among the texts as one command line. What each of
    the two does by itself counts too, except for the classes that it has only because the other is
    missing: either may be `unknown`, and a program without arguments may only look.
    """
    for texts, says_nothing in (
        (payload.texts, ()),
        (payload.programs, (UNKNOWN, "read")),
        (payload.arguments, (UNKNOWN,)),
    ):
        for view in _DERIVERS[kind](texts, derivation, labels) if texts else ():
            if view.get("cluster_class", view.get("command_class")) not in says_nothing:
                yield view


def _unknown_view(kind: PayloadKind) -> LabelView:
    """The label view of a payload of which nothing is known."""
    view = {
        label: UNKNOWN if label.endswith(("_class", "_kind", "_scope")) else ""
        for label in LABELS_OF_KIND[kind]
    }
    return {**view, "command_words": UNRESOLVED} if "command_words" in view else view


# -- one deriver for each kind: it imports its parser when the first text comes --


def _shell_views(
    texts: Sequence[str], derivation: Derivation, labels: frozenset[str]
) -> Iterator[LabelView]:
    from forestall.facts.shell.commands import commands_in

    detail = _detail(derivation, labels)
    for text in texts:
        for command in _complete(commands_in(text, detail), detail.commands_max):
            yield from _command_views(command, labels)


def _detail(derivation: Derivation, labels: frozenset[str]) -> "CommandDetail":
    """What is to be worked out of each command for rules that read these labels."""
    from forestall.facts.shell.command_facts import CommandDetail
    from forestall.facts.shell.program_table import BUILT_IN

    return CommandDetail(
        programs=derivation.programs or BUILT_IN,
        workspace=derivation.workspace,
        words="command_words" in labels,
        places=not labels.isdisjoint(("command_path", "command_scope")),
    )


def _command_views(command: "Command", labels: frozenset[str]) -> Iterator[LabelView]:
    """The label views of one command."""
    words = {"command_words": command.words} if "command_words" in labels else {}
    for kind in sorted(command.classes):
        view = {"command_class": kind.value, "command_program": command.program, **words}
        for place in command.label_places(labels):
            yield {**view, **place}


def _code_views(
    texts: Sequence[str], derivation: Derivation, labels: frozenset[str]
) -> Iterator[LabelView]:
    from forestall.facts.other_languages import programs_in

    for text in texts:
        for command in _complete(programs_in(text, derivation.kind.value)):
            for kind in sorted(command.classes):
                yield {
                    **_unknown_view(derivation.kind),
                    "command_class": kind.value,
                    "command_program": command.program,
                }


def _sql_views(
    texts: Sequence[str], derivation: Derivation, labels: frozenset[str]
) -> Iterator[LabelView]:
    from forestall.facts.sql.statements import TABLES_MAX, ParsedSql, statements_in

    parsed = ParsedSql()
    for text in texts:
        for statement in _complete(statements_in(text, dialect=derivation.dialect, parsed=parsed)):
            tables = _complete(statement.tables, TABLES_MAX) or ("",)
            for kind in sorted(statement.classes):
                for table in tables:
                    yield {
                        "sql_class": kind.value,
                        "sql_statement": statement.statement,
                        "sql_table": table,
                    }


def _url_views(
    texts: Sequence[str], derivation: Derivation, labels: frozenset[str]
) -> Iterator[LabelView]:
    from forestall.facts.urls import urls_in

    for text in texts:
        for url in _complete(urls_in(text)):
            yield {
                "url_host": url.host,
                "url_host_kind": url.kind.value,
                "url_scheme": url.scheme,
            }


def _path_views(
    texts: Sequence[str], derivation: Derivation, labels: frozenset[str]
) -> Iterator[LabelView]:
    from forestall.facts.file_paths import paths_in

    for fact in _complete(paths_in(texts, workspace=derivation.workspace)):
        for kind in sorted(fact.classes):
            yield {"path": fact.path, "path_class": kind.value}


def _cluster_views(
    texts: Sequence[str], derivation: Derivation, labels: frozenset[str]
) -> Iterator[LabelView]:
    from forestall.facts.cluster.commands import paired, verbs_and_commands_in

    detail = _detail(derivation, labels)
    reads_commands = not labels.isdisjoint(_COMMAND_LABELS)
    for text in texts:
        facts, commands = verbs_and_commands_in(text, detail)
        _complete(facts, detail.commands_max)
        if not reads_commands:
            for fact in facts:
                yield from _verb_views(fact)
            continue
        _complete(commands, detail.commands_max)
        for fact, command in paired(facts, commands, detail):
            for view in _verb_views(fact):
                yield from (
                    {**view, **of_command} for of_command in _command_views(command, labels)
                )


def _verb_views(fact: "VerbFact") -> Iterator[LabelView]:
    for kind in sorted(fact.classes):
        yield {
            "cluster_class": kind.value,
            "cluster_namespace": fact.namespace,
            "cluster_resource": fact.resource,
            "cluster_tool": fact.tool,
            "cluster_verb": fact.verb,
        }


_DERIVERS: Mapping[
    PayloadKind, Callable[[Sequence[str], Derivation, frozenset[str]], Iterable[LabelView]]
] = {
    PayloadKind.SHELL: _shell_views,
    PayloadKind.SQL: _sql_views,
    PayloadKind.URL: _url_views,
    PayloadKind.PATH: _path_views,
    PayloadKind.CLUSTER: _cluster_views,
    **dict.fromkeys(LANGUAGES, _code_views),
}


def _complete(facts: tuple[_T, ...], facts_max: int = FACTS_PER_TEXT_MAX) -> tuple[_T, ...]:
    """The facts of a reader, unless it reached its bound: then some may be missing. Raises
    TooMuchToDeriveError."""
    if len(facts) >= facts_max:
        raise TooMuchToDeriveError
    return facts
