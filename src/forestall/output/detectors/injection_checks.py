"""Validators of orders to a model: is a phrase an order to whoever reads it, or only mentioned?

Documentation about attacks quotes them, and manuals say "do not ignore the instructions". The few
words in front of a phrase and behind it tell most mentions from an order; the others are false
alarms.
"""

# ruff: noqa: RUF001 - letters that look alike are what this is about

import re
import string

from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import (
    Validator,
    ValidatorInput,
    entry_confidence,
    own_confidence,
)
from forestall.output.findings import Candidate, Check

_CONFIDENCE_MAX = 0.95

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
# Words that speak to a model, in front of a phrase that says little alone, or behind it.
_TO_A_MODEL = Expression(
    r"\b(?:you\s+(?:must|should|will|are|have|need|can)|your\s+(?:task|answer|response|reply|output"
    r"|instructions?|prompt|rules?|guidelines?)|ignore|disregard|instead|assistant|chatgpt|gpt"
    r"|language\s+model|llm|from\s+now\s+on|system\s+prompt)\b",
    re.IGNORECASE,
)

# What a person may do without restrictions, as licences and price lists say.
_LICENSED_USE = Expression(
    r"\b(?:use|copy|modify|adapt|share|(?:re)?distribute|download|access|store|upload|create"
    r"|add)\b",
    re.IGNORECASE,
)
_ROLE_BEHIND = Expression(r"^\s*(?:system|user|assistant|tool|developer|ipython)\b", re.IGNORECASE)
_QUOTE_BEFORE = Expression(r"[\"'`]$")
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
    """Whether the phrase is negated, told of somebody else, or stands in quotes in a sentence."""
    before = candidate.before
    if _NEGATED.search(before) is not None or _NARRATED.search(before) is not None:
        return True
    is_quoted = _QUOTE_OPENS.search(before) is not None
    return is_quoted and _QUOTE_CLOSES.search(candidate.after) is not None


def _order(entry: ValidatorInput) -> Check:
    """Refuses what is only mentioned; surer where the text around it speaks to a model too."""

    def check(candidate: Candidate) -> float | None:
        if is_only_mentioned(candidate):
            return None
        if _speaks_to_a_model_near(candidate):
            return min(_CONFIDENCE_MAX, entry.confidence + 0.1)
        return entry.confidence

    return check


def _order_to_a_model(candidate: Candidate) -> bool:
    """A phrase that is an order only where something near it speaks to a model."""
    return _speaks_to_a_model_near(candidate) and not is_only_mentioned(candidate)


def _speaks_to_a_model_near(candidate: Candidate) -> bool:
    return (
        _TO_A_MODEL.search(candidate.before) is not None
        or _TO_A_MODEL.search(candidate.after) is not None
    )


def _role_without_rules(candidate: Candidate) -> bool:
    return _LICENSED_USE.search(candidate.value) is None and not is_only_mentioned(candidate)


def _chat_markup(candidate: Candidate) -> float | None:
    before, after = candidate.before, candidate.after
    if _FENCE.search(before) or _FENCE.search(after) or is_only_mentioned(candidate):
        return None
    if _QUOTE_BEFORE.search(before) and _QUOTE_BEHIND.search(after):
        return None  # a token named by itself, as code and manuals do
    if candidate.value.lower().endswith("inst]") and not candidate.value.isupper():
        return None  # a list of one, in code
    return 0.9 if _ROLE_BEHIND.search(after) else 0.75


def _hidden_characters(candidate: Candidate) -> float | None:
    return 0.9 if len(candidate.value) >= 24 else 0.7


def _addressed_to_models(candidate: Candidate) -> bool:
    return _PROFESSION.search(candidate.after) is None and not is_only_mentioned(candidate)


def _disguised_words(candidate: Candidate) -> bool:
    is_disguised = any(_DISGUISE.search(word) for word in candidate.value.split())
    return is_disguised and not is_only_mentioned(candidate)


def _lookalike_letters(candidate: Candidate) -> bool:
    return sum(character in string.ascii_letters for character in candidate.value) >= 6


def _order_about_the_answer(candidate: Candidate) -> bool:
    return _OF_A_PERSON.search(candidate.value) is None and not is_only_mentioned(candidate)


VALIDATORS: dict[str, Validator] = {
    "order": _order,
    "order_to_a_model": entry_confidence(_order_to_a_model),
    "role_without_rules": entry_confidence(_role_without_rules),
    "chat_markup": own_confidence(_chat_markup),
    "hidden_characters": own_confidence(_hidden_characters),
    "addressed_to_models": entry_confidence(_addressed_to_models),
    "disguised_words": entry_confidence(_disguised_words),
    "lookalike_letters": entry_confidence(_lookalike_letters),
    "order_about_the_answer": entry_confidence(_order_about_the_answer),
}
