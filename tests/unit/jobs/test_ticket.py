"""A ticket: read back as it was signed, or refused; no third thing."""

import base64
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from forestall.jobs.ticket import Ticket, TicketError, sign_ticket, verify_ticket
from forestall.limits import TICKET_CHARS_MAX
from forestall.policy.rules import Budgets, Constraints

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
PUBLIC = KEY.public_key()
TICKET = Ticket(
    job_id="j",
    tenant="t",
    topic="job.a",
    job_hash="7" * 64,
    attempt=1,
    worker="w",
    snapshot="5" * 64,
    decision="allow_with_constraints",
    rule_id="r",
    issued_at_us=10,
    expires_at_us=20,
    constraints=Constraints(budgets=Budgets(max_runtime_ms=5)),
)
TEXT = sign_ticket(TICKET, KEY)
texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(texts, texts, st.integers(1, 2**53 - 1))
def test_what_was_signed_is_what_is_read(worker: str, topic: str, attempt: int) -> None:
    ticket = replace(TICKET, worker=worker, topic=topic, attempt=attempt)
    assert verify_ticket(sign_ticket(ticket, KEY), [OTHER.public_key(), PUBLIC], now_us=0) == ticket


@given(st.integers(0, len(TEXT) - 1), st.characters(codec="ascii"))
def test_a_changed_character_is_noticed(place: int, character: str) -> None:
    """Or it is the same ticket: base64 has spare bits at its end."""
    forged = TEXT[:place] + character + TEXT[place + 1 :]
    try:
        assert verify_ticket(forged, [PUBLIC], now_us=0) == TICKET
    except TicketError:
        return


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
def test_any_text_is_refused_with_our_error(text: str) -> None:
    with pytest.raises(TicketError):
        verify_ticket(text, [PUBLIC], now_us=0)


def signed(body: bytes, domain: bytes = b"forestall ticket v1\x00") -> str:
    parts = (body, KEY.sign(domain + body))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


@pytest.mark.parametrize(
    "forge",
    [
        lambda: sign_ticket(TICKET, OTHER),
        lambda: signed(b"{}"),
        lambda: signed(b"[]"),
        lambda: signed(b"\xff"),
        lambda: signed(base64.urlsafe_b64decode(TEXT.split(".")[0] + "=="), domain=b""),
        lambda: TEXT.split(".")[0],
        lambda: TEXT.split(".")[0] + ".",
        lambda: "." + TEXT.split(".")[1],
        lambda: TEXT + "." + TEXT.split(".")[1],
        lambda: TEXT + " " * TICKET_CHARS_MAX,
        lambda: "",
    ],
)
def test_a_forged_ticket_is_refused(forge: Callable[[], str]) -> None:
    with pytest.raises(TicketError):
        verify_ticket(forge(), [PUBLIC], now_us=0)


def test_no_key_proves_nothing() -> None:
    with pytest.raises(TicketError):
        verify_ticket(TEXT, [], now_us=0)


def test_it_ends_at_its_instant() -> None:
    assert verify_ticket(TEXT, [PUBLIC], now_us=19) == TICKET
    with pytest.raises(TicketError, match="expired"):
        verify_ticket(TEXT, [PUBLIC], now_us=20)
