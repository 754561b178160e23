"""Makes the kinds of a detector from a file of entries, and checks a file.

`refuse_mistakes` refuses, with file, line and key: a kind that is written twice, an unknown
validator, definition or list of words, a keyword that is not lower case, a reach that is too far,
an entry without examples both ways, and a pattern that RE2 does not take. The tests check every
file of the package so; a scan does not check again what is installed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import re2

from forestall.data_tables import DataTable, Keys
from forestall.output.detectors import personal_ids
from forestall.output.detectors.context import keywords as keywords_of
from forestall.output.detectors.context import words as words_of
from forestall.output.detectors.entries import (
    DetectorEntry,
    EntryFile,
    Examples,
    StateNumber,
    StateNumberFile,
    Texts,
    as_tuple,
)
from forestall.output.detectors.forms import REACHES, REFERENCE, in_form, references, resolved
from forestall.output.detectors.secret_names import assigned_to_name
from forestall.output.detectors.secret_structures import STRUCTURES
from forestall.output.detectors.secret_tokens import outside_of_digest
from forestall.output.detectors.validation import ValidatorInput
from forestall.output.detectors.validators import VALIDATORS
from forestall.output.findings import REACH_BYTES_MAX, Check, Kind, are_keywords

_NAME = re.compile(r"[a-z][a-z0-9_]*")
# What the form of an entry asks of the place of a value, beside its validator.
_IN_PLACE: Mapping[str, Callable[[Check | None, float], Check]] = {
    "assigned": assigned_to_name,
    "token": outside_of_digest,
}


def kinds_of(table: DataTable[EntryFile]) -> tuple[Kind, ...]:
    """The kinds of a file, in its order. Raises DataFileError."""
    file = table.value
    definitions = _definitions(table, file.define)
    lists = {name: words_of(_any(listed)) for name, listed in file.words.items()}
    made = []
    for number, entry in enumerate(file.detectors):
        here = ("detectors", number)
        pattern = _resolved(table, _any(entry.pattern), definitions, *here, "pattern")
        name = _resolved(table, entry.name, definitions, *here, "name")
        skip = entry.shown if entry.skip is None else entry.skip
        given = ValidatorInput(entry.confidence, skip, entry.length_min, lists)
        reach = REACHES[entry.form]
        made.append(
            Kind(
                name=entry.kind,
                pattern=in_form(entry, pattern, name),
                keywords=_keywords(table, entry, here),
                any_case=entry.any_case or entry.form == "phrase",
                before=reach.before if entry.bytes_before is None else entry.bytes_before,
                after=reach.after if entry.bytes_after is None else entry.bytes_after,
                confidence=entry.confidence,
                check=_check(table, entry, given, here),
                structure=STRUCTURES[entry.structure] if entry.structure else None,
                shown=entry.shown,
                shown_end=entry.shown_end,
            )
        )
    return tuple(made)


def kinds_of_numbers(table: DataTable[StateNumberFile]) -> tuple[Kind, ...]:
    """The kinds of a table of numbers of states. Raises DataFileError."""
    file = table.value
    definitions = _definitions(table, file.define)
    return personal_ids.kinds_of(file.numbers, lambda pattern: resolved(pattern, definitions))


def refuse_mistakes(table: DataTable[EntryFile] | DataTable[StateNumberFile]) -> None:
    """Check what a scan takes for granted of a file that is installed. Raises DataFileError."""
    file = table.value
    definitions = _definitions(table, file.define)
    if isinstance(file, EntryFile):
        _refuse_names(table, "detectors", file.detectors)
        for number, entry in enumerate(file.detectors):
            here = ("detectors", number)
            _refuse_entry(table, entry, here)
            pattern = _resolved(table, _any(entry.pattern), definitions, *here, "pattern")
            name = _resolved(table, entry.name, definitions, *here, "name")
            _refuse_pattern(table, in_form(entry, pattern, name), *here, "pattern")
        return
    _refuse_names(table, "numbers", file.numbers)
    for number, each in enumerate(file.numbers):
        here = ("numbers", number)
        _refuse_examples(table, each.examples, here)
        _refuse_confidence(table, each.confidence, *here, "confidence")
        for key, validator in _validators_of(each):
            if validator and personal_ids.validator(validator) is None:
                raise table.error(f"there is no validator `{validator}`", *here, key)
        for path, pattern in _patterns_of(each):
            whole = _resolved(table, pattern, definitions, *here, *path)
            _refuse_pattern(table, whole, *here, *path)


def _definitions(table: DataTable[Any], listed: Mapping[str, Texts]) -> dict[str, str]:
    """Each definition written out; one may use those above it."""
    known: dict[str, str] = {}
    for name, given in listed.items():
        known[name] = _resolved(table, _any(given), known, "define", name)
    return known


def _any(texts: Texts) -> str:
    return texts if isinstance(texts, str) else "|".join(texts)


def _resolved(
    table: DataTable[Any], pattern: str, known: Mapping[str, str], *path: str | int
) -> str:
    if REFERENCE not in pattern:
        return pattern
    for name in references(pattern):
        if name not in known:
            raise table.error(f"`{name}` is not defined{_suggestion(name, known)}", *path)
    return resolved(pattern, known)


def _refuse_names(
    table: DataTable[Any], key: str, entries: Sequence[DetectorEntry | StateNumber]
) -> None:
    seen: dict[tuple[str, str], int] = {}
    for number, entry in enumerate(entries):
        variant = entry.variant if isinstance(entry, DetectorEntry) else ""
        if not _NAME.fullmatch(entry.kind):
            raise table.error("a kind is a name in lower case", key, number, "kind")
        first = seen.setdefault((entry.kind, variant), number)
        if first != number:
            line = table.line(key, first)
            what = f"`{entry.kind}` is there twice, first on line {line}; tell variants apart"
            raise table.error(what, key, number, "variant" if variant else "kind")


def _refuse_entry(table: DataTable[Any], entry: DetectorEntry, here: Keys) -> None:
    _refuse_examples(table, entry.examples, here)
    _refuse_confidence(table, entry.confidence, *here, "confidence")
    if not entry.pattern:
        raise table.error("is empty", *here, "pattern")
    if bool(entry.name) != (entry.form == "assigned"):
        raise table.error("the form `assigned` has a `name`, and no other form", *here, "name")
    if entry.validator and entry.validator not in VALIDATORS:
        hint = _suggestion(entry.validator, VALIDATORS)
        raise table.error(f"there is no `{entry.validator}`{hint}", *here, "validator")
    if entry.structure and entry.structure not in STRUCTURES:
        hint = _suggestion(entry.structure, STRUCTURES)
        raise table.error(f"there is no `{entry.structure}`{hint}", *here, "structure")
    words = as_tuple(entry.keywords)
    if not are_keywords(words):
        place, word = next(each for each in enumerate(words) if not are_keywords(each[1:]))
        what = f"`{word}` is not lower case, or shorter than two characters"
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
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as cause:
        reason = cause.args[0].decode() if isinstance(cause.args[0], bytes) else cause.args[0]
        raise table.error(f"RE2 refuses it: {reason}", *path) from cause


def _keywords(table: DataTable[EntryFile], entry: DetectorEntry, here: Keys) -> tuple[str, ...]:
    lists = table.value.words
    names = as_tuple(entry.words)
    for place, name in enumerate(names):
        if name not in lists:
            hint = _suggestion(name, lists)
            raise table.error(f"there is no list `{name}`{hint}", *here, "words", place)
    keywords = as_tuple(entry.keywords)
    if not names:
        return keywords
    return (*keywords, *keywords_of("|".join(_any(lists[name]) for name in names)))


def _check(
    table: DataTable[EntryFile], entry: DetectorEntry, given: ValidatorInput, here: Keys
) -> Check | None:
    in_place = _IN_PLACE.get(entry.form)
    if not entry.validator:
        return in_place(None, entry.confidence) if in_place is not None else None
    try:
        check = VALIDATORS[entry.validator](given)
        return in_place(check, entry.confidence) if in_place is not None else check
    except KeyError as cause:
        needs = f"`{entry.validator}` needs the list of words `{cause.args[0]}`"
        raise table.error(needs, *here, "validator") from cause


def _validators_of(each: StateNumber) -> tuple[tuple[str, str], ...]:
    groups = each.alone_in_groups
    return (
        ("validator", each.validator),
        ("unchecked", each.unchecked),
        ("alone", each.alone),
        ("alone_in_groups", groups.validator if groups is not None else ""),
    )


def _patterns_of(each: StateNumber) -> list[tuple[tuple[str, ...], str]]:
    patterns: list[tuple[tuple[str, ...], str]] = [(("pattern",), each.pattern)]
    if each.without_word is not None:
        patterns.append((("without_word", "pattern"), each.without_word.pattern))
    if each.alone_in_groups is not None:
        patterns.append((("alone_in_groups", "pattern"), each.alone_in_groups.pattern))
    return patterns


def _suggestion(name: str, known: Mapping[str, object]) -> str:
    from difflib import get_close_matches  # few processes see a mistake

    close = get_close_matches(name, known, n=1)
    return f"; did you mean `{close[0]}`?" if close else ""
