"""Every test has a time limit: a test that hangs fails, and is named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HANGING = """
import asyncio, threading

def test_that_waits():
    threading.Event().wait()

def test_in_an_event_loop():
    asyncio.run(asyncio.Event().wait())

def test_after():
    pass
"""


def test_a_test_that_hangs_fails_by_name_and_the_rest_runs(tmp_path: Path) -> None:
    file = tmp_path / "test_hanging.py"
    file.write_text(HANGING)
    settings = ("-c", str(ROOT / "pyproject.toml"), "-p", "no:xdist", "-o", "timeout=0.3")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, str(file)],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "2 failed, 1 passed" in ran.stdout
    for name in ("test_that_waits", "test_in_an_event_loop"):
        assert f"::{name} - Failed: Timeout" in ran.stdout


def test_the_ordinary_run_has_a_limit(pytestconfig: pytest.Config) -> None:
    assert float(pytestconfig.getini("timeout")) > 0
