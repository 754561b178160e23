"""Run tests against a copy of the source with one mutant in it. Never writes into the checkout."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from tests.mutants.mutant import PACKAGE, ROOT, Mutant, MutantError

MUTANT_SECONDS_MAX = 120  # a mutant that makes its tests hang is noticed by this limit
HONEST_SECONDS_MAX = 3_600
_TEST_SECONDS_MAX = 60
_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
_PASSED, _FAILED, _INTERRUPTED = 0, 1, 2  # exit codes of pytest; 2: a module does not import
_FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


class PytestRun(NamedTuple):
    """How a run of pytest ended; `code` is None when it ran into the time limit."""

    code: int | None
    output: str

    @property
    def passed(self) -> bool:
        """All tests ran, and all passed."""
        return self.code == _PASSED


class Outcome(NamedTuple):
    """What became of one mutant. `tail` is the end of the output where no test ran at all."""

    mutant: Mutant
    caught: bool
    seconds: float
    noticed_by: str = ""
    tail: str = ""


class Runner:
    """A copy of the source, and one process at a time that tests it."""

    def __init__(self, folder: Path) -> None:
        self._package = folder / PACKAGE.name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGE, self._package, ignore=ignored)
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != _NO_BYTECODE},
            "PYTHONPATH": str(folder),
            # Compiled modules are kept, those of tests and libraries too: most of a run is imports.
            "PYTHONPYCACHEPREFIX": str(folder.parent / "compiled"),
        }
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False
        self._written = 0

    def without_mutant(self, tests: Sequence[str]) -> PytestRun:
        """Run the tests as they are. Raises MutantError when Python would import something else
        than the copy."""
        code = "import forestall; print(forestall.__file__)"
        found = self._ended([sys.executable, "-c", code], 60).output
        if not found.startswith(str(self._package)):
            raise MutantError(f"the tests would import {found.strip()}, not the copy")
        return self._pytest(tests, HONEST_SECONDS_MAX)

    def run(self, mutant: Mutant) -> Outcome:
        """Apply a mutant, run its tests until the first one fails, and take the mutant out."""
        file = self._package / mutant.path
        honest = file.read_text(encoding="utf-8")
        began = time.monotonic()
        self._write(file, mutant.applied(honest))
        try:
            # One path after the other: the first one mostly notices, and collects little.
            for test in mutant.tests:
                ran = self._pytest((test,), MUTANT_SECONDS_MAX)
                if not ran.passed:
                    break
        finally:
            self._write(file, honest)
        return _outcome(mutant, ran, time.monotonic() - began)

    def _write(self, file: Path, text: str) -> None:
        """Write a file of the copy, with a time that no earlier version of it had: a compiled
        module is used when time and size of its source are the same, and they might be."""
        file.write_text(text, encoding="utf-8")
        self._written += 1
        at = int(time.time()) - 10_000_000 + self._written
        os.utime(file, (at, at))

    def stop(self) -> None:
        """End the running process with everything that it started; start no other."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                _kill(self._process)

    def _pytest(self, tests: Sequence[str], seconds_max: float) -> PytestRun:
        command = [sys.executable, "-m", "pytest", "-x", "-n", "0", "--tb=short"]
        return self._ended([*command, "-o", f"timeout={_TEST_SECONDS_MAX}", *tests], seconds_max)

    def _ended(self, command: Sequence[str], seconds_max: float) -> PytestRun:
        with self._lock:
            if self._stopped:
                raise KeyboardInterrupt
            process = self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,  # so that it ends with everything that it started
            )
        try:
            output = process.communicate(timeout=seconds_max)[0]
            return PytestRun(process.returncode, output)
        except subprocess.TimeoutExpired:
            _kill(process)
            return PytestRun(None, process.communicate()[0])
        finally:
            with self._lock:
                _kill(process)
                self._process = None


class Runners:
    """Several runners, each of which takes the next mutant when it is free."""

    def __init__(self, runners: Sequence[Runner]) -> None:
        self.first = runners[0]
        self._runners = runners
        self._free: SimpleQueue[Runner] = SimpleQueue()
        for runner in runners:
            self._free.put(runner)

    def run(self, mutants: Sequence[Mutant]) -> Iterator[Outcome]:
        """The outcomes, in the order in which they come."""
        with ThreadPoolExecutor(len(self._runners)) as pool:
            runs = [pool.submit(self._one, mutant) for mutant in mutants]
            try:
                for run in as_completed(runs):
                    yield run.result()
            except BaseException:
                self.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def stop(self) -> None:
        """End every process."""
        for runner in self._runners:
            runner.stop()

    def _one(self, mutant: Mutant) -> Outcome:
        runner = self._free.get()
        try:
            return runner.run(mutant)
        finally:
            self._free.put(runner)


def _outcome(mutant: Mutant, ran: PytestRun, seconds: float) -> Outcome:
    if ran.code is None:
        return Outcome(mutant, True, seconds, f"(nothing ended within {MUTANT_SECONDS_MAX} s)")
    caught = ran.code in (_FAILED, _INTERRUPTED)
    failure = _FAILURE.search(ran.output)
    tail = "" if caught or ran.passed else "\n" + ran.output[-2_000:]
    return Outcome(mutant, caught, seconds, failure.group(1) if failure and caught else "", tail)


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
