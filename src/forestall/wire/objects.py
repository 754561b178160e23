"""What every Struct of an answer is made from. No Struct of one endpoint stands here.

The handlers build dicts, which cost less than Structs; these Structs say what is in the dicts. They
are what `GET /openapi.json` publishes, and every answer in the tests is compared with its Struct.
"""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class WireObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The base: a field that the Struct does not name is an error of ours."""


class ItemList(WireObject, Generic[T], frozen=True):
    """A whole list."""

    items: list[T]


class Page(WireObject, Generic[T], frozen=True):
    """One page of a list. `next_cursor` asks for the next page; empty: there is none."""

    items: list[T]
    next_cursor: str
