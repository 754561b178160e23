"""Every endpoint's answer, byte by byte as it was: a change of any field shows as a diff.

`python -m tests.golden.exchanges` writes the files anew.
"""

import pytest

from forestall.server.api import ENDPOINTS
from forestall.server.openapi import operation_id
from tests.golden.exchanges import WIRE_FOLDER, Exchange, exchanges, wire_text

NAMES = [operation_id(each) for each in ENDPOINTS]


@pytest.fixture(scope="module")
def made() -> dict[str, Exchange]:
    return dict(exchanges())


def test_every_endpoint_has_one_file_and_every_file_an_endpoint() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert sorted(path.stem for path in WIRE_FOLDER.glob("*.json")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_is_as_it_was(made: dict[str, Exchange], name: str) -> None:
    file = WIRE_FOLDER / f"{name}.json"
    assert wire_text(made[name]) == file.read_text(encoding="utf-8"), (
        "if this is meant: python -m tests.golden.exchanges"
    )


def test_the_run_is_the_same_again(made: dict[str, Exchange]) -> None:
    """Nothing of clock, chance or machine is in the files."""
    assert dict(exchanges()) == made
