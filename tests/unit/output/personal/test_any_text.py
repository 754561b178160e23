"""Any text gives findings inside of it and no exception; hostile text costs what another does."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from forestall.output.detectors import DETECTORS
from forestall.output.findings import Candidate, Check, Detector, Kind, ScanBudget
from forestall.output.scan import scan
from tests.unit.output.personal import TABLES, unmarked

PERSONAL_DATA = DETECTORS["personal_data"]
SIZE = 1_000_000
# What is made of these comes near to every pattern.
PIECES = (
    *(
        "+",
        "-",
        ".",
        ":",
        "::",
        "@",
        "@a.b",
        "/",
        "(",
        ")",
        " ",
        ",",
        "\n",
        '"',
        "0",
        "1",
        "00",
        "+1",
    ),
    *("4111", "1234", "DE89", "ff", "x", "é", "電話", "é@", "ssn", "tel", "card", "iban", "born"),
    *(unmarked(found[0])[0] for found, _ in TABLES.values()),
)
NEAR = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
HOSTILE = (
    *("1", "12", "1-", "1 ", "1.", "+", "+1", "+1-", "(1", "@", "a@", "a@b.", "a@b.c-", '"@', ":"),
    *("::", "1:", "::1 ", "/1", "4111 ", "DE89", "DE89 3704 ", "A1", "0", "00", "01 ", "é", "é@é."),
    *("tel 1", "tel: +1 ", "card 4", "ssn 1-", "born 1/", "iban DE", "call 1", "dni 1", "\n1,"),
    *("1.1.1.1.", "123-45-6789-", "4111111111111112 ", "4111 1111 1111 1112 ", "0171 2345-"),
)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | NEAR)
def test_any_text_gives_findings_inside_of_it(text: str) -> None:
    result = scan(text, detectors=(PERSONAL_DATA,), key=b"test")
    for found in result.findings:
        assert 0 <= found.start < found.end <= len(text)
        assert 0.0 < found.confidence <= 1.0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_a_scan(raw: bytes) -> None:
    assert scan(raw, detectors=(PERSONAL_DATA,)).size_bytes == len(raw)


class _Counted:
    """The detector, with every check counted."""

    def __init__(self) -> None:
        self.asked = 0
        kinds = (structs.replace(kind, check=self._counting(kind)) for kind in PERSONAL_DATA.kinds)
        self.detector = Detector(name=PERSONAL_DATA.name, kinds=tuple(kinds))

    def _counting(self, kind: Kind) -> Check:
        def check(found: Candidate) -> float | None:
            self.asked += 1
            return kind.check(found) if kind.check is not None else kind.confidence

        return check

    def of(self, text: str) -> int:
        """How many checks a scan of the text asks."""
        self.asked = 0
        assert scan(text, detectors=(self.detector,)).complete
        return self.asked


COUNTED = _Counted()


@pytest.mark.parametrize("piece", HOSTILE)
def test_ten_times_the_hostile_text_is_ten_times_the_work(piece: str) -> None:
    """No clock: patterns are linear by RE2, so what could explode is how often a check is asked."""
    short, long = (
        COUNTED.of((piece * (size // len(piece) + 1))[:size]) for size in (SIZE // 10, SIZE)
    )
    assert long <= 11 * short + 100
    assert long <= SIZE // 2


def test_a_million_of_everything_ends_in_time() -> None:
    """A deadline in CPU time that only an explosion can miss: it takes a hundredth of it."""
    started = time.process_time()
    budget = ScanBudget(expired=lambda: time.process_time() - started > 300)
    assert scan("".join(HOSTILE) * 3_000, detectors=(PERSONAL_DATA,), budget=budget).complete
