"""Roles and permissions of the API as data. What a role does not list is refused.

`docs/generate.py` prints this table; `tests/unit/server/test_matrix.py` asks every endpoint with
every role and expects what stands here.
"""

from collections.abc import Mapping
from enum import StrEnum

PLATFORM_TENANT = (
    "default"  # the tenant of whoever runs the plane, and of what concerns all tenants
)


class Permission(StrEnum):
    """One permission on the API. Each endpoint requires exactly one; those that no endpoint
    requires bound what an answer shows."""

    JOBS_READ = "jobs.read"  # jobs and approvals that the key's own principal submitted
    JOBS_READ_ALL = "jobs.read_all"  # those of every principal of the tenant too
    PAYLOADS_READ = (
        "payloads.read"  # payload, labels, result and progress of the jobs that one sees
    )
    RECORDS_READ = "records.read"  # every kind of record, and the facts that a decision rests on
    JOBS_WRITE = "jobs.write"
    JOBS_CONTROL = "jobs.control"  # cancel, retry and dismiss jobs of other principals
    JOBS_APPROVE = "jobs.approve"
    # have an approval decided again: one's own, or with `jobs.control` or `jobs.approve` any
    APPROVALS_REPAIR = "approvals.repair"
    OUTPUT_RELEASE = "output.release"  # release or discard a withheld result
    WORK = "work"  # lease jobs and answer for them; only with a worker's credential
    WORKERS_READ = "workers.read"
    WORKERS_WRITE = "workers.write"
    POLICY_CHECK = "policy.check"  # request a binding decision; leaves a record
    POLICY_READ = "policy.read"  # simulate, explain, list snapshots; leaves no trace
    REGISTRY_READ = "registry.read"  # topics, pools and input schemas
    REGISTRY_WRITE = "registry.write"
    WEBHOOKS = "webhooks"  # list, declare and remove webhooks
    KEYS_READ = "keys.read"
    KEYS_WRITE = "keys.write"
    AGENTS_READ = "agents.read"
    AGENTS_WRITE = "agents.write"  # register, change, suspend, resume and revoke agents
    TENANTS_READ = "tenants.read"  # of the plane, not of a tenant
    TENANTS_WRITE = "tenants.write"  # make, suspend and resume tenants


class Role(StrEnum):
    """A set of permissions. No role contains another by accident."""

    VIEWER = "viewer"
    AGENT = "agent"
    OPERATOR = "operator"
    APPROVER = "approver"
    AUTHOR = "author"
    AUDITOR = "auditor"
    ADMIN = "admin"
    WORKER = "worker"  # goes with a grant that says which jobs may be offered


LEAST_ROLE = Role.VIEWER  # of a key for which no role was asked


# How things stand: states, decisions and metadata of the whole tenant, without what was sent.
_READ = frozenset(
    {
        Permission.JOBS_READ,
        Permission.JOBS_READ_ALL,
        Permission.WORKERS_READ,
        Permission.POLICY_READ,
        Permission.REGISTRY_READ,
    }
)

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _READ,
    Role.AGENT: frozenset(
        {
            Permission.JOBS_READ,
            Permission.PAYLOADS_READ,
            Permission.JOBS_WRITE,
            Permission.APPROVALS_REPAIR,
            Permission.POLICY_CHECK,
            Permission.REGISTRY_READ,
        }
    ),
    Role.OPERATOR: _READ
    | {
        Permission.PAYLOADS_READ,
        Permission.JOBS_WRITE,
        Permission.JOBS_CONTROL,
        Permission.APPROVALS_REPAIR,
        Permission.POLICY_CHECK,
    },
    Role.APPROVER: _READ
    | {
        Permission.PAYLOADS_READ,
        Permission.JOBS_APPROVE,
        Permission.APPROVALS_REPAIR,
        Permission.OUTPUT_RELEASE,
    },
    Role.AUTHOR: _READ | {Permission.POLICY_CHECK},
    Role.AUDITOR: _READ | {Permission.RECORDS_READ, Permission.KEYS_READ, Permission.AGENTS_READ},
    Role.ADMIN: frozenset(Permission)
    - {Permission.WORK, Permission.TENANTS_READ, Permission.TENANTS_WRITE},
    Role.WORKER: frozenset({Permission.WORK}),
}

# What a role may beside that with a key of PLATFORM_TENANT, and with no other (ADR 0037).
PLATFORM_PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.AUDITOR: frozenset({Permission.TENANTS_READ}),
    Role.ADMIN: frozenset({Permission.TENANTS_READ, Permission.TENANTS_WRITE}),
}


def permissions_of(role: Role, tenant: str) -> frozenset[Permission]:
    """The permissions of a role with a key of this tenant."""
    if tenant != PLATFORM_TENANT:
        return PERMISSIONS[role]
    return PERMISSIONS[role] | PLATFORM_PERMISSIONS.get(role, frozenset())
