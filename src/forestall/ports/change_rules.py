"""The rules that a change must satisfy in every store, whatever the store holds. No backend code.

`require_lawful` refuses a change that no store may apply; `required` lists what must hold for one
that a store may apply: what its verb expects, and what its puts imply.
"""

from forestall.jobs.lifecycle import BORN, IllegalStateError, after
from forestall.ports.change import (
    Change,
    DropEntry,
    EntryUnchanged,
    IdempotencyKeyAbsent,
    JobAbsent,
    MoveJob,
    Precondition,
    Put,
    PutEntry,
    PutIdempotency,
    PutJob,
)


def require_lawful(change: Change) -> None:
    """Raises IllegalStateError unless each job is born in a birth state or moves along a row of the
    lifecycle, and the change puts no job and no idempotency key twice."""
    jobs = 0
    keys = 0
    for put in change.puts:
        if type(put) is PutJob:
            jobs += 1
            if put.job.state not in BORN:
                raise IllegalStateError(
                    f"a job cannot be born in state `{put.job.state.value}`; it is born"
                    " PENDING, APPROVAL_REQUIRED or DENIED"
                )
        elif type(put) is MoveJob:
            jobs += 1
            if after(put.was, put.event) is not put.job.state:
                raise IllegalStateError(
                    f"a job in state `{put.was}` that is {put.event} cannot become"
                    f" `{put.job.state}`"
                )
        elif type(put) is PutIdempotency:
            keys += 1
    if jobs > 1 or keys > 1:
        _require_distinct(change)


def _require_distinct(change: Change) -> None:
    jobs = [
        (put.job.tenant, put.job.id) for put in change.puts if isinstance(put, PutJob | MoveJob)
    ]
    keys = [
        (put.entry.tenant, put.entry.key) for put in change.puts if isinstance(put, PutIdempotency)
    ]
    if len(set(jobs)) < len(jobs) or len(set(keys)) < len(keys):
        raise IllegalStateError("a change puts the same job or the same idempotency key twice")


def required(change: Change) -> list[Precondition]:
    """Every precondition of a change, each once: those of its verb, and those that its puts imply.
    An insert never replaces, and a replacement or removal never meets another value than the one
    that was read, even when the verb does not ask for that.
    """
    conditions = list(change.expect)
    for put in change.puts:
        implied = _implied(put)
        if implied is not None and implied not in conditions:
            conditions.append(implied)
    return conditions


def _implied(put: Put) -> Precondition | None:
    if type(put) is PutJob:
        return JobAbsent(put.job.tenant, put.job.id)
    if type(put) is MoveJob:
        return put.before
    if type(put) is PutEntry:
        entry = put.entry
        return EntryUnchanged(entry.tenant, entry.kind, entry.name, entry.revision - 1)
    if type(put) is DropEntry:
        return EntryUnchanged.of(put.entry)
    if type(put) is PutIdempotency:
        return IdempotencyKeyAbsent(put.entry.tenant, put.entry.key)
    return None  # PutOutput replaces the findings of an earlier check of the same job
