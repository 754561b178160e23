"""Intersect constraints: where two rules bind the same thing, the tighter bound stands."""

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, TypeVar

from forestall.policy.rules import (
    REDACTION_LEVELS,
    Budgets,
    Constraints,
    DiffLimits,
    Sandbox,
    Toolchain,
)

_GroupT = TypeVar("_GroupT", Budgets, Sandbox, Toolchain, DiffLimits)


def intersect(constraints: Iterable[Constraints]) -> Constraints | None:
    """The constraints that keep every one of the given constraints; None when none is given."""
    given = list(constraints)
    return reduce(_both, given) if given else None


def _both(a: Constraints, b: Constraints) -> Constraints:
    return Constraints(
        budgets=_tighter(a.budgets, b.budgets),
        sandbox=_tighter(a.sandbox, b.sandbox),
        toolchain=_tighter(a.toolchain, b.toolchain),
        diff=_tighter(a.diff, b.diff),
        redaction_level=_stricter_level(a.redaction_level, b.redaction_level),
    )


def _tighter(a: _GroupT, b: _GroupT) -> _GroupT:
    """One group of constraints with the bounds of both."""
    names = a.__struct_fields__
    return type(a)(**{n: _TIGHTER_BOUND[n](getattr(a, n), getattr(b, n)) for n in names})


def _either(a: bool | None, b: bool | None) -> bool | None:
    return True if a or b else a


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


# How two bounds on the same thing become one.
_TIGHTER_BOUND: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(Budgets.__struct_fields__, _smaller),
    **dict.fromkeys(("max_files", "max_lines"), _smaller),
    **dict.fromkeys(("network_allowlist", "fs_read_only", "fs_read_write"), _common),
    **dict.fromkeys(Toolchain.__struct_fields__, _common),
    "deny_path_globs": _together,
    "isolated": _either,
}
