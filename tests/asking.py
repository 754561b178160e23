"""Requests from plain data, for the vectors and for the examples of the documentation."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from forestall.policy import Request
from forestall.policy.request import Delegation, ToolCall

NOON = "2026-01-01T12:00:00Z"  # when a case is decided that gives no instant


def asked(said: Mapping[str, Any]) -> Request:
    """The request of a vector: fields by their names, `mcp` and `delegation` as mappings."""
    fields = dict(said)
    if "mcp" in fields:
        fields["mcp"] = ToolCall(**fields["mcp"])
    if "delegation" in fields:
        given = {"depth": 1, "issuers": (), "scope": (), **fields["delegation"]}
        fields["delegation"] = Delegation(
            depth=given["depth"], issuers=tuple(given["issuers"]), scope=tuple(given["scope"])
        )
    return Request(**fields)


def instant(said: Mapping[str, Any]) -> datetime:
    """The instant under `now`, which names its offset."""
    now = datetime.fromisoformat(said.get("now", NOON).replace("Z", "+00:00"))
    assert now.tzinfo is not None
    return now
