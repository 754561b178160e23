"""The chain shows every change, move and gap; a record's bytes are canonical."""

import hashlib
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from forestall.audit.chain import (
    GENESIS,
    ChainError,
    ChainLink,
    Head,
    append,
    leaf_hash,
    leaf_of,
    next_link,
    verify_links,
)
from forestall.audit.record import Record


def chain(records: list[bytes]) -> list[ChainLink]:
    links, previous = [], GENESIS
    for position, record in enumerate(records):
        previous = next_link(previous, position, leaf_hash(record))
        links.append(ChainLink(position, record, previous))
    return links


RECORDS = st.lists(st.binary(max_size=20), min_size=1, max_size=12, unique=True)


@given(RECORDS)
def test_an_untouched_log_verifies(records: list[bytes]) -> None:
    links = chain(records)
    assert verify_links(links) == links[-1]
    assert verify_links([]) is None


@given(RECORDS, st.data())
def test_a_changed_record_is_found(records: list[bytes], data: st.DataObject) -> None:
    links = chain(records)
    victim = data.draw(st.integers(0, len(links) - 1))
    links[victim] = msgspec.structs.replace(links[victim], record=links[victim].record + b"x")
    with pytest.raises(ChainError) as caught:
        verify_links(links)
    assert caught.value.details == {"position": victim, "problem": "hash_mismatch"}


@given(RECORDS.filter(lambda records: len(records) > 2), st.data())
def test_a_removed_or_swapped_record_is_found(records: list[bytes], data: st.DataObject) -> None:
    links = chain(records)
    victim = data.draw(st.integers(0, len(links) - 2))
    with pytest.raises(ChainError):
        verify_links(links[:victim] + links[victim + 1 :])
    renumbered = [
        msgspec.structs.replace(link, position=position)
        for position, link in enumerate(links[:victim] + links[victim + 1 :])
    ]
    with pytest.raises(ChainError):
        verify_links(renumbered)
    links[victim], links[victim + 1] = (
        msgspec.structs.replace(links[victim], record=links[victim + 1].record),
        msgspec.structs.replace(links[victim + 1], record=links[victim].record),
    )
    with pytest.raises(ChainError):
        verify_links(links)


@given(RECORDS, st.integers(0, 11))
def test_pages_verify_like_the_whole(records: list[bytes], cut: int) -> None:
    links = chain(records)
    first = verify_links(links[:cut])
    start, previous = (first.position + 1, first.link) if first else (0, GENESIS)
    rest = verify_links(links[cut:], start=start, previous=previous)
    assert (rest or first) == links[-1]


# Logs of other versions and other programs must verify for ever, so these links never change.
GOLDEN = (
    (b"one", "dcc2224964004db63d8e04b1cffcd6242fce142ddd3f75c7c17c06bcf975ff67"),
    (b"two", "d28fc3fd06df58fd1145eb9a58a65f959cfb5136832d4a88330aed2ea2af4d0a"),
    (b"", "f44d1b83974e2b8418d4a40cfbf81eed045628b4891020afaf106871e4207072"),
)


def golden() -> list[ChainLink]:
    return [
        ChainLink(position, record, bytes.fromhex(link))
        for position, (record, link) in enumerate(GOLDEN)
    ]


def test_the_links_are_those_of_every_version() -> None:
    links, head = append(Head(), [leaf_of(record) for record, _ in GOLDEN])
    assert links == golden()
    assert head == Head(3, links[-1].link)
    assert verify_links(golden()) == links[-1]
    # a position beyond one byte, after a link that is not the first
    assert next_link(bytes(range(32)), 258, bytes(32)).hex() == (
        "dc94be6f2bc0d56fec47383fff0d67ff4f7177f7a5f36c5b6282e148f02272f5"
    )


def test_a_link_is_a_hash_of_domain_position_previous_link_and_leaf() -> None:
    """Written out, so that an auditor's own program can be compared with it."""
    domain = b"forestall.log.chain.v1\x00"
    previous, leaf = bytes(range(32)), leaf_hash(b"one")
    text = domain + (7).to_bytes(8, "big") + previous + leaf
    assert next_link(previous, 7, leaf) == hashlib.sha256(text).digest()


@pytest.mark.parametrize("victim", [0, 1, 2])
@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("position", lambda link: link.position + 1),
        ("position", lambda link: link.position - 1),
        ("record", lambda link: link.record + b" "),
        ("record", lambda link: b"another"),
        ("link", lambda link: bytes(32)),
        ("link", lambda link: link.link[:-1] + bytes([link.link[-1] ^ 1])),
        ("link", lambda link: link.link[:-1]),
    ],
)
def test_every_field_of_every_position_counts(victim: int, field: str, change: Any) -> None:
    links = golden()
    links[victim] = msgspec.structs.replace(links[victim], **{field: change(links[victim])})
    with pytest.raises(ChainError) as caught:
        verify_links(links)
    assert caught.value.details["position"] == victim


@pytest.mark.parametrize("victim", [1, 2])
@pytest.mark.parametrize("what", ["previous link", "position"])
def test_a_link_made_without_its_neighbour_does_not_verify(victim: int, what: str) -> None:
    """What somebody writes who replaces one record and makes its link anew: the place where it
    stands and what stands before it are in the hash."""
    links = golden()
    leaf = leaf_hash(links[victim].record)
    previous = GENESIS if what == "previous link" else links[victim - 1].link
    position = 0 if what == "position" else victim
    made = next_link(previous, position, leaf)
    assert made != links[victim].link
    links[victim] = msgspec.structs.replace(links[victim], link=made)
    with pytest.raises(ChainError):
        verify_links(links)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_record_replaced_with_its_link_breaks_the_next_one(victim: int) -> None:
    links = golden()
    previous = links[victim - 1].link if victim else GENESIS
    forged = next_link(previous, victim, leaf_hash(b"forged"))
    links[victim] = ChainLink(victim, b"forged", forged)
    with pytest.raises(ChainError) as caught:
        verify_links(links)
    assert caught.value.details["position"] == victim + 1


def test_the_leaf_hash_is_that_of_rfc_6962() -> None:
    """Section 2.1: MTH({d0}) = SHA-256(0x00 || d0)."""
    assert leaf_hash(b"") == hashlib.sha256(b"\x00").digest()
    assert leaf_hash(b"").hex().startswith("6e340b9cffb37a98")


def test_a_record_is_canonical_json() -> None:
    record = Record(
        kind="job.submitted",
        at_us=1,
        tenant="é",
        actor="a",
        salt="00",
        data={"b": (("k", "v"),), "a": 1, "n": None, "t": True},
    )
    assert record.canonical() == rfc8785.dumps(
        {
            "kind": "job.submitted",
            "at_us": 1,
            "tenant": "é",
            "actor": "a",
            "salt": "00",
            "job_id": "",
            "data": {"b": [["k", "v"]], "a": 1, "n": None, "t": True},
        }
    )
