"""Record that a request about a job was refused. Decides nothing; the caller raises the refusal."""

from forestall.audit.record import Value
from forestall.control.plane import Plane
from forestall.control.records import record_of
from forestall.identity.credentials import Subject
from forestall.jobs.job import Job
from forestall.ports.change import Change


async def commit_refusal(
    plane: Plane,
    subject: Subject,
    kind: str,
    code: str,
    *,
    what: str,
    job: Job | None,
    **data: Value,
) -> None:
    """Count and record a refusal, which changed nothing. `what` names the request that was refused;
    `job` is None when the request named no job of the subject. `data` are further fields of the
    record."""
    # load and decide: the caller did
    plane.telemetry.refused(what, code)
    if job is not None:
        data["state"] = job.state.value
    record = record_of(
        plane,
        kind,
        tenant=subject.tenant,
        actor=subject.principal,
        job_id=job.id if job is not None else "",
        data={"what": what, "code": code, **data},
    )
    # commit, and announce
    await plane.commit(Change(records=(record,)))
