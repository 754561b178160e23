"""Checks a file of entries for the mistakes of whoever writes one.

The tests check every file of the package so; a scan does not check again what is installed.

Refused, with file, line and key: a kind that is written twice, an unknown validator, structure,
definition or list of words, a keyword that is not lower case, a reach that is too far, an entry
without examples both ways, and a pattern that RE2 does not take.
"""

import re
from collections.abc import Sequence
from typing import Any

import re2

from forestall.data_tables import DataTable, Keys
from forestall.output.detectors import national_numbers
from forestall.output.detectors.entries import (
    DetectorEntry,
    EntryFile,
    Examples,
    StateNumber,
    StateNumberFile,
    as_tuple,
)
from forestall.output.detectors.structures import STRUCTURES
from forestall.output.detectors.tables import (
    definitions_of,
    did_you_mean,
    resolved_at,
    whole_pattern,
)
from forestall.output.detectors.validators import VALIDATORS
from forestall.output.findings import REACH_BYTES_MAX, is_keyword
from forestall.output.patterns import compiled

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def refuse_mistakes(table: DataTable[EntryFile] | DataTable[StateNumberFile]) -> None:
    """Check what a scan takes for granted of a file that is installed. Raises DataFileError."""
    file = table.value
    definitions = definitions_of(table)
    if isinstance(file, EntryFile):
        _refuse_kinds(table, "detectors", file.detectors)
        for place, entry in enumerate(file.detectors):
            here: Keys = ("detectors", place)
            _refuse_entry(table, entry, here)
            pattern = whole_pattern(table, entry, definitions, here)
            _refuse_pattern(table, pattern, *here, "pattern")
        return
    _refuse_kinds(table, "numbers", file.numbers)
    for place, number in enumerate(file.numbers):
        here = ("numbers", place)
        _refuse_examples(table, number.examples, here)
        _refuse_confidence(table, number.confidence, *here, "confidence")
        for key, validator in _validators_of(number):
            if validator and validator not in national_numbers.VALIDATORS:
                raise table.error(f"there is no validator `{validator}`", *here, key)
        for path, pattern in _patterns_of(number):
            resolved = resolved_at(table, pattern, definitions, *here, *path)
            _refuse_pattern(table, resolved, *here, *path)


def _refuse_kinds(
    table: DataTable[Any], key: str, entries: Sequence[DetectorEntry | StateNumber]
) -> None:
    """Refuse a kind that is no name, or is there twice without a variant."""
    seen: dict[tuple[str, str], int] = {}
    for place, entry in enumerate(entries):
        variant = entry.variant if isinstance(entry, DetectorEntry) else ""
        if not _NAME.fullmatch(entry.kind):
            raise table.error("a kind is a name in lower case", key, place, "kind")
        first = seen.setdefault((entry.kind, variant), place)
        if first != place:
            line = table.line(key, first)
            what = f"`{entry.kind}` is there twice, first on line {line}; tell variants apart"
            raise table.error(what, key, place, "variant" if variant else "kind")


def _refuse_entry(table: DataTable[Any], entry: DetectorEntry, here: Keys) -> None:
    _refuse_examples(table, entry.examples, here)
    _refuse_confidence(table, entry.confidence, *here, "confidence")
    if not entry.pattern:
        raise table.error("is empty", *here, "pattern")
    if bool(entry.name) != (entry.form == "assigned"):
        raise table.error("the form `assigned` has a `name`, and no other form", *here, "name")
    if entry.validator and entry.validator not in VALIDATORS:
        hint = did_you_mean(entry.validator, VALIDATORS)
        raise table.error(f"there is no `{entry.validator}`{hint}", *here, "validator")
    if entry.structure and entry.structure not in STRUCTURES:
        hint = did_you_mean(entry.structure, STRUCTURES)
        raise table.error(f"there is no `{entry.structure}`{hint}", *here, "structure")
    for place, keyword in enumerate(as_tuple(entry.keywords)):
        if not is_keyword(keyword):
            what = f"`{keyword}` is not lower case, or shorter than two characters"
            raise table.error(what, *here, "keywords", place)
    for key, reach in (("bytes_before", entry.bytes_before), ("bytes_after", entry.bytes_after)):
        if reach is not None and not 0 <= reach <= REACH_BYTES_MAX:
            raise table.error(f"is not from 0 to {REACH_BYTES_MAX}", *here, key)


def _refuse_examples(table: DataTable[Any], examples: Examples, here: Keys) -> None:
    for key in ("match", "no_match"):
        if not getattr(examples, key):
            raise table.error("has no text; an entry shows both", *here, "examples", key)


def _refuse_confidence(table: DataTable[Any], confidence: float, *path: str | int) -> None:
    if not 0 < confidence <= 1:
        raise table.error("is not above 0 and at most 1", *path)


def _refuse_pattern(table: DataTable[Any], pattern: str, *path: str | int) -> None:
    try:
        compiled(pattern)
    except re2.error as cause:
        reason = cause.args[0].decode() if isinstance(cause.args[0], bytes) else cause.args[0]
        raise table.error(f"RE2 refuses it: {reason}", *path) from cause


def _validators_of(number: StateNumber) -> tuple[tuple[str, str], ...]:
    """Each key of an entry that names a validator, and the name."""
    groups = number.alone_in_groups
    return (
        ("validator", number.validator),
        ("unchecked", number.unchecked),
        ("alone", number.alone),
        ("alone_in_groups", groups.validator if groups is not None else ""),
    )


def _patterns_of(number: StateNumber) -> list[tuple[tuple[str, ...], str]]:
    """The path of each pattern of an entry, and the pattern."""
    patterns: list[tuple[tuple[str, ...], str]] = [(("pattern",), number.pattern)]
    if number.without_word is not None:
        patterns.append((("without_word", "pattern"), number.without_word.pattern))
    if number.alone_in_groups is not None:
        patterns.append((("alone_in_groups", "pattern"), number.alone_in_groups.pattern))
    return patterns
