"""Detectors that read: places are exact however the text is encoded, and a failure is not whole."""

import base64
import json
import random
import re
from collections.abc import Iterable

import pytest

from forestall.output.clean import clean_copy
from forestall.output.detectors.named import PERSON, PLACE, named_entity
from forestall.output.findings import (
    Detector,
    Finding,
    IncompleteReason,
    Kind,
    Scan,
    ScanBudget,
    Sighting,
)
from forestall.output.prose_readers import PIECE_CHARS
from forestall.output.scan import BLOCK_BYTES, scan

NAME = "Zoë Müller-Lüdenscheidt"
NAMES = re.compile("Zo[ëe] M[üu]ller-L[üu]denscheidt|Zora|林太郎")


class Reader:
    """Sees what matches, and remembers what it was given."""

    def __init__(self, pattern: re.Pattern[str] = NAMES) -> None:
        self.pattern = pattern
        self.given: list[str] = []

    def __call__(self, text: str) -> Iterable[Sighting]:
        self.given.append(text)
        for found in self.pattern.finditer(text):
            yield Sighting(PERSON, *found.span(), 0.5)


def look(content: str | bytes, budget: ScanBudget | None = None) -> Scan:
    return scan(content, detectors=(named_entity(Reader()),), budget=budget or ScanBudget())


def places(content: str | bytes) -> list[str]:
    """What stands at the places that were found: by characters, and the same by bytes."""
    seen = look(content)
    assert seen.complete
    if isinstance(content, bytes):
        return [
            content[each.start_byte : each.end_byte].decode("utf-8", "replace")
            for each in seen.findings
        ]
    raw = content.encode("utf-8", "surrogatepass")
    found = [content[each.start : each.end] for each in seen.findings]
    assert found == [raw[each.start_byte : each.end_byte].decode() for each in seen.findings]
    return found


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (NAME, [NAME]),
        (f"🙂é{NAME}, and {NAME}!", [NAME, NAME]),
        (f'He said "{NAME}" twice', [NAME]),
        ("nobody here", []),
        ("", []),
        (f"\ufeff{NAME}", [NAME]),
        (f"\ud800 {NAME}", [NAME]),
        (f"a{NAME}b\x00{NAME}", [NAME, NAME]),
        ("書記は林太郎。次は林太郎です。", ["林太郎", "林太郎"]),
        ("\uff3a\uff4f\uff52\uff41 wrote", ["\uff3a\uff4f\uff52\uff41"]),
        ("Zo%C3%AB M&#252;ller-L\\u00fcdenscheidt", ["Zo%C3%AB M&#252;ller-L\\u00fcdenscheidt"]),
    ],
)
def test_places_are_exact(text: str, want: list[str]) -> None:
    assert places(text) == want


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("indent", [None, 2])
def test_in_json(ascii_only: bool, indent: int | None) -> None:
    value = {NAME: [f"seen\n{NAME}\t", {"b": 'the "Zora" file'}], "n": [1, 2, 3], "林太郎": None}
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    found = places(text)
    assert [json.loads(f'"{each}"') for each in found] == [NAME, NAME, "Zora", "林太郎"]
    assert [each.masked for each in look(text).findings] == ["Z********"] * 3 + ["********"]


def test_structure_is_not_given_to_read() -> None:
    reader = Reader()
    text = json.dumps({"text": "Zora, here", "list": ["a", "b"], "key": "x" * 200})
    scan(text, detectors=(named_entity(reader),))
    assert not set("{}[]\"'") & set("".join(reader.given))
    assert "Zora, here" in "".join(reader.given)
    assert "xx" not in "".join(reader.given)


def test_in_encodings() -> None:
    packed = base64.b64encode(f"the name of the customer: {NAME}".encode())
    text = b"data: " + packed + b" end"
    assert places(text) == [packed.decode()]
    (finding,) = look(text).findings
    assert finding.seen_in == ("base64",)
    wide = b"\xff\xfe" + f"🙂 {NAME}.".encode("utf-16-le")
    (finding,) = look(wide).findings
    assert wide[finding.start_byte : finding.end_byte].decode("utf-16-le") == NAME


