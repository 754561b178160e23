"""`make mutants`: apply each mutant to a copy of the source, run its tests, and name survivors.

Most mutants are tried in forks of a process that has collected their tests; what no fork notices is
tried again in a process of its own, over a copy of the source that stands first on PYTHONPATH. The
checkout is never changed. Exit 0 when every mutant was caught, 1 when one survived or a test fails
without a mutant, 2 for wrong arguments, 130 after Ctrl-C, which leaves neither files nor processes.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.mutants.mutant import ROOT, Mutant, MutantError, every_mutant
from tests.mutants.runner import HonestFailureError, Outcome, Runner, Runners

_OUTSIDE = ("tests/e2e", "tests/test_")  # tests of processes and of the source: no fork helps there


def main() -> int:
    """Run the mutants that the arguments choose."""
    asked = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    asked.add_argument("--mutant", default="", help="only those with this text in room or name")
    asked.add_argument("--since", default="", help="only those whose file changed since a revision")
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    args = asked.parse_args()
    chosen = [each for each in every_mutant() if args.mutant in f"{each.room}: {each.name}"]
    if args.since:
        changed = _changed_since(args.since)
        chosen = [each for each in chosen if f"src/forestall/{each.path}" in changed]
    if not chosen:
        print("no mutant is chosen: look at --mutant and --since", file=sys.stderr)
        return 0 if args.since else 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="forestall-mutants-") as folder:
        runners = Runners([Runner(Path(folder) / str(n)) for n in range(max(1, args.jobs))])
        try:
            return _run(runners, chosen)
        except (HonestFailureError, MutantError) as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return 130
        finally:
            runners.stop()


def _changed_since(revision: str) -> set[str]:
    """The files that differ between a git revision and the checkout."""
    command = ["git", "diff", "--name-only", "--end-of-options", revision, "--", "src"]
    return set(
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    )


def _run(runners: Runners, chosen: Sequence[Mutant]) -> int:
    print(f"{len(chosen)} mutants", flush=True)
    outcomes: list[Outcome] = []

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        print(_line(outcome, len(outcomes), len(chosen)), flush=True)

    left = _in_forks(runners, dict(enumerate(chosen)), note)
    tests = sorted({test for mutant in left for test in mutant.tests})
    if tests:
        print(f"{len(left)} mutants, each in a process of its own", flush=True)
        honest = runners.first.without_mutant(tests)
        if not honest.passed:
            raise HonestFailureError(f"{honest.output}\na test fails without a mutant")
    for outcome in runners.each(Runner.run, left):
        note(outcome)
    return _summary(outcomes)


def _in_forks(
    runners: Runners, mutants: dict[int, Mutant], note: Callable[[Outcome], None]
) -> list[Mutant]:
    """Run the tests of each path once for all mutants that name it, the first path of each mutant
    first. Returns the mutants that nothing noticed so, and those that cannot be tried so."""
    stage, left = 0, dict(mutants)
    while by_path := _by_path(left, stage):
        for forks in runners.each(lambda runner, one: runner.forks(*one), by_path.items()):
            for fork in forks:
                if fork.passed is False:
                    mutant = left.pop(fork.number)
                    note(Outcome(mutant, True, fork.seconds, fork.noticed_by))
        stage += 1
    return list(left.values())


def _by_path(mutants: dict[int, Mutant], stage: int) -> dict[str, dict[int, Mutant]]:
    """The mutants by the path of their tests that this stage runs."""
    found: dict[str, dict[int, Mutant]] = {}
    for number, mutant in mutants.items():
        if stage < len(mutant.tests) and not mutant.tests[stage].startswith(_OUTSIDE):
            found.setdefault(mutant.tests[stage], {})[number] = mutant
    return found


def _line(outcome: Outcome, done: int, total: int) -> str:
    verdict = "caught  " if outcome.caught else "SURVIVED"
    name = f"{outcome.mutant.room}: {outcome.mutant.name}"
    return f"[{done:>3}/{total}] {verdict} {outcome.seconds:>5.1f} s  {name}  {outcome.noticed_by}"


def _summary(outcomes: Sequence[Outcome]) -> int:
    """Print the table by room and the survivors; the exit code."""
    total = Counter(outcome.mutant.room for outcome in outcomes)
    caught = Counter(outcome.mutant.room for outcome in outcomes if outcome.caught)
    print(f"\n{'room':<24} {'mutants':>8} {'caught':>8}")
    for room in sorted(total):
        print(f"{room:<24} {total[room]:>8} {caught[room]:>8}")
    print(f"{'all':<24} {total.total():>8} {caught.total():>8}")
    survivors = [outcome for outcome in outcomes if not outcome.caught]
    for outcome in survivors:
        mutant = outcome.mutant
        print(f"\nsurvived: {mutant.room}: {mutant.name} ({mutant.path})\n  {mutant.why}")
        print(f"  no test of {' '.join(mutant.tests)} noticed it; write one that does")
        print(f"  again: make mutants MUTANT='{mutant.name}'{outcome.tail}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
