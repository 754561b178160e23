"""The hash chain over the log, on leaf hashes as RFC 6962 defines them.

link(n) = SHA-256(domain, n, link(n-1), leaf(n)). The position is part of the hash, so that a record
can be neither moved nor renumbered. The leaf hashes also suit a Merkle tree. Stores nothing.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from forestall.errors import ForestallError

GENESIS = bytes(32)  # the link before position 0
_DOMAIN = b"forestall.log.chain.v1\x00"


class ChainError(ForestallError):
    """The log does not verify; `details` name the first position that is wrong."""

    code, http_status = "log_broken", 500


class Leaf(NamedTuple):
    """One record as the log stores it: its canonical bytes and their RFC 6962 leaf hash."""

    record: bytes
    hash: bytes


class Head(NamedTuple):
    """The end of the log: the position of the next record, and the link of the last record."""

    position: int = 0
    link: bytes = GENESIS


class ChainLink(msgspec.Struct, frozen=True):
    """One stored position of the log."""

    position: int
    record: bytes
    link: bytes


def leaf_hash(record: bytes) -> bytes:
    """The leaf hash of RFC 6962 section 2.1: SHA-256 over 0x00 and the record."""
    return hashlib.sha256(b"\x00" + record).digest()


def next_link(previous: bytes, position: int, leaf: bytes) -> bytes:
    """The link at `position`, given the previous link."""
    return hashlib.sha256(_DOMAIN + position.to_bytes(8, "big") + previous + leaf).digest()


def leaf_of(record: bytes) -> Leaf:
    """The leaf of a record's canonical bytes."""
    return Leaf(record, leaf_hash(record))


def append(head: Head, leaves: Iterable[Leaf]) -> tuple[list[ChainLink], Head]:
    """Chain leaves to the end of the log: their links, and the new end.

    Every store appends with this function, so that no two stores number or chain differently.
    """
    links: list[ChainLink] = []
    position, link = head
    for leaf in leaves:
        link = next_link(link, position, leaf.hash)
        links.append(ChainLink(position, leaf.record, link))
        position += 1
    return links, Head(position, link)


def verify_links(
    links: Iterable[ChainLink], *, start: int = 0, previous: bytes = GENESIS
) -> ChainLink | None:
    """Verify links that begin at position `start`, after the link `previous`. Returns the last
    link, or None without any.

    Raises ChainError at the first gap, reordering or changed record.
    """
    last: ChainLink | None = None
    for position, link in enumerate(links, start):
        if link.position != position:
            raise ChainError(
                f"the log has position {link.position} where {position} belongs",
                details={"position": position, "problem": "gap"},
            )
        if next_link(previous, position, leaf_hash(link.record)) != link.link:
            raise ChainError(
                f"the record at position {position} does not fit the chain",
                details={"position": position, "problem": "hash_mismatch"},
            )
        previous, last = link.link, link
    return last
