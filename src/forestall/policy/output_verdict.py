"""The verdict on a result, given the findings of a scan: rules, default, the strictest of all.

An incomplete scan, a rule that cannot be evaluated and a missing detector lead to quarantine,
whatever a rule allows. Where no rule speaks the default verdict removes secrets. Nothing is scanned
here.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
import re2
from msgspec.structs import replace

from forestall.output.detectors import DETECTORS
from forestall.output.detectors.configured import internal_host, source_path
from forestall.output.detectors.named import NAMED_ENTITY
from forestall.output.findings import Detector, Finding, Kind, Scan
from forestall.policy.claims import attested_views
from forestall.policy.finding_names import is_named, kind_name
from forestall.policy.label_views import variants_of, views_of
from forestall.policy.output_rules import (
    OutputFacts,
    OutputRuleError,
    OwnWords,
    named_detectors,
)
from forestall.policy.own_detectors import detector_of
from forestall.policy.request import Request, looked_into
from forestall.policy.rules import Detect, OutputRule, OwnDetector, Verdict
from forestall.policy.snapshot import Snapshot

CONFIGURED_BY = {"internal_host": "internal_hosts", "source_path": "source_paths"}
SWITCHED_ON_BY = {NAMED_ENTITY: "names_model"}  # class → the server setting that switches it on
ALWAYS_REMOVED = frozenset({"secret"})  # by default, and in addition to what a redact rule names
_AT_LEVEL = {
    "standard": ALWAYS_REMOVED,
    # named entities only where the setting is on
    "strict": ALWAYS_REMOVED | {"personal_data", NAMED_ENTITY},
}
_DETECTOR_SETS_KEPT = 16


class OutputRuling(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one result, with its reasons.

    `code` says how it came about: `rule`, `default`, `redaction_level`, or a failure:
    `scan_incomplete`, `rule_error`, `detector_missing`. `remove` lists the findings that a redacted
    copy must not contain.
    """

    verdict: Verdict
    code: str
    rule_id: str = ""
    reason: str = ""
    matched_rules: tuple[str, ...] = ()
    remove: tuple[Finding, ...] = ()


def detectors_for(
    snapshot: Snapshot, redaction_level: str = "", switched_on: tuple[Detector, ...] = ()
) -> tuple[Detector, ...]:
    """The detectors that this snapshot needs. `switched_on` are detectors that a server setting
    adds.

    Equal arguments give the same objects, so that patterns are compiled once.
    """
    classes = (
        ALWAYS_REMOVED | snapshot.output.classes | _at_level(redaction_level, _names(switched_on))
    )
    return _detectors(
        tuple(sorted(classes)),
        snapshot.output.own_detectors,
        snapshot.output.own_words,
        snapshot.detect,
        switched_on,
    )


def _names(detectors: Iterable[Detector]) -> frozenset[str]:
    return frozenset(each.name for each in detectors)


def _at_level(redaction_level: str, switched_on: frozenset[str]) -> frozenset[str]:
    """The classes that a redaction level removes, without those whose server setting is off."""
    return _AT_LEVEL.get(redaction_level, frozenset()) - (SWITCHED_ON_BY.keys() - switched_on)


@lru_cache(maxsize=_DETECTOR_SETS_KEPT)
def _detectors(
    classes: tuple[str, ...],
    own_detectors: tuple[OwnDetector, ...],
    own_words: tuple[OwnWords, ...],
    detect: Detect,
    switched_on: tuple[Detector, ...],
) -> tuple[Detector, ...]:
    # The table of a built-in detector is read on first use, so only the needed tables are read.
    configured = {**_configured(detect), **{each.name: each for each in switched_on}}
    of_classes = (configured.get(name) or DETECTORS.get(name) for name in classes)
    detectors = tuple(each for each in of_classes if each is not None)
    of_policy = map(detector_of, own_detectors)
    return (*detectors, *of_policy, *(_own_detector(words) for words in own_words))


@lru_cache(maxsize=_DETECTOR_SETS_KEPT)
def _configured(detect: Detect) -> dict[str, Detector]:
    """The detectors that need configuration, for the parts that the policy configures."""
    made = []
    if detect.internal_hosts:
        made.append(internal_host(detect.internal_hosts))
    if detect.source_paths:
        made.append(source_path(detect.source_paths))
    return {each.name: each for each in made}


def missing_classes(snapshot: Snapshot, switched_on: Collection[str] = ()) -> tuple[str, ...]:
    """Classes that output rules name and no detector finds: the policy cannot be enforced."""
    there = {*DETECTORS, *_configured(snapshot.detect), *switched_on}
    return tuple(sorted(snapshot.output.classes - there))


def _own_detector(own: OwnWords) -> Detector:
    """A detector for the keywords or patterns of one rule."""
    make = _pattern_kind if own.are_patterns else _keyword_kind
    return Detector(name=own.detector, kinds=tuple(make(word) for word in own.words))


def _pattern_kind(text: str) -> Kind:
    # One group around the whole pattern: the match is removed, not the author's first group.
    return Kind(name="pattern", pattern=f"({text})", confidence=1.0)


