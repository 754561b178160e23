"""Let a request share the approval of an identical one that awaits approval.

Refuses nothing: a request that may not share gets a job and an approval of its own. Both requests
must have been sent with `share_approval`, by one principal with one key; they must have the same
job hash, which covers tenant, principal and payload, and the gate must ask people for the same.
Then the second request joins the job of the first: one question, one answer, one run. An approval
that let two jobs run would be used twice.
"""

import msgspec

from forestall.control.plane import Plane
from forestall.control.records import decided_data, record_of
from forestall.identity.credentials import Subject
from forestall.jobs.approval import Terms, drift
from forestall.jobs.job import DecisionRecord, Job, stored_job_hash
from forestall.jobs.transitions import is_joinable
from forestall.jobs.votes import asked_approval
from forestall.ports.change import Change, IdempotencyEntry, JobUnmoved, PutIdempotency
from forestall.ports.store import JobView, PreconditionFailedError


async def join(
    plane: Plane,
    subject: Subject,
    terms: Terms,
    decision: DecisionRecord,
    idempotency: IdempotencyEntry,
) -> Job | None:
    """The job that the request joins, after a commit of that; None when it needs its own job.

    `terms` are those on which people would be asked about the request; `idempotency` is stored for
    that job where its key is not empty. Raises StoreUnavailableError and StoreBusyError.
    """
    # load
    job_id = plane.open_approvals.shared_by(subject.tenant, terms.job_hash)
    view = await plane.store.job(subject.tenant, job_id) if job_id else None
    # decide
    if view is None or not _may_join(view, subject, terms, now_us=plane.clock.now_us()):
        return None
    job = view.job
    of_joined_job = msgspec.structs.replace(idempotency, job_id=job.id)
    change = Change(
        expect=(JobUnmoved(job.tenant, job.id, job.state, job.revision),),
        puts=(PutIdempotency(of_joined_job),) if idempotency.key else (),
        records=(
            record_of(
                plane,
                "approval.joined",
                at_us=decision.decided_at_us,
                tenant=job.tenant,
                actor=subject.principal,
                job_id=job.id,
                data={**decided_data(decision, job.topic), "key_id": subject.key_id},
            ),
        ),
    )
    # commit
    try:
        await plane.commit(change)
    except PreconditionFailedError:
        return None  # the approval was answered at this moment, or the key was used
    # announce
    return job


def _may_join(view: JobView, subject: Subject, terms: Terms, *, now_us: int) -> bool:
    job = view.job
    requester = (job.tenant, job.principal, job.key_id)
    if not is_joinable(job) or requester != (subject.tenant, subject.principal, subject.key_id):
        return False
    if stored_job_hash(job, view.payload) != terms.job_hash:
        return False
    approval = asked_approval(job)
    return now_us < approval.expires_at_us and not drift(approval, terms)
