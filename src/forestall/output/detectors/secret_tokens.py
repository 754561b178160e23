"""Validators of tokens that say something of themselves: ids of AWS, bots of Discord, Telegram."""

import binascii

from forestall.output.detectors.checks import random
from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import Validator, entry_confidence, own_confidence
from forestall.output.findings import Candidate, Check


def _aws_id(candidate: Candidate) -> float | None:
    """Ids of AWS are base32; an id of another alphabet is a mistake or invented."""
    if candidate.value.endswith("EXAMPLE") or not random(candidate.value[4:]):
        return None
    return 0.97 if not set("0189") & set(candidate.value[4:]) else 0.7


def _aws_secret(candidate: Candidate) -> bool:
    value = candidate.value
    mixed = any(map(str.isupper, value)) and any(map(str.islower, value))
    return mixed and "EXAMPLE" not in value and random(value)


def _discord(candidate: Candidate) -> float | None:
    """The first part of a bot's token is its numeric id in base64."""
    if not random(candidate.value, length_min=50):
        return None
    head = candidate.value.split(".")[0]
    try:
        plain = binascii.a2b_base64(head + "=" * (-len(head) % 4))
    except binascii.Error:
        return 0.7
    return 0.97 if plain.isdigit() else 0.7


def _telegram(candidate: Candidate) -> float | None:
    body = candidate.value.split(":")[1]
    return (0.95 if body.startswith("AA") else 0.75) if random(body) else None


# A digest in base64, with the mark in front of it: of go.sum, of npm, of an image.
_DIGEST_BEFORE = Expression(r"(?:\bh1:|\bsha(?:1|256|384|512)[-:=])([A-Za-z0-9+/]*)$")
_DIGEST_AFTER = Expression(r"[A-Za-z0-9+/]*={0,2}")
_DIGEST_CHARS = frozenset((28, 44, 64, 88))  # of 20, 32, 48 and 64 bytes


def outside_of_digest(check: Check | None, confidence: float) -> Check:
    """The check of a token, of which a part of a digest is none."""

    def check_place(candidate: Candidate) -> float | None:
        front = candidate.matched.partition(candidate.value)[0]
        before = _DIGEST_BEFORE.search(candidate.before + front)
        if before is not None:
            behind = candidate.matched[len(front) + len(candidate.value) :] + candidate.after
            rest = _DIGEST_AFTER.match(behind)
            after = rest[0] if rest is not None else ""
            if len(before[1]) + len(candidate.value) + len(after) in _DIGEST_CHARS:
                return None
        return confidence if check is None else check(candidate)

    return check_place


VALIDATORS: dict[str, Validator] = {
    "aws_access_key_id": own_confidence(_aws_id),
    "aws_secret_access_key": entry_confidence(_aws_secret),
    "discord_bot_token": own_confidence(_discord),
    "telegram_bot_token": own_confidence(_telegram),
}