def _keyword_kind(word: str) -> Kind:
    near = (word.lower(),) if word.isascii() and len(word) > 1 else ()
    reach = len(word.encode()) + 4
    return Kind(
        name="keyword",
        pattern=re2.escape(word),
        keywords=near,
        any_case=True,
        before=reach,
        after=reach,
        confidence=1.0,
    )


def judge(
    snapshot: Snapshot,
    request: Request,
    scan: Scan,
    *,
    content_type: str,
    now: datetime,
    redaction_level: str = "",
    switched_on: tuple[Detector, ...] = (),
) -> OutputRuling:
    """The verdict on the result of `request`, given its scan. Total: any failure quarantines."""
    if not scan.complete:
        reasons = ", ".join(scan.reasons)
        return _withheld("scan_incomplete", f"the result could not be looked at whole: {reasons}")
    at_level = _at_level(redaction_level, _names(switched_on))
    there = _names(detectors_for(snapshot, redaction_level, switched_on))
    if missing := sorted((snapshot.output.classes | at_level) - there):
        return _withheld("detector_missing", f"no detector for {', '.join(missing)}")
    facts = OutputFacts(
        found=frozenset(
            name
            for finding in scan.findings
            for name in (finding.detector, kind_name(finding.detector, finding.kind))
        ),
        content_type=content_type,
        size_bytes=scan.size_bytes,
    )
    try:
        spoken = _spoken(snapshot, request, facts, now)
    except OutputRuleError as error:
        return _withheld("rule_error", str(error))
    except Exception as error:  # noqa: BLE001 - whatever fails here must quarantine, never pass
        return _withheld("rule_error", type(error).__name__)
    return _ruling(spoken, scan, at_level)


def _withheld(code: str, reason: str) -> OutputRuling:
    return OutputRuling(verdict=Verdict.QUARANTINE, code=code, reason=reason)


def _spoken(
    snapshot: Snapshot, request: Request, facts: OutputFacts, now: datetime
) -> list[list[OutputRule]]:
    """The output rules that speak, for each actor, each label view and each claim."""
    rules = snapshot.output
    if not rules:
        return [[]]
    views = views_of(snapshot, request, rules.reads).views
    variants = variants_of(snapshot, looked_into(request), rules.reads).requests
    return [
        speaking
        for actor in attested_views(variants)
        for labels in views
        for speaking in rules.speakers(actor, labels, facts, now)
    ]


def _ruling(
    spoken: Sequence[list[OutputRule]], scan: Scan, at_level: frozenset[str]
) -> OutputRuling:
    """The strictest verdict over all actors and views; what any of them removes is removed."""
    ranked = sorted(
        {rule.id: rule for rules in spoken for rule in rules}.values(),
        key=lambda rule: -rule.verdict.strictness,
    )
    matched = tuple(rule.id for rule in ranked)
    first = ranked[0] if ranked else None
    if first is not None and first.verdict is Verdict.QUARANTINE:
        reason = first.reason or f"withheld by the output rule `{first.id}`"
        return replace(_by_rule(first, matched), reason=reason)
    removals = [_removal(rules) for rules in spoken]
    by_rules = {
        number
        for number, finding in enumerate(scan.findings)
        if any(removes(finding) for removes in removals)
    }
    remove = tuple(
        finding
        for number, finding in enumerate(scan.findings)
        if number in by_rules or finding.detector in at_level
    )
    if not remove:
        if first is not None and first.verdict is Verdict.ALLOW:
            return _by_rule(first, matched)
        return OutputRuling(verdict=Verdict.ALLOW, code="default", matched_rules=matched)
    if first is not None and first.verdict is Verdict.REDACT:
        return replace(_by_rule(first, matched), remove=remove)
    if by_rules:
        code, reason = "default", "secrets are removed (default)"
    else:
        code, reason = "redaction_level", "removed by the constraints of the dispatch"
    return OutputRuling(
        verdict=Verdict.REDACT, code=code, reason=reason, matched_rules=matched, remove=remove
    )


def _by_rule(rule: OutputRule, matched: tuple[str, ...]) -> OutputRuling:
    return OutputRuling(
        verdict=rule.verdict,
        code="rule",
        rule_id=rule.id,
        reason=rule.reason,
        matched_rules=matched,
    )


def _removal(rules: Sequence[OutputRule]) -> Callable[[Finding], bool]:
    """Whether a finding is removed where these rules speak.

    Secrets are removed unless every rule that speaks allows them. A rule that names detectors (or
    keywords, or patterns) is about their findings; a rule that names none is about every finding.
    """
    named = [named_detectors(rule) for rule in rules if rule.verdict is Verdict.REDACT]
    if named:
        return lambda finding: (
            finding.detector in ALWAYS_REMOVED
            or any(not names or _is_about(names, finding) for names in named)
        )
    spared = [named_detectors(rule) for rule in rules]
    return lambda finding: (
        finding.detector in ALWAYS_REMOVED
        and (not spared or any(names and not _is_about(names, finding) for names in spared))
    )


def _is_about(names: Sequence[str], finding: Finding) -> bool:
    return is_named(names, finding.detector, finding.kind)


def content_type_of(result: Any) -> str:
    """The content type of a JSON value: `text/plain` for a text, else `application/json`."""
    return "text/plain" if isinstance(result, str) else "application/json"
