"""Named detectors over text: does it hold something of this kind? Signals, never proofs.

Linear-time patterns (RE2) over a folded copy of the text: compatibility forms united, zero-width
characters dropped, so that a look-alike does not hide what a reader would see. A detector that is
measured and redacts belongs to the output room; these only answer yes or no for input rules.
"""

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote

import re2

_INVISIBLE = dict.fromkeys([0x00AD, 0x180E, *range(0x200B, 0x2010), 0x2060, 0xFEFF])
_PATTERN_MEMORY_BYTES = 16 << 20

_INJECTION = (
    (
        r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}"
        r"\b(?:previous|prior|above|earlier|all|any|your|these|those|the)\b.{0,40}"
        r"\b(?:instruction|prompt|rule|direction|guideline|context|message|polic)"
    ),
    (
        r"\b(?:reveal|print|show|repeat|output|leak|disclose)\b.{0,40}"
        r"\b(?:system|hidden|initial|secret|original)\b.{0,20}"
        r"\b(?:prompt|instruction|message)"
    ),
    (
        r"\byou are (?:now|no longer)\b.{0,60}"
        r"\b(?:dan|unrestricted|jailbroken|developer mode|evil|free|bound|an? ai)\b"
    ),
    r"\b(?:do anything now|developer mode enabled|jailbreak mode|without any restrictions?)\b",
    r"\b(?:new|updated|real) (?:system )?instructions?\s*:",
    r"\bpretend (?:that )?(?:you|to be)\b.{0,60}\b(?:no|without|unrestricted|not bound)\b",
    r"<\|?(?:im_start|im_end|system|endoftext)\|?>",
    r"\[/?(?:INST|SYS)\]|<</?SYS>>",
    r"(?:^|\n)\s*#{1,3}\s*(?:system|instructions?)\s*:",
)
_TRAVERSAL = (
    r"(?:^|[/\\=\s\"'(:])\.\.(?:[/\\]|$)",
    r"[/\\]\.\.(?:[/\\;]|$)",
    r"\.\.;/",
)
_SECRET = (
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b",
    r"\bgh[pousr]_[0-9A-Za-z]{36,255}\b",
    r"\bgithub_pat_[0-9A-Za-z_]{60,}\b",
    r"\bglpat-[0-9A-Za-z_-]{20,}",
    r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}",
    r"\bAIza[0-9A-Za-z_-]{35}",
    r"\b[sr]k_live_[0-9A-Za-z]{16,}",
    r"\bsk-(?:ant-|proj-)?[0-9A-Za-z_-]{32,}",
    r"\bnpm_[0-9A-Za-z]{36}\b",
    r"\bpypi-[0-9A-Za-z_-]{50,}",
    r"\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}",
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,64}:[^\s:/@]{3,}@",
    r"\bSG\.[0-9A-Za-z_-]{20,24}\.[0-9A-Za-z_-]{39,50}",
    (
        r"(?i)(?:passw(?:or)?d|secret|token|credential|api_?-?key|access_?-?key|private_?-?key"
        r"|auth_?-?key|[a-z]_key)[0-9a-z_.-]{0,24}[\"']?\s*(?:[:=]|=>|,\s*[\"'])\s*[\"']?"
        r"[0-9a-z+/=_.~!@#%^&*-]*[0-9][0-9a-z+/=_.~!@#%^&*-]{7,}"
    ),
)


def folded(text: str) -> str:
    """The text as a reader sees it: compatibility forms united, invisible characters dropped."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", text.translate(_INVISIBLE))


def _prompt_injection(text: str) -> bool:
    return _any(_INJECTION, True)(folded(text))


def _path_traversal(text: str) -> bool:
    seen = folded(text)
    once = unquote(seen)
    return any(_any(_TRAVERSAL, False)(form) for form in {seen, once, unquote(once)})


def _secret(text: str) -> bool:
    return _any(_SECRET, False)(folded(text))


DETECTORS: Mapping[str, Callable[[str], bool]] = {
    "path_traversal": _path_traversal,
    "prompt_injection": _prompt_injection,
    "secret": _secret,
}


@cache
def _any(patterns: tuple[str, ...], any_case: bool) -> Callable[[str], bool]:
    """Whether one of the patterns occurs in a text; tried one by one (a big union is slower)."""
    options = re2.Options()
    options.case_sensitive = not any_case
    options.dot_nl = True
    options.log_errors = False
    options.max_mem = _PATTERN_MEMORY_BYTES
    compiled = [re2.compile(pattern, options) for pattern in patterns]
    return lambda text: any(pattern.search(text) is not None for pattern in compiled)


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a JSON value, names of members included."""
    level = [value]
    while level:
        following: list[Any] = []
        for item in level:
            if isinstance(item, str):
                yield item
            elif isinstance(item, Mapping):
                following.extend(item)
                following.extend(item.values())
            elif isinstance(item, (list, tuple)):
                following.extend(item)
        level = following
