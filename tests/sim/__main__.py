"""`make sim`: many seeds in parallel processes, or one seed with its whole trace."""

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial

from tests.sim.run import STEPS, Outcome, simulate

_FAILURES_SHOWN_MAX = 5
_PROGRESS_EVERY_S = 5.0


def main() -> int:
    """Exit 0 when every seed held, 1 otherwise."""
    asked = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    asked.add_argument("--seed", type=int, help="replay this one, with the whole trace")
    asked.add_argument("--seeds", type=int, default=2_000, help="how many, from --first on")
    asked.add_argument("--first", type=int, default=0)
    asked.add_argument("--steps", type=int, default=STEPS, help="requests before calm begins")
    asked.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    args = asked.parse_args()
    if args.seed is not None:
        return _replay(args.seed, args.steps)
    return _many(range(args.first, args.first + args.seeds), args.steps, args.processes)


def _replay(seed: int, steps: int) -> int:
    outcome = simulate(seed, steps=steps, printing=True)
    print(f"\nseed {seed}: {outcome.violated or 'everything held'}; trace {outcome.digest[:16]}")
    return 1 if outcome.violated else 0


def _many(seeds: range, steps: int, processes: int) -> int:
    began = shown = time.monotonic()
    totals: Counter[str] = Counter()
    failed: list[Outcome] = []
    with ProcessPoolExecutor(processes) as pool:
        runs = [pool.submit(partial(simulate, steps=steps), seed) for seed in seeds]
        for done, run in enumerate(as_completed(runs), 1):
            outcome = run.result()
            totals.update(outcome.counts)
            if outcome.violated:
                failed.append(outcome)
                if len(failed) <= _FAILURES_SHOWN_MAX:
                    _show(outcome, steps)
            if time.monotonic() - shown > _PROGRESS_EVERY_S:
                shown = time.monotonic()
                print(f"{done} of {len(seeds)} seeds, {len(failed)} failed", file=sys.stderr)
    seconds = time.monotonic() - began
    print(f"\n{len(seeds)} seeds, {len(failed)} failed, in {seconds:.0f} s")
    for name, count in sorted(totals.items()):
        print(f"  {count:>10,}  {name}")
    for outcome in sorted(failed, key=lambda outcome: outcome.seed):
        print(f"failed: SEED={outcome.seed}: {outcome.violated}")
    return 1 if failed else 0


def _show(outcome: Outcome, steps: int) -> None:
    print("\n" + "\n".join(outcome.tail))
    print(f"seed {outcome.seed}: {outcome.violated}")
    print(f"replay: make sim SEED={outcome.seed} STEPS={steps}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
