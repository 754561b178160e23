"""Which jobs rest on a question to people, and which of them must be decided again: a projection of
the jobs, for the policy in force and the registry.

Each open approval is kept under the *basis* that it was last decided on: the digest of the policy,
and how often the registry or a key of its tenant has changed. An approval under another basis than
today's is stale. So a change costs nothing when it comes, however many approvals wait, and no list
of changes is kept: after a restart, each approval itself says to which policy it is bound. Decides
nothing. For one thread.
"""

from itertools import islice
from typing import NamedTuple

from forestall.jobs.job import Job
from forestall.jobs.transitions import is_joinable, rests_on_question
from forestall.projections.leases import JobName


class Basis(NamedTuple):
    """What the approvals of a tenant are decided on. `changes` counts changes of its registry and
    of its keys since the start of the process."""

    tenant: str
    policy: str  # digest; empty: the approval is bound to something that is not in force
    changes: int


class OpenApprovals:
    """The open approvals of every tenant."""

    def __init__(self) -> None:
        self._by_basis: dict[Basis, dict[JobName, None]] = {}
        self._basis_of: dict[JobName, Basis] = {}
        self._changes: dict[str, int] = {}  # by tenant
        self._shared: dict[tuple[str, str], str] = {}  # tenant and job hash → job id

    def __len__(self) -> int:
        return len(self._basis_of)

    def has(self, job: Job) -> bool:
        """Whether memory has the job as one that rests on a question."""
        return (job.tenant, job.id) in self._basis_of

    def current_basis(self, tenant: str, policy: str) -> Basis:
        """What an approval of the tenant is decided on now, under the policy with this digest."""
        return Basis(tenant, policy, self._changes.get(tenant, 0))

    def mark_tenant_stale(self, tenant: str) -> None:
        """The registry or a key of a tenant changed: every open approval of the tenant is stale."""
        self._changes[tenant] = self._changes.get(tenant, 0) + 1

    def follow(self, job: Job, *, policy: str, is_bound: bool) -> None:
        """Follow the state of a job. `policy` is the digest in force; `is_bound`: the approval is
        bound to that policy, and to the registry entries as they are."""
        name = (job.tenant, job.id)
        if not rests_on_question(job):
            self._forget(name)
        elif is_bound:
            self._put(name, self.current_basis(job.tenant, policy))
        else:
            self._put(name, Basis(job.tenant, "", 0))
        share_key = (job.tenant, job.job_hash)
        if is_joinable(job):
            self._shared[share_key] = job.id
        elif self._shared.get(share_key) == job.id:
            del self._shared[share_key]

    def mark_decided(self, tenant: str, job_id: str, basis: Basis) -> None:
        """The approval was decided again on this basis, and needs no change."""
        if (tenant, job_id) in self._basis_of:
            self._put((tenant, job_id), basis)

    def stale(self, policy: str, *, limit: int) -> list[JobName]:
        """Up to `limit` approvals to decide again under the policy with this digest. Those that
        were returned longest ago come first, so that an approval that cannot be decided does not
        hinder the others."""
        batch: list[JobName] = []
        for basis, names in self._by_basis.items():
            if basis == self.current_basis(basis.tenant, policy) or len(batch) >= limit:
                continue
            for name in list(islice(names, limit - len(batch))):
                names[name] = names.pop(name)  # to the end of its basis
                batch.append(name)
        return batch

    def shared_by(self, tenant: str, job_hash: str) -> str:
        """The id of the job that awaits approval and whose approval a request with this hash may
        share; empty when there is none."""
        return self._shared.get((tenant, job_hash), "")

    def _put(self, name: JobName, basis: Basis) -> None:
        if self._basis_of.get(name) != basis:
            self._forget(name)
            self._basis_of[name] = basis
            self._by_basis.setdefault(basis, {})[name] = None

    def _forget(self, name: JobName) -> None:
        basis = self._basis_of.pop(name, None)
        if basis is None:
            return
        names = self._by_basis[basis]
        del names[name]
        if not names:
            del self._by_basis[basis]
