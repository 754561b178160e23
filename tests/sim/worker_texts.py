"""What workers say, with canaries in it: results, error messages, progress."""

import base64
from collections.abc import Callable
from random import Random

import msgspec

from tests.sim.canaries import Canaries, Canary, escaped

_PLANTED = 0.5  # of the texts
_HOSTILE = 0.15  # of the results: no JSON that the plane takes
_LONG = 300  # more characters than are scanned where they arrive


class Text(msgspec.Struct, frozen=True):
    """A text of a worker; `json` is a result as it travels. A hostile one is `kept_as` other bytes,
    and withheld unread if it is `unreadable`."""

    json: bytes
    planted: tuple[Canary, ...] = ()
    kept_as: bytes = b""
    unreadable: bool = False

    @property
    def text(self) -> str:
        """A message, which is a text alone."""
        return msgspec.json.decode(self.json, type=str)

    @property
    def kept(self) -> bytes:
        """A result as the plane would keep it: without the liberties of JSON."""
        return self.kept_as or msgspec.json.encode(msgspec.json.decode(self.json))


def result(random: Random, canaries: Canaries) -> Text:
    """A result, short or long, with or without a canary in one of many places."""
    if random.random() < _HOSTILE:
        return _hostile(random, _some(random, canaries))
    planted = _some(random, canaries)
    if not planted:
        size = random.choice((1, 1, 20, _LONG))
        return Text(msgspec.json.encode("x" * size))
    told = f"see {' and '.join(canary.text for canary in planted)} : later"
    padding = "x" * random.choice((0, _LONG))
    made = random.choice(_SHAPES)(told)
    return Text(b'{"padding":"%b","said":%b}' % (padding.encode(), made), planted)


def message(random: Random, canaries: Canaries) -> Text:
    """What a worker says beside its result, for people."""
    planted = _some(random, canaries)
    told = " and ".join(canary.text for canary in planted) or "nothing"
    padding = "x" * random.choice((0, 0, _LONG))
    return Text(msgspec.json.encode(f"at {told} : now {padding}"), planted)


def _hostile(random: Random, planted: tuple[Canary, ...]) -> Text:
    """A result that a strict reader refuses, and what must become of it."""
    told = f"see {' and '.join(canary.text for canary in planted)} : later"
    shape, kept = random.choice(_HOSTILE_SHAPES)
    if kept is not None:
        return Text(shape % told.encode(), planted, kept_as=kept % told.encode())
    sent = shape % told.encode()
    return Text(sent, planted, kept_as=msgspec.json.encode(sent.decode()), unreadable=True)


# As it is sent, and as it is kept; None: it has no single reading.
_HOSTILE_SHAPES: tuple[tuple[bytes, bytes | None], ...] = (
    (b'"a\\u0000 %b"', b'"a\\\\u0000 %b"'),
    (b'["%b",NaN,1e999]', b'["%b","NaN","1e999"]'),
    (b'{"\\ud800":"%b"}', b'{"\\\\ud800":"%b"}'),
    (b'[12345678901234567890,"%b"]', b'["12345678901234567890","%b"]'),
    (b'{"a":1,"a":"%b"}', None),
    (b"[" * 70 + b'"%b"' + b"]" * 70, None),
    (b"the work is done: %b", None),
)


def _some(random: Random, canaries: Canaries) -> tuple[Canary, ...]:
    if random.random() >= _PLANTED:
        return ()
    which = random.choice(("credential", "credential", "word", "word", "both"))
    made = []
    if which != "word":
        made.append(canaries.credential(random))
    if which != "credential":
        made.append(canaries.word(random))
    return tuple(made)


def _plain(told: str) -> bytes:
    return msgspec.json.encode(told)


def _deep(told: str) -> bytes:
    return msgspec.json.encode([{"in": [{"a": told}, 1]}])


def _name(told: str) -> bytes:
    return msgspec.json.encode({told: 1})


def _base64(told: str) -> bytes:
    return msgspec.json.encode({"data": base64.b64encode(told.encode()).decode()})


def _split(told: str) -> bytes:
    """Every third character as an escape."""
    return f'"{"".join(escaped(c) if n % 3 == 0 else c for n, c in enumerate(told))}"'.encode()


def _nested(told: str) -> bytes:
    """JSON inside of a text, all of it escaped: the plane keeps that as it is."""
    return msgspec.json.encode(f'{{"text":"{escaped(told)}"}}')


_SHAPES: tuple[Callable[[str], bytes], ...] = (_plain, _deep, _name, _base64, _split, _nested)
