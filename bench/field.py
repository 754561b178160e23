"""One policy, many engines: µs per decision, load time and memory at 10 to 100,000 rules.

Each engine runs in a process of its own. Nothing is timed before its answers to the same requests
were found equal to ours. At each size the engines take turns, a slice of time each, so that a
change in the machine's speed meets all of them. What would take too long is left out and said.
"""

import gc
import multiprocessing
import random
import statistics
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from bench.engines import ENGINES, Asked, Engine, Plain, available

SIZES = (10, 100, 1_000, 10_000, 100_000)
SEED = 20261122
REQUESTS = 256
ROUNDS = 5
SLICE_SECONDS = 0.12
CHECK_SECONDS = 2.5  # a slow engine answers as many of the requests as it can in that time
LOAD_SECONDS_MAX = 15.0
DECISION_SECONDS_MAX = 0.5  # slower at one size: not asked at the next
START_SECONDS_MAX = 30.0
_FRESH = multiprocessing.get_context("spawn")  # no memory of an earlier engine to reuse


class Row(NamedTuple):
    """What one engine did at one size; times of a decision in µs."""

    engine: str
    rules: int
    p50_us: float
    p99_us: float
    times_forestall: float  # p50 divided by the p50 of `forestall` in the same run
    load_s: float
    memory_mb: float
    bytes_per_rule: int
    equal_answers: int


def run() -> dict[str, Any]:
    """Every engine at every size that it can do."""
    left_out = {each.name: "not installed" for each in ENGINES if not available(each)}
    rows: list[Row] = []
    skipped: list[dict[str, Any]] = []
    for size in SIZES:
        chance = random.Random(SEED + size)
        rules = [_rule(size, chance) for _ in range(size)]
        asked = [_asked(rules, chance) for _ in range(REQUESTS)]
        engines = []
        for engine in ENGINES:
            if engine.name in left_out:
                skipped.append({"engine": engine.name, "rules": size, "why": left_out[engine.name]})
            else:
                engines.append(engine)
        found, failed = _at_size(engines, rules, asked)
        rows += found
        skipped += [{"engine": name, "rules": size, "why": why} for name, why in failed.items()]
        left_out |= failed
        for row in found:
            if row.p50_us > DECISION_SECONDS_MAX * 1e6 / 10:
                left_out[row.engine] = f"one decision took {row.p50_us / 1e3:.0f} ms at {size:,}"
            if row.load_s > LOAD_SECONDS_MAX / 10:
                left_out[row.engine] = f"loading took {row.load_s:.1f} s at {size:,}"
    return {
        "seed": SEED,
        "requests": REQUESTS,
        "rows": [row._asdict() for row in rows],
        "skipped": skipped,
        "table": _table(rows, skipped),
    }


def _rule(size: int, chance: random.Random) -> Plain:
    return Plain(
        allow=chance.random() < 0.7,
        tenant=f"tenant-{chance.randrange(max(3, size // 50))}",
        capability=chance.choice(["infra.write", "infra.read", "data.export"]),
        env=chance.choice(["prod", "dev"]),
        topic=f"job.team{chance.randrange(max(2, size // 100))}.",
    )


def _asked(rules: Sequence[Plain], chance: random.Random) -> Asked:
    """Half of the requests meet a rule; the others are put together from any rules' parts."""
    one, two = chance.choice(rules), chance.choice(rules)
    if chance.random() < 0.5:
        two = one
    return Asked(one.tenant, two.capability, one.env, f"{two.topic}deploy.apply")


class _Running(NamedTuple):
    engine: Engine
    process: BaseProcess
    pipe: Connection
    loaded: dict[str, float]
    equal_answers: int
    times: list[float]


