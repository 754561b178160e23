"""Numbers of states: one whose check fails is none, whatever word stands in front."""

import string

import pytest

from forestall.output.detectors import DETECTORS
from forestall.output.findings import Detector
from forestall.output.scan import scan
from tests.unit.output.personal.ids import SPECIMENS, UNCHECKED

PERSONAL_DATA = DETECTORS["personal_data"]


def _kinds(text: str, name: str) -> list[str]:
    own = tuple(kind for kind in PERSONAL_DATA.kinds if kind.name == f"national_id_{name}")
    found = scan(text, detectors=(Detector(name="own", kinds=own),)).findings
    return [text[each.start : each.end] for each in found]


def test_every_state_has_a_specimen() -> None:
    kinds = {kind.name for kind in PERSONAL_DATA.kinds}
    names = {name.removeprefix("national_id_") for name in kinds if name.startswith("national_id_")}
    assert {name for name, _, _ in SPECIMENS} == names


@pytest.mark.parametrize(("name", "word", "number"), SPECIMENS)
def test_a_specimen_is_found_behind_its_word(name: str, word: str, number: str) -> None:
    for text in (f"{word} {number}", f"{word.upper()}: {number}.", f'"{word}":"{number}"'):
        assert _kinds(text, name) == [number], text
    assert not _kinds(f"nothing {number}", name)


@pytest.mark.parametrize(
    ("name", "word", "number"), [each for each in SPECIMENS if each[0] not in UNCHECKED]
)
def test_a_wrong_check_is_refused(name: str, word: str, number: str) -> None:
    """Exactly one last character is right."""
    place = max(n for n, each in enumerate(number) if each.isalnum())
    letters = string.ascii_uppercase if number[place].isalpha() else string.digits
    spoilt = [
        number[:place] + each + number[place + 1 :] for each in letters if each != number[place]
    ]
    assert [other for other in spoilt if _kinds(f"{word} {other}", name)] == []


@pytest.mark.parametrize(
    ("name", "word", "number"), [each for each in SPECIMENS if each[0] not in UNCHECKED]
)
def test_a_digit_too_few_is_refused(name: str, word: str, number: str) -> None:
    digit = next(n for n, each in enumerate(number) if each.isdigit())
    assert not _kinds(f"{word} {number[:digit]}{number[digit + 1 :]}", name)
