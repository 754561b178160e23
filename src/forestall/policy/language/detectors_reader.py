"""Read `detectors`: a pattern, keywords near it, a validator, and examples both ways.

A detector without an example that it must find and one that it must not is refused, as in the
built-in tables. `policy test` tries the examples.
"""

import re

from forestall.limits import OWN_DETECTORS_MAX
from forestall.policy.arguments import ArgumentError, compile_pattern
from forestall.policy.content import PAYLOAD_DETECTORS
from forestall.policy.language.document import Mapping
from forestall.policy.language.reader import Reader
from forestall.policy.own_detectors import DetectorError, detector_of
from forestall.policy.rules import OwnDetector

_KEYS = ("name", "pattern", "keywords", "validator", "examples")
_EXAMPLE_KEYS = ("match", "no_match")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RESULT_CLASSES = ("source_path", "internal_host", "named_entity")


def read_own_detectors(reader: Reader, top: Mapping) -> tuple[OwnDetector, ...]:
    """The detectors that a file defines, by name unique in the file."""
    found: dict[str, OwnDetector] = {}
    for entry in reader.mappings(top, "detectors", most=OWN_DETECTORS_MAX):
        own = _read(reader, entry)
        if own is None:
            continue
        if own.name in found:
            reader.problem(entry, f"the detector `{own.name}` is defined twice")
        found[own.name] = own
    return tuple(found.values())


def _read(reader: Reader, entry: Mapping) -> OwnDetector | None:
    reader.known_keys(entry, _KEYS, "a detector")
    name, pattern = reader.text(entry, "name"), reader.text(entry, "pattern", most=None)
    if name is None or pattern is None:
        reader.problem(entry, "a detector needs a `name` and a `pattern`")
        return None
    if not _NAME.fullmatch(name) or name in (*PAYLOAD_DETECTORS, *_RESULT_CLASSES):
        hint = "lower case letters, digits and `_`, and not the name of a built-in class"
        reader.problem(entry.value_of("name"), f"`{name}` is no name of an own detector", hint)
        return None
    problem = ""
    try:
        if compile_pattern(pattern).search("") is not None:
            problem = "the pattern holds of the empty text, hence of everything"
    except ArgumentError as cause:
        problem = str(cause)
    if problem:
        reader.problem(entry.value_of("pattern"), problem)
        return None
    match, no_match = _read_examples(reader, entry)
    own = OwnDetector(
        name=name,
        pattern=pattern,
        keywords=reader.words(entry, "keywords", any_text=True),
        validator=reader.text(entry, "validator") or "",
        match=match,
        no_match=no_match,
    )
    try:
        detector_of(own)
    except DetectorError as cause:
        reader.problem(entry, f"the detector `{name}`: {cause}")
        return None
    return own


def _read_examples(reader: Reader, entry: Mapping) -> tuple[tuple[str, ...], tuple[str, ...]]:
    section = reader.section(entry, "examples", _EXAMPLE_KEYS)
    if section is None or not set(_EXAMPLE_KEYS) <= section.entries.keys():
        hint = "{match: [must be found], no_match: [must not]}"
        reader.problem(entry, "a detector has `examples`", hint)
        return (), ()
    match, no_match = (reader.words(section, key, any_text=True) for key in _EXAMPLE_KEYS)
    return match, no_match
