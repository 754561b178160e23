"""Planes that are careless with results, on purpose; see `mutants.py`."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import msgspec

from forestall.control import check_output, complete, content_scan, dead_letters, quarantine
from forestall.control import worker_protocol as work
from forestall.control.content_scan import ScanResult
from forestall.control.moves import Move
from forestall.control.plane import Plane
from forestall.jobs.job import Job
from forestall.jobs.lifecycle import Event
from forestall.output import scan
from forestall.policy.output_verdict import OutputRuling
from forestall.policy.rules import Verdict
from forestall.wire import work as wire_work
from forestall.wire import worker_reports
from tests.sim import agents, world
from tests.sim.results import drops_original

Patch = Any
_ALLOWED = OutputRuling(verdict=Verdict.ALLOW, code="default")


def _verdict_skipped() -> Patch:
    return mock.patch.object(content_scan, "judge", return_value=_ALLOWED)


def _failed_scan_passes() -> Patch:
    real = content_scan.scan_and_judge

    async def passes(
        plane: Plane, snapshot: Any, request: Any, content: bytes, **more: Any
    ) -> ScanResult:
        scan_result = await real(plane, snapshot, request, content, **more)
        if scan_result.ruling.code in ("scan_timeout", "scan_incomplete"):
            return ScanResult(ruling=_ALLOWED, released=content)
        return scan_result

    return mock.patch.object(check_output, "scan_and_judge", passes)


async def _as_said(plane: Plane, job: Job, texts: Any, after: Any = ()) -> list[str]:
    return list(texts)


def _errors_as_said() -> Patch:
    return mock.patch.object(complete, "clean_texts", _as_said)


def _progress_as_said() -> Patch:
    return mock.patch.object(work, "clean_texts", _as_said)


def _reasons_as_said() -> Patch:
    async def as_said(plane: Plane, job: Job, text: str) -> str:
        return text

    return mock.patch.object(quarantine, "clean_text", as_said)


def _findings_in_clear() -> Patch:
    return mock.patch.object(scan, "masked", lambda kind, value: value)


def _surroundings_in_clear() -> Patch:
    return mock.patch.object(
        quarantine, "_surroundings", lambda text, finding, findings: text[finding.start :]
    )


def _own_release() -> Patch:
    return mock.patch.object(quarantine, "_require_second_person")


def _seal_outlives_discard() -> Patch:
    real = quarantine._commit

    async def keeps(plane: Plane, move: Move, *more: Any, **named: Any) -> Job:
        if move.event is Event.CONFIRMED:
            puts = tuple(put for put in move.puts if not drops_original(put))
            move = msgspec.structs.replace(move, puts=puts)
        return await real(plane, move, *more, **named)

    return mock.patch.object(quarantine, "_commit", keeps)


def _stale_verdict() -> Patch:
    return mock.patch.object(complete, "policy_unchanged", return_value=())


def _kept_for_ever() -> Patch:
    async def nothing(plane: Plane) -> int:
        return 0

    return mock.patch.object(world, "purge", nothing)


def _strict_alone() -> Patch:
    def refuses(body: bytes, refusal: Exception) -> Any:
        raise refusal

    return mock.patch.object(wire_work, "reported_answer", refuses)


def _withheld_as_read() -> Patch:
    real = worker_reports.reported_answer

    def reads(body: bytes, refusal: Any) -> Any:
        lease_id, answer = real(body, refusal)
        return lease_id, msgspec.structs.replace(answer, result_problem="")

    return mock.patch.object(wire_work, "reported_answer", reads)


def _discarded_twice() -> Patch:
    real = quarantine._withheld_job

    async def forgets(*more: Any, **named: Any) -> Job:
        job = await real(*more, **named)
        assert job.output is not None
        open_again = msgspec.structs.replace(job.output, resolution="")
        return msgspec.structs.replace(job, output=open_again)

    return mock.patch.object(quarantine, "_withheld_job", forgets)


def _copy_for_original() -> Patch:
    real = quarantine._opened_original

    def changed(plane: Plane, job: Job, entry: Any) -> tuple[bytes, bytes]:
        salt, original = real(plane, job, entry)
        return salt, original[:-1] + b" " + original[-1:]

    return mock.patch.object(quarantine, "_opened_original", changed)


def _withheld_runs_again() -> Patch:
    async def forced(plane: Plane, subject: Any, job_id: str, *, force: bool) -> Any:
        with mock.patch.object(dead_letters, "_FORCED", ()):  # nor is the right to it asked for
            return await dead_letters.retry(plane, subject, job_id, force=True)

    return mock.patch.object(agents, "retry", forced)


MUTANTS_OF_RESULTS: dict[str, Callable[[], Patch]] = {
    "the verdict is skipped": _verdict_skipped,
    "what could not be looked at passes": _failed_scan_passes,
    "errors are shown as they were said": _errors_as_said,
    "progress is shown as it was said": _progress_as_said,
    "reasons are kept as they were said": _reasons_as_said,
    "findings hold what was found": _findings_in_clear,
    "what stands round a finding is shown whole": _surroundings_in_clear,
    "whoever asked may release": _own_release,
    "a seal outlives the discard": _seal_outlives_discard,
    "a verdict stands under another policy": _stale_verdict,
    "originals are kept for ever": _kept_for_ever,
    "a result is discarded twice": _discarded_twice,
    "what is released is not what was sent": _copy_for_original,
    "a result that is not valid is refused": _strict_alone,
    "a result that cannot be read is not withheld": _withheld_as_read,
    "a withheld job is retried without force": _withheld_runs_again,
}
