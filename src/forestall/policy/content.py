"""Content criteria of input rules: what the payload says, wherever in it. Whole, never a sample.

Inside a criterion any entry will do; all criteria that are given must hold.
"""

import json
from collections.abc import Callable, Iterable, Sequence

import msgspec

from forestall.facts.payload_texts import folded, has_traversal, texts_of
from forestall.policy.arguments import compile_pattern
from forestall.policy.globs import compile_globs
from forestall.policy.request import Request, remembered
from forestall.policy.rules import ContentMatch

# Of the classes of results, those that a payload may be asked for, and one that is no class.
TRAVERSAL = "path_traversal"
PAYLOAD_DETECTORS = (TRAVERSAL, "personal_data", "prompt_injection", "secret")
CONTENT_TYPES = ("text/plain", "application/json")  # of payloads and of results
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
        tests.append(lambda request, texts: _has_keyword(keywords, request))
    if match.patterns:
        patterns = [compile_pattern(text) for text in match.patterns]
        tests.append(lambda request, texts: any(p.search(text) for p in patterns for text in texts))
    if match.detectors:
        tests.append(_any_detector(match.detectors))

    def holds(request: Request) -> bool:
        texts = remembered(request, texts_of, _texts)
        return all(test(request, texts) for test in tests)

    return holds


def _texts(request: Request) -> list[str]:
    return list(texts_of((request.payload, request.args)))


def _folded_texts(request: Request) -> list[str]:
    return [folded(each).casefold() for each in remembered(request, texts_of, _texts)]


def _any_detector(names: Sequence[str]) -> Callable[[Request, list[str]], bool]:
    looks = [_finds(name for name in names if name != TRAVERSAL)] if {*names} - {TRAVERSAL} else []
    traversal = TRAVERSAL in names

    def holds(request: Request, texts: list[str]) -> bool:
        return (traversal and remembered(request, TRAVERSAL, _traverses)) or any(
            look(request) for look in looks
        )

    return holds


def _traverses(request: Request) -> bool:
    return any(map(has_traversal, remembered(request, texts_of, _texts)))


def _finds(names: Iterable[str]) -> Callable[[Request], bool]:
    """Whether the payload as JSON holds what a scan of a result would find; what cannot be looked
    at whole is taken to hold it."""
    # Imported here: few policies name any, and the tables take long to load.
    from forestall.output.detectors import DETECTORS
    from forestall.output.findings import Budget
    from forestall.output.scan import scan

    wanted = tuple(sorted(names))
    detectors = tuple(DETECTORS[name] for name in wanted)
    budget = Budget(findings_max=1)  # one is enough: a second ends the scan

    def look(request: Request) -> bool:
        seen = scan(remembered(request, _as_json, _as_json), detectors=detectors, budget=budget)
        return bool(seen.findings) or not seen.complete

    return lambda request: remembered(request, wanted, look)


def _as_json(request: Request) -> bytes:
    try:
        return _ENCODER.encode((request.payload, request.args))
    except UnicodeEncodeError:  # half a character, as strict JSON may hold one
        return json.dumps((request.payload, request.args)).encode()


def payload_size(request: Request) -> int:
    """Bytes of the payload as JSON."""
    return len(remembered(request, _as_json, _as_json))


def content_type(request: Request) -> str:
    """A prompt alone is text; anything structured is JSON."""
    structured = request.args is not None or (request.payload or {}).get("context") is not None
    plain, json_type = CONTENT_TYPES
    return json_type if structured else plain


def _has_keyword(keywords: list[str], request: Request) -> bool:
    texts = remembered(request, folded, _folded_texts)
    return any(keyword in text for text in texts for keyword in keywords)
