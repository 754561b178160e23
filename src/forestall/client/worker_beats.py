"""Heartbeats of a worker: they renew its leases, report progress, and learn which jobs to stop."""

import asyncio
import time

import msgspec

from forestall.client.worker_link import PlaneConnection
from forestall.client.worker_run import Run

_YOUNG_SECONDS = 0.25  # a job that ends sooner is in no heartbeat
_GAP_SECONDS = 0.1  # between heartbeats: how late the worker learns of a cancel
_REPORT_SECONDS = 0.5  # how late a start and progress are reported


# States to which this worker's own answer leads, if it is on its way beside the heartbeat.
_ANSWERED = ("SUCCEEDED", "FAILED", "RETRYING", "OUTPUT_QUARANTINED")


class _LostLease(msgspec.Struct, frozen=True):
    job_id: str
    state: str = ""
    reason: str = ""


class _HeartbeatAnswer(msgspec.Struct, frozen=True):
    lost: list[_LostLease] = []


_decode_answer = msgspec.json.Decoder(_HeartbeatAnswer).decode


class Beats:
    """The running jobs of a worker by lease, and their heartbeats."""

    def __init__(self, link: PlaneConnection) -> None:
        self._link = link
        self.runs: dict[str, Run] = {}
        self.busy = asyncio.Event()  # set while jobs run

    async def keep_leases(self) -> None:
        """Keep one heartbeat open that renews every lease and returns when a job must stop."""
        while True:
            await self.busy.wait()
            began = time.monotonic()
            session = self._link.session
            young = min(_YOUNG_SECONDS, session.heartbeat_ms / 2_000)
            runs = [run for run in self.runs.values() if began - run.began_at >= young]
            await self._beat(runs, wait_ms=min(session.heartbeat_ms, session.wait_ms_max))
            await asyncio.sleep(max(0.0, began + _GAP_SECONDS - time.monotonic()))

    async def report(self) -> None:
        """Report starts and progress, beside the heartbeat that waits."""
        while True:
            await self.busy.wait()
            await asyncio.sleep(_REPORT_SECONDS)
            now = time.monotonic()
            changed = [
                run
                for run in self.runs.values()
                if run.job is not None
                and run.reported != run.job.last_progress
                and now - run.began_at >= _YOUNG_SECONDS
            ]
            if changed:
                await self._beat(changed, wait_ms=0)

    async def _beat(self, runs: list[Run], *, wait_ms: int) -> None:
        progress = {run: run.job.last_progress if run.job else ("", 0) for run in runs}
        leases = [
            {
                "job_id": run.given.job_id,
                "lease_id": run.given.lease_id,
                "started": run.job is not None,
                "progress": message,
                "percent": percent,
            }
            for run, (message, percent) in progress.items()
        ]
        body = msgspec.json.encode({"leases": leases, "wait_ms": wait_ms})
        reply = await self._link.ask("heartbeat", body, wait_ms=wait_ms, to_the_end=True)
        assert reply is not None
        for run, reported in progress.items():
            run.reported = reported
        for lost in _decode_answer(reply.body).lost:
            # Of two attempts of one job, the earlier one lost its lease.
            attempts = [run for run in runs if run.given.job_id == lost.job_id and not run.lost]
            if not attempts:
                continue
            run = min(attempts, key=lambda run: run.given.attempt)
            if not (run.answering and lost.state in _ANSWERED):
                run.lose(lost.reason or lost.state or "the lease ended")
