"""Text that plays another speaker of the conversation, and text that people are not to see."""

# ruff: noqa: RUF001 - letters that look alike are what this is about

import re

from forestall.output.detectors.injection_context import meant, phrase, spoken_of
from forestall.output.findings import Candidate, Kind

_ROLE_BEHIND = re.compile(r"^\s*(?:system|user|assistant|tool|developer|ipython)\b", re.IGNORECASE)
_ALONE_IN_QUOTES = re.compile(r"[\"'`]$")
_QUOTE_BEHIND = re.compile(r"^[\"'`]")
_FENCE = re.compile(r"[|{]%|%[|}]|\{\{")  # a chat template as code is about markup, not in it


def _markup(found: Candidate) -> float | None:
    before, after = found.before, found.after
    if _FENCE.search(before) or _FENCE.search(after) or spoken_of(found):
        return None
    if _ALONE_IN_QUOTES.search(before) and _QUOTE_BEHIND.search(after):
        return None  # a token named by itself, as code and manuals do
    if found.value.lower().endswith("inst]") and not found.value.isupper():
        return None  # a list of one, in code
    return 0.9 if _ROLE_BEHIND.search(after) else 0.75


_FAKE_CHAT = (
    phrase(
        "fake_chat_markup",
        r"<\|(?:im_start|im_sep|im_end|system|user|assistant|start_header_id|end_header_id|eot_id"
        r"|begin_of_text|end_of_turn|start_of_turn|endofprompt|sys)\|>|<start_of_turn>|<</?SYS>>"
        r"|\[/?INST\]|</?(?:sys_prompt|system_prompt|system_message|sysprompt)>",
        "im_s",
        "im_end",
        "|system|",
        "|user|",
        "|assistant|",
        "header_id",
        "eot_id",
        "of_text|",
        "of_turn",
        "endofprompt",
        "|sys|",
        "sys>",
        "inst]",
        "sys_prompt>",
        "system_prompt>",
        "system_message>",
        "sysprompt>",
        before=8,
        after=16,
        check=_markup,
    ),
    phrase(
        "fake_chat_markup",
        r"#{2,4} ?\((?:system[_\x20](?:message|prompt|override|note)|system)\)"
        r"|(?:[-=#*\[<]{2,}|\[) ?(?:end|begin(?:ning)?|start) (?:of )?(?:the |user |system |new "
        r"|admin |hidden |retrieved )+"
        r"(?:input|prompt|instructions?|query)\b ?[-=#*\]>:]|\b(?:system|admin|emergency"
        r"|developer) override(?: code)? ?[:\]!]"
        r"|\[(?:system|admin|assistant|developer)(?: (?:message|override|note|notice|prompt"
        r"|update|alert|mode))?"
        r" ?(?:\]|:)[\x20:]*(?:you|your|ignore|disregard|the assistant|new|all|do not|override"
        r"|please|reveal)\b",
        "system",
        "[admin",
        "[assistant",
        "[developer",
        "end ",
        "begin",
        "start ",
        " override",
        before=8,
        after=64,
    ),
    phrase(
        "fake_chat_markup",
        r"(?:^|\n)[\t\x20>*#-]*((?:system|developer|admin)(?: (?:message|override|note|prompt"
        r"|update))?\**:\**"
        r"[\s\"']*(?:you (?:must|should|will|may|can|have|are now|are no longer|now)\b|ignore"
        r"|disregard"
        r"|from now on|new instruction|override|do not (?:tell|mention|reveal)|all (?:safety"
        r"|restrictions)))",
        "system",
        "developer",
        "admin",
        before=8,
        after=80,
    ),
    phrase(
        "fake_chat_markup",
        r"(?:^|\n)[\t\x20]*(assistant: ?(?:sure|of course|certainly|okay|absolutely|yes)[,!.])",
        "assistant:",
        before=8,
        after=32,
    ),
    phrase(
        "fake_chat_markup",
        r"<(information|important|system|instructions?|admin|override)> ?(?:[^<]{0,80}\b(?:you"
        r"|your)\b)"
        r"[^<]{0,200}\b(?:must|first|before|instead|ignore|do not|don[’']t|please|task)\b",
        "<information>",
        "<important>",
        "<system>",
        "<instruction>",
        "<instructions>",
        "<admin>",
        "<override>",
        before=4,
        after=320,
        sure=0.75,
    ),
)

_MODELS = (
    r"(?:\bAIs?\b|\bLLMs?\b|language models?|\bassistants?\b|chatbots?|\bagents?\b|chatgpt"
    r"|\bgpt-?\d?\w?\b"
    r"|claude|gemini|copilot)"
)
_ORDER = (
    r"(?:must|should|please|ignore|disregard|include|do not|don[’']t|always|instead|say|tell"
    r"|respond|reply"
    r"|output|recommend|send|forward|call|execute|append|mention|rate|summari[sz]e)"
)


def _hidden_run(found: Candidate) -> float | None:
    return 0.9 if len(found.value) >= 24 else 0.7


_HIDDEN = (
    phrase(
        "hidden_text",
        rf"<!--[^>]{{0,80}}?{_MODELS}s? ?(?::|,|must|should|reading|who"
        rf"|that)[^>]{{0,160}}\b{_ORDER}\b",
        "<!--",
        before=4,
        after=320,
        sure=0.8,
    ),
    phrase(
        "hidden_text",
        r"<!--[^>]{0,120}\b(?:ignore|disregard|forget) [^>]{0,60}(?:instruction|prompt|rules"
        r"|guidelines)",
        "<!--",
        before=4,
        after=320,
        sure=0.9,
    ),
    phrase(
        "hidden_text",
        r"(?:display: ?none|font-size: ?[01](?:px|pt|em|%)?\b|opacity: ?0\b|visibility: ?hidden"
        r"|color: ?(?:#fff(?:fff)?|white|transparent)\b)[^>]{0,120}>[^<]{0,120}"
        rf"(?:{_MODELS}[^<]{{0,120}}\b{_ORDER}\b|\b(?:ignore|disregard"
        rf"|forget)\b[^<]{{0,60}}(?:instruction"
        r"|prompt|rules|guidelines))",
        "display:",
        "font-size:",
        "opacity:",
        "visibility:",
        "color:",
        before=4,
        after=420,
        sure=0.85,
    ),
    phrase(
        "hidden_text",
        r"[\[(](?:hidden|invisible|secret)(?: (?:instructions?|text|note|message|prompt))?[\])] ?:"
        r"|\bhidden (?:instruction|prompt|message|note)s?(?: (?:to|for) [\w\x20]{0,24})? ?:",
        "hidden",
        "invisible",
        "secret",
        before=8,
        after=64,
        sure=0.7,
        check=meant(0.7),
    ),
    # Tags that mirror ASCII, zero-width characters and selectors in a row: nobody sees them, a
    # model reads them. A flag has six tags, an emoji two selectors, Persian single joiners.
    Kind(
        name="hidden_text",
        pattern=(
            r"[\x{E0020}-\x{E007E}]{8,}|[\x{FE00}-\x{FE0F}\x{E0100}-\x{E01EF}]{8,}"
            r"|[\x{200B}-\x{200D}\x{2060}-\x{2064}\x{FEFF}]{16,}"
        ),
        check=_hidden_run,
    ),
)

KINDS = (*_FAKE_CHAT, *_HIDDEN)
