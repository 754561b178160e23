"""Intersect constraints: where two rules bind the same thing, the tighter bound stands."""

from collections.abc import Iterable
from functools import reduce

from forestall.policy.rules import (
    REDACTION_LEVELS,
    Budgets,
    Constraints,
    DiffLimits,
    Sandbox,
    Toolchain,
)


def intersect(constraints: Iterable[Constraints]) -> Constraints | None:
    """The constraints that keep every one of the given constraints; None when none is given."""
    given = list(constraints)
    return reduce(_both, given) if given else None


def _both(a: Constraints, b: Constraints) -> Constraints:
    return Constraints(
        budgets=Budgets(
            max_runtime_ms=_smaller(a.budgets.max_runtime_ms, b.budgets.max_runtime_ms),
            max_retries=_smaller(a.budgets.max_retries, b.budgets.max_retries),
            max_artifact_bytes=_smaller(a.budgets.max_artifact_bytes, b.budgets.max_artifact_bytes),
            max_concurrent_jobs=_smaller(
                a.budgets.max_concurrent_jobs, b.budgets.max_concurrent_jobs
            ),
        ),
        sandbox=Sandbox(
            isolated=True if a.sandbox.isolated or b.sandbox.isolated else a.sandbox.isolated,
            network_allowlist=_common(a.sandbox.network_allowlist, b.sandbox.network_allowlist),
            fs_read_only=_common(a.sandbox.fs_read_only, b.sandbox.fs_read_only),
            fs_read_write=_common(a.sandbox.fs_read_write, b.sandbox.fs_read_write),
        ),
        toolchain=Toolchain(
            allowed_tools=_common(a.toolchain.allowed_tools, b.toolchain.allowed_tools),
            allowed_commands=_common(a.toolchain.allowed_commands, b.toolchain.allowed_commands),
        ),
        diff=DiffLimits(
            max_files=_smaller(a.diff.max_files, b.diff.max_files),
            max_lines=_smaller(a.diff.max_lines, b.diff.max_lines),
            deny_path_globs=_together(a.diff.deny_path_globs, b.diff.deny_path_globs),
        ),
        redaction_level=_stricter_level(a.redaction_level, b.redaction_level),
    )


def _smaller(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


def _common(a: tuple[str, ...] | None, b: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The entries that both lists allow. Entries are compared as text: two patterns that merely
    overlap leave nothing, which is tighter than meant and never looser."""
    if a is None or b is None:
        return b if a is None else a
    return tuple(item for item in a if item in b)


def _together(a: tuple[str, ...] | None, b: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The entries that either list forbids."""
    if a is None or b is None:
        return b if a is None else a
    return (*a, *(item for item in b if item not in a))


def _stricter_level(a: str, b: str) -> str:
    levels = ("", *REDACTION_LEVELS)
    return max(a, b, key=levels.index)