def test_cuts_lose_nothing() -> None:
    """Wherever the pieces are cut, and without a place to cut at as well."""
    for between in (" ", "\n", "x", "。", "é "):
        for shift in range(0, PIECE_CHARS, 37):
            text = between * (PIECE_CHARS - 30 + shift) + f" {NAME} " + between * PIECE_CHARS
            assert places(text) == [NAME], (between, shift)


def test_blocks_lose_nothing() -> None:
    random.seed(7)
    words = [f"word{n}" for n in range(5_000)]
    parts: list[str] = []
    count = 0
    for _ in range(60):
        parts += random.choices(words, k=4_000)
        parts.append(NAME)
        count += 1
    text = " ".join(parts)
    assert len(text) > BLOCK_BYTES
    found = places(text)
    assert found == [NAME] * count


def test_what_comes_again_is_read_once() -> None:
    reader = Reader()
    line = "Zora was here. " * 68 + "\n"
    seen = scan(line * 50, detectors=(named_entity(reader),))
    assert len(seen.findings) == 68 * 50
    assert len(reader.given) < 5


def test_what_reads_may_fail() -> None:
    def raises(text: str) -> Iterable[Sighting]:
        raise RuntimeError("out of memory")

    seen = scan("some text", detectors=(named_entity(raises),))
    assert (seen.complete, seen.reasons) == (False, (IncompleteReason.READER_FAILED,))


@pytest.mark.parametrize(
    "sighting",
    [
        Sighting("other_kind", 0, 1, 0.5),
        Sighting(PERSON, -1, 1, 0.5),
        Sighting(PERSON, 2, 1, 0.5),
        Sighting(PERSON, 0, 100, 0.5),
        Sighting(PERSON, 0, 1, 1.5),
        Sighting(PERSON, 0, 1, float("nan")),
    ],
)
def test_an_answer_that_cannot_be_is_a_failure(sighting: Sighting) -> None:
    seen = scan("some text", detectors=(named_entity(lambda text: [sighting]),))
    assert seen.reasons == (IncompleteReason.READER_FAILED,)


def test_a_name_does_not_reach_over_two_values() -> None:
    reader = Reader(re.compile(r"Zora.*Kim", re.DOTALL))
    text = '{"a": "Zora", "b": "Kim"}'
    found = scan(text, detectors=(named_entity(reader),)).findings
    assert [text[each.start : each.end] for each in found] == ["Zora", "b", "Kim"]


def test_time_is_looked_at_between_pieces() -> None:
    reader = Reader()
    seen = scan(
        "".join(f"Zora{n} went home. " for n in range(5_000)),
        detectors=(named_entity(reader),),
        budget=ScanBudget(expired=lambda: len(reader.given) > 3),
    )
    assert seen.reasons == (IncompleteReason.TIME,)
    assert len(reader.given) == 4


def test_a_copy_goes_on_until_nothing_is_seen() -> None:
    """Without the first name the reader sees a second one, and a mark is not a name."""

    def read(text: str) -> Iterable[Sighting]:
        for word in ("Zora", "Kim", "REDACTED"):
            if (at := text.find(word)) >= 0:
                return [Sighting(PERSON, at, at + len(word), 0.5)]
        return []

    detectors = (named_entity(read),)
    text = b'["Zora and Kim"]'
    seen = scan(text, detectors=detectors)
    assert len(seen.findings) == 1
    copy = clean_copy(text, seen.findings, detectors=detectors, is_json=True)
    assert copy == b'["[REDACTED:person_name] and [REDACTED:person_name]"]'


def test_a_copy_that_never_gets_clean_is_none() -> None:
    def read(text: str) -> Iterable[Sighting]:
        words = [found.span() for found in re.finditer("[a-z]+", text)]
        return [Sighting(PLACE, *words[0], 0.5)] if words else []

    detectors = (named_entity(read),)
    text = b"a b c d e f g h i j"
    findings: tuple[Finding, ...] = scan(text, detectors=detectors).findings
    assert clean_copy(text, findings, detectors=detectors) is None


def test_a_detector_has_patterns_or_a_reader() -> None:
    with pytest.raises(ValueError, match="or it has a reader"):
        Detector(name="x", kinds=(Kind(name="a", pattern="b"),), reader=Reader())
    with pytest.raises(ValueError, match="or it has a reader"):
        Detector(name="x", kinds=(Kind(name="a"),))
