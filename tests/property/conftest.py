"""Counts the random cases that were compared, over all workers, and prints the sums."""

from typing import Any

import pytest

from tests.property.strategies import CASES


def pytest_sessionfinish(session: Any) -> None:
    """A worker hands its counts to whoever started it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["cases"] = dict(CASES)


@pytest.hookimpl(optionalhook=True)  # a hook of pytest-xdist, which may be switched off
def pytest_testnodedown(node: Any) -> None:
    """A worker ended: take its counts."""
    for what, count in getattr(node, "workeroutput", {}).get("cases", {}).items():
        CASES[what] += count


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The sums, where there are any."""
    for what, count in sorted(CASES.items()):
        terminalreporter.write_line(f"random cases, {what}: {count:,}")
