"""A few seeds on every change; the same run twice; and broken planes, which must be caught.

The thousands are `make sim`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.mutants import MUTANTS, broken
from tests.sim.run import simulate

ROOT = Path(__file__).parents[2]
SEEDS, CHUNK = 48, 6
MUTANT_SEEDS_MAX = 60


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_everything_holds(first: int) -> None:
    for seed in range(first, first + CHUNK):
        outcome = simulate(seed, steps=300)
        story = "\n".join(outcome.tail)
        assert not outcome.violated, (
            f"{story}\n{outcome.violated}\nreplay: make sim SEED={seed} STEPS=300"
        )


def test_a_seed_runs_the_same_in_every_process() -> None:
    code = (
        "from tests.sim.run import simulate\n"
        "for seed in (3, 4): print(simulate(seed, steps=200).digest)"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    here = "".join(simulate(seed, steps=200).digest + "\n" for seed in (3, 4))
    assert runs == {here.encode()}


def test_two_seeds_are_two_runs() -> None:
    assert simulate(1, steps=60).digest != simulate(2, steps=60).digest


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_plane_is_caught(name: str) -> None:
    with broken(name):
        for seed in range(MUTANT_SEEDS_MAX):
            if simulate(seed).violated:
                return
    pytest.fail(f"no check noticed in {MUTANT_SEEDS_MAX} seeds that {name}")
