"""Validators of tokens whose form can be checked: keys of AWS, bots of Discord and Telegram."""

from forestall.output.detectors.context import matched_in_front
from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import Validator, entry_confidence, own_confidence
from forestall.output.detectors.value_checks import decoded_base64, is_random
from forestall.output.findings import Candidate, Check


def _aws_id(candidate: Candidate) -> float | None:
    """Ids of AWS are base32 behind a prefix of four letters; an id of another alphabet is a mistake
    or invented."""
    body = candidate.value[4:]
    if candidate.value.endswith("EXAMPLE") or not is_random(body):
        return None
    return 0.7 if set("0189") & set(body) else 0.97


def _aws_secret(candidate: Candidate) -> bool:
    value = candidate.value
    mixed = any(map(str.isupper, value)) and any(map(str.islower, value))
    return mixed and "EXAMPLE" not in value and is_random(value)


def _discord(candidate: Candidate) -> float | None:
    """The first part of a bot's token is its numeric id in base64."""
    if not is_random(candidate.value, length_min=50):
        return None
    bot_id = decoded_base64(candidate.value.split(".")[0])
    return 0.97 if bot_id is not None and bot_id.isdigit() else 0.7


def _telegram(candidate: Candidate) -> float | None:
    body = candidate.value.split(":")[1]
    if not is_random(body):
        return None
    return 0.95 if body.startswith("AA") else 0.75


# The start of a digest in base64, with the mark in front of it: of go.sum, of npm, of an image.
_DIGEST_START = Expression(r"(?:\bh1:|\bsha(?:1|256|384|512)[-:=])([A-Za-z0-9+/]*)$")
_DIGEST_END = Expression(r"[A-Za-z0-9+/]*={0,2}")
_DIGEST_CHARS = frozenset((28, 44, 64, 88))  # of 20, 32, 48 and 64 bytes


def outside_of_digest(check: Check | None, confidence: float) -> Check:
    """The check of a token that also refuses a part of a digest."""

    def check_place(candidate: Candidate) -> float | None:
        if _is_part_of_digest(candidate):
            return None
        return confidence if check is None else check(candidate)

    return check_place


def _is_part_of_digest(candidate: Candidate) -> bool:
    front = matched_in_front(candidate)
    start = _DIGEST_START.search(candidate.before + front)
    if start is None:
        return False
    behind = candidate.matched[len(front) + len(candidate.value) :] + candidate.after
    end = _DIGEST_END.match(behind)
    end_chars = len(end[0]) if end is not None else 0
    return len(start[1]) + len(candidate.value) + end_chars in _DIGEST_CHARS


VALIDATORS: dict[str, Validator] = {
    "aws_access_key_id": own_confidence(_aws_id),
    "aws_secret_access_key": entry_confidence(_aws_secret),
    "discord_bot_token": own_confidence(_discord),
    "telegram_bot_token": own_confidence(_telegram),
}
