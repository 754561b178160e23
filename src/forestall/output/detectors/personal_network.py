"""Validator of IP addresses. An address of a private range needs a word that names it.

Addresses reserved for documentation count. Refused is what names no machine: unspecified, loopback,
masks, multicast; and versions and section numbers, which look alike: the text around says which of
them it is.
"""

import ipaddress
import re

from forestall.output.detectors.context import Words, is_near
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
_SMALL_OCTETS_END = 20  # numbers of a version are smaller, but for one


def _ipv4(candidate: Candidate, network: Words) -> float | None:
    parts = candidate.value.split(".")
    if len(parts) != 4 or any(len(part) > 1 and part[0] == "0" for part in parts):
        return None
    octets = [int(part) for part in parts]
    first, second = octets[:2]
    if max(octets) > 255 or first in (0, 127) or first >= 224:
        return None
    is_named = is_near(candidate, network, before=40)
    if _may_be_version(candidate, octets, is_named=is_named):
        return None
    is_private = (
        first == 10 or (first, second) == (192, 168) or (first == 172 and 16 <= second < 32)
    )
    is_link_local = (first, second) == (169, 254)
    if not is_private and not is_link_local:
        return 0.95 if is_named else 0.8
    # An address of a private network tells nobody apart outside of it, and logs are full of
    # sockets: only one that a word names, without a port, is somebody's.
    is_socket = _PORT.match(candidate.after) is not None or candidate.before[-1:] == "/"
    return 0.75 if is_named and not is_socket else None


def _may_be_version(candidate: Candidate, octets: list[int], *, is_named: bool) -> bool:
    """Whether four numbers may be a version, a section or a part of a longer number."""
    after = candidate.after
    are_small = sum(octet >= _SMALL_OCTETS_END for octet in octets) < 2 and octets[0] != 10
    if are_small and not is_named and not after.startswith(":"):
        return True
    version = _VERSION.search(candidate.before[-24:])
    if version is not None and not (version[0][-1:] == "=" and is_named):
        return True
    if after[:1] in (".", "-", "_", "+") and after[1:2].isalnum():
        return True
    return _DECIMAL_AFTER.match(after) is not None


def _ipv6(candidate: Candidate, network: Words) -> float | None:
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
    groups = [group for group in value.split(":") if group]
    if not any(map(str.isdigit, value)) and len(groups) < 6:
        return None
    has_long_prefix = len(value.split(":")[0]) >= 3 and len(groups) > 1
    is_long = len(groups) >= 4 or "." in value or has_long_prefix
    if not is_long and not is_near(candidate, network, before=32):
        return None
    return 0.7 if address.is_link_local or value[:2].lower() in ("fc", "fd") else 0.9


def _ip_address(entry: ValidatorInput) -> Check:
    network = entry.words["network"]

    def check(candidate: Candidate) -> float | None:
        return _ipv6(candidate, network) if ":" in candidate.value else _ipv4(candidate, network)

    return check


VALIDATORS: dict[str, Validator] = {"ip_address": _ip_address}
