"""Every entry of every detector file: its examples hold both ways, RE2 takes its pattern, and what
is wrong in a file is refused with file, line and key."""

import re
from collections.abc import Iterator

import msgspec
import pytest

from forestall.data_tables import DataFileError, package_bytes, parse_table
from forestall.output.detectors import DATA, DETECTORS, FILES, PACKAGE, read_file
from forestall.output.detectors.entries import EntryFile, Examples, StateNumberFile, as_tuple
from forestall.output.detectors.forms import references
from forestall.output.detectors.table_checks import refuse_mistakes
from forestall.output.detectors.tables import kinds_of
from forestall.output.detectors.validators import VALIDATORS
from forestall.output.findings import Detector, Finding, Kind
from forestall.output.scan import scan
from tests.unit.output.personal import unmarked
from tests.unit.output.samples import CALCULATED, HOLES, drawn

SEEDS = range(4)
EVERY_FILE = [file for files in FILES.values() for file in files]


def _entries() -> Iterator[tuple[str, Kind, Examples]]:
    """Each entry as it is named in a test, the kind made of it, and its examples."""
    for name, files in FILES.items():
        kinds = iter(DETECTORS[name].kinds)
        for file in files:
            value = read_file(file).value
            if isinstance(value, EntryFile):
                for entry in value.detectors:
                    label = f"{file}:{entry.kind}{':' if entry.variant else ''}{entry.variant}"
                    yield label, next(kinds), entry.examples
            else:
                for each in value.numbers:
                    yield f"{file}:{each.kind}", next(kinds), each.examples
                next(kinds), next(kinds)  # those of all numbers together
        assert next(kinds, None) is None


ENTRIES = list(_entries())
MATCH = [(kind, text) for _, kind, examples in ENTRIES for text in as_tuple(examples.match)]
NO_MATCH = [(kind, text) for _, kind, examples in ENTRIES for text in as_tuple(examples.no_match)]


def _found(kind: Kind, text: str) -> tuple[Finding, ...]:
    return scan(text, detectors=(Detector(name="alone", kinds=(kind,)),)).findings


@pytest.mark.parametrize(("kind", "example"), MATCH, ids=[text[:40] for _, text in MATCH])
def test_an_example_is_found_by_its_entry_alone(kind: Kind, example: str) -> None:
    for seed in SEEDS:
        text, places = unmarked(drawn(example, seed))
        found = _found(kind, text)
        assert [each.kind for each in found] == [kind.name], text
        if places:
            assert [(each.start, each.end) for each in found] == places, text


@pytest.mark.parametrize(("kind", "example"), NO_MATCH, ids=[text[:40] for _, text in NO_MATCH])
def test_what_is_no_example_is_not(kind: Kind, example: str) -> None:
    for seed in SEEDS:
        text = drawn(example, seed)
        assert not _found(kind, text), text


def test_there_are_as_many_as_there_were() -> None:
    """A file that is left out of the list is a gap that no other test sees."""
    assert [len(DETECTORS[name].kinds) for name in FILES] == [314, 58, 80]
    assert len(ENTRIES) == sum(len(each.kinds) for each in DETECTORS.values()) - 2


@pytest.mark.parametrize("file", EVERY_FILE)
def test_re2_takes_every_pattern(file: str) -> None:
    refuse_mistakes(read_file(file))


@pytest.mark.parametrize("file", EVERY_FILE)
def test_nothing_is_defined_in_vain(file: str) -> None:
    value = read_file(file).value
    text = package_bytes(PACKAGE, f"{DATA}/{file}").decode()
    assert {*value.define} <= {*references(text)}
    assert {*re.findall(r"\{(\w+):\d+\}", text)} <= {*HOLES}, "a hole that nothing fills"


def test_every_validator_is_asked_for() -> None:
    asked = {
        entry.validator
        for file in EVERY_FILE
        if isinstance(value := read_file(file).value, EntryFile)
        for entry in value.detectors
    }
    assert {*VALIDATORS} == asked - {""}


def test_the_reference_lists_validators_and_holes() -> None:
    from tests.test_docs import REFERENCE

    text = (REFERENCE / "detectors.md").read_text()
    for name in (*VALIDATORS, *HOLES, *CALCULATED):
        assert f"`{name}`" in text or f"`{{{name}" in text, name


def test_the_example_of_the_reference_is_an_entry() -> None:
    from tests.test_docs import REFERENCE

    text = (REFERENCE / "detectors.md").read_text()
    block = text.split("```yaml\nclass:")[1].split("```")[0]
    table = parse_table(f"class:{block}".encode(), "detectors.md", EntryFile)
    refuse_mistakes(table)
    (kind,) = kinds_of(table)
    examples = table.value.detectors[0].examples
    for example in as_tuple(examples.match):
        plain, places = unmarked(drawn(example, 1))
        assert [(each.start, each.end) for each in _found(kind, plain)] == places
    assert not any(_found(kind, drawn(example, 1)) for example in as_tuple(examples.no_match))


def test_no_kind_and_variant_is_in_two_files_of_a_class() -> None:
    for files in FILES.values():
        values = [read_file(file).value for file in files]
        entries = [
            each for value in values if isinstance(value, EntryFile) for each in value.detectors
        ]
        names = [(entry.kind, entry.variant) for entry in entries]
        assert len(names) == len({*names})


# -- what is refused --

GOOD = """\
class: secret
define:
  body: '[a-z0-9]{8}'
words:
  pet: [cat, horse]
detectors:
  - kind: wibble_token
    what: token of Wibble
    form: token
    pattern: 'wib_(?&body)'
    keywords: [wib_]
    validator: not_placeholder
    confidence: 0.9
    severity: high
    examples:
      match: ['wib_{base36:8}']
      no_match: ['wib_{x:8}']
"""
MORE = """\
  - kind: wibble_token
    what: another
    pattern: 'wob'
    keywords: [wob]
    confidence: 0.9
    severity: high
    examples: {match: ['wob'], no_match: ['wib']}
"""


