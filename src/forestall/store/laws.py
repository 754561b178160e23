"""What every backend refuses before it looks at its own state. Plain checks; no backend code."""

from forestall.control.ports import Change, PutIdempotency, PutJob
from forestall.errors import ConflictError
from forestall.jobs.job import BIRTH_STATE

_BIRTH_STATES = frozenset(BIRTH_STATE.values())


class IllegalStateError(ConflictError):
    """The change would make a job that no lifecycle leads to. Nothing was changed."""

    code, http_status = "illegal_state", 409


def require_lawful(change: Change) -> None:
    """A job is born only in a birth state, under its own tenant, and once in a change."""
    jobs = 0
    keys = 0
    for put in change.puts:
        if type(put) is PutJob:
            jobs += 1
            if put.job.state not in _BIRTH_STATES:
                raise IllegalStateError(
                    f"a job cannot be born in state `{put.job.state.value}`; it is born"
                    " PENDING, APPROVAL_REQUIRED or DENIED"
                )
        elif type(put) is PutIdempotency:
            keys += 1
    if jobs > 1 or keys > 1:
        _require_distinct(change)


def _require_distinct(change: Change) -> None:
    jobs = [(put.job.tenant, put.job.id) for put in change.puts if isinstance(put, PutJob)]
    keys = [
        (put.entry.tenant, put.entry.key) for put in change.puts if isinstance(put, PutIdempotency)
    ]
    if len(set(jobs)) < len(jobs) or len(set(keys)) < len(keys):
        raise IllegalStateError("a change puts the same job or the same idempotency key twice")
