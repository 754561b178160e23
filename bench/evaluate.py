"""µs per decision at 10 to 100,000 rules, uncached, and what compiling them costs.

Shapes: *selective* (every rule has a tenant and a topic), *mixed* (broad and narrow rules), *hot*
(half of the rules share one topic and differ in a label glob), *globs* (every rule has a glob of
its own, which shares its ends with others), *varied* (each field in half of the rules, so that no
two need constrain the same ones) and *crossed* (each fact alone fits half of the rules, both
together none). Half of the requests are made to fit a rule, except in the last two.
"""

import gc
import random
import statistics
import time
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import msgspec
from tests.oracle import oracle

from forestall.policy import (
    Effect,
    Policy,
    Request,
    Snapshot,
    compile_policy,
    evaluate,
    load_policy,
)
from forestall.policy.rules import Match, Rule

SIZES = (10, 100, 1_000, 10_000, 100_000)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEED = 20261122
REQUESTS = 512
ORACLE_RULES_MAX = 1_000
SHAPES = ("selective", "mixed", "hot", "globs", "varied", "crossed")


def run() -> dict[str, Any]:
    """The table; times in µs, memory in MB, `vs_oracle` as a ratio in the same run."""
    rows = [_measure(shape, size) for shape in SHAPES for size in SIZES]
    return {"seed": SEED, "rows": rows, "table": _table(rows), "load": _load()}


LOADED_RULES = 10_000
LIST_ENTRIES = 25


def _load() -> dict[str, float]:
    """What 10,000 rules over one named list and a table of own programs cost to load and compile,
    as a ratio to as many rules without a list, in the same run and in CPU time."""
    entries = ", ".join(f'"*@team{number}.example.com"' for number in range(LIST_ENTRIES))
    tables = f"lists: {{ours: [{entries}]}}\nprograms:\n"
    tables += "".join(
        f"  tool{number}: {{does: read, examples: {{'tool{number}': read}}}}\n"
        for number in range(100)
    )
    plain, listed = (
        _load_seconds(text) for text in (_rules_text("x"), tables + _rules_text("@ours"))
    )
    return {
        "plain_s": round(plain, 2),
        "lists_and_programs_s": round(listed, 2),
        "ratio": round(listed / plain, 1),
    }


def _rules_text(value: str) -> str:
    return "rules:\n" + "".join(
        f"  - {{id: r{number}, decision: deny,"
        f' match: {{topics: ["job.mail.t{number}.*"], labels: {{to: "{value}"}}}}}}\n'
        for number in range(LOADED_RULES)
    )


def _load_seconds(text: str) -> float:
    started = time.process_time()
    compile_policy(load_policy(text.encode()))
    return time.process_time() - started


