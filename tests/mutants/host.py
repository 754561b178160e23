"""A plugin of pytest: collect tests once, and run them in a forked process for each mutant.

The first fork has no mutant: its tests must pass. What cannot be put into a loaded module, and what
no test noticed here, is run again in a process of its own (`runner.py`). Nothing is decided here.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.swap import NotSwappableError, swap_in

PLAN, FOUND = "FORESTALL_MUTANTS_PLAN", "FORESTALL_MUTANTS_FOUND"
HONEST = -1
_NOT_SWAPPABLE = 77  # the exit code of a fork
_POLL_SECONDS = 0.01


class Plan(msgspec.Struct, frozen=True):
    """The mutants to try, by number, and how long the tests of one may take (s)."""

    mutants: dict[int, Mutant]
    seconds_max: float


class Fork(msgspec.Struct, frozen=True):
    """How the tests of one mutant ended. `passed` is None where it could not be put in here."""

    number: int
    passed: bool | None
    seconds: float = 0.0
    noticed_by: str = ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Fork for each mutant, after one fork without any."""
    plan = msgspec.json.decode(os.environ[PLAN], type=Plan, strict=False)
    if session.testsfailed:
        return True  # a module could not be collected, and pytest says so
    with Path(os.environ[FOUND]).open("a", encoding="utf-8") as found:
        for number, mutant in [(HONEST, None), *plan.mutants.items()]:
            fork = _forked(session, number, mutant, plan.seconds_max)
            found.write(json.dumps(msgspec.to_builtins(fork)) + "\n")
            found.flush()
            if number == HONEST and not fork.passed:
                break
    return True


def _forked(
    session: pytest.Session, number: int, mutant: Mutant | None, seconds_max: float
) -> Fork:
    began = time.monotonic()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _child(session, mutant, write)
    os.close(write)
    code = _ended(pid, began + (10 * seconds_max if mutant is None else seconds_max))
    with os.fdopen(read) as pipe:
        noticed_by = pipe.read()
    passed = None if code == _NOT_SWAPPABLE else code == 0
    return Fork(number, passed, time.monotonic() - began, noticed_by)


def _child(session: pytest.Session, mutant: Mutant | None, write: int) -> None:
    """Run the collected tests, with the mutant. Never returns."""
    code = 1
    try:
        os.setsid()
        session.config.pluginmanager.register(_Reporter(write))
        if mutant is not None:
            swap_in(mutant)
        items = session.items
        for place, item in enumerate(items):
            following = items[place + 1] if place + 1 < len(items) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail or session.shouldstop:
                break
        code = 1 if session.testsfailed else 0
    except NotSwappableError:
        code = _NOT_SWAPPABLE
    finally:
        os._exit(code)


class _Reporter:
    """Tells the first process which test failed."""

    def __init__(self, write: int) -> None:
        self._write = write

    def pytest_runtest_logreport(self, report: Any) -> None:
        """See pytest."""
        if report.failed and self._write >= 0:
            os.write(self._write, report.nodeid.encode()[:1_000])
            self._write = -1


def _ended(pid: int, until: float) -> int:
    """The exit code of a fork; 1 where it ran into its time, which notices the mutant as well."""
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_POLL_SECONDS)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    print("a mutant ran into its time", file=sys.stderr)
    return 1
