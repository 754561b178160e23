"""What every backend refuses before it looks at its own state. Plain checks; no backend code."""

from forestall.jobs.lifecycle import BORN, IllegalStateError, after
from forestall.ports.change import Change, MoveJob, PutIdempotency, PutJob


def require_lawful(change: Change) -> None:
    """A job is born only in a birth state, moves only as the table says, and once in a change."""
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
