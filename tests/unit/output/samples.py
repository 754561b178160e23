"""Samples of every kind of secret, drawn when they are needed: no credential stands in the tree.

A sample is an example of a detector file, `forestall/output/data/secret`: a text with holes. A hole
says what fills it and how long it is: `{hex:40}` is 40 hexadecimal characters. Some are calculated:
`{crc32_base62}` is the checksum of GitHub and npm over what stands behind the last `_`.
docs/reference/detectors.md lists them.
"""

import base64
import binascii
import random
import re
import string

from forestall.output.detectors import FILES, read_file
from forestall.output.detectors.entries import EntryFile, as_tuple
from forestall.output.detectors.value_checks import is_placeholder, is_wordlike

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
HOLES = {
    "base32": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "base32_lower": "abcdefghijklmnopqrstuvwxyz234567",
    "base36": string.ascii_lowercase + string.digits,
    "base36_upper": string.ascii_uppercase + string.digits,
    "base62": string.ascii_letters + string.digits,
    "bech32": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "dash": "-",
    "digits": string.digits,
    "hex": "0123456789abcdef",
    "x": "x",
}
CALCULATED = (
    "basic_credentials",
    "crc32_base62",
    "discord_bot_token",
    "json_web_token",
    "private_key",
    "uuid",
)
_HOLE = re.compile(rf"\{{(?:({'|'.join(HOLES)}):(\d+)|({'|'.join(CALCULATED)}))\}}")
_ONE_CHARACTER = ("dash", "x")


def drawn(recipe: str, seed: int, *, words: bool = False) -> str:
    """The recipe with its holes filled. Of what is drawn one in a hundred looks written, and is not
    found for that: with `words` it is kept, as it would be in the world."""
    chance = random.Random(f"{seed}:{recipe}")
    text = _HOLE.sub(lambda hole: _filled(hole, chance, words), recipe)
    if "\0" in text:  # the checksum, over what stands in front of it
        body = re.split("[^A-Za-z0-9]", text[: text.index("\0")])[-1]
        text = text.replace("\0", _crc(body))
    return text


def dull(recipe: str) -> str:
    """The recipe with holes filled by `x`, as documentation shows it: no secret."""
    return _HOLE.sub(lambda hole: "x" * int(hole[2] or 36), recipe)


def short(recipe: str, seed: int) -> str:
    """The recipe with at most three characters in every hole: another form, or no secret."""
    return drawn(
        _HOLE.sub(lambda hole: f"{{{hole[1] or 'hex'}:{min(3, int(hole[2] or 3))}}}", recipe), seed
    )


def _filled(hole: re.Match[str], chance: random.Random, words: bool) -> str:
    if hole[3] == "crc32_base62":
        return "\0"
    if hole[3] == "uuid":
        return "-".join(_some("hex", size, chance) for size in (8, 4, 4, 4, 12))
    if hole[3] == "json_web_token":
        parts = [
            b'{"alg":"HS256"}',
            b'{"sub":"%d"}' % chance.randrange(10**9),
            chance.randbytes(32),
        ]
        return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    if hole[3] == "private_key":
        body = base64.encodebytes(chance.randbytes(300)).decode()
        return f"{'-' * 5}BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY-----"
    if hole[3] == "basic_credentials":
        return base64.b64encode(f"alice:{_some('base62', 12, chance)}".encode()).decode()
    if hole[3] == "discord_bot_token":
        name = base64.b64encode(str(chance.randrange(10**17, 10**18)).encode()).decode()
        return f"{name.rstrip('=')}.{_some('base62', 6, chance)}.{_some('base62', 27, chance)}"
    return _some(hole[1], int(hole[2]), chance, words)


def _some(name: str, size: int, chance: random.Random, words: bool = True) -> str:
    """Characters of a class, with a digit among them, and nothing that stands for a secret."""
    letters = HOLES[name]
    if name in _ONE_CHARACTER:
        return letters * size
    while True:
        text = "".join(chance.choices(letters, k=size))
        if size < 8 or name == "digits":
            return text
        if (
            any(map(str.isdigit, text))
            and not is_placeholder(text)
            and (words or not is_wordlike(text))
        ):
            return text


def _crc(body: str) -> str:
    number, text = binascii.crc32(body.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        text = _BASE62[digit] + text
    return text.rjust(6, "0")


def _first_examples() -> dict[str, str]:
    """Of each kind the first text that it has to be found in."""
    first: dict[str, str] = {}
    for file in FILES["secret"]:
        table = read_file(file).value
        assert isinstance(table, EntryFile)
        for entry in table.detectors:
            # `«` and `»` show a reader what the finding is; they are not of the text.
            example = as_tuple(entry.examples.match)[0].replace("«", "").replace("»", "")
            first.setdefault(entry.kind, example)
    return first


SECRETS: dict[str, str] = _first_examples()
