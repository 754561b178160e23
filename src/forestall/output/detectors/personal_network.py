"""Validators of addresses of machines on the network. One of a private range needs a word that
names it.

Addresses reserved for documentation count: labels call them addresses. What names no machine does
not: unspecified, loopback, masks, multicast. Versions and section numbers look alike; what stands
around tells.
"""

import ipaddress
import re

from forestall.output.detectors.context import Words, near
from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import Validator, ValidatorInput
from forestall.output.findings import Candidate, Check

_VERSION = Expression(
    r"(?:versione?|vers\.?|release|rev|section|chapter|build|firmware|oid|identifier|tag|ver)"
    r"s?_{0,2}[\\\"']{0,2}\s{0,2}[:=]?\s{0,2}[\"'v(]{0,3}$"
    r"|[=<>~^]=?\s?$|[A-Za-z]/$|[.\w-]$|@$|§\s?$",
    re.IGNORECASE,
)
_DECIMAL_AFTER = Expression(r"^[\s,-]{0,2}\d*\.\d+(?:\.\d+)?(?:[^.\d]|$)")
_PORT = Expression(r"^(?::|[ ,]{1,2}port[ =])\d{2,5}\b")
_V6_CHARS_MIN = 6  # shorter ones are loopback, or a name in a program
_SMALL = 20  # octets below are as in a version; one above may be too


def _v4(candidate: Candidate, network: Words) -> float | None:
    value = candidate.value
    if value.count(".") != 3:
        return None
    parts = value.split(".")
    if any(len(part) > 1 and part[0] == "0" for part in parts):
        return None
    octets = [int(part) for part in parts]
    first = octets[0]
    if max(octets) > 255 or first in (0, 127) or first >= 224:
        return None
    after = candidate.after
    small = sum(octet >= _SMALL for octet in octets) < 2 and first != 10
    named = near(candidate, network, before=40)
    if small and not named and not after.startswith(":"):
        return None
    version = _VERSION.search(candidate.before[-24:])
    if version is not None and not (version[0][-1:] == "=" and named):
        return None
    if after[:1] in (".", "-", "_", "+") and after[1:2].isalnum():
        return None
    if _DECIMAL_AFTER.match(after) is not None:
        return None
    private = first == 10 or octets[:2] == [192, 168] or (first == 172 and 16 <= octets[1] < 32)
    if not private and octets[:2] != [169, 254]:
        return 0.95 if named else 0.8
    # An address of a private network tells nobody apart outside of it, and logs are full of
    # sockets: only one that a word names, without a port, is somebody's.
    socket = _PORT.match(after) is not None or candidate.before[-1:] == "/"
    return 0.75 if named and not socket else None


def _v6(candidate: Candidate, network: Words) -> float | None:
    value = candidate.value
    if len(value) < _V6_CHARS_MIN:
        return None
    before, after = candidate.before[-1:], candidate.after[:1]
    if before.isalnum() or before in (":", ".") or after.isalnum() or after == ":":
        return None
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return None
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return None
    groups = [each for each in value.split(":") if each]
    if not any(map(str.isdigit, value)) and len(groups) < 6:
        return None
    telling = (
        len(groups) >= 4 or "." in value or (len(value.split(":")[0]) >= 3 and len(groups) > 1)
    )
    if not telling and not near(candidate, network, before=32):
        return None
    return 0.7 if address.is_link_local or value[:2].lower() in ("fc", "fd") else 0.9


def _address(given: ValidatorInput) -> Check:
    network = given.words["network"]

    def check(candidate: Candidate) -> float | None:
        return _v6(candidate, network) if ":" in candidate.value else _v4(candidate, network)

    return check


VALIDATORS: dict[str, Validator] = {"ip_address": _address}