def _read(text: str) -> tuple[Kind, ...]:
    table = parse_table(text.encode(), "own.yaml", EntryFile)
    refuse_mistakes(table)
    return kinds_of(table)


def test_a_good_file_is_read() -> None:
    (kind,) = _read(GOOD)
    assert kind.name == "wibble_token"
    assert kind.keywords == ("wib_",)
    assert "wib_(?:[a-z0-9]{8})" in kind.pattern


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "message"),
    [
        ("form: token", "shape: token", 9, "detectors.0.shape", "no such field"),
        ("form: token", "form: tokens", 9, "detectors.0.form", "invalid enum value"),
        ("    what: token of Wibble\n", "", 7, "detectors.0", "missing required field `what`"),
        ("what: token of Wibble", "what:", 8, "detectors.0.what", "got `null`"),
        ("confidence: 0.9", "confidence: sure", 13, "detectors.0.confidence", "expected `float`"),
        ("confidence: 0.9", "confidence: 1.1", 13, "detectors.0.confidence", "above 0"),
        ("severity: high", "severity: high\n    severity: low", 15, "severity", "written twice"),
        ("[wib_]", "[wib_, Wib]", 11, "detectors.0.keywords.1", "not lower case"),
        ("[wib_]", "[w]", 11, "detectors.0.keywords.0", "two characters"),
        ("[wib_]", "[wib_]\n    words: [pets]", 12, "detectors.0.words.0", "mean `pet`"),
        ("[wib_]", "[wib_]\n    bytes_after: 99999", 12, "detectors.0.bytes_after", "16384"),
        ("not_placeholder", "no_placeholder", 12, "detectors.0.validator", "mean `not_placeh"),
        ("not_placeholder", "iban", 12, "detectors.0.validator", "list of words `account`"),
        ("(?&body)", "(?&bodi)", 10, "detectors.0.pattern", "`bodi` is not defined"),
        ("(?&body)", "(?<=a)", 10, "detectors.0.pattern", "RE2 refuses it"),
        ("{8}'\n", "{8'\n  two: '(?&three)'\n", 4, "define.two", "`three` is not defined"),
        ("wibble_token", "Wibble", 7, "detectors.0.kind", "name in lower case"),
        ("form: token", "form: token\n    name: wib", 10, "detectors.0.name", "`assigned`"),
        ("['wib_{x:8}']", "[]", 17, "detectors.0.examples.no_match", "has no text"),
        ("      match: ['wib_{base36:8}']\n", "", 15, "detectors.0.examples", "`match`"),
        ("class: secret", "class: &a secret", 1, "", "anchor"),
        ("class: secret", "class: !!str secret", 1, "", "tags"),
        ("class: secret", "class: [", 3, "", "not YAML"),
        ("class: secret", "---\na: b\n---\nclass: secret", 3, "", "one document"),
    ],
)
def test_a_mistake_is_refused_with_its_place(
    old: str, new: str, line: int, key: str, message: str
) -> None:
    assert old in GOOD
    with pytest.raises(DataFileError, match=r"^own\.yaml:\d+: ") as refused:
        _read(GOOD.replace(old, new, 1))
    assert message in str(refused.value)
    place = f"own.yaml:{line}: `{key}`" if key else f"own.yaml:{line}: "
    assert str(refused.value).startswith(place)


def test_a_kind_that_is_there_twice_is_refused() -> None:
    with pytest.raises(DataFileError, match=r"own\.yaml:18: .*first on line 7"):
        _read(GOOD + MORE)
    assert len(_read(GOOD + MORE.replace("what:", "variant: other\n    what:"))) == 2


def test_numbers_of_states_are_checked_alike() -> None:
    text = package_bytes(PACKAGE, f"{DATA}/personal_data/national_numbers.yaml").decode()
    for old, new, message in (
        ("validator: bg_egn", "validator: bg_egm", "there is no validator `bg_egm`"),
        ("alone: be_rijksregister", "alone: nobody", "there is no validator `nobody`"),
        ("kind: bg_egn", "kind: be_rijksregister", "there twice"),
        ("(?&nino)", "(?&ninos)", "not defined"),
    ):
        with pytest.raises(DataFileError, match=message):
            refuse_mistakes(
                parse_table(text.replace(old, new).encode(), "own.yaml", StateNumberFile)
            )


def test_a_table_is_bounded() -> None:
    deep = "class: " + "[" * 40 + "]" * 40
    for data, message in (
        (deep.encode(), "nested too deep"),
        (b"a: \xff", "not UTF-8"),
        (b"a: \0", "a character that YAML does not allow"),
        (b" " * 2_000_000, "more than"),
        (b"word", "expected `object`"),
    ):
        with pytest.raises(DataFileError, match=message):
            parse_table(data, "own.yaml", EntryFile)


@pytest.mark.parametrize("file", EVERY_FILE)
def test_a_file_read_without_its_examples_is_the_same_file(file: str) -> None:
    """A scan leaves examples out; every other key stays, and stays on its line."""
    whole, short = read_file(file), read_file(file, with_examples=False)
    key = "detectors" if isinstance(whole.value, EntryFile) else "numbers"
    entries = getattr(whole.value, key)
    assert getattr(short.value, key) == tuple(
        msgspec.structs.replace(entry, examples=Examples(match=(), no_match=()))
        for entry in entries
    )
    assert short.line(key, len(entries) - 1) == whole.line(key, len(entries) - 1)
