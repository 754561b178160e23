"""Who says so: the origin of a fact, and how far a label trusts it.

A fact that the client fills in can be dodged by not filling it in. So each value carries where
it came from, and a label names the weakest origin it accepts.
"""

from collections.abc import Mapping
from enum import IntEnum


class Origin(IntEnum):
    """Where a value came from; the larger, the stronger."""

    CLAIMED = 0  # sent by the client
    DERIVED = 1  # computed here from the payload
    CREDENTIAL = 2  # bound to the agent's identity
    SERVER = 3  # known to the control plane itself


ORIGIN_BY_NAME: Mapping[str, Origin] = {origin.name.lower(): origin for origin in Origin}
