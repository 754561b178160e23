"""What a subject may see: whose jobs, and what of them. Asked before every read of a job, a list or
the log.

Who may not see a job must not notice that it exists: the caller answers as for an unknown id.
"""

from forestall.identity.credentials import Subject
from forestall.identity.roles import Permission


def visible_principals(subject: Subject) -> tuple[str, ...] | None:
    """The principals of its own tenant whose jobs the subject may see. None: everybody's. A role
    without `jobs.read_all` sees what its own principal submitted, whatever else it may do."""
    if subject.may(Permission.JOBS_READ_ALL):
        return None
    return (subject.principal,)


def may_see(subject: Subject, principal: str | None) -> bool:
    """Whether the subject may see what this principal of its tenant submitted. Nobody with a
    bounded view sees what has no known submitter (None)."""
    visible = visible_principals(subject)
    return visible is None or (principal is not None and principal in visible)


def may_see_payloads(subject: Subject) -> bool:
    """Whether the subject may read what was sent and what came of it: payload, labels, result and
    progress of the jobs that it may see."""
    return subject.may(Permission.PAYLOADS_READ)


def may_see_facts(subject: Subject) -> bool:
    """Whether the subject may read the facts of a decision. They hold labels as they were sent and
    parts of the payload, and an auditor cannot judge a decision without them."""
    return may_see_payloads(subject) or subject.may(Permission.RECORDS_READ)
