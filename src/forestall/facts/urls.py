"""Every host that a text could make a client talk to.

Readers disagree on where a URL's host stands: on backslashes, missing slashes, `@`, octal numbers.
Each reading that a known client would make is a fact of its own, and so is a URL inside a URL. No
name is looked up: a public name may lead to a private address. What looks like a URL and cannot be
read strictly is `unknown`; this module refuses to call such a thing `public`.
"""

import re
import unicodedata
from collections.abc import Iterator
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final
from urllib.parse import unquote

import msgspec

from forestall.facts.bounded_facts import at_most
from forestall.facts.data_files import WordLists

TEXT_BYTES_MAX: Final = 64 * 1024  # a URL of 8 KiB is already refused by most servers
AUTHORITY_CHARS_MAX: Final = 1_024  # a host has 253 at most; the rest is user information
FACTS_MAX: Final = 64  # hosts reported; each one costs a decision
COLONS_MAX: Final = 2_048  # places where a URL may start in one text
SLASHES_MAX: Final = 8  # before a host; browsers take any number, nobody writes more than three
DECODINGS_MAX: Final = 3  # percent-encoding inside percent-encoding


class HostKind(StrEnum):
    """Where a host is, as far as its name or address says."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link_local"
    METADATA = "metadata"
    UNKNOWN = "unknown"


class UrlFact(msgspec.Struct, frozen=True, kw_only=True):
    """One host that could be reached: "" when that cannot be known.

    `scheme` is "" when the text has none; `port` is the scheme's own when none is given, or 0.
    """

    host: str
    scheme: str
    port: int
    kind: HostKind


_WORDS: Final = WordLists("hosts.yaml")
_PORTS: Final = _WORDS.meanings("scheme_ports", int)
_WEB: Final = _WORDS.set("web_schemes")  # these need no slashes at all
_HOSTLESS: Final = _WORDS.set("hostless_schemes")
_LOOPBACK_NAMES: Final = _WORDS.set("loopback_names")
_METADATA_NAMES: Final = _WORDS.set("metadata_names")
_METADATA_ADDRESSES: Final = _WORDS.set("metadata_addresses")
_SPECIAL_NETWORKS: Final = tuple(
    (ip_network(network), HostKind(kind))
    for network, kind in _WORDS.meanings("special_networks", str).items()
)
_ANY_ADDRESS: Final = tuple(_WORDS.words("any_address_endings"))
_PRIVATE_ENDINGS: Final = tuple(_WORDS.words("private_endings"))
_COMMON_ENDINGS: Final = _WORDS.set("common_endings")
_SCHEME_TAIL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*$")
_KNOWN_TAIL: Final = re.compile(r"(?:https?|wss?|ftps?|file|gopher|javascript|data)$")
_RELATIVE: Final = re.compile(r"(?:^|(?<=[\s=&?#,;|\"'<>(\[{]))[/\\]{2,}(?=[^/\\\s])")
_BREAKS: Final = {ord(char): None for char in "\t\r\n"}
_WRAPPING: Final = "<>\"'()[]{},;.!`"
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")
_HOST_SHAPE: Final = re.compile(
    r"(?P<user>[^\s/@\\]{1,64}@)?(?P<host>\[[0-9A-Fa-f:.%\w]{2,64}\]|[^\s/:@\\?#\[\]]{1,253})"
    r"(?P<port>:\d{1,10})?(?P<scp>:[^\s:]*)?(?P<path>[/?#\\].*)?",
    re.DOTALL,
)
_NAT64: Final = 0x64FF9B  # an IPv6 prefix that wraps an IPv4 address
_UNICAST: Final = 0b001  # the first three bits of every public IPv6 address
_UNKNOWN: Final = UrlFact(host="", scheme="", port=0, kind=HostKind.UNKNOWN)


def urls_in(text: str) -> tuple[UrlFact, ...]:
    """Every host that `text` names, without duplicates; never empty."""
    if len(text) > TEXT_BYTES_MAX or len(text.encode("utf-8", "replace")) > TEXT_BYTES_MAX:
        return (_UNKNOWN,)
    found: dict[UrlFact, None] = {}
    for place, reading in enumerate(_readings(text)):
        for fact in _facts(reading, whole=place == 0):
            found.setdefault(fact)
            if len(found) > FACTS_MAX * 4:
                break
    if not found or any(_is_strange(char) for char in text if not "\x20" < char < "\x7f"):
        found.setdefault(_UNKNOWN)
    return at_most(FACTS_MAX, found, _UNKNOWN)


def _is_strange(char: str) -> bool:
    """Control and invisible characters: some readers drop them, others stop there."""
    return char not in "\t\r\n " and unicodedata.category(char)[0] in "CZ"


def _readings(text: str) -> list[str]:
    """The text as different readers would take it: as it is, made plain, and decoded."""
    text = text.strip()
    plain = "".join(
        "." if char in "\u3002\uff61" else char
        for char in unicodedata.normalize("NFKC", text)
        if unicodedata.category(char) not in ("Cf", "Cc", "Mn") or char in "\t\r\n"
    )
    found = [text, plain]
    for form in (text, plain):
        for _ in range(DECODINGS_MAX):
            form = unquote(form, errors="replace")
            found.append(form)
    joined = text.translate(_BREAKS)
    if " " not in text:
        found.append(joined)
    return list(dict.fromkeys(found))


def _facts(text: str, *, whole: bool) -> Iterator[UrlFact]:
    """The facts of one reading of the text."""
    starts = 0
    for at in _places(text, ":"):
        tail = _SCHEME_TAIL.search(text[max(0, at - 40) : at])
        if tail is None:
            continue
        starts += 1
        if starts > COLONS_MAX:
            yield _UNKNOWN
            break
        known = _KNOWN_TAIL.search(tail[0].lower())
        scheme = known[0] if known else tail[0].lower()
        yield from _url(scheme, text[at + 1 : at + 3 + AUTHORITY_CHARS_MAX])
    for match in _RELATIVE.finditer(text):
        yield from _authority("", text[match.end() : match.end() + AUTHORITY_CHARS_MAX + 2])
    tokens = text.split()
    for token in tokens[: COLONS_MAX if len(tokens) > 1 else 1]:
        yield from _bare(token.strip(_WRAPPING), alone=whole and len(tokens) == 1)


def _places(text: str, mark: str) -> Iterator[int]:
    at = text.find(mark)
    while at >= 0:
        yield at
        at = text.find(mark, at + 1)


def _url(scheme: str, rest: str) -> Iterator[UrlFact]:
    """What `scheme:rest` names."""
    slashes = len(rest) - len(rest.lstrip("/\\"))
    if slashes > SLASHES_MAX:
        yield UrlFact(host="", scheme=scheme, port=0, kind=HostKind.UNKNOWN)
    if scheme in _HOSTLESS:
        yield UrlFact(host="", scheme=scheme, port=0, kind=HostKind.UNKNOWN)
        if slashes >= 2 and scheme == "file" and rest[slashes:]:
            yield from (one for one in _authority(scheme, rest[slashes:]) if slashes != 3)
    elif scheme in _WEB:
        if rest[slashes : slashes + 1].strip():
            yield from _authority(scheme, rest[slashes:])
            # A client that removes tabs and line breaks first sees another host.
            joined = rest[slashes:].split(" ")[0].translate(_BREAKS)
            if "\t" in rest[slashes:].split(" ")[0]:
                yield from _authority(scheme, joined)
        elif slashes:
            yield UrlFact(host="", scheme=scheme, port=0, kind=HostKind.UNKNOWN)
    elif slashes >= 2:
        yield from _authority(scheme, rest[slashes:])


# Where the authority of a URL ends, to different readers.
_AUTHORITY_ENDS: Final = (r"[/\\?#\s\"'<>`|^{}]", r"[/?#\s\"'<>`]", r"[/\s\"'<>`]")
# And to browsers, which take blanks, too, for a part of the user's name when an `@` follows them.
_ENDS_OF_USER: Final = (r"[/?#\"'<>`]", r"[/\"'<>`]")


def _authority(scheme: str, rest: str) -> Iterator[UrlFact]:
    """The hosts that different readers find at the start of `rest`."""
    for ends in _AUTHORITY_ENDS:
        end = re.search(ends, rest)
        authority = rest[: end.start()] if end else rest
        if len(authority) > AUTHORITY_CHARS_MAX:
            yield UrlFact(host="", scheme=scheme, port=0, kind=HostKind.UNKNOWN)
            return
        users, at, place = authority.rpartition("@")
        yield from _place(scheme, place)
        for other in users.split("@") if at else ():
            name = other.partition(":")[0]
            if "." in name or name.isdigit() or other is not users.split("@")[0]:
                yield from _place(scheme, other)
    yield from _after_blanks(scheme, rest)


def _after_blanks(scheme: str, rest: str) -> Iterator[UrlFact]:
    """The host of a URL whose user has a blank in the name: `http://a.com @b.com/` leads to b.com.

    It takes prose with a URL and a mail address for such a URL, too.
    """
    for ends in _ENDS_OF_USER:
        end = re.search(ends, rest)
        authority = rest[: end.start()] if end else rest
        if end is None and len(rest) > AUTHORITY_CHARS_MAX - SLASHES_MAX:
            yield UrlFact(host="", scheme=scheme, port=0, kind=HostKind.UNKNOWN)
        users, at, place = authority.rpartition("@")
        if at and place.strip() and any(map(str.isspace, users)):
            yield from _place(scheme, place.split()[0])


def _place(scheme: str, place: str) -> Iterator[UrlFact]:
    """`host` or `host:port`."""
    host, port = place, _PORTS.get(scheme, 0)
    sure = True
    if place.startswith("["):
        host, bracket, after = place.partition("]")
        host += bracket
        sure = bool(bracket) and (not after or after.startswith(":"))
        given = after[1:]
    else:
        host, _, given = place.partition(":")
        if ":" in given:
            yield from _hosts(f"[{place}]", scheme, 0)
            sure = False
    host = host.rstrip(",;)!]}") if not host.startswith("[") else host
    given = given.rstrip(",;).!]}\\")
    if given:
        if given.isascii() and given.isdigit() and 0 < int(given[:9]) <= 65_535 and len(given) < 9:
            port = int(given)
        else:
            sure = False
    if not sure:
        yield UrlFact(host="", scheme=scheme, port=0, kind=HostKind.UNKNOWN)
    yield from _hosts(host, scheme, port)


def _bare(token: str, *, alone: bool) -> Iterator[UrlFact]:
    """A token without a scheme: `host`, `host:port`, `host/path`, `user@host:path`."""
    shape = _HOST_SHAPE.fullmatch(token)
    if shape is None or not token:
        if alone and not _SCHEME_TAIL.search(token.partition(":")[0]):
            yield _UNKNOWN
        return
    host = shape["host"]
    if shape["scp"] and not shape["user"]:
        return  # scheme:rest
    ending = host.rstrip(".").rpartition(".")[2].lower()
    numeric = bool(_NUMBER.fullmatch(ending)) and (alone or host.count(".") == 3)
    named = "." in host.strip(".") and (ending in _COMMON_ENDINGS or not host.isascii())
    port_given = shape["port"] and not host.isdigit()  # and not the time of day
    wanted = alone or port_given or numeric or host.startswith("[") or shape["scp"]
    if wanted or (named and not shape["user"]) or host.lower() in _LOOPBACK_NAMES:
        scheme = "ssh" if shape["scp"] else ""
        port = shape["port"] or ""
        yield from _place(scheme, host + port)


# -- hosts --


def _hosts(host: str, scheme: str, port: int) -> Iterator[UrlFact]:
    """The facts of one host as it is written; several where readers disagree."""
    for name, kind in _named(host):
        yield UrlFact(host=name, scheme=scheme, port=port, kind=kind)


def _named(host: str) -> Iterator[tuple[str, HostKind]]:
    nothing = ("", HostKind.UNKNOWN)
    if "%" in host and not host.startswith("["):
        host = unquote(host, errors="replace")
        if "%" in host:
            yield nothing
            return
    if host.startswith("["):
        yield from _version_six(host[1:-1] if host.endswith("]") else "")
        return
    for name in _ascii_names(host):
        short = name.removesuffix(".")
        labels = short.split(".")
        if _NUMBER.fullmatch(labels[-1]) or labels[-1] == "0x":
            yield from _version_four(labels)
        elif len(short) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
            yield nothing
        else:
            yield short, _name_kind(short)


def _ascii_names(host: str) -> list[str]:
    """The ASCII forms of a host name under the old and the new rules; [""] if it has none."""
    if host.isascii():
        name = host.lower()
        strange = [part for part in name.split(".") if part.startswith("xn--")]
        return [name, ""] if any(not _decodes(part) for part in strange) else [name]
    plain = "".join(
        "." if char in "\u3002\uff0e\uff61" else char
        for char in host
        if char not in "\u00ad\u200b\u2060\ufeff\u200c\u200d\u180e"
    )
    forms: list[str] = []
    if any(_is_punctuation(char) for char in plain):
        forms.append("")  # some readers take it for the mark that it looks like, others refuse it
    try:
        forms.append(
            ".".join(
                label.encode("idna").decode("ascii").lower() if label else ""
                for label in unicodedata.normalize("NFKC", plain).casefold().split(".")
            )
        )
        if set(host) & set("\u00df\u03c2\u200c\u200d"):  # names that the newer rules keep apart
            forms.append(
                ".".join(
                    label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")
                    for label in unicodedata.normalize("NFC", plain).lower().split(".")
                )
            )
    except UnicodeError:
        return [""]
    return list(dict.fromkeys(forms))


def _is_punctuation(char: str) -> bool:
    """Whether a character that is not ASCII contains a mark that has a meaning in a URL."""
    return not char.isascii() and any(
        mark in "./\\@:?#%&;,<>[]" for mark in unicodedata.normalize("NFKC", char)
    )


def _decodes(label: str) -> bool:
    try:
        return not label.encode("ascii")[4:].decode("punycode").isascii()
    except (UnicodeError, ValueError, IndexError, OverflowError):
        return False


def _version_four(labels: list[str]) -> Iterator[tuple[str, HostKind]]:
    """The addresses that a number, or up to four, may stand for: `0177.1`, `0x7f000001`."""
    readings = [labels]
    if any(len(label) > 1 and label[0] == "0" and label.isdigit() for label in labels):
        readings.append(
            [label.lstrip("0") or "0" if label.isdigit() else label for label in labels]
        )
        yield "", HostKind.UNKNOWN  # octal to some, decimal to others, refused by the rest
    for reading in readings:
        value = _address_value(reading)
        if value is None:
            yield "", HostKind.UNKNOWN
        else:
            address = IPv4Address(value)
            yield str(address), _address_kind(address)


def _address_value(labels: list[str]) -> int | None:
    if len(labels) > 4 or not all(_NUMBER.fullmatch(one) and len(one) < 40 for one in labels):
        return None
    values: list[int] = []
    for label in labels:
        base = 16 if label[:2].lower() == "0x" else 8 if len(label) > 1 and label[0] == "0" else 10
        try:
            values.append(int(label[2:] or "0", 16) if base == 16 else int(label, base))
        except ValueError:
            return None
    last = values.pop()
    if any(value > 255 for value in values) or last >= 256 ** (4 - len(values)):
        return None
    return last + sum(value << 8 * (3 - place) for place, value in enumerate(values))


def _version_six(text: str) -> Iterator[tuple[str, HostKind]]:
    literal, zone, _ = unquote(text).partition("%")
    try:
        address = IPv6Address(literal)
    except ValueError:
        yield "", HostKind.UNKNOWN
        return
    if zone and not address.is_link_local:
        yield "", HostKind.UNKNOWN
    packed = int(address)
    if address.ipv4_mapped is not None:
        yield str(address.ipv4_mapped), _address_kind(address.ipv4_mapped)
        return
    yield str(address), _address_kind(address)
    inner = address.sixtofour or (address.teredo[1] if address.teredo else None)
    if (packed >> 32 == 0 and packed > 1) or packed >> 96 == _NAT64:
        inner = IPv4Address(packed & 0xFFFFFFFF)
    if inner is not None:
        yield str(inner), _address_kind(inner)


def _address_kind(address: IPv4Address | IPv6Address) -> HostKind:
    if str(address) in _METADATA_ADDRESSES:
        return HostKind.METADATA
    for network, kind in _SPECIAL_NETWORKS:
        if address in network:
            return kind
    if address.version == 6 and int(address) >> 125 != _UNICAST:
        return HostKind.PRIVATE
    return HostKind.PUBLIC


def _name_kind(name: str) -> HostKind:
    if name in _METADATA_NAMES:
        return HostKind.METADATA
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return HostKind.LOOPBACK
    if name.endswith(_ANY_ADDRESS):
        return HostKind.UNKNOWN
    if "." not in name or name.endswith(_PRIVATE_ENDINGS):
        return HostKind.PRIVATE
    return HostKind.PUBLIC
