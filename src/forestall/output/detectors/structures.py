"""Every structure that an entry of a detector file may name: its reader finds secrets that no
single pattern can reach.

The pattern of the entry finds the anchor (`kind: Secret`, a cell that names a secret); the reader
reads the structure round it and yields the places of the values. What one structure took is not
read again, and no structure is read farther from its anchor than one reach: one that goes on there
is marked as cut.
"""

import re
from collections.abc import Mapping

from forestall.output.detectors.kubernetes_secrets import json_secret, yaml_secret
from forestall.output.detectors.secret_names import cookie_value
from forestall.output.detectors.secret_tables import table
from forestall.output.findings import REACH_BYTES_MAX, StructureReader, ValuePlace

_COOKIE = re.compile(rb"([\w.$!-]{1,64})=\"?([^;\s\"',]{8,})")


def _cookies(data: bytes, start: int, end: int, low: int) -> tuple[int, list[ValuePlace]]:
    """The values of cookies that name a session or a secret, to the end of the line."""
    last = data.find(b"\n", end, end + REACH_BYTES_MAX)
    last = last if last >= 0 else min(len(data), end + REACH_BYTES_MAX)
    places = []
    for match in _COOKIE.finditer(data, end, last):
        name, value = (part.decode("utf-8", "replace") for part in match.groups())
        confidence = cookie_value(name, value)
        if confidence is not None:
            cut = match.end() - end >= REACH_BYTES_MAX
            places.append(ValuePlace(*match.span(2), confidence, cut))
    return last, places


STRUCTURES: Mapping[str, StructureReader] = {
    "kubernetes_secret_json": json_secret,
    "kubernetes_secret_yaml": yaml_secret,
    "table": table,
    "cookies": _cookies,
}
