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

from forestall.facts.sql import keywords
from forestall.facts.sql.classes import (
    DESTRUCTIVE,
    NOTHING,
    PRIVILEGE,
    READ,
    SCHEMA,
    TRANSACTION,
    UNKNOWN,
    WRITE,
    Classes,
    named,
    without_read,
)
from forestall.facts.sql.preprocess import LITERAL, NAME

_TOKEN: Final = re.compile(r"\w+|[^\s\w]")
_PRAGMA: Final = re.compile(
    rf"pragma (?:\w+\.)?(\w+)(?: ?\( ?[\w{LITERAL}{NAME}.]+ ?\))?", re.IGNORECASE
)
_COMMENT: Final = re.compile(
    rf"comment on [\w ]+? [\w{NAME}]+( ?\. ?[\w{NAME}]+)* is (null|{LITERAL})", re.IGNORECASE
)
_NUMBERS: Final = re.compile(r"[\d, ]+")
_TRANSACTION_STARTS: Final = frozenset(
    ("begin", "start", "commit", "rollback", "end", "abort", "savepoint", "release")
)
# After one of these a database wants an operand, so that no statement can begin there.
_BEFORE_OPERAND: Final = frozenset(",=<+/%")
KIND_WORDS_MAX: Final = 7  # words of a definition among which the kind of its object stands


def by_keyword(first: str, words: list[str], bare: str) -> Classes:
    """The classes of a statement that is known by its words alone. `first` is the first word, and
    `bare` the statement without strings and quoted names."""
    if first in _TRANSACTION_STARTS:
        return _of_transaction(words, bare)
    if first == "set":
        return _of_setting(words, bare)
    if first == "pragma":
        shape = _PRAGMA.fullmatch(bare)
        reads = shape is not None and shape[1].lower() in keywords.READING_PRAGMAS
        return READ if reads else UNKNOWN
    if first == "vacuum":
        return WRITE | UNKNOWN if "into" in words else SCHEMA
    if first == "reset" and not {"master", "binary", "slave", "replica"}.isdisjoint(words):
        return DESTRUCTIVE | PRIVILEGE | UNKNOWN
    kinds = named(keywords.STATEMENTS.get(first, ("unknown",)))
    verbs = keywords.VERBS.intersection(words[1:])
    if first == "show":
        verbs -= {"create"}  # SHOW CREATE TABLE
    return without_read(kinds | UNKNOWN if verbs else kinds)


def _of_transaction(words: list[str], bare: str) -> Classes:
    """BEGIN, COMMIT and the like, unless a word stands beside them that may do more."""
    names_max = 0 if {"to", "savepoint", "release"}.isdisjoint(words) else 1
    strange = [word for word in words if word not in keywords.TRANSACTION_WORDS]
    plain = len(strange) <= names_max and "(" not in bare and keywords.VERBS.isdisjoint(strange)
    return TRANSACTION if plain else UNKNOWN


def _of_setting(words: list[str], bare: str) -> Classes:
    """SET: of a harmless setting of the session, or of one that changes who one is."""
    if not keywords.PRIVILEGED_SETTINGS.isdisjoint(words):
        return PRIVILEGE | UNKNOWN
    name = next((word for word in words[1:] if word not in ("session", "local")), "")
    plain = (
        name in keywords.PLAIN_SETTINGS
        and set("(,;@").isdisjoint(bare)
        and keywords.VERBS.isdisjoint(words)
    )
    return TRANSACTION if plain else UNKNOWN


def added_by_definition(first: str, words: list[str], bare: str) -> Classes:
    """What the words of a definition add to the classes of its first word."""
    if first not in ("create", "drop", "alter", "comment"):
        return NOTHING
    tokens = _tokens_without_brackets(bare)
    # The kind of the object, and options; not its name, its columns or its query.
    head = takewhile(lambda word: word not in ("(", "as"), _without_names(tokens[1:]))
    kind_words = set([word for word in head if word.isidentifier()][:KIND_WORDS_MAX])
    added = NOTHING if keywords.PRIVILEGE_OBJECTS.isdisjoint(kind_words) else PRIVILEGE
    if first == "create":
        if not keywords.CODE_OBJECTS.isdisjoint(kind_words):
            added |= UNKNOWN
        if "table" in words[1:6] and "replace" in words[1:4]:
            added |= DESTRUCTIVE
        if "table" in words[1:8] and {"as", "select"} <= set(words):
            added |= WRITE
    elif first == "alter":
        no_names = {
            word for before, word in pairwise(tokens) if before not in keywords.BEFORE_NAMES
        }
        added |= NOTHING if keywords.ALTER_LOSSES.isdisjoint(no_names) else DESTRUCTIVE
        added |= NOTHING if keywords.PRIVILEGE_OBJECTS.isdisjoint(no_names) else PRIVILEGE
    elif first == "drop" and words[1:2] == ["owned"]:
        added |= PRIVILEGE
    return added


