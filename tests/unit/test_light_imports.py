"""What stands beside an agent is light: which modules its imports load, in a fresh interpreter.

The list of modules is held and no time is: a time says nothing on a busy machine.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.client.fake_plane import KEY, delivered, key_text

WIRE = Path(__file__).parents[2] / "src" / "forestall" / "wire"

# How many modules of Forestall an import may load: what it loads today, and a fifth more.
FORESTALL_MODULES_MAX = {
    "forestall.client.plane": 10,
    "forestall.client.stream": 11,
    "forestall.client.worker": 23,
    "forestall.client.worker_ticket": 23,
    "forestall.jobs.ticket": 13,
}
WIRE_MODULES_MAX = 40  # of any module of the wire; the heaviest is `approvals`

HEAVY = (
    "ahocorasick",
    "cryptography",
    "httptools",
    "jsonschema_rs",
    "phonenumbers",
    "prometheus_client",
    "re2",
    "spacy",
    "sqlglot",
    "sqlite3",
    "tree_sitter",
    "tree_sitter_bash",
    "uvicorn",
    "uvloop",
    "websockets",
    "yaml",
    "forestall.control",
    "forestall.projections",
    "forestall.server",
    "forestall.store",
    # The engines behind the values that the light side shares with the plane.
    "forestall.facts.cluster",
    "forestall.facts.shell",
    "forestall.facts.sql",
    "forestall.output.scan",
    "forestall.output.detectors",
    "forestall.policy.compile",
    "forestall.policy.evaluator",
    "forestall.policy.language",
)
LIGHT = {
    **FORESTALL_MODULES_MAX,
    **{
        f"forestall.wire.{path.stem}": WIRE_MODULES_MAX
        for path in sorted(WIRE.glob("*.py"))
        if path.stem != "__init__"
    },
}


def loaded(script: str, given: str = "") -> list[list[str]]:
    """What each `seen()` of a script saw: the modules that were loaded then."""
    head = "import json, sys\ndef seen(): print(json.dumps(sorted(sys.modules)))\n"
    run = subprocess.run(
        [sys.executable, "-I", "-c", head + script],
        input=given,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def heavy_of(modules: list[str]) -> list[str]:
    """Those that are heavy, or stand inside a package that is."""
    return [
        name
        for name in modules
        if any(name == each or name.startswith(each + ".") for each in HEAVY)
    ]


@pytest.mark.parametrize("module", LIGHT)
def test_an_import_loads_nothing_heavy(module: str) -> None:
    (modules,) = loaded(f"import {module}\nseen()")
    assert module in modules
    assert heavy_of(modules) == []


@pytest.mark.parametrize("module", LIGHT)
def test_an_import_loads_few_of_our_modules(module: str) -> None:
    (modules,) = loaded(f"import {module}\nseen()")
    ours = [name for name in modules if name.partition(".")[0] == "forestall"]
    assert len(ours) <= LIGHT[module], ours


@pytest.mark.parametrize("module", ["forestall.policy.rules", "forestall.policy.request"])
def test_values_of_the_policy_come_without_the_engine(module: str) -> None:
    (modules,) = loaded(f"import {module}\nseen()")
    assert heavy_of(modules) == []


def test_the_guard_finds_what_is_heavy() -> None:
    (modules,) = loaded("import forestall.control.keys, forestall.policy.compile\nseen()")
    found = set(heavy_of(modules))
    assert {"forestall.control.keys", "forestall.policy.compile", "re2"} <= found


def test_cryptography_waits_for_the_first_signature() -> None:
    """A worker that trusts a key, or was told one, has verified nothing yet."""
    before, pinned, verified = loaded(
        "from forestall.client.worker_ticket import Checker, decode_delivered\n"
        "told = json.load(sys.stdin)\n"
        "Checker([told['key']], worker_id='w1')\n"
        "seen()\n"
        "checker = Checker([], worker_id='w1')\n"
        "checker.pin([told['key']])\n"
        "given = decode_delivered(json.dumps(told['job']).encode())\n"
        "seen()\n"
        "assert checker.check(given, tenant='default', now_us=0).id == 'job-1'\n"
        "seen()\n",
        json.dumps({"key": key_text(KEY), "job": delivered()}),
    )
    assert heavy_of(before) == heavy_of(pinned) == []
    assert {name.partition(".")[0] for name in heavy_of(verified)} == {"cryptography"}
