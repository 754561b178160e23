"""Validators of tokens that say something of themselves: ids of AWS, bots of Discord, Telegram."""

import binascii

from forestall.output.detectors.checks import random
from forestall.output.detectors.validation import Validator, entry_confidence, own_confidence
from forestall.output.findings import Candidate


def _aws_id(found: Candidate) -> float | None:
    """Ids of AWS are base32; an id of another alphabet is a mistake or invented."""
    if found.value.endswith("EXAMPLE") or not random(found.value[4:]):
        return None
    return 0.97 if not set("0189") & set(found.value[4:]) else 0.7


def _aws_secret(found: Candidate) -> bool:
    value = found.value
    mixed = any(map(str.isupper, value)) and any(map(str.islower, value))
    return mixed and "EXAMPLE" not in value and random(value)


def _discord(found: Candidate) -> float | None:
    """The first part of a bot's token is its numeric id in base64."""
    if not random(found.value, length_min=50):
        return None
    head = found.value.split(".")[0]
    try:
        plain = binascii.a2b_base64(head + "=" * (-len(head) % 4))
    except binascii.Error:
        return 0.7
    return 0.97 if plain.isdigit() else 0.7


def _telegram(found: Candidate) -> float | None:
    body = found.value.split(":")[1]
    return (0.95 if body.startswith("AA") else 0.75) if random(body) else None


VALIDATORS: dict[str, Validator] = {
    "aws_access_key_id": own_confidence(_aws_id),
    "aws_secret_access_key": entry_confidence(_aws_secret),
    "discord_bot_token": own_confidence(_discord),
    "telegram_bot_token": own_confidence(_telegram),
}
