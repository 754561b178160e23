"""What stands round a phrase: is it an order to whoever reads, or is it spoken of?

Documentation about attacks quotes them, and manuals say "do not ignore the instructions". The few
words in front and behind tell most of those from an order; the rest costs a false alarm.
"""

# ruff: noqa: RUF001 - letters that look alike are what this is about

import re

from forestall.output.findings import Candidate, Check, Kind

_NEGATED = re.compile(
    r"\b(?:not|never|cannot|n[’']t|without|avoid|nicht|ne|pas|nunca|jamais|mai|не)\s+"
    r"(?:\w+\s+)?$",
    re.IGNORECASE,
)
_NARRATED = re.compile(
    r"\b(?:attempt\w*|tr(?:y|ies|ied|ying)|ask(?:s|ed|ing)|tell(?:s|ing)|told|instruct(?:s|ed|ing)"
    r"|trick\w*|convinc\w+|caus\w+|mak(?:es|ing)|designed|able|persuad\w+|order(?:s|ed|ing)"
    r"|want(?:s|ed))"
    r"\s+(?:[\w'-]+\s+){0,5}to\s+$"
    r"|\b(?!you\b)\w+\s+(?:may|might|could|would|can)\s+$"
    r"|\b(?:phrases?|strings?|such\s+as|e\.g\.,?|for\s+example,?|known\s+as|called|matching\s+for)"
    r"\s*[\"'`“‘:]{0,3}\s*$",
    re.IGNORECASE,
)
_QUOTE_OPENS = re.compile(r"(?:[\w)`,;]\s|\()[\"'`“‘„«*]{1,2}$")
_QUOTE_CLOSES = re.compile(r"^[.,!?]?[\"'`”’»*]")
# Words of one who speaks to a model, in front of or behind a phrase that says little alone.
_TO_A_MODEL = re.compile(
    r"\b(?:you\s+(?:must|should|will|are|have|need|can)|your\s+(?:task|answer|response|reply|output"
    r"|instructions?|prompt|rules?|guidelines?)|ignore|disregard|instead|assistant|chatgpt|gpt"
    r"|language\s+model|llm|from\s+now\s+on|system\s+prompt)\b",
    re.IGNORECASE,
)


def spoken_of(found: Candidate) -> bool:
    """Whether the phrase is denied, told of somebody else, or stands in quotes in a sentence."""
    before = found.before
    return (
        _NEGATED.search(before) is not None
        or _NARRATED.search(before) is not None
        or (
            _QUOTE_OPENS.search(before) is not None
            and _QUOTE_CLOSES.search(found.after) is not None
        )
    )


def meant(sure: float) -> Check:
    """Refuses what is only spoken of; surer where more of the surroundings speaks to a model."""

    def check(found: Candidate) -> float | None:
        if spoken_of(found):
            return None
        return min(0.95, sure + 0.1) if _speaks_to_a_model(found) else sure

    return check


def meant_for_a_model(sure: float) -> Check:
    """As `meant`, for a phrase that alarms only where something near it speaks to a model."""

    def check(found: Candidate) -> float | None:
        return sure if _speaks_to_a_model(found) and not spoken_of(found) else None

    return check


def _speaks_to_a_model(found: Candidate) -> bool:
    return (
        _TO_A_MODEL.search(found.before) is not None or _TO_A_MODEL.search(found.after) is not None
    )


def phrase(
    name: str,
    pattern: str,
    *keywords: str,
    sure: float = 0.8,
    check: Check | None = None,
    before: int = 48,
    after: int = 200,
) -> Kind:
    """Words of a sentence, in any case; a space stands for any white space, ` ?` for none too."""
    return Kind(
        name=name,
        pattern=pattern.replace(" ?", r"\s*").replace(" ", r"\s+"),
        keywords=keywords,
        any_case=True,
        before=before,
        after=after,
        confidence=sure,
        check=check or meant(sure),
    )
