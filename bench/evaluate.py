"""µs per decision at 10 to 100,000 rules, uncached, and what compiling them costs.

Shapes: *selective* (every rule has a tenant and a topic; most requests reach the default), *mixed*
(broad and narrow rules) and *hot* (half of the rules share one topic and differ in a label glob).
"""

import gc
import random
import statistics
import time
import tracemalloc
from datetime import UTC, datetime
from typing import Any

from tests.oracle import oracle

from forestall.policy import Effect, Policy, Request, Snapshot, compile_policy, evaluate
from forestall.policy.rules import Match, Rule

SIZES = (10, 100, 1_000, 10_000, 100_000)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEED = 20261122
REQUESTS = 512
ORACLE_RULES_MAX = 1_000


def run() -> dict[str, Any]:
    """The table; times in µs, memory in MB, `vs_oracle` as a ratio in the same run."""
    rows = []
    for shape in ("selective", "mixed", "hot"):
        for size in SIZES:
            rows.append(_measure(shape, size))
            print(rows[-1], flush=True)
    return {"seed": SEED, "rows": rows}


def _measure(shape: str, size: int) -> dict[str, Any]:
    chance = random.Random(SEED)
    policy = Policy(
        name="bench", source="", rules=tuple(_rule(shape, n, size, chance) for n in range(size))
    )
    requests = [_request(shape, size, chance) for _ in range(REQUESTS)]
    gc.collect()
    started = time.perf_counter()
    snapshot = compile_policy(policy)
    compile_seconds = time.perf_counter() - started
    first = _times(snapshot, requests, rounds=1)
    warm = _times(snapshot, requests, rounds=max(4, 20_000 // REQUESTS))
    row = {
        "shape": shape,
        "rules": size,
        "p50_us": round(statistics.median(warm), 2),
        "p99_us": round(statistics.quantiles(warm, n=100)[98], 2),
        "first_sight_p50_us": round(statistics.median(first), 2),
        "compile_s": round(compile_seconds, 3),
        "compiled_mb": round(_compiled_mb(policy), 1),
    }
    if size <= ORACLE_RULES_MAX:
        sample = requests[:32]
        started = time.perf_counter()
        for request in sample:
            oracle([policy], request)
        oracle_us = (time.perf_counter() - started) / len(sample) * 1e6
        row["oracle_to_index"] = round(oracle_us / statistics.median(warm), 1)
    return row


def _times(snapshot: Snapshot, requests: list[Request], *, rounds: int) -> list[float]:
    clock = time.perf_counter_ns
    times = []
    for _ in range(rounds):
        for request in requests:
            started = clock()
            evaluate(snapshot, request, now=NOW)
            times.append((clock() - started) / 1_000)
    return times


def _compiled_mb(policy: Policy) -> float:
    """What a snapshot holds beyond the rules themselves."""
    gc.collect()
    tracemalloc.start()
    snapshot = compile_policy(policy)
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert snapshot.rule_count == len(policy.rules)
    return size / 1e6


def _rule(shape: str, number: int, size: int, chance: random.Random) -> Rule:
    effect = chance.choice([Effect.ALLOW, Effect.DENY, Effect.REQUIRE_APPROVAL])
    if shape == "hot" and number % 2 == 0:
        match = Match(topics=("job.hot.run",), labels=(("target", (f"host-{number}-*",)),))
    elif shape == "mixed" and chance.random() < 0.02:
        match = Match(
            topics=(f"job.team{chance.randrange(20)}.*",),
            capabilities=("infra.*",),
            risk_tags=(f"tag{chance.randrange(10)}",),
        )
    else:
        match = Match(
            tenants=(f"tenant-{chance.randrange(max(10, size // 50))}",),
            topics=(f"job.team{chance.randrange(200)}.act{chance.randrange(100)}.*",),
            labels=(("env", (chance.choice(["prod", "dev", "st*"]),)),),
        )
    return Rule(id=f"rule-{number}", effect=effect, match=match)


def _request(shape: str, size: int, chance: random.Random) -> Request:
    hot = shape == "hot" and chance.random() < 0.5
    return Request(
        topic="job.hot.run"
        if hot
        else f"job.team{chance.randrange(200)}.act{chance.randrange(100)}.go",
        tenant=f"tenant-{chance.randrange(max(10, size // 50))}",
        capability=chance.choice(["infra.write", "read", ""]),
        risk_tags=(f"tag{chance.randrange(10)}",),
        labels={
            "env": chance.choice(["prod", "dev", "stage"]),
            "target": f"host-{chance.randrange(size)}-eu",
        },
    )
