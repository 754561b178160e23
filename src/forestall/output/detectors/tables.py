"""Makes the kinds of a detector from a file of entries.

A file that is installed was checked by the tests (`table_checks`). So only what a kind cannot be
made from is refused here: a name of a definition, of a list of words or of a validator's list that
the file does not have.
"""

from collections.abc import Callable, Mapping
from typing import Any

from forestall.data_tables import DataTable, Keys
from forestall.output.detectors import personal_ids
from forestall.output.detectors.context import keywords as keywords_of
from forestall.output.detectors.context import words as words_of
from forestall.output.detectors.entries import (
    DetectorEntry,
    EntryFile,
    StateNumberFile,
    Texts,
    as_tuple,
)
from forestall.output.detectors.forms import REACHES, REFERENCE, in_form, references, resolved
from forestall.output.detectors.secret_names import assigned_to_name
from forestall.output.detectors.secret_tokens import outside_of_digest
from forestall.output.detectors.structures import STRUCTURES
from forestall.output.detectors.validation import ValidatorInput
from forestall.output.detectors.validators import VALIDATORS
from forestall.output.findings import Check, Kind

Definitions = Mapping[str, str]

# What the form of an entry asks of the place of a value, beside its validator.
_CHECKS_OF_PLACE: Mapping[str, Callable[[Check | None, float], Check]] = {
    "assigned": assigned_to_name,
    "token": outside_of_digest,
}


def kinds_of(table: DataTable[EntryFile]) -> tuple[Kind, ...]:
    """The kinds of a file, in its order. Raises DataFileError."""
    definitions = definitions_of(table)
    words = {name: words_of(any_of(listed)) for name, listed in table.value.words.items()}
    kinds = []
    for number, entry in enumerate(table.value.detectors):
        here = ("detectors", number)
        skip = entry.shown if entry.skip is None else entry.skip
        for_validator = ValidatorInput(entry.confidence, skip, entry.length_min, words)
        reach = REACHES[entry.form]
        kinds.append(
            Kind(
                name=entry.kind,
                pattern=whole_pattern(table, entry, definitions, here),
                keywords=_keywords(table, entry, here),
                any_case=entry.any_case or entry.form == "phrase",
                before=reach.before if entry.bytes_before is None else entry.bytes_before,
                after=reach.after if entry.bytes_after is None else entry.bytes_after,
                confidence=entry.confidence,
                check=_check(table, entry, for_validator, here),
                structure=STRUCTURES[entry.structure] if entry.structure else None,
                shown=entry.shown,
                shown_end=entry.shown_end,
            )
        )
    return tuple(kinds)


def kinds_of_numbers(table: DataTable[StateNumberFile]) -> tuple[Kind, ...]:
    """The kinds of a table of numbers of states. Raises DataFileError."""
    definitions = definitions_of(table)
    return personal_ids.kinds_of(
        table.value.numbers, lambda pattern: resolved(pattern, definitions)
    )


def definitions_of(table: DataTable[EntryFile] | DataTable[StateNumberFile]) -> Definitions:
    """Each definition of a file written out; one may use those above it. Raises DataFileError."""
    definitions: dict[str, str] = {}
    for name, texts in table.value.define.items():
        definitions[name] = resolved_at(table, any_of(texts), definitions, "define", name)
    return definitions


def any_of(texts: Texts) -> str:
    """One pattern for any of the texts."""
    return texts if isinstance(texts, str) else "|".join(texts)


def resolved_at(
    table: DataTable[Any], pattern: str, definitions: Definitions, *path: str | int
) -> str:
    """The pattern at a path of a file with its definitions written out. Raises DataFileError."""
    if REFERENCE not in pattern:
        return pattern
    for name in references(pattern):
        if name not in definitions:
            hint = did_you_mean(name, definitions)
            raise table.error(f"`{name}` is not defined{hint}", *path)
    return resolved(pattern, definitions)


def whole_pattern(
    table: DataTable[Any], entry: DetectorEntry, definitions: Definitions, here: Keys
) -> str:
    """The pattern of an entry in its form. Raises DataFileError."""
    pattern = resolved_at(table, any_of(entry.pattern), definitions, *here, "pattern")
    name = resolved_at(table, entry.name, definitions, *here, "name")
    return in_form(entry, pattern, name)


def _keywords(table: DataTable[EntryFile], entry: DetectorEntry, here: Keys) -> tuple[str, ...]:
    """The keywords of an entry, and those of its lists of words. Raises DataFileError."""
    lists = table.value.words
    names = as_tuple(entry.words)
    for place, name in enumerate(names):
        if name not in lists:
            hint = did_you_mean(name, lists)
            raise table.error(f"there is no list `{name}`{hint}", *here, "words", place)
    keywords = as_tuple(entry.keywords)
    if not names:
        return keywords
    return (*keywords, *keywords_of("|".join(any_of(lists[name]) for name in names)))


def _check(
    table: DataTable[EntryFile], entry: DetectorEntry, for_validator: ValidatorInput, here: Keys
) -> Check | None:
    """The check of an entry: of its validator, and of the place. Raises DataFileError."""
    check = None
    if entry.validator:
        try:
            check = VALIDATORS[entry.validator](for_validator)
        except KeyError as cause:
            needs = f"`{entry.validator}` needs the list of words `{cause.args[0]}`"
            raise table.error(needs, *here, "validator") from cause
    check_of_place = _CHECKS_OF_PLACE.get(entry.form)
    return check_of_place(check, entry.confidence) if check_of_place is not None else check


def did_you_mean(name: str, names: Mapping[str, object]) -> str:
    """The end of a message about a name that is not among these: the nearest of them, if any."""
    from difflib import get_close_matches  # few processes see a mistake

    close = get_close_matches(name, names, n=1)
    return f"; did you mean `{close[0]}`?" if close else ""
