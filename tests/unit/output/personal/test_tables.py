"""Each family of personal data: found where it stands, and nowhere else."""

import pytest

from forestall.output.detectors import DETECTORS
from forestall.output.findings import Finding
from forestall.output.scan import scan
from tests.unit.output.personal import INNOCENT, TABLES, unmarked

PERSONAL_DATA = DETECTORS["personal_data"]
FOUND = [(kind, text) for kind, (found, _) in TABLES.items() for text in found]
NOTHING = [(kind, text) for kind, (_, nothing) in TABLES.items() for text in nothing]
SHOWN_MAX = {"iban": 4, "payment_card": 4, "us_ssn": 4}


def _found(text: str) -> tuple[Finding, ...]:
    result = scan(text, detectors=(PERSONAL_DATA,), key=b"test")
    assert result.complete
    return result.findings


def test_every_kind_has_a_table() -> None:
    names = {kind.name for kind in PERSONAL_DATA.kinds}
    assert names == {name for name in names if any(name.startswith(kind) for kind in TABLES)}
    assert all(any(name.startswith(kind) for name in names) for kind in TABLES)


@pytest.mark.parametrize(("kind", "text"), FOUND)
def test_it_is_found_exactly_there(kind: str, text: str) -> None:
    plain, places = unmarked(text)
    found = [each for each in _found(plain) if each.kind.startswith(kind)]
    assert [(each.start, each.end) for each in found] == places


@pytest.mark.parametrize(("kind", "text"), NOTHING)
def test_what_only_looks_like_it_is_not(kind: str, text: str) -> None:
    assert not [each for each in _found(text) if each.kind.startswith(kind)]


@pytest.mark.parametrize("text", INNOCENT)
def test_nothing_is_found_where_nobody_is(text: str) -> None:
    assert not _found(text)


@pytest.mark.parametrize(("kind", "text"), FOUND)
def test_a_finding_does_not_say_what_it_found(kind: str, text: str) -> None:
    """At most the end of it, as receipts show a card's; of an account also its country."""
    plain, _ = unmarked(text)
    for found in _found(plain):
        value = plain[found.start : found.end]
        shown = found.masked.replace("*", "")
        assert len(shown) <= SHOWN_MAX.get(found.kind, 2)
        assert found.masked.count("*") >= 8
        assert value not in repr(found)
        assert found.correlation
