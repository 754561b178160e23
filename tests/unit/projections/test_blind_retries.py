"""Blind retries: bounded, and one agent's denials push out its own oldest first."""

import pytest

from forestall.projections import blind_retries
from forestall.projections.blind_retries import BlindRetries


def test_denials_of_one_agent_do_not_push_out_those_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blind_retries, "BLIND_RETRY_ENTRIES_PER_PRINCIPAL_MAX", 2)
    denials = BlindRetries()
    denials.denied(("one", "neighbour", "x"), "job", now_us=0)
    for number in range(9):
        denials.denied(("one", "hostile", str(number)), "job", now_us=0)
    assert denials.earlier(("one", "neighbour", "x"), now_us=0) == "job"
    found = [denials.earlier(("one", "hostile", str(n)), now_us=0) for n in range(9)]
    assert found == [""] * 7 + ["job"] * 2


def test_the_table_forgets_whoever_was_silent_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blind_retries, "BLIND_RETRY_ENTRIES_MAX", 2)
    denials = BlindRetries()
    for tenant in ("a", "b", "a", "c"):
        denials.denied((tenant, "p", "x"), "job", now_us=0)
    assert [denials.earlier((t, "p", "x"), now_us=0) for t in "abc"] == ["job", "", "job"]
    assert denials._count == sum(map(len, denials._denied.values())) == 2
