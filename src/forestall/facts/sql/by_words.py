"""What a statement does, told from its words alone, and verbs that stand where none belongs.

Definitions differ from database to database more than queries do, and the parser knows only some of
them. One that the parser refuses is still no more than a definition if each of its words and
brackets has a place in one: the lists are in `data/words/sql.yaml`. This module refuses to call any
other text a plain definition.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, takewhile
from typing import Final

from forestall.facts.sql import keywords as known
from forestall.facts.sql.classes import (
    DESTRUCTIVE,
    NOTHING,
    READ,
    UNKNOWN,
    Classes,
    classes,
    named,
    tidy,
)
from forestall.facts.sql.preprocess import LITERAL, NAME

_PRAGMA: Final = re.compile(
    rf"pragma (?:\w+\.)?(\w+)(?: ?\( ?[\w{LITERAL}\x01.]+ ?\))?", re.IGNORECASE
)
_TOKEN: Final = re.compile(r"\w+|[^\s\w]")
_COMMENT: Final = re.compile(
    rf"comment on [\w ]+? [\w{NAME}]+( ?\. ?[\w{NAME}]+)* is (null|{LITERAL})", re.IGNORECASE
)
_NUMBERS: Final = re.compile(r"[\d, ]+")
# After one of these a database wants an operand, so that no statement can begin there.
_BEFORE_OPERAND: Final = frozenset(",=<+/%")


def by_keyword(first: str, words: list[str], bare: str) -> Classes:
    """The classes of a statement that is known by its words alone."""
    if first in ("begin", "start", "commit", "rollback", "end", "abort", "savepoint", "release"):
        names = 1 if {"to", "savepoint", "release"} & set(words) else 0
        strange = [word for word in words if word not in known.TRANSACTION_WORDS]
        plain = len(strange) <= names and "(" not in bare and not known.VERBS & set(strange)
        return classes("t") if plain else UNKNOWN
    if first == "set":
        if known.PRIVILEGED_SETTINGS & set(words):
            return classes("pu")
        name = next((w for w in words[1:] if w not in ("session", "local")), "")
        plain = name in known.PLAIN_SETTINGS and not set("(,;@") & set(bare)
        return classes("t") if plain and not known.VERBS & set(words) else UNKNOWN
    if first == "pragma":
        shape = _PRAGMA.fullmatch(bare)
        reads = shape is not None and shape[1].lower() in known.READING_PRAGMAS
        return READ if reads else UNKNOWN
    if first == "vacuum":
        return classes("wu" if "into" in words else "s")
    if first == "reset" and {"master", "binary", "slave", "replica"} & set(words):
        return classes("dpu")
    kinds = named(known.STATEMENTS.get(first, ("unknown",)))
    verbs = known.VERBS & set(words[1:])
    if verbs - ({"create"} if first == "show" else set()):
        kinds |= UNKNOWN
    return tidy(kinds)


def refined(first: str, words: list[str], bare: str) -> Classes:
    """What the words of a definition add to its first word."""
    if first not in ("create", "drop", "alter", "comment"):
        return NOTHING
    tokens = [sign for sign in _TOKEN.findall(bare.lower()) if sign not in "[]"]
    rest = {word for before, word in pairwise(tokens) if before not in known.BEFORE_NAMES}
    kinds: Classes = NOTHING
    # The kind of the object, and options; not its name, its columns or its query.
    head = takewhile(lambda sign: sign not in ("(", "as"), _without_names(tokens[1:]))
    kind_words = set([word for word in head if word.isidentifier()][:7])
    if known.PRIVILEGE_OBJECTS & kind_words:
        kinds |= classes("p")
    if first == "create" and known.CODE_OBJECTS & kind_words:
        kinds |= UNKNOWN
    if first == "create" and "table" in words[1:6] and "replace" in words[1:4]:
        kinds |= DESTRUCTIVE
    if first == "create" and {"as", "select"} <= set(words):
        kinds |= classes("w") if "table" in words[1:8] else NOTHING
    if first == "alter":
        kinds |= DESTRUCTIVE if known.ALTER_LOSSES & rest else NOTHING
        kinds |= classes("p") if known.PRIVILEGE_OBJECTS & rest else NOTHING
    if first == "drop" and "owned" in words[1:2]:
        kinds |= classes("p")
    return kinds


def _without_names(tokens: Sequence[str]) -> Iterator[str]:
    """The words of a definition without the dotted name that follows a plain kind of object."""
    before = ""
    for sign in tokens:
        named = before in known.PLAIN_OBJECTS or before == "."
        if sign in ("if", "not", "exists", "only", "concurrently") and named:
            continue
        if sign == ".":
            before = sign
        elif named:
            before = ""
        else:
            before = sign
            yield sign


def stray_verbs(bare: str, first: str, allowed: Iterable[str]) -> Classes:
    """UNKNOWN if a word stands here that could start another statement without a semicolon."""
    fine = known.INNER_VERBS.get(first, frozenset()) | set(allowed)
    tokens = _TOKEN.findall(bare.lower())
    for at, word in enumerate(tokens):
        if word not in known.VERBS or word in fine or not at:
            continue
        before, after = tokens[at - 1], tokens[at + 1] if at + 1 < len(tokens) else ""
        locks = word == "update" and before in ("for", "key", "do")
        acts = first in ("create", "alter") and (before, word) in known.ACTIONS
        calls = after == "(" and word in ("replace", "insert", "truncate")
        replaces = (before, word) == ("or", "replace")
        if not (locks or acts or calls or replaces or _names(first, tokens, at)):
            return UNKNOWN
    return NOTHING


def _names(first: str, tokens: Sequence[str], at: int) -> bool:
    """Whether a verb stands where only the name of a column can, so that it starts nothing."""
    before = tokens[at - 1]
    if before == ".":
        return at > 1 and (tokens[at - 2] == NAME or not tokens[at - 2][0].isdigit())
    if first == "create":
        return before == ","
    return first in known.QUERIES and (before in _BEFORE_OPERAND or before in known.BEFORE_OPERAND)


def is_plain(first: str, bare: str) -> bool:
    """Whether a text that the parser refused is a definition, comment or grant and nothing else."""
    tokens = [sign for sign in _TOKEN.findall(bare.lower()) if sign not in "[]"]
    if first == "comment":
        return _COMMENT.fullmatch(bare) is not None
    if first in ("grant", "revoke"):
        return _is_plain_grant(tokens)
    if first not in ("create", "alter") or tokens[0] != first:
        return False
    kind = next((word for word in tokens[1:] if word not in known.DEFINITION_LEADS), "")
    words = set(tokens[1:])
    return (
        kind in known.PLAIN_OBJECTS - {"column", "database"}
        and (kind != "view" or first == "alter")
        and tokens.count("create") + tokens.count("alter") - tokens.count("column") < 2
        and not words & known.NOT_IN_DEFINITIONS
        and not words & known.CODE_OBJECTS
        and not words & set("@{}!;\\")
        and stray_verbs(bare, first, ()) == NOTHING
        and all(
            _is_bracket_of_definition(tokens, at, kind)
            for at, sign in enumerate(tokens)
            if sign == "("
        )
    )


def _is_bracket_of_definition(tokens: Sequence[str], at: int, kind: str) -> bool:
    """Whether the bracket groups, follows a known word, or lists the columns of a named thing."""
    before = tokens[at - 1]
    if before in _BEFORE_OPERAND or before in "()*->":
        return True
    if before in known.DEFINITION_BRACKETS or before in known.PURE_FUNCTIONS:
        return True
    if kind == "index" and tokens[at + 1 : at + 2] and _NUMBERS.fullmatch(tokens[at + 1]):
        return tokens[at + 2 : at + 3] == [")"]
    start = at - 1
    while start > 1 and tokens[start - 1] == ".":
        start -= 2
    return tokens[start - 1] in known.BEFORE_TABLES or tokens[start - 1] in known.BEFORE_NAMES


def _is_plain_grant(tokens: Sequence[str]) -> bool:
    """Whether nothing but roles and options follows the last TO or FROM."""
    ends = [at for at, token in enumerate(tokens) if token in ("to", "from")]
    if len(ends) != 1:
        return False
    tail = {word for word in tokens[ends[0] :] if word != "grant"}
    return tail.isdisjoint(known.VERBS | known.NOT_IN_DEFINITIONS | set("(;@"))
