"""The detectors of what only a policy knows: which hosts and which folders are ours.

`policy/language/output_reader.py` read the entries strictly: names, addresses and ranges of hosts;
absolute folders.
"""

import ipaddress
import re
from collections.abc import Sequence

import re2

from forestall.output.findings import Candidate, Check, Detector, Kind

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST_BYTES_MAX = 253
_HEXTETS_MAX = 1_024  # of a range, as words to look for; a wider one is looked for everywhere
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
    kinds += [_addresses(candidate) for version in (4, 6) if (candidate := _of(networks, version))]
    return Detector(name="internal_host", kinds=tuple(kinds))


def source_path(entries: Sequence[str]) -> Detector:
    """Paths of these folders and of all in them, separators doubled or not."""
    return Detector(name="source_path", kinds=tuple(_folder(entry) for entry in entries))


def _name_kinds(name: str) -> list[Kind]:
    own, front = re2.escape(name), r"(?:^|[^0-9A-Za-z._-])"
    if "." in name:
        return [_host(name, rf"{front}((?:[0-9A-Za-z_-]+\.)*{own})")]
    below = rf"(?:[0-9A-Za-z_-]+\.)+{own}"
    return [
        _host(name, rf"{front}({below}|{own}:[0-9]{{2,5}})"),
        _host(name, rf"(?://|@)({own})"),
    ]


def _host(name: str, pattern: str) -> Kind:
    return Kind(
        name="host_name",
        pattern=rf"{pattern}(?:\.?[^0-9A-Za-z._-]|\.?$)",
        keywords=(name,) if len(name) > 1 else (),
        any_case=True,
        before=_HOST_BYTES_MAX,
        after=16,
        confidence=1.0,
    )


def _of(networks: Sequence[Network], version: int) -> list[Network]:
    return [each for each in networks if each.version == version]


def _addresses(networks: list[Network]) -> Kind:
    version = networks[0].version
    digits = r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}" if version == 4 else r"[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+"
    inside = r"0-9." if version == 4 else r"0-9A-Za-z:."
    words: set[str] = set()
    for network in networks:
        begun = _beginnings(network)
        if begun is None:
            words.clear()
            break
        words |= begun
    return Kind(
        name=f"ipv{version}_address",
        pattern=rf"(?:^|[^{inside}])({digits})(?:[^{inside}]|\.?$|\.[^{inside}])",
        keywords=tuple(sorted(words)),
        before=48,
        after=48,
        check=_inside(networks),
    )


def _beginnings(network: Network) -> set[str] | None:
    """What the addresses of a range begin with; None: too many ways to list."""
    if network.version == 4:
        width, step = (16, 65_536) if network.prefixlen >= 16 else (8, 1 << 24)
        first = int(network.network_address) // step
        count = max(1, network.num_addresses // step)
        if width == 16:
            return {f"{first >> 8}.{first & 255}."}
        return {f"{first + more}." for more in range(count)}
    first = int(network.network_address) >> 112
    count = max(1, network.num_addresses >> 112)
    if count > _HEXTETS_MAX or first == 0:
        return None
    return {f"{first + more:x}:" for more in range(count)} | {
        f"{first + more:04x}:" for more in range(count)
    }


def _inside(networks: list[Network]) -> Check:
    def check(candidate: Candidate) -> float | None:
        try:
            address = ipaddress.ip_address(candidate.value.rstrip("."))
        except ValueError:
            return None
        return 1.0 if any(address in network for network in networks) else None

    return check


def _folder(entry: str) -> Kind:
    windows = _WINDOWS.match(entry) is not None
    parts = [part for part in re.split(r"[\\/]+" if windows else "/+", entry) if part]
    between = r"[\\/]+" if windows else "/+"
    start = "" if windows and not entry.startswith("\\\\") else between
    whole = start + between.join(re2.escape(part) for part in parts)
    words = [part.lower() for part in parts if part.isascii() and len(part) > 1]
    end = r"(?:[^0-9A-Za-z_.-]|\.?$|\.[^0-9A-Za-z_])"
    return Kind(
        name="path",
        pattern=(
            rf"(?:^|[^0-9A-Za-z_./\\-]|file:///?)({whole}{between}{_REST}|{whole}){end}"
            if windows
            else rf"(?:^|[^0-9A-Za-z_./\\-]|file://)({whole}/{_REST}|{whole}){end}"
        ),
        keywords=(max(words, key=len),) if words else (),
        any_case=windows,
        before=2 * len(entry.encode()) + 64,
        after=2 * len(entry.encode()) + 512,
        confidence=1.0,
    )
