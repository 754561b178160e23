"""Orders written so that a filter misses them and a model still reads them: digits for letters,
letters apart, letters of another script, backwards; and orders about the reader's answer."""

import re

from forestall.output.detectors.injection_context import phrase, spoken_of
from forestall.output.findings import Candidate, Kind

_LEET = {
    "a": "[a4@]",
    "e": "[e3€]",
    "g": "[g69]",
    "i": "[i1!|l]",
    "l": "[l1|]",
    "o": "[o0]",
    "s": "[s5$z]",
    "t": "[t7+]",
    "b": "[b8]",
}
_DISGUISE = re.compile(r"[a-z][0-9$@€!+|]|[0-9$@€!+|][a-z]", re.IGNORECASE)


def _leet(*words: str) -> str:
    return "|".join("".join(_LEET.get(letter, letter) for letter in word) for word in words)


def _disguised(found: Candidate) -> float | None:
    words = [word for word in found.value.split() if _DISGUISE.search(word)]
    return 0.85 if words and not spoken_of(found) else None


def _apart(word: str) -> str:
    return r"[\x20.*_-]".join(word)


# Letters of Cyrillic and Greek that look like Latin ones, inside a word of Latin letters.
_ALIKE = r"[авеокмнорстухіѕјԁһѵοαιερυκτν]"
_MIXED = rf"\b[a-z]+{_ALIKE}+[a-z]+|[a-z]{_ALIKE}[a-z]?{_ALIKE}?[a-z]"


def _alike(found: Candidate) -> float | None:
    return 0.7 if len(re.findall(r"[a-zA-Z]", found.value)) >= 6 else None


_DISGUISED = (
    phrase(
        "disguised_order",
        rf"\b(?:{_leet('ignore', 'disregard', 'forget', 'override', 'bypass', 'reveal')}) "
        rf"(?:\S+ ){{0,3}}(?:{_leet('instruction', 'prompt', 'rule', 'training')}"
        rf"|{_leet('guideline', 'previous')})",
        *("ign0r", "1gn", "ignor3", "!gn", "lgnor", "i9n", "i6n"),
        *("d1sr", "d!sr", "disr3", "disre9", "di5r", "di$r", "disreg4"),
        *(
            "f0rg",
            "forg3",
            "for9",
            "0verr",
            "ov3rr",
            "overr1",
            "byp4",
            "byp@",
            "8ypa",
            "bypa5",
            "r3v",
            "rev3",
        ),
        *(
            "instruc7",
            "1n57",
            "1nst",
            "in5t",
            "pr0mp",
            "pr3v",
            "prev1",
            "prom9",
            "tr41",
            "tra1n",
            "train1",
        ),
        before=48,
        after=120,
        check=_disguised,
    ),
    phrase(
        "disguised_order",
        rf"\b(?:{_apart('ignore')}|{_apart('disregard')}|{_apart('instructions')}"
        rf"|{_apart('system')}"
        rf"[\x20._-]+{_apart('prompt')})\b",
        *(sep.join(start) for start in ("ign", "dis", "ins", "sys") for sep in " ._-*"),
        before=8,
        after=64,
    ),
    phrase(
        "disguised_order",
        r"\bsnoitcurtsni (?:\w+ ){0,3}(?:erongi|draged?rsid|draregsid|tegrof)|\btpmorp (?:ruoy"
        r"|metsys)\b",
        "snoitcurtsni",
        "tpmorp",
        before=8,
        after=96,
    ),
    Kind(
        name="disguised_order",
        pattern=rf"(?i:{_MIXED})[^\n]{{0,60}}?(?i:{_MIXED})",
        keywords=tuple(f"{a}{b}" for a in "аеоросіѕхτοα" for b in "abcdefghiklmnoprstuvwxy"),
        before=24,
        after=120,
        check=_alike,
    ),
)

# What a letter asks of a person's reply: a number, a name. An order to a model asks for a change.
_OF_A_PERSON = re.compile(
    r"\b(?:numbers?|tickets?|id|reference|screenshots?|names?|phone|address|details?|dates?"
    r"|times?|cop(?:y|ies)"
    r"|attachments?|invoices?|receipts?|logs?|subject|availability|questions?|feedback|contact"
    r"|order|account"
    r"|version|resume|cv|salary|code|error|following|exact|all (?:recipients|parties)|everyone)\b",
    re.IGNORECASE,
)
_ANSWER = (
    r"your (?:(?:final|next|entire|whole|own|first) )?"
    r"(?:answers?|responses?|reply|replies|output|summary)\b"
)
_BEGINNING = r"(?:^|[\n.!?;:|\]}>\"'])\s*((?:please |and |also |then )?"  # of a sentence


def _about_the_answer(found: Candidate) -> float | None:
    return None if _OF_A_PERSON.search(found.value) or spoken_of(found) else 0.6


_ANSWER_ORDERS = (
    phrase(
        "answer_order",
        rf"{_BEGINNING}(?:(?:include|add|insert|integrate|append|apply|replace|embed|incorporate"
        r"|mention|use|substitute|introduce|weave|inject|put|place|slip)(?: [\w',%-]+){1,12} "
        rf"(?:in|into|to|of|for|with|within|throughout|through|by) {_ANSWER}"
        rf"|(?:include|add|insert|mention|incorporate) (?:in|into|to|within) {_ANSWER}))",
        "your answer",
        "your response",
        "your repl",
        "your output",
        "your summary",
        "your final",
        "your next",
        "your entire",
        before=160,
        after=32,
        check=_about_the_answer,
    ),
    phrase(
        "answer_order",
        rf"{_BEGINNING}(?:modify|enhance|translate|encode|encrypt|obfuscate|alter|adjust|rewrite"
        r"|tailor|infuse|supplement|convert|transform|randomi[sz]e|scramble|conclude|end|finish"
        rf"|begin|start) (?:all )?(?:of )?{_ANSWER} (?:to|by|with|into|using|in|so)\b)",
        "your answer",
        "your response",
        "your repl",
        "your output",
        "your summary",
        "your final",
        "your next",
        "your entire",
        before=160,
        after=32,
        check=_about_the_answer,
    ),
)

KINDS = (*_DISGUISED, *_ANSWER_ORDERS)
