"""The hash chain over the log, on leaf hashes as RFC 6962 defines them.

link(n) = SHA-256(domain, n, link(n-1), leaf(n)). The position is inside the hash, so a record can
neither be moved nor renumbered. The Merkle log of a later step is built on the same leaf hashes.
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
    """A record as the log holds it: its canonical bytes, and their RFC 6962 leaf hash."""

    record: bytes
    hash: bytes


class Head(NamedTuple):
    """Where the log ends: the position of the next record, and the link of the last one."""

    position: int = 0
    link: bytes = GENESIS


class ChainLink(msgspec.Struct, frozen=True):
    """One position of the log as stored."""

    position: int
    record: bytes
    link: bytes


def leaf_hash(record: bytes) -> bytes:
    """RFC 6962 section 2.1: SHA-256 over 0x00 and the leaf."""
    return hashlib.sha256(b"\x00" + record).digest()


def next_link(previous: bytes, position: int, leaf: bytes) -> bytes:
    """The chain value at `position`, given the one before it."""
    return hashlib.sha256(_DOMAIN + position.to_bytes(8, "big") + previous + leaf).digest()


def leaf_of(record: bytes) -> Leaf:
    """The leaf of a record's canonical bytes."""
    return Leaf(record, leaf_hash(record))


def append(head: Head, leaves: Iterable[Leaf]) -> tuple[list[ChainLink], Head]:
    """Chain leaves to the end of the log: their links, and where the log ends then.

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
    """Walk the chain; the last link, or None when there is none.

    Raises ChainError at the first gap, reordering or changed record.
    """
    position, last = start, None
    for link in links:
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
        previous, last, position = link.link, link, position + 1
    return last
