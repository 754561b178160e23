"""The detectors of what only a policy knows: which hosts and which folders are the site's own.

The entries are valid (`policy/language/output_reader.py`): names, addresses and ranges of hosts;
absolute folders.
"""

import ipaddress
import re
from collections.abc import Sequence

import re2

from forestall.output.findings import Candidate, Check, Detector, Kind

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST_BYTES_MAX = 253
_HEXTETS_MAX = 1_024  # first groups of a range, as keywords; a wider range has no keywords
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
# A path ends where prose, quotes and brackets go on.
_REST = r"[^\s\"'`<>|*?,;:(){}\[\]]*"


def internal_host(entries: Sequence[str]) -> Detector:
    """Hosts under these names, addresses and ranges.

    A name stands for itself and for all below it. One without a dot is found alone only in an
    address (`//build`, `build:8080`), since it may be a word.
    """
    names: list[str] = []
    networks: list[Network] = []
    for entry in entries:
        try:
            networks.append(ipaddress.ip_network(entry, strict=False))
        except ValueError:
            names.append(entry.lower().removeprefix("*").strip("."))
    kinds = [kind for name in names for kind in _name_kinds(name)]
    for version in (4, 6):
        of_version = [network for network in networks if network.version == version]
        if of_version:
            kinds.append(_address_kind(of_version))
    return Detector(name="internal_host", kinds=tuple(kinds))


def source_path(entries: Sequence[str]) -> Detector:
    """Paths of these folders and of all in them, separators doubled or not."""
    return Detector(name="source_path", kinds=tuple(map(_folder_kind, entries)))


def _name_kinds(name: str) -> list[Kind]:
    itself, front = re2.escape(name), r"(?:^|[^0-9A-Za-z._-])"
    if "." in name:
        return [_host_kind(name, rf"{front}((?:[0-9A-Za-z_-]+\.)*{itself})")]
    below = rf"(?:[0-9A-Za-z_-]+\.)+{itself}"
    return [
        _host_kind(name, rf"{front}({below}|{itself}:[0-9]{{2,5}})"),
        _host_kind(name, rf"(?://|@)({itself})"),
    ]


def _host_kind(name: str, pattern: str) -> Kind:
    return Kind(
        name="host_name",
        pattern=rf"{pattern}(?:\.?[^0-9A-Za-z._-]|\.?$)",
        keywords=(name,) if len(name) > 1 else (),
        any_case=True,
        before=_HOST_BYTES_MAX,
        after=16,
        confidence=1.0,
    )


def _address_kind(networks: list[Network]) -> Kind:
    """The kind of the addresses in ranges of one version of IP."""
    version = networks[0].version
    digits = r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}" if version == 4 else r"[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+"
    inside = r"0-9." if version == 4 else r"0-9A-Za-z:."
    prefixes = [_prefixes(network) for network in networks]
    keywords: set[str] = set()
    if all(prefixes):  # a range without keywords is looked for everywhere, and so are all
        keywords.update(*prefixes)
    return Kind(
        name=f"ipv{version}_address",
        pattern=rf"(?:^|[^{inside}])({digits})(?:[^{inside}]|\.?$|\.[^{inside}])",
        keywords=tuple(sorted(keywords)),
        before=48,
        after=48,
        check=_in_networks(networks),
    )


def _prefixes(network: Network) -> set[str]:
    """What the addresses of a range begin with; empty where that is too much to list."""
    first = int(network.network_address)
    if network.version == 4 and network.prefixlen >= 16:
        return {f"{first >> 24}.{first >> 16 & 255}."}
    if network.version == 4:
        count = max(1, network.num_addresses >> 24)
        return {f"{(first >> 24) + more}." for more in range(count)}
    hextet = first >> 112
    count = max(1, network.num_addresses >> 112)
    if count > _HEXTETS_MAX or hextet == 0:
        return set()
    forms = ("{:x}:", "{:04x}:")
    return {form.format(hextet + more) for more in range(count) for form in forms}


def _in_networks(networks: list[Network]) -> Check:
    def check(candidate: Candidate) -> float | None:
        try:
            address = ipaddress.ip_address(candidate.value.rstrip("."))
        except ValueError:
            return None
        return 1.0 if any(address in network for network in networks) else None

    return check


def _folder_kind(entry: str) -> Kind:
    is_windows = _WINDOWS.match(entry) is not None
    separator = r"[\\/]+" if is_windows else "/+"
    parts = [part for part in re.split(separator, entry) if part]
    has_drive = is_windows and not entry.startswith("\\\\")
    folder = ("" if has_drive else separator) + separator.join(map(re2.escape, parts))
    front = r"(?:^|[^0-9A-Za-z_./\\-]|" + ("file:///?)" if is_windows else "file://)")
    below = rf"{folder}{separator if is_windows else '/'}{_REST}"
    end = r"(?:[^0-9A-Za-z_.-]|\.?$|\.[^0-9A-Za-z_])"
    words = [part.lower() for part in parts if part.isascii() and len(part) > 1]
    return Kind(
        name="path",
        pattern=rf"{front}({below}|{folder}){end}",
        keywords=(max(words, key=len),) if words else (),
        any_case=is_windows,
        before=2 * len(entry.encode()) + 64,
        after=2 * len(entry.encode()) + 512,
        confidence=1.0,
    )
