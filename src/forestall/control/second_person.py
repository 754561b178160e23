"""Who counts as the requester of a job, and as one person, when a second person must decide.

Whoever makes a key can use it. So the makers of a person's key count as that person, to the end of
the chain: a key of a key of the requester is the requester's. And a retry or a remediation repeats
the wish of whoever submitted the first job, so every submitter of its ancestors is a requester.
Reads memory only; decides nothing else.
"""

from forestall.control.plane import Plane
from forestall.identity.credentials import Subject
from forestall.jobs.job import Job


def makers_of(plane: Plane, subject: Subject) -> tuple[str, ...]:
    """The principals who made the subject's key, directly or through other keys."""
    key = plane.keys.by_id(subject.key_id)
    return plane.keys.makers_of(key) if key is not None else ()


def requester_reason(plane: Plane, job: Job, subject: Subject) -> str:
    """Why the subject counts as a requester of the job, in words for people; empty if it does
    not."""
    requesters = {job.principal, *(job.lineage.requesters if job.lineage is not None else ())}
    if subject.principal in requesters or subject.key_id == job.key_id:
        return "you asked for this job"
    if not requesters.isdisjoint(makers_of(plane, subject)):
        return "whoever asked for this job made your key, or the key of who made it"
    return ""
