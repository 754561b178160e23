"""p50 in µs of one decision under so many rules, by whichever Forestall is first on the path.

A script, not a module of the bench: it must run against an older checkout, so it uses only names
that the policy package has had all along.
"""

import json
import random
import statistics
import sys
import time
from datetime import UTC, datetime

from forestall.policy import Effect, Policy, Request, compile_policy, evaluate
from forestall.policy.rules import Match, Rule

SEED = 20261122
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REQUESTS = 512
PASSES = 40


def main() -> None:
    """Every rule names a tenant and a topic; half of the requests are made to meet a rule."""
    size, chance = int(sys.argv[1]), random.Random(SEED)
    tenants = max(10, size // 50)
    matches = [
        Match(
            tenants=(f"tenant-{chance.randrange(tenants)}",),
            topics=(f"job.team{chance.randrange(200)}.act{chance.randrange(100)}.*",),
        )
        for _ in range(size)
    ]
    rules = tuple(
        Rule(id=f"rule-{number}", effect=chance.choice([Effect.ALLOW, Effect.DENY]), match=match)
        for number, match in enumerate(matches)
    )
    snapshot = compile_policy(Policy(name="bench", source="", rules=rules))
    requests = []
    for number in range(REQUESTS):
        match = chance.choice(matches)
        topic = match.topics[0] if number % 2 else "job.other.*"
        requests.append(Request(topic=topic.replace("*", "go"), tenant=match.tenants[0]))
    times = []
    for each_pass in range(PASSES):
        for request in requests:
            started = time.perf_counter_ns()
            evaluate(snapshot, request, now=NOW)
            if each_pass:  # the first pass resolves globs
                times.append(time.perf_counter_ns() - started)
    print(json.dumps({"p50_us": round(statistics.median(times) / 1_000, 3)}))


if __name__ == "__main__":
    main()
