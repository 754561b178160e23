"""The README's tour, run as its reader would: every command, in order, and what it shows comes out.

Only ports, ids, keys and times may differ (`…` stands for them, and for what is left out). Not run:
the `git clone` block, which starts the server here by other means.
"""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import Server, environment, poll, serving
from tests.e2e.reader import ROOT, Reader, fenced_blocks, require_shown, shown_commands

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not all(map(shutil.which, ("bash", "curl"))), reason="the tour needs bash and curl"
    ),
]
# Which job `JOB-ID` stands for: the one of the last line that a listing printed with these words.
_JOB_OF = {"forestall jobs get": " DENIED ", "forestall approvals": "by agents/ci"}


def _blocks() -> list[tuple[str, str]]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return fenced_blocks(
        text[text.index("## Ten minutes with it") : text.index("## Where things are")]
    )


def _line(line: str, server: Server, reader: Reader) -> str:
    """A command of the page with the address and the job of this run."""
    line = line.replace("http://127.0.0.1:8081", server.url)
    if "JOB-ID" not in line:
        return line
    (words,) = (words for start, words in _JOB_OF.items() if start in line)
    job = next(row for row in reversed(reader.printed) if words in row).split(" ")[0]
    return line.replace("JOB-ID", job)


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
        require_shown(first[first.index("Forestall ") :], banner)
        (key,) = re.findall(r"^  export FORESTALL_API_KEY=(\S+)$", server.banner, re.MULTILINE)
        reader = Reader(
            folder, environment({"FORESTALL_URL": server.url, "FORESTALL_API_KEY": key})
        )
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
                require_shown(block, server.log[server.log.index(" ERROR ") - 20 :])
            else:
                for line, shown in shown_commands(block):
                    require_shown(shown, reader.type(_line(line, server, reader)))
