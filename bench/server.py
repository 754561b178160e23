"""A real server for the benches, on a core of its own."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

KEY = "bench-key-0123456789abcdef0123456789abcdef"
SERVER_CORE, CLIENT_CORE = 1, 0
_ADDRESS = re.compile(r"API +http://127\.0\.0\.1:(\d+)")


class Running(NamedTuple):
    """A server that answers."""

    pid: int
    port: int
    data_dir: Path


def use_core(core: int) -> None:
    """Keep this process on one core where the system allows it and there is more than one."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > core:
        os.sched_setaffinity(0, {core})


@contextlib.contextmanager
def server(
    extra: tuple[str, ...] = (), folder: str = "", checkout: Path | None = None
) -> Iterator[Running]:
    """`forestall serve` in a directory of its own (or in the one given), ended afterwards.

    With `checkout` the server runs the source of that checkout instead of ours.
    """
    with tempfile.TemporaryDirectory() as own:
        data = folder or own
        command = [str(Path(sys.executable).parent / "forestall"), "serve", "--listen"]
        command += ["127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--data-dir", data, *extra]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**environment(checkout), "FORESTALL_BOOTSTRAP_KEY": KEY},
            preexec_fn=lambda: use_core(SERVER_CORE),
        )
        try:
            yield Running(process.pid, _port(process), Path(data))
        finally:
            process.terminate()
            process.wait(30)


def environment(checkout: Path | None) -> dict[str, str]:
    """Ours, with the source of a checkout before the one that is installed."""
    if checkout is None:
        return dict(os.environ)
    return {**os.environ, "PYTHONPATH": str(checkout / "src")}


def resident_mb(pid: int) -> float:
    """Resident memory of a process (Linux; elsewhere 0)."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def _port(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    port = 0
    for line in process.stdout:
        found = _ADDRESS.search(line)
        port = int(found[1]) if found else port
        if line.startswith("Ready"):
            return port
    raise RuntimeError("the server did not start")


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, its threads included (Linux; elsewhere 0)."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