def _at_size(
    engines: Sequence[Engine], rules: list[Plain], asked: list[Asked]
) -> tuple[list[Row], dict[str, str]]:
    """Load and check one after the other, then time in turns. The first engine is the measure."""
    failed: dict[str, str] = {}
    running: list[_Running] = []
    expected: list[bool] = []
    for engine in engines:
        started = _start(engine, rules, asked)
        if isinstance(started, str):
            failed[engine.name] = f"{started} at {len(rules):,}"
            continue
        process, pipe, loaded = started
        pipe.send(("answers", CHECK_SECONDS))
        try:
            answers = pipe.recv()
        except EOFError:
            failed[engine.name] = f"raised at {len(rules):,}"
            continue
        expected = expected or answers
        if answers != expected[: len(answers)] or not answers:
            process.kill()
            raise AssertionError(f"{engine.name} decides otherwise than {engines[0].name}")
        running.append(_Running(engine, process, pipe, loaded, len(answers), []))
    assert len(set(expected)) == 2, "the requests get one answer only: a poor comparison"
    for _ in range(ROUNDS):
        for each in running:
            each.pipe.send(("times", SLICE_SECONDS))
            each.times.extend(each.pipe.recv())
    for each in running:
        each.pipe.send(("end", 0.0))
        each.process.join()
    measure = statistics.median(running[0].times)
    return [_row(each, len(rules), measure) for each in running], failed


def _row(running: _Running, size: int, measure: float) -> Row:
    p50 = statistics.median(running.times)
    enough = len(running.times) >= 100
    p99 = statistics.quantiles(running.times, n=100)[98] if enough else max(running.times)
    grown = running.loaded["bytes"]
    return Row(
        engine=running.engine.name,
        rules=size,
        p50_us=round(p50, 2),
        p99_us=round(p99, 2),
        times_forestall=round(p50 / measure, 2),
        load_s=round(running.loaded["seconds"], 4),
        memory_mb=round(grown / 1e6, 1),
        bytes_per_rule=round(grown / size),
        equal_answers=running.equal_answers,
    )


def _start(
    engine: Engine, rules: list[Plain], asked: list[Asked]
) -> tuple[BaseProcess, Connection, dict[str, float]] | str:
    """A process that has loaded the rules, or why there is none."""
    ours, theirs = _FRESH.Pipe()
    source = engine.source(rules)
    requests = [engine.native(each) for each in asked]
    process = _FRESH.Process(target=_serve, args=(theirs, engine, source, requests), daemon=True)
    process.start()
    theirs.close()
    try:
        if ours.poll(START_SECONDS_MAX) and ours.recv() and ours.poll(LOAD_SECONDS_MAX):
            return process, ours, ours.recv()
    except EOFError:
        return "failed to load"
    process.kill()
    return f"did not load in {LOAD_SECONDS_MAX:.0f} s"


def _serve(pipe: Connection, engine: Engine, source: Any, requests: list[Any]) -> None:
    """The process of one engine: load, then answer or be timed until told to end."""
    available(engine)
    gc.collect()
    gc.freeze()  # what was there before is no work for this engine's collector
    pipe.send("ready")
    resident = _resident_bytes()
    started = time.perf_counter()
    allows = engine.load(source)
    seconds = time.perf_counter() - started
    gc.collect()
    pipe.send({"seconds": seconds, "bytes": max(0, _resident_bytes() - resident)})
    position = 0
    clock = time.perf_counter_ns
    while True:
        verb, limit = pipe.recv()
        end = time.perf_counter() + limit
        if verb == "end":
            return
        results: list[Any] = []
        if verb == "answers":
            for request in requests:
                results.append(allows(request))
                if time.perf_counter() > end:
                    break
        while verb == "times":
            request = requests[position % len(requests)]
            position += 1
            began = clock()
            allows(request)
            results.append((clock() - began) / 1_000)
            if time.perf_counter() > end:
                break
        pipe.send(results)


def _resident_bytes() -> int:
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4_096 if status.exists() else 0


def _table(rows: Sequence[Row], skipped: Sequence[dict[str, Any]]) -> str:
    """The rows by size, as Markdown, with what was left out and why."""
    lines = [
        "| rules | engine | p50 µs | p99 µs | to forestall | load s | MB | bytes a rule | equal |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for size in SIZES:
        lines.extend(
            f"| {size:,} | {row.engine} | {row.p50_us:,.1f} | {row.p99_us:,.1f} | "
            f"{row.times_forestall:,.2f} | {row.load_s:.3f} | {row.memory_mb:.1f} | "
            f"{row.bytes_per_rule:,} | {row.equal_answers} |"
            for row in rows
            if row.rules == size
        )
        lines.extend(
            f"| {size:,} | {each['engine']} | left out: {each['why']} | | | | | | |"
            for each in skipped
            if each["rules"] == size
        )
    return "\n".join(lines)
