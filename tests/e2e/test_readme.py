"""The README's tour, run as its reader would: every command, in order, and what it shows comes out.

Only ports, ids, keys and times may differ (`…` stands for them, and for what is left out). Not run:
the `git clone` block, which starts the server here by other means.
"""

import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Server, environment, poll, serving

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not all(map(shutil.which, ("bash", "curl"))), reason="the tour needs bash and curl"
    ),
]
ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Which job `JOB-ID` stands for: the one of the last line that a listing printed with these words.
_JOB_OF = {"forestall jobs get": " DENIED ", "forestall approvals": "by agents/ci"}
_QUESTION = "[y/N]: "


def _blocks() -> list[tuple[str, str]]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tour = text[text.index("## Ten minutes with it") : text.index("## Where things are")]
    return _FENCE.findall(tour)


def _commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command with what the page says it prints."""
    for part in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        line, _, prints = part.partition("\n")
        yield line, prints


def _require_shown(shown: str, printed: str) -> None:
    """What is printed is what the page shows, where `…` is anything."""
    wanted = re.escape(shown.rstrip()).replace("…", ".*")
    assert re.fullmatch(wanted, printed.rstrip(), re.DOTALL), f"{printed}\nis not\n{shown}"


class Reader:
    """Somebody who follows the tour: one shell, whose variables last from command to command."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server = folder, server
        self.printed: list[str] = []
        (key,) = re.findall(r"^  export FORESTALL_API_KEY=(\S+)$", server.banner, re.MULTILINE)
        self.variables = environment({"FORESTALL_URL": server.url, "FORESTALL_API_KEY": key})

    def type(self, line: str) -> str:
        """Run a command; standard output and error of it. Answers yes to what it asks."""
        line = line.replace("http://127.0.0.1:8081", self.server.url)
        if "JOB-ID" in line:
            line = line.replace("JOB-ID", self._job(line))
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
                timeout=60,
                check=False,
            )
        finally:
            os.close(asking)
            os.close(terminal)
        pairs = (pair.partition("=") for pair in state.read_text().split("\0") if pair)
        self.variables = {name: value for name, _, value in pairs}
        self.printed += done.stdout.splitlines()
        return done.stdout

    def _job(self, line: str) -> str:
        (words,) = (words for start, words in _JOB_OF.items() if start in line)
        return next(said for said in reversed(self.printed) if words in said).split(" ")[0]


def test_the_tour_prints_what_it_shows(tmp_path: Path) -> None:
    folder = tmp_path / "forestall"
    folder.mkdir()
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    data = folder / "forestall-data"
    policy = data / "policy.yaml"
    (_, first), *blocks = _blocks()
    with serving(data, key=None, cwd=folder) as server:
        banner = server.banner.replace(f":{server.metrics_port}", ":9090")
        banner = banner.replace(f":{server.port}", ":8081").replace(str(ROOT), "/forestall")
        _require_shown(first[first.index("Forestall ") :], banner)
        reader = Reader(folder, server)
        for info, block in blocks:
            if info == "yaml":
                text = policy.read_text(encoding="utf-8")
                policy.write_text(
                    text.replace("  - id: allow-demo\n", f"{block}\n  - id: allow-demo\n")
                )
                poll(lambda: "in force: 4 rules" in server.log, "the policy is taken up")
            elif info == "text":
                text = policy.read_text(encoding="utf-8")
                policy.write_text(text.replace('topics: ["job.mail.*"]', 'topcis: ["job.mail.*"]'))
                poll(lambda: "did you mean" in server.log, "the mistake is told")
                _require_shown(block, server.log[server.log.index(" ERROR ") - 20 :])
            else:
                for line, shown in _commands(block):
                    _require_shown(shown.replace(f"{_QUESTION}y\n", _QUESTION), reader.type(line))
