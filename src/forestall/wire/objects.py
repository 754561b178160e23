"""What every Struct of an answer is made from. No Struct of one endpoint stands here.

A handler answers with such a Struct: what is declared is what is encoded. `GET /openapi.json`
publishes the Structs, and every answer in the tests is compared with its own.
"""

from typing import Any, Generic, Self, TypeVar

import msgspec

from forestall.structs import copied

T = TypeVar("T")


class WireObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The base: a field that the Struct does not name is an error of ours."""

    @classmethod
    def of(cls, *sources: object, **fields: Any) -> Self:
        """The object with these fields, and the others from the sources; see `copied`."""
        return copied(cls, *sources, **fields)


class ItemList(WireObject, Generic[T], frozen=True):
    """A whole list."""

    items: list[T]


class Page(WireObject, Generic[T], frozen=True):
    """One page of a list. `next_cursor` asks for the next page; empty: there is none."""

    items: list[T]
    next_cursor: str
