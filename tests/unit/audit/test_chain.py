"""The chain shows every change, move and gap; a record's bytes are canonical."""

import hashlib

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from forestall.audit.chain import GENESIS, ChainError, ChainLink, leaf_hash, next_link, verify_links
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
