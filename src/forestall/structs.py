"""One Struct from others that name the same things. Knows no Struct of the product."""

from functools import lru_cache
from typing import Any, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


def copied(kind: type[S], /, *sources: object, **fields: Any) -> S:
    """A Struct with these fields; a field that is not given is the attribute of the same name of
    the first source whose class has one. A field with a default may be in none of them.

    Raises TypeError for a field without a default that nothing gives.
    """
    plan = _read_from(kind, tuple(fields), *map(type, sources))
    for source, names in zip(sources, plan, strict=True):
        for name in names:
            fields[name] = getattr(source, name)
    return kind(**fields)


@lru_cache(maxsize=1_024)
def _read_from(
    kind: type[msgspec.Struct], given: tuple[str, ...], *sources: type
) -> tuple[tuple[str, ...], ...]:
    """The fields to read from each source: those of the kind that are not given."""
    left = [name for name in kind.__struct_fields__ if name not in given]
    plan = []
    for source in sources:
        plan.append(tuple(name for name in left if hasattr(source, name)))
        left = [name for name in left if name not in plan[-1]]
    return tuple(plan)
