"""Every case gives the answer that is wanted of it.

The variable FORESTALL_CASES names a folder with more cases, in the same three files.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from forestall.control.plane import instant
from forestall.control.publish import compile_files
from forestall.facts.cluster.commands import verbs_in
from forestall.facts.file_paths import paths_in
from forestall.facts.shell.commands import commands_in
from forestall.facts.sql.statements import statements_in
from forestall.facts.urls import urls_in
from forestall.output.clean import clean_copy
from forestall.output.detectors import DETECTORS
from forestall.output.findings import Finding
from forestall.output.scan import scan
from forestall.policy.explainer import explain
from forestall.policy.output_verdict import SWITCHED_ON_BY
from forestall.policy.problems import PolicyError
from forestall.server.files import read_policy_files
from forestall.wire.decisions import check_object, explain_object
from forestall.wire.submissions import decode_check

HERE = Path(__file__).parent
NOON_US = 1_795_867_200_000_000  # Saturday 2026-11-28 12:00 UTC
_COVERED_MIN = 0.9  # of the characters of each span that a row of outputs.jsonl marks
_DETECTORS_OF = {"secrets": "secret", "pii": "personal_data", "injection": "prompt_injection"}


class Case(NamedTuple):
    """One row of one of the three files."""

    name: str
    file: str
    row: Mapping[str, Any]

    def require(self, folder: Path) -> None:
        """Raises AssertionError unless the row gets the answer that it wants."""
        _CHECKS[self.file](self.row, folder)


class Answer(NamedTuple):
    """What a policy says to a request: the decision in lower case, and all its words."""

    decision: str
    rule_id: str
    words: str


def cases() -> Iterator[Case]:
    """Every case of this folder, then those of the folder that FORESTALL_CASES names."""
    yield from _cases_in(HERE)
    more = os.environ.get("FORESTALL_CASES")
    if more and Path(more).is_dir():
        own = {case.name for case in _cases_in(HERE)}
        yield from (case for case in _cases_in(Path(more)) if case.name not in own)


def _cases_in(folder: Path) -> Iterator[Case]:
    for row in _rows(folder / "payloads.jsonl"):
        yield Case(f"{row['kind']}:{row['id']}", "payloads", row)
    for row in _rows(folder / "policies.jsonl"):
        yield Case(f"policies:{row['id']}", "policies", row)
    for number, row in enumerate(_rows(folder / "outputs.jsonl")):
        yield Case(f"output:{number}:{row.get('shape', row['kind'])}", "outputs", row)


def _rows(path: Path) -> list[Any]:
    if not path.exists():
        return []
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines() if line.strip()]


CASES = tuple(cases())


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case, tmp_path: Path) -> None:
    case.require(tmp_path)


# --- payloads.jsonl


def _payload_case(row: Mapping[str, Any], folder: Path) -> None:
    value, want = row["input"], row["want"]
    match row["kind"]:
        case "scan":
            _require_scan(value, want)
        case "policy":
            data = bytes.fromhex(value["hex"]) if "hex" in value else value["yaml"].encode()
            found = _loads({"policy.yaml": data}, folder)
            assert isinstance(found, str) != want["loads"], found
            assert all(word in str(found) for word in want.get("says", ())), found
        case "simulate":
            loaded = _loads({"policy.yaml": value["policy"].encode()}, folder)
            if isinstance(loaded, str):
                assert want.get("or_refused"), loaded
                return
            answer = _answer(loaded, value["request"])
            assert answer.decision in want["decision"], answer
        case kind:
            _require_classes(_classes(kind, value), want)


def _require_classes(classes: set[str], want: Mapping[str, list[str]]) -> None:
    assert classes >= set(want.get("has", ())), classes
    assert classes.isdisjoint(want.get("not", ())), classes
    assert "only" not in want or classes == set(want["only"]), classes
    assert "any" not in want or classes & set(want["any"]), classes


def _classes(kind: str, value: Any) -> set[str]:
    """The classes that a fact reader finds in a payload, as the words of the policy language."""
    match kind:
        case "shell":
            return {one.value for command in commands_in(value) for one in command.classes}
        case "sql":
            found = statements_in(value["sql"], dialect=value.get("dialect", ""))
            return {one.value for statement in found for one in statement.classes}
        case "url":
            return {fact.kind.value for fact in urls_in(value)}
        case "path":
            return {one.value for fact in paths_in([value]) for one in fact.classes}
        case "cluster":
            return {one.value for verb in verbs_in(value) for one in verb.classes}
    raise ValueError(f"a case of an unknown kind: {kind}")


def _require_scan(text: str, want: Mapping[str, Any]) -> None:
    detectors = [DETECTORS[name] for name in want.get("detectors", DETECTORS)]
    seen = scan(text.encode(), detectors=detectors)
    assert seen.complete
    if want.get("clean"):
        assert not seen.findings
        return
    copy = clean_copy(text.encode(), seen.findings, detectors=detectors)
    assert copy is not None, "no clean copy can be made"
    left = copy.decode()
    assert not [word for word in want["gone"] if word in left], left
    assert not [word for word in want.get("kept", ()) if word not in left], left


# --- policies.jsonl


def _policies_case(row: Mapping[str, Any], folder: Path) -> None:
    files = {name: text.encode() for name, text in row["policies"].items()}
    loaded = _loads(files, folder)
    said = row.get("says", ())
    if isinstance(loaded, str):
        assert "load_error" in (*row.get("want", ()), *row.get("or", ())), loaded
        assert all(word in loaded for word in said), loaded
        return
    assert "load_error" not in row.get("want", ()), "it loads"
    answer = _answer(loaded, row["request"])
    assert answer.decision not in row.get("want_not", ()), answer
    assert "want" not in row or answer.decision in row["want"], answer
    assert "rule_id" not in row or answer.rule_id == row["rule_id"], answer
    assert all(word in answer.words for word in said), answer


def _loads(files: Mapping[str, bytes], folder: Path) -> Any:
    """The snapshot of a policy directory with these files, or the text of the refusal."""
    place = folder / "policy"
    place.mkdir()
    for name, data in files.items():
        (place / name).write_bytes(data)
    try:
        return compile_files(read_policy_files(place), switched_on=SWITCHED_ON_BY.keys())
    except PolicyError as error:
        return str(error)


def _answer(snapshot: Any, body: Mapping[str, Any]) -> Answer:
    """The answer of `forestall explain --policy`, for a request as it comes over the wire."""
    submission, _ = decode_check(msgspec.json.encode(body), tenant="default")
    request = submission.request(tenant="default", principal="")
    explanation = explain(snapshot, request, now=instant(NOON_US))
    answer = check_object(explanation.decision, job_id="", job_hash="", at_us=NOON_US)
    words = msgspec.json.encode((answer, explain_object(explanation, request))).decode()
    return Answer(answer.decision.lower(), answer.rule_id, words)


# --- outputs.jsonl


def _output_case(row: Mapping[str, Any], folder: Path) -> None:
    name = _DETECTORS_OF.get(row.get("detector", ""), "secret")
    seen = scan(row["text"].encode(), detectors=[DETECTORS[name]])
    assert seen.complete
    if row["kind"] == "benign":
        assert not seen.findings, seen.findings
    for span in row["spans"]:
        covered = _covered(seen.findings, span["start"], span["end"])
        assert covered >= _COVERED_MIN * (span["end"] - span["start"]), seen.findings


def _covered(findings: tuple[Finding, ...], start: int, end: int) -> int:
    places = {place for finding in findings for place in range(finding.start, finding.end)}
    return len(places.intersection(range(start, end)))


_CHECKS: Mapping[str, Callable[[Mapping[str, Any], Path], None]] = {
    "payloads": _payload_case,
    "policies": _policies_case,
    "outputs": _output_case,
}
