"""Content criteria of input rules: what the payload says, wherever in it. Whole, never a sample.

Inside a criterion any entry will do; all criteria that are given must hold.
"""

from collections.abc import Callable

import msgspec

from forestall.facts.detect import DETECTORS, folded, texts_of
from forestall.policy.arguments import compile_pattern
from forestall.policy.globs import compile_globs
from forestall.policy.request import Request
from forestall.policy.rules import ContentMatch

_ENCODER = msgspec.json.Encoder()


def compile_content(match: ContentMatch) -> Callable[[Request], bool]:
    """Whether the payload of a request meets the criteria. Raises ArgumentError for a pattern
    that RE2 refuses."""
    tests: list[Callable[[Request, list[str]], bool]] = []
    if match.size_gt is not None:
        bound = match.size_gt
        tests.append(lambda request, texts: payload_size(request) > bound)
    if match.content_types:
        wanted = compile_globs(match.content_types)
        tests.append(lambda request, texts: wanted(content_type(request)))
    if match.keywords:
        keywords = [folded(word).casefold() for word in match.keywords]
        tests.append(lambda request, texts: _has_keyword(keywords, texts))
    if match.patterns:
        patterns = [compile_pattern(text) for text in match.patterns]
        tests.append(lambda request, texts: any(p.search(text) for p in patterns for text in texts))
    if match.detectors:
        detectors = [DETECTORS[name] for name in match.detectors]
        tests.append(lambda request, texts: any(d(text) for d in detectors for text in texts))

    def holds(request: Request) -> bool:
        texts = list(texts_of((request.payload, request.args)))
        return all(test(request, texts) for test in tests)

    return holds


def payload_size(request: Request) -> int:
    """Bytes of the payload as JSON."""
    return len(_ENCODER.encode((request.payload, request.args)))


def content_type(request: Request) -> str:
    """A prompt alone is text; anything structured is JSON."""
    structured = request.args is not None or (request.payload or {}).get("context") is not None
    return "application/json" if structured else "text/plain"


def _has_keyword(keywords: list[str], texts: list[str]) -> bool:
    return any(
        keyword in text
        for text in (folded(each).casefold() for each in texts)
        for keyword in keywords
    )
