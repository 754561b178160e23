"""How a body is read: with a timer only when it is still on its way."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from forestall.errors import LimitExceededError
from forestall.limits import BODY_BYTES_MAX
from forestall.server import bodies
from forestall.server.bodies import BodyTimeoutError, ClientGoneError
from forestall.server.endpoints import Receive

Message = dict[str, Any]


def _receive(messages: Sequence[Message], *, turns: int = 0, silent: bool = False) -> Receive:
    """What an ASGI server hands out: each message after so many turns of the event loop."""
    waiting = iter(messages)

    async def receive() -> Message:
        for _ in range(turns):
            await asyncio.sleep(0)
            await asyncio.sleep(0.0001)
        message = next(waiting, None)
        if message is None:
            assert silent, "nobody reads beyond the end of the body"
            await asyncio.Event().wait()
        assert message is not None
        return message

    return receive


def _parts(*parts: bytes) -> list[Message]:
    return [
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts, 1)
    ]


@pytest.mark.parametrize("turns", [0, 1, 3])
@pytest.mark.parametrize("parts", [(b"",), (b"{}",), (b"{", b"}"), (b"", b"{", b"", b"}")])
def test_the_body_is_whole_however_it_comes(turns: int, parts: tuple[bytes, ...]) -> None:
    body = asyncio.run(bodies._whole_body(_receive(_parts(*parts), turns=turns)))
    assert body == b"".join(parts)


def test_a_body_that_is_there_makes_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer costs more than the reading: none is made for a body that came with its head."""

    def no_timer(_seconds: float) -> None:
        raise AssertionError("a timer was made")

    monkeypatch.setattr(asyncio, "timeout", no_timer)
    assert asyncio.run(bodies._whole_body(_receive(_parts(b"{}")))) == b"{}"
    with pytest.raises(AssertionError, match="a timer was made"):
        asyncio.run(bodies._whole_body(_receive(_parts(b"{}"), turns=1)))


@pytest.mark.parametrize("turns", [0, 2])
def test_a_client_that_hangs_up_is_gone(turns: int) -> None:
    for messages in ([], _parts(b"{", b"")[:1]):
        receive = _receive([*messages, {"type": "http.disconnect"}], turns=turns)
        with pytest.raises(ClientGoneError):
            asyncio.run(bodies._whole_body(receive))


@pytest.mark.parametrize("messages", [[], _parts(b"{", b"")[:1]], ids=["nothing", "half"])
def test_the_timer_covers_all_of_a_slow_body(
    messages: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_READ_SECONDS_MAX", 0.02)
    with pytest.raises(BodyTimeoutError):
        asyncio.run(bodies._whole_body(_receive(messages, turns=1, silent=True)))
    drip = _parts(*[b"x"] * 1_000)
    with pytest.raises(BodyTimeoutError):
        asyncio.run(bodies._whole_body(_receive(drip, turns=2)))


def test_cancelling_a_wait_for_the_body_is_cancelling() -> None:
    """The server stops: the wait ends as cancelled, and is no timeout."""

    async def cancel() -> None:
        task = asyncio.ensure_future(bodies._whole_body(_receive([], silent=True)))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())


@pytest.mark.parametrize("turns", [0, 1])
def test_a_body_past_the_bound_is_refused_before_its_end(turns: int) -> None:
    parts = _parts(*[b"x" * 65_536] * (BODY_BYTES_MAX // 65_536 + 1), b"never read")[:-1]
    receive = _receive(parts, turns=turns, silent=True)
    with pytest.raises(LimitExceededError):
        asyncio.run(bodies._whole_body(receive))