def _tokens_without_brackets(bare: str) -> list[str]:
    """Words and signs in lower case, without the brackets around quoted names."""
    return [word for word in _TOKEN.findall(bare.lower()) if word not in "[]"]


def _without_names(tokens: Sequence[str]) -> Iterator[str]:
    """The words of a definition without the dotted name that follows a plain kind of object."""
    before = ""
    for word in tokens:
        is_name = before in keywords.PLAIN_OBJECTS or before == "."
        if is_name and word in ("if", "not", "exists", "only", "concurrently"):
            continue
        if word == ".":
            before = word
        elif is_name:
            before = ""
        else:
            before = word
            yield word


def stray_verbs(bare: str, first: str, allowed: Iterable[str]) -> Classes:
    """UNKNOWN if a word stands here that could start another statement without a semicolon."""
    expected = keywords.INNER_VERBS.get(first, frozenset()) | set(allowed)
    tokens = _TOKEN.findall(bare.lower())
    for at, word in enumerate(tokens):
        if word not in keywords.VERBS or word in expected or not at:
            continue
        before, after = tokens[at - 1], tokens[at + 1] if at + 1 < len(tokens) else ""
        has_place = (
            (word == "update" and before in ("for", "key", "do"))  # FOR UPDATE locks rows
            or (first in ("create", "alter") and (before, word) in keywords.ACTIONS)
            or (after == "(" and word in ("replace", "insert", "truncate"))  # a function
            or (before, word) == ("or", "replace")
            or _is_column(first, tokens, at)
        )
        if not has_place:
            return UNKNOWN
    return NOTHING


def _is_column(first: str, tokens: Sequence[str], at: int) -> bool:
    """Whether a verb stands where only the name of a column can, so that it starts nothing."""
    before = tokens[at - 1]
    if before == ".":
        return at > 1 and (tokens[at - 2] == NAME or not tokens[at - 2][0].isdigit())
    if first == "create":
        return before == ","
    if first not in keywords.QUERIES:
        return False
    return before in _BEFORE_OPERAND or before in keywords.BEFORE_OPERAND


def is_plain(first: str, bare: str) -> bool:
    """Whether a text that the parser refused is a definition, comment or grant and nothing else."""
    tokens = _tokens_without_brackets(bare)
    if first == "comment":
        return _COMMENT.fullmatch(bare) is not None
    if first in ("grant", "revoke"):
        return _is_plain_grant(tokens)
    if first not in ("create", "alter") or tokens[0] != first:
        return False
    kind = next((word for word in tokens[1:] if word not in keywords.DEFINITION_LEADS), "")
    words = set(tokens[1:])
    definitions = tokens.count("create") + tokens.count("alter") - tokens.count("column")
    return (
        kind in keywords.PLAIN_OBJECTS - {"column", "database"}
        and (kind != "view" or first == "alter")
        and definitions < 2
        and words.isdisjoint(keywords.NOT_IN_DEFINITIONS | keywords.CODE_OBJECTS)
        and words.isdisjoint("@{}!;\\")
        and stray_verbs(bare, first, ()) == NOTHING
        and all(
            _is_bracket_of_definition(tokens, at, kind)
            for at, word in enumerate(tokens)
            if word == "("
        )
    )


def _is_bracket_of_definition(tokens: Sequence[str], at: int, kind: str) -> bool:
    """Whether the bracket groups, follows a known word, or lists the columns of a named thing."""
    before = tokens[at - 1]
    if before in _BEFORE_OPERAND or before in "()*->":
        return True
    if before in keywords.DEFINITION_BRACKETS or before in keywords.PURE_FUNCTIONS:
        return True
    if kind == "index" and tokens[at + 1 : at + 2] and _NUMBERS.fullmatch(tokens[at + 1]):
        return tokens[at + 2 : at + 3] == [")"]  # the length of a prefix: `name(10)`
    name_start = at - 1
    while name_start > 1 and tokens[name_start - 1] == ".":
        name_start -= 2
    before_name = tokens[name_start - 1]
    return before_name in keywords.BEFORE_TABLES or before_name in keywords.BEFORE_NAMES


def _is_plain_grant(tokens: Sequence[str]) -> bool:
    """Whether nothing but roles and options follows the last TO or FROM."""
    places = [at for at, word in enumerate(tokens) if word in ("to", "from")]
    if len(places) != 1:
        return False
    tail = {word for word in tokens[places[0] :] if word != "grant"}
    return tail.isdisjoint(keywords.VERBS | keywords.NOT_IN_DEFINITIONS | set("(;@"))
