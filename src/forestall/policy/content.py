"""Content criteria of input rules: what a payload contains, anywhere in it. Never a sample.

A criterion holds when any of its entries does; all criteria that are given must hold.
"""

import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from forestall.facts.payload_texts import folded, has_traversal, texts_of
from forestall.policy.arguments import compile_pattern
from forestall.policy.finding_names import class_of, is_named
from forestall.policy.globs import compile_globs
from forestall.policy.own_detectors import detector_of
from forestall.policy.request import Request, remembered
from forestall.policy.rules import ContentMatch, OwnDetector

if TYPE_CHECKING:
    from forestall.output.findings import Detector

# The classes of results that also apply to payloads, and path traversal, which is no such class.
TRAVERSAL = "path_traversal"
PAYLOAD_DETECTORS = (TRAVERSAL, "personal_data", "prompt_injection", "secret")
CONTENT_TYPES = ("text/plain", "application/json")  # of payloads and of results
_ENCODER = msgspec.json.Encoder()


def compile_content(match: ContentMatch) -> Callable[[Request], bool]:
    """The test whether a payload meets the criteria. Raises ArgumentError for a bad pattern."""
    tests: list[Callable[[Request, list[str]], bool]] = []
    if match.size_gt is not None:
        bound = match.size_gt
        tests.append(lambda request, texts: payload_size(request) > bound)
    if match.content_types:
        has_type = compile_globs(match.content_types)
        tests.append(lambda request, texts: has_type(content_type(request)))
    if match.keywords:
        keywords = [folded(word).casefold() for word in match.keywords]
        tests.append(lambda request, texts: _has_keyword(keywords, request))
    if match.patterns:
        patterns = [compile_pattern(text) for text in match.patterns]
        tests.append(lambda request, texts: any(p.search(text) for p in patterns for text in texts))
    if match.detector_names:
        looks = [_finds_own(own) for own in match.own_detectors]
        tests.append(_any_detector(match.detectors, looks))

    def holds(request: Request) -> bool:
        texts = remembered(request, texts_of, _texts)
        return all(test(request, texts) for test in tests)

    return holds


def _texts(request: Request) -> list[str]:
    return list(texts_of((request.payload, request.args)))


def _folded_texts(request: Request) -> list[str]:
    return [folded(each).casefold() for each in remembered(request, texts_of, _texts)]


def _any_detector(
    names: Sequence[str], looks: list[Callable[[Request], bool]]
) -> Callable[[Request, list[str]], bool]:
    if {*names} - {TRAVERSAL}:
        looks = [*looks, _finds(name for name in names if name != TRAVERSAL)]
    traversal = TRAVERSAL in names

    def holds(request: Request, texts: list[str]) -> bool:
        return (traversal and remembered(request, TRAVERSAL, _traverses)) or any(
            look(request) for look in looks
        )

    return holds


def _traverses(request: Request) -> bool:
    return any(map(has_traversal, remembered(request, texts_of, _texts)))


def _finds(names: Iterable[str]) -> Callable[[Request], bool]:
    """The test whether a scan of the payload as JSON finds one of the classes.

    A payload that cannot be scanned whole counts as a finding.
    """
    # Imported here: few policies name a class, and the detector tables take long to load.
    from forestall.output.detectors import DETECTORS
    from forestall.output.findings import Detector

    detector_names = tuple(sorted(names))
    detectors: list[Detector] = []
    for name in sorted({class_of(name) for name in detector_names}):
        whole = DETECTORS[name]
        # A detector of the named kinds alone looks for nothing else.
        kinds = tuple(kind for kind in whole.kinds if is_named(detector_names, name, kind.name))
        is_whole = len(kinds) == len(whole.kinds)
        detectors.append(whole if is_whole else Detector(name=name, kinds=kinds))
    return _scanned(detector_names, tuple(detectors))


def _finds_own(own: OwnDetector) -> Callable[[Request], bool]:
    """The same of a detector that the policy defines."""
    return _scanned(own, (detector_of(own),))


def _scanned(key: Hashable, detectors: "tuple[Detector, ...]") -> Callable[[Request], bool]:
    """The test whether a scan with these detectors finds anything, remembered under a key."""
    from forestall.output.findings import ScanBudget
    from forestall.output.scan import scan

    budget = ScanBudget(findings_max=1)  # one finding is enough: the next one ends the scan

    def look(request: Request) -> bool:
        result = scan(remembered(request, _as_json, _as_json), detectors=detectors, budget=budget)
        return bool(result.findings) or not result.complete

    return lambda request: remembered(request, key, look)


def _as_json(request: Request) -> bytes:
    try:
        return _ENCODER.encode((request.payload, request.args))
    except UnicodeEncodeError:  # a lone surrogate, which JSON escapes may hold
        return json.dumps((request.payload, request.args)).encode()


def payload_size(request: Request) -> int:
    """The size of the payload as JSON, in bytes."""
    return len(remembered(request, _as_json, _as_json))


def content_type(request: Request) -> str:
    """The content type of a payload: `text/plain` for a prompt alone, else `application/json`."""
    structured = request.args is not None or (request.payload or {}).get("context") is not None
    plain, json_type = CONTENT_TYPES
    return json_type if structured else plain


def _has_keyword(keywords: list[str], request: Request) -> bool:
    texts = remembered(request, folded, _folded_texts)
    return any(keyword in text for text in texts for keyword in keywords)
