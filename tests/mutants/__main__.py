"""`make mutants`: apply each mutant to a copy of the source, run its tests, and name survivors.

The checkout is never changed: every runner has a copy in a temporary folder, which stands first on
PYTHONPATH. Exit 0 when every mutant was caught, 1 when one survived or a test fails without a
mutant, 2 for wrong arguments, 130 after Ctrl-C. Ctrl-C leaves neither files nor processes behind.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.mutant import ROOT, Mutant, MutantError, every_mutant
from tests.mutants.runner import Outcome, Runner, Runners


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
        except MutantError as error:
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
    tests = sorted({test for mutant in chosen for test in mutant.tests})
    print(f"{len(chosen)} mutants; {len(tests)} test paths, first without a mutant", flush=True)
    honest = runners.first.without_mutant(tests)
    if not honest.passed:
        print(f"{honest.output}\na test fails without a mutant: mend it first", file=sys.stderr)
        return 1
    outcomes: list[Outcome] = []
    for outcome in runners.run(chosen):
        outcomes.append(outcome)
        print(_line(outcome, len(outcomes), len(chosen)), flush=True)
    return _summary(outcomes)


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
