"""Somebody who follows a page: types the commands that it shows, and compares what comes out.

In what a page shows, `…` stands for anything: ids, keys, times, and what is left out.
"""

import os
import pty
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
QUESTION = "[y/N]: "
SECONDS_MAX = 60
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def fenced_blocks(text: str) -> list[tuple[str, str]]:
    """Every fenced block: its info string and its text."""
    return _FENCE.findall(text)


def shown_commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block with what the page says it prints."""
    for part in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        line, _, prints = part.partition("\n")
        yield line, prints.replace(f"{QUESTION}y\n", QUESTION)


def require_shown(shown: str, printed: str) -> None:
    """What is printed is what the page shows."""
    wanted = re.escape(shown.rstrip()).replace("…", ".*")
    assert re.fullmatch(wanted, printed.rstrip(), re.DOTALL), f"{printed}\nis not\n{shown}"


class Reader:
    """One shell in a folder: its variables last from command to command."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        """`variables` is the whole environment of the first command."""
        self.folder = folder
        self.variables = dict(variables)
        self.printed: list[str] = []
        self.exit_code = 0

    def type(self, line: str) -> str:
        """Run a command; standard output and error of it. Answers yes to what it asks."""
        state = self.folder / "variables"
        asking, terminal = pty.openpty()
        os.write(asking, b"y\n")
        try:
            done = subprocess.run(
                ["bash", "-c", f"set -a\n{line}\ncode=$?; env -0 > {state}; exit $code"],
                cwd=self.folder,
                env=self.variables,
                stdin=terminal,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=SECONDS_MAX,
                check=False,
            )
        finally:
            os.close(asking)
            os.close(terminal)
        pairs = (pair.partition("=") for pair in state.read_text().split("\0") if pair)
        self.variables = {name: value for name, _, value in pairs}
        self.printed += done.stdout.splitlines()
        self.exit_code = done.returncode
        return done.stdout
