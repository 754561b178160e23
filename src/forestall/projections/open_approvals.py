"""Which jobs rest on a question to people, and which of them must be decided again: a projection of
the jobs, for the policy in force and the registry.

Each open approval stands under the *basis* that it was last decided on: the digest of the policy,
and how often the registry or a key of its tenant has changed. What stands under another basis than
today's is stale. So a change costs nothing when it comes, however many approvals wait, and nothing
need be remembered of it: after a crash, or of a policy that came into force while the server was
down, each approval says itself to which policy it is bound. Decides nothing. For one thread.
"""

from itertools import islice
from typing import NamedTuple

from forestall.jobs.job import Job
from forestall.jobs.transitions import is_joinable, rests_on_question

Name = tuple[str, str]  # tenant and job id


class Basis(NamedTuple):
    """What the approvals of a tenant are decided on. `changes` counts changes of its registry and
    of its keys since the start of the process."""

    tenant: str
    policy: str  # digest; empty: bound to what is not in force
    changes: int


class OpenApprovals:
    """The open approvals of every tenant."""

    def __init__(self) -> None:
        self._by_basis: dict[Basis, dict[Name, None]] = {}
        self._basis_of: dict[Name, Basis] = {}
        self._changes: dict[str, int] = {}  # by tenant
        self._shared: dict[tuple[str, str], str] = {}  # tenant and job hash → job id

    def __len__(self) -> int:
        return len(self._basis_of)

    def has(self, job: Job) -> bool:
        """Whether the job is known to rest on a question."""
        return (job.tenant, job.id) in self._basis_of

    def basis(self, tenant: str, policy: str) -> Basis:
        """What an approval of the tenant is decided on now, under the policy with this digest."""
        return Basis(tenant, policy, self._changes.get(tenant, 0))

    def changed(self, tenant: str) -> None:
        """The registry or a key of a tenant changed: every open approval of it is stale."""
        self._changes[tenant] = self._changes.get(tenant, 0) + 1

    def follow(self, job: Job, *, policy: str, is_bound: bool) -> None:
        """Follow the state of a job. `policy` is the digest in force; `is_bound`: the approval is
        bound to that policy, and to the registry entries as they are."""
        name = (job.tenant, job.id)
        if rests_on_question(job):
            self._put(
                name, self.basis(job.tenant, policy) if is_bound else Basis(job.tenant, "", 0)
            )
        else:
            self._forget(name)
        shared = (job.tenant, job.job_hash)
        if is_joinable(job):
            self._shared[shared] = job.id
        elif self._shared.get(shared) == job.id:
            del self._shared[shared]

    def settle(self, name: Name, basis: Basis) -> None:
        """The approval was decided again on this basis, and needs no change."""
        if name in self._basis_of:
            self._put(name, basis)

    def stale(self, policy: str, *, limit: int) -> list[Name]:
        """Up to `limit` approvals to decide again under the policy with this digest. Those that
        were named longest ago come first, so that one that cannot be decided hinders no other."""
        found: list[Name] = []
        for basis, names in self._by_basis.items():
            if basis == self.basis(basis.tenant, policy) or len(found) >= limit:
                continue
            taken = list(islice(names, limit - len(found)))
            for name in taken:
                names[name] = names.pop(name)
            found += taken
        return found

    def shared_by(self, tenant: str, job_hash: str) -> str:
        """The id of the job that awaits approval and whose approval a request with this hash may
        share; empty when there is none."""
        return self._shared.get((tenant, job_hash), "")

    def _put(self, name: Name, basis: Basis) -> None:
        if self._basis_of.get(name) != basis:
            self._forget(name)
            self._basis_of[name] = basis
            self._by_basis.setdefault(basis, {})[name] = None

    def _forget(self, name: Name) -> None:
        basis = self._basis_of.pop(name, None)
        if basis is None:
            return
        names = self._by_basis[basis]
        del names[name]
        if not names:
            del self._by_basis[basis]
