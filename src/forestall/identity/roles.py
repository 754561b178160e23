"""API rights as data, with a default of no. A role is a set of permissions."""

from collections.abc import Mapping
from enum import StrEnum


class Permission(StrEnum):
    """One right on the API. An endpoint names exactly one."""

    JOBS_READ = "jobs.read"
    JOBS_WRITE = "jobs.write"
    JOBS_CONTROL = "jobs.control"  # cancel, retry and dismiss jobs of other principals
    JOBS_APPROVE = "jobs.approve"
    OUTPUT_RELEASE = "output.release"  # release or discard a withheld result
    WORK = "work"  # lease jobs and answer for them; only a worker's credential
    WORKERS_READ = "workers.read"
    WORKERS_WRITE = "workers.write"
    POLICY_CHECK = "policy.check"  # ask for a binding decision; leaves a record
    POLICY_READ = "policy.read"  # simulate, explain, list snapshots; leaves no trace
    REGISTRY_READ = "registry.read"  # topics, pools and input schemas
    REGISTRY_WRITE = "registry.write"
    WEBHOOKS = "webhooks"  # list, declare and end who is told of approvals
    KEYS_READ = "keys.read"
    KEYS_WRITE = "keys.write"


class Role(StrEnum):
    """What a credential may do; no role contains another by accident."""

    VIEWER = "viewer"
    AGENT = "agent"
    OPERATOR = "operator"
    APPROVER = "approver"
    AUTHOR = "author"
    ADMIN = "admin"
    WORKER = "worker"  # belongs to a grant that says which jobs it may be offered


_READ = frozenset(
    {
        Permission.JOBS_READ,
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
            Permission.JOBS_WRITE,
            Permission.POLICY_CHECK,
            Permission.REGISTRY_READ,
        }
    ),
    Role.OPERATOR: _READ
    | {Permission.JOBS_WRITE, Permission.JOBS_CONTROL, Permission.POLICY_CHECK},
    Role.APPROVER: _READ | {Permission.JOBS_APPROVE, Permission.OUTPUT_RELEASE},
    Role.AUTHOR: _READ | {Permission.POLICY_CHECK},
    Role.ADMIN: frozenset(Permission) - {Permission.WORK},
    Role.WORKER: frozenset({Permission.WORK}),
}
