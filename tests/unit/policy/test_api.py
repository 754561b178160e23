"""The embedding API, `from forestall.policy import …`: every name is there whatever came before."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import forestall.policy

ROOM = Path(forestall.policy.__file__).parent


@pytest.mark.parametrize("name", forestall.policy.__all__)
def test_every_name_is_there(name: str) -> None:
    value = getattr(forestall.policy, name)
    assert callable(value)
    assert not isinstance(value, ModuleType)
    assert value.__name__ == name


def test_no_module_hides_a_name() -> None:
    """An imported module becomes an attribute of its package, before any name is asked for."""
    rooms = {path.stem for path in ROOM.iterdir()}
    assert not rooms & set(forestall.policy.__all__)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        forestall.policy.evaluat  # type: ignore[attr-defined]  # noqa: B018


def test_a_policy_is_decided_through_the_api_alone(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\ndefault_decision: deny\n")
    script = (
        "from datetime import UTC, datetime\n"
        "from pathlib import Path\n"
        "from forestall.policy import *\n"
        "from forestall.policy import Effect, Request, compile_policy, evaluate, load_policy\n"
        f"snapshot = compile_policy([load_policy(Path({str(policy)!r}).read_text(), source='p')])\n"
        "request = Request(topic='job.a', tenant='t', principal='p')\n"
        "decision = evaluate(snapshot, request, now=datetime.now(UTC))\n"
        "assert decision.decision is Effect.DENY, decision\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
