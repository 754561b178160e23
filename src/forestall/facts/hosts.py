"""Where a host is, as far as its name or address says: public, private, a metadata service.

A host is read in every way that a known client reads it: percent-decoded, under the old and the new
rules for names that are not ASCII, and numbers as octal, hexadecimal or decimal. No name is looked
up: a public name may lead to a private address. A host that some client refuses or reads
differently is also `unknown`; this module refuses to call such a host `public` alone.
"""

import re
import unicodedata
from collections.abc import Iterator
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final
from urllib.parse import unquote

from forestall.facts.data_files import WordLists


class HostKind(StrEnum):
    """Where a host is, as far as its name or address says."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link_local"
    METADATA = "metadata"
    UNKNOWN = "unknown"


HostReading = tuple[str, HostKind]  # a name or address in its plain form, and where it is

NAME_CHARS_MAX: Final = 253  # RFC 1035
_UNKNOWN_HOST: Final[HostReading] = ("", HostKind.UNKNOWN)

_WORDS: Final = WordLists("hosts.yaml")
LOOPBACK_NAMES: Final = _WORDS.set("loopback_names")
_METADATA_NAMES: Final = _WORDS.set("metadata_names")
_METADATA_ADDRESSES: Final = _WORDS.set("metadata_addresses")
_PRIVATE_ENDINGS: Final = tuple(_WORDS.words("private_endings"))
# Services whose names lead to whatever address the name says: `10.0.0.1.nip.io`
_ANY_ADDRESS_ENDINGS: Final = tuple(_WORDS.words("any_address_endings"))
_SPECIAL_NETWORKS: Final = tuple(
    (ip_network(network), HostKind(kind))
    for network, kind in _WORDS.meanings("special_networks", str).items()
)
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")
_NUMBER_CHARS_MAX: Final = 39  # the digits of 2**128
_NAT64_PREFIX: Final = 0x64FF9B  # 64:ff9b::/96 wraps an IPv4 address (RFC 6052)
_GLOBAL_UNICAST: Final = 0b001  # the first three bits of every public IPv6 address (RFC 4291)

_DOT_LOOK_ALIKES: Final = "\u3002\uff0e\uff61"  # dots to IDNA (RFC 3490)
_IGNORED_IN_NAMES: Final = "\u00ad\u200b\u2060\ufeff\u200c\u200d\u180e"
_READ_APART_BY_NEW_IDNA: Final = frozenset("\u00df\u03c2\u200c\u200d")  # RFC 5892
_URL_MARKS: Final = frozenset("./\\@:?#%&;,<>[]")


def readings_of_host(host: str) -> Iterator[HostReading]:
    """What a host as it is written may stand for; several where readers disagree."""
    if "%" in host and not host.startswith("["):
        host = unquote(host, errors="replace")
        if "%" in host:
            yield _UNKNOWN_HOST
            return
    if host.startswith("["):
        yield from _ipv6_readings(host[1:-1] if host.endswith("]") else "")
        return
    for written in _ascii_names(host):
        name = written.removesuffix(".")
        labels = name.split(".")
        if NUMBER.fullmatch(labels[-1]):
            yield from _ipv4_readings(labels)
        elif len(name) > NAME_CHARS_MAX or not all(map(_LABEL.fullmatch, labels)):
            yield _UNKNOWN_HOST
        else:
            yield name, _kind_of_name(name)


# -- names --


def _kind_of_name(name: str) -> HostKind:
    if name in _METADATA_NAMES:
        return HostKind.METADATA
    if name in LOOPBACK_NAMES or name.endswith(".localhost"):
        return HostKind.LOOPBACK
    if name.endswith(_ANY_ADDRESS_ENDINGS):
        return HostKind.UNKNOWN
    if "." not in name or name.endswith(_PRIVATE_ENDINGS):
        return HostKind.PRIVATE
    return HostKind.PUBLIC


def _ascii_names(host: str) -> list[str]:
    """The ASCII forms of a host name under the old and the new rules; "" for none."""
    if host.isascii():
        name = host.lower()
        encoded = [label for label in name.split(".") if label.startswith("xn--")]
        return [name] if all(map(_decodes, encoded)) else [name, ""]
    plain = "".join(
        "." if char in _DOT_LOOK_ALIKES else char for char in host if char not in _IGNORED_IN_NAMES
    )
    forms: list[str] = []
    if any(map(_contains_url_mark, plain)):
        forms.append("")  # some readers take it for the mark that it looks like, others refuse it
    try:
        forms.append(_idna_2003(plain))
        if not _READ_APART_BY_NEW_IDNA.isdisjoint(host):
            forms.append(_idna_2008(plain))
    except UnicodeError:
        return [""]
    return list(dict.fromkeys(forms))


def _idna_2003(name: str) -> str:
    """The name in ASCII by RFC 3490, which replaces letters such as the German sharp s."""
    return ".".join(
        label.encode("idna").decode("ascii").lower() if label else ""
        for label in unicodedata.normalize("NFKC", name).casefold().split(".")
    )


def _idna_2008(name: str) -> str:
    """The name in ASCII by RFC 5890, which keeps these letters."""
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")
        for label in unicodedata.normalize("NFC", name).lower().split(".")
    )


def _contains_url_mark(char: str) -> bool:
    """Whether a character that is not ASCII contains a mark that has a meaning in a URL."""
    return not char.isascii() and not _URL_MARKS.isdisjoint(unicodedata.normalize("NFKC", char))


def _decodes(label: str) -> bool:
    """Whether a label `xn--...` encodes a name that is not ASCII."""
    try:
        return not label.encode("ascii")[4:].decode("punycode").isascii()
    except (UnicodeError, ValueError, IndexError, OverflowError):
        return False


# -- addresses --


def _ipv4_readings(labels: list[str]) -> Iterator[HostReading]:
    """The addresses that a number, or up to four, may stand for: `0177.1`, `0x7f000001`."""
    readings = [labels]
    if any(len(label) > 1 and label[0] == "0" and label.isdigit() for label in labels):
        yield _UNKNOWN_HOST  # octal to some, decimal to others, refused by the rest
        readings.append(
            [label.lstrip("0") or "0" if label.isdigit() else label for label in labels]
        )
    for reading in readings:
        value = _ipv4_value(reading)
        yield _UNKNOWN_HOST if value is None else _reading_of_address(IPv4Address(value))


def _ipv4_value(labels: list[str]) -> int | None:
    """The address as inet_aton(3) reads it: the last number fills all bytes that are left."""
    if len(labels) > 4:
        return None
    if not all(NUMBER.fullmatch(label) and len(label) <= _NUMBER_CHARS_MAX for label in labels):
        return None
    try:
        values = [_number(label) for label in labels]
    except ValueError:
        return None
    last = values.pop()
    if any(value > 255 for value in values) or last >= 256 ** (4 - len(values)):
        return None
    return last + sum(value << 8 * (3 - place) for place, value in enumerate(values))


def _number(label: str) -> int:
    """The value of a number in hexadecimal, octal or decimal. Raises ValueError."""
    if label[:2].lower() == "0x":
        return int(label[2:] or "0", 16)
    is_octal = len(label) > 1 and label[0] == "0"
    return int(label, 8 if is_octal else 10)


def _ipv6_readings(text: str) -> Iterator[HostReading]:
    """An IPv6 address, and the IPv4 address that it wraps."""
    literal, zone, _ = unquote(text).partition("%")
    try:
        address = IPv6Address(literal)
    except ValueError:
        yield _UNKNOWN_HOST
        return
    if zone and not address.is_link_local:
        yield _UNKNOWN_HOST
    if address.ipv4_mapped is not None:
        yield _reading_of_address(address.ipv4_mapped)
        return
    yield _reading_of_address(address)
    value = int(address)
    is_ipv4_compatible = value >> 32 == 0 and value > 1  # ::a.b.c.d, not :: and not ::1
    if is_ipv4_compatible or value >> 96 == _NAT64_PREFIX:
        wrapped: IPv4Address | None = IPv4Address(value & 0xFFFFFFFF)
    else:
        wrapped = address.sixtofour or (address.teredo[1] if address.teredo else None)
    if wrapped is not None:
        yield _reading_of_address(wrapped)


def _reading_of_address(address: IPv4Address | IPv6Address) -> HostReading:
    return str(address), _kind_of_address(address)


def _kind_of_address(address: IPv4Address | IPv6Address) -> HostKind:
    if str(address) in _METADATA_ADDRESSES:
        return HostKind.METADATA
    for network, kind in _SPECIAL_NETWORKS:
        if address in network:
            return kind
    if address.version == 6 and int(address) >> 125 != _GLOBAL_UNICAST:
        return HostKind.PRIVATE
    return HostKind.PUBLIC