def _measure(shape: str, size: int) -> dict[str, Any]:
    chance = random.Random(SEED)
    policy = Policy(
        name="bench", source="", rules=tuple(_rule(shape, n, size, chance) for n in range(size))
    )
    requests = _requests(shape, policy.rules, chance)
    gc.collect()
    started = time.perf_counter()
    snapshot = compile_policy(policy)
    compile_seconds = time.perf_counter() - started
    first = _times(snapshot, requests, rounds=1)
    warm = _times(snapshot, requests, rounds=max(4, 20_000 // REQUESTS))
    row: dict[str, Any] = {
        "shape": shape,
        "rules": size,
        "p50_us": round(statistics.median(warm), 2),
        "p99_us": round(statistics.quantiles(warm, n=100)[98], 2),
        "first_sight_p50_us": round(statistics.median(first), 2),
        "compile_s": round(compile_seconds, 3),
    }
    compiled_mb = _compiled_mb(policy)
    row["compiled_mb"] = round(compiled_mb, 1)
    row["compiled_bytes_per_rule"] = round(compiled_mb * 1e6 / size)
    row["by_a_rule"] = round(
        sum(bool(evaluate(snapshot, each, now=NOW).rule_id) for each in requests) / REQUESTS, 2
    )
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


def _table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [f"| {' | '.join(_COLUMNS.values())} |", f"|---|{'--:|' * (len(_COLUMNS) - 1)}"]
    lines += [f"| {' | '.join(str(row.get(key, '')) for key in _COLUMNS)} |" for row in rows]
    return "\n".join(lines)


_COLUMNS = {
    "shape": "shape",
    "rules": "rules",
    "p50_us": "p50 µs",
    "p99_us": "p99 µs",
    "first_sight_p50_us": "first sight µs",
    "compile_s": "compile s",
    "compiled_mb": "MB",
    "compiled_bytes_per_rule": "bytes a rule",
    "by_a_rule": "by a rule",
    "oracle_to_index": "oracle to index",
}


def _rule(shape: str, number: int, size: int, chance: random.Random) -> Rule:
    effect = chance.choice([Effect.ALLOW, Effect.DENY, Effect.REQUIRE_APPROVAL])
    if shape == "hot" and number % 2 == 0:
        match = Match(topics=("job.hot.run",), labels=(("target", (f"host-{number}-*",)),))
    elif shape == "globs":
        match = Match(topics=(f"job.*.s{number % 7}?.{number}*.run",), capabilities=("infra.*",))
    elif shape == "varied":
        match = _varied(number, chance)
    elif shape == "crossed":
        match = Match(
            topics=("job.hot.*",),
            capabilities=(("a*", "b*")[number % 2],),
            labels=(("env", (("prod", "dev")[number % 2],)),),
        )
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


def _varied(number: int, chance: random.Random) -> Match:
    values = {
        "tenants": f"tenant-{chance.randrange(2_000)}",
        "topics": f"job.team{chance.randrange(200)}.act{chance.randrange(100)}.*",
        "capabilities": f"cap{chance.randrange(50)}.*",
        "actor_ids": f"actor-{chance.randrange(500)}",
        "risk_tags": f"tag{chance.randrange(10)}",
    }
    fields = {field: (value,) for field, value in values.items() if chance.random() < 0.5}
    if len(fields) < 2:
        fields["agents"] = (f"agent-{number}",)
    env = chance.choice(["prod", "dev"])
    return msgspec.structs.replace(
        Match(), **fields, labels=(("env", (env,)),) if chance.random() < 0.5 else ()
    )


def _requests(shape: str, rules: tuple[Rule, ...], chance: random.Random) -> list[Request]:
    if shape == "crossed":
        return [
            Request(
                topic="job.hot.go", tenant=f"tenant-{n}", capability="a1", labels={"env": "dev"}
            )
            for n in range(REQUESTS)
        ]
    requests = [_request(shape, len(rules), chance) for _ in range(REQUESTS)]
    if shape != "varied":
        requests[::2] = [_fitting(chance.choice(rules).match, each) for each in requests[::2]]
    return requests


def _fitting(match: Match, request: Request) -> Request:
    """The request, changed so that it fits."""
    facts = {name: _fill(globs[0]) for name, globs in match.labels}
    return msgspec.structs.replace(
        request,
        topic=_fill(match.topics[0]),
        tenant=_fill(match.tenants[0]) if match.tenants else request.tenant,
        capability=_fill(match.capabilities[0]) if match.capabilities else request.capability,
        risk_tags=match.risk_tags or request.risk_tags,
        labels={**request.labels, **facts},
    )


def _fill(glob: str) -> str:
    return glob.replace("*", "eu").replace("?", "1")


def _request(shape: str, size: int, chance: random.Random) -> Request:
    hot = shape == "hot" and chance.random() < 0.5
    return Request(
        topic="job.hot.run"
        if hot
        else f"job.team{chance.randrange(200)}.act{chance.randrange(100)}.go",
        tenant=f"tenant-{chance.randrange(max(10, size // 50))}",
        capability=f"cap{chance.randrange(50)}.x"
        if shape == "varied"
        else chance.choice(["infra.write", "read", ""]),
        actor_id=f"actor-{chance.randrange(500)}",
        risk_tags=(f"tag{chance.randrange(10)}",),
        labels={
            "env": chance.choice(["prod", "dev", "stage"]),
            "target": f"host-{chance.randrange(size)}-eu",
        },
    )
