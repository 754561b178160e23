"""What stands round a phrase: is it an order to whoever reads, or is it spoken of?

Documentation about attacks quotes them, and manuals say "do not ignore the instructions". The few
words in front and behind tell most of those from an order; the rest costs a false alarm.
"""

# ruff: noqa: RUF001 - letters that look alike are what this is about

import re

from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import (
    Validator,
    ValidatorInput,
    entry_confidence,
    own_confidence,
)
from forestall.output.findings import Candidate, Check

_SUREST = 0.95

_NEGATED = Expression(
    r"\b(?:not|never|cannot|n[’']t|without|avoid|nicht|ne|pas|nunca|jamais|mai|не)\s+"
    r"(?:\w+\s+)?$",
    re.IGNORECASE,
)
_NARRATED = Expression(
    r"\b(?:attempt\w*|tr(?:y|ies|ied|ying)|ask(?:s|ed|ing)|tell(?:s|ing)|told|instruct(?:s|ed|ing)"
    r"|trick\w*|convinc\w+|caus\w+|mak(?:es|ing)|designed|able|persuad\w+|order(?:s|ed|ing)"
    r"|want(?:s|ed))"
    r"\s+(?:[\w'-]+\s+){0,5}to\s+$"
    r"|\b(?!you\b)\w+\s+(?:may|might|could|would|can)\s+$"
    r"|\b(?:phrases?|strings?|such\s+as|e\.g\.,?|for\s+example,?|known\s+as|called|matching\s+for)"
    r"\s*[\"'`“‘:]{0,3}\s*$",
    re.IGNORECASE,
)
_QUOTE_OPENS = Expression(r"(?:[\w)`,;]\s|\()[\"'`“‘„«*]{1,2}$")
_QUOTE_CLOSES = Expression(r"^[.,!?]?[\"'`”’»*]")
# Words of one who speaks to a model, in front of or behind a phrase that says little alone.
_TO_A_MODEL = Expression(
    r"\b(?:you\s+(?:must|should|will|are|have|need|can)|your\s+(?:task|answer|response|reply|output"
    r"|instructions?|prompt|rules?|guidelines?)|ignore|disregard|instead|assistant|chatgpt|gpt"
    r"|language\s+model|llm|from\s+now\s+on|system\s+prompt)\b",
    re.IGNORECASE,
)

# What somebody may do without restrictions, as licences and price lists say.
_LICENCE = Expression(
    r"\b(?:use|copy|modify|adapt|share|(?:re)?distribute|download|access|store|upload|create"
    r"|add)\b",
    re.IGNORECASE,
)
_ROLE_BEHIND = Expression(r"^\s*(?:system|user|assistant|tool|developer|ipython)\b", re.IGNORECASE)
_ALONE_IN_QUOTES = Expression(r"[\"'`]$")
_QUOTE_BEHIND = Expression(r"^[\"'`]")
_FENCE = Expression(r"[|{]%|%[|}]|\{\{")  # a chat template as code is about markup, not in it
_PROFESSION = Expression(
    r"^[\s-]*(?:researcher|engineer|developer|company|startup|team|practitioner|student|enthusiast"
    r"|scientist|vendor|user|professional|leader|consultant|expert|provider|customer|admin|code"
    r"|pro|plus"
    r"|compan|organi|lab|product|tool|platform|pipeline|api|application|app|project)",
    re.IGNORECASE,
)
_DISGUISE = Expression(r"[a-z][0-9$@€!+|]|[0-9$@€!+|][a-z]", re.IGNORECASE)
# What a letter asks of a person's reply: a number, a name. An order to a model asks for a change.
_OF_A_PERSON = Expression(
    r"\b(?:numbers?|tickets?|id|reference|screenshots?|names?|phone|address|details?|dates?"
    r"|times?|cop(?:y|ies)"
    r"|attachments?|invoices?|receipts?|logs?|subject|availability|questions?|feedback|contact"
    r"|order|account"
    r"|version|resume|cv|salary|code|error|following|exact|all (?:recipients|parties)|everyone)\b",
    re.IGNORECASE,
)


def is_only_mentioned(candidate: Candidate) -> bool:
    """Whether the phrase is denied, told of somebody else, or stands in quotes in a sentence."""
    before = candidate.before
    return (
        _NEGATED.search(before) is not None
        or _NARRATED.search(before) is not None
        or (
            _QUOTE_OPENS.search(before) is not None
            and _QUOTE_CLOSES.search(candidate.after) is not None
        )
    )


def _order(entry: ValidatorInput) -> Check:
    """Refuses what is only spoken of; surer where more of the surroundings speaks to a model."""

    def check(candidate: Candidate) -> float | None:
        if is_only_mentioned(candidate):
            return None
        sure = entry.confidence
        return min(_SUREST, sure + 0.1) if _words_to_a_model_near(candidate) else sure

    return check


def _order_to_a_model(candidate: Candidate) -> bool:
    """A phrase that alarms only where something near it speaks to a model."""
    return _words_to_a_model_near(candidate) and not is_only_mentioned(candidate)


def _words_to_a_model_near(candidate: Candidate) -> bool:
    return (
        _TO_A_MODEL.search(candidate.before) is not None
        or _TO_A_MODEL.search(candidate.after) is not None
    )


def _no_licence(candidate: Candidate) -> bool:
    return _LICENCE.search(candidate.value) is None and not is_only_mentioned(candidate)


def _markup(candidate: Candidate) -> float | None:
    before, after = candidate.before, candidate.after
    if _FENCE.search(before) or _FENCE.search(after) or is_only_mentioned(candidate):
        return None
    if _ALONE_IN_QUOTES.search(before) and _QUOTE_BEHIND.search(after):
        return None  # a token named by itself, as code and manuals do
    if candidate.value.lower().endswith("inst]") and not candidate.value.isupper():
        return None  # a list of one, in code
    return 0.9 if _ROLE_BEHIND.search(after) else 0.75


def _hidden_run(candidate: Candidate) -> float | None:
    return 0.9 if len(candidate.value) >= 24 else 0.7


def _addressed(candidate: Candidate) -> bool:
    return _PROFESSION.search(candidate.after) is None and not is_only_mentioned(candidate)


def _disguised(candidate: Candidate) -> bool:
    words = [word for word in candidate.value.split() if _DISGUISE.search(word)]
    return bool(words) and not is_only_mentioned(candidate)


def _alike(candidate: Candidate) -> bool:
    return len(re.findall(r"[a-zA-Z]", candidate.value)) >= 6


def _about_the_answer(candidate: Candidate) -> bool:
    return _OF_A_PERSON.search(candidate.value) is None and not is_only_mentioned(candidate)


VALIDATORS: dict[str, Validator] = {
    "order": _order,
    "order_to_a_model": entry_confidence(_order_to_a_model),
    "role_without_rules": entry_confidence(_no_licence),
    "chat_markup": own_confidence(_markup),
    "hidden_characters": own_confidence(_hidden_run),
    "addressed_to_models": entry_confidence(_addressed),
    "disguised_words": entry_confidence(_disguised),
    "lookalike_letters": entry_confidence(_alike),
    "order_about_the_answer": entry_confidence(_about_the_answer),
}
