"""A door of its own for every test that asks for one."""

from collections.abc import Iterator

import pytest

from tests.asgi import Door, opened


@pytest.fixture
def door() -> Iterator[Door]:
    """The gateway over an empty memory store."""
    with opened() as one:
        yield one


@pytest.fixture(scope="module")
def shared() -> Iterator[Door]:
    """One door for all the cases of a module: a plane that must survive every one of them."""
    with opened() as one:
        yield one
