"""The fixture that every test of a verb uses."""

from collections.abc import Iterator

import pytest

from tests.asgi import Door, opened


@pytest.fixture
def door() -> Iterator[Door]:
    """The gateway over an empty memory store."""
    with opened() as one:
        yield one
