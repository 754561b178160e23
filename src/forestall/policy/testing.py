"""Run the test cases beside rules (control 10) and in files of cases. No clock, no network."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from forestall.policy.evaluator import evaluate
from forestall.policy.language.document import Sequence, parse_document
from forestall.policy.language.reader import Reader
from forestall.policy.language.tests_reader import read_tests
from forestall.policy.own_detectors import failed_example
from forestall.policy.own_programs import failed_example as failed_program_example
from forestall.policy.problems import line_of
from forestall.policy.request import Delegation, Request, ToolCall
from forestall.policy.rules import Decision, Effect, OutputTest, Policy, PolicyTest, Verdict
from forestall.policy.snapshot import Snapshot

CASES_AT = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)  # when a case is decided that has no `now`

_SHOWN_CHARS = 60  # of an example, in the name of its outcome


class TestOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one case: the expected decision and the actual one, in words."""

    __test__ = False  # pytest must not collect it

    name: str
    source: str
    line: int
    passed: bool
    wanted: str
    got: str


class CaseFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of test cases without rules."""

    source: str
    tests: tuple[PolicyTest, ...]
    output_tests: tuple[OutputTest, ...] = ()


# The verdict on the result of a case, and the rule that gave it. A parameter, because this module
# does not import the detectors.
Judge = Callable[[Snapshot, OutputTest], tuple[Verdict, str]]


def load_cases(data: bytes, *, source: str) -> CaseFile:
    """Read a file of cases: a list under `tests`, as in a policy. JSON is YAML too.

    Raises PolicyError with every mistake found; a file without cases is one.
    """
    root, lines = parse_document(data, source)
    reader = Reader(source, lines)
    tests: tuple[PolicyTest | OutputTest, ...] = ()
    if root is None:
        reader.problem(None, "the file is empty", "a file of cases has a list of `tests`")
    else:
        top = reader.mapping(root, "a file of cases")
        if top is not None:
            reader.known_keys(top, ("tests",), "a file of cases")
            tests = read_tests(reader, top)
            _, given = top.entries.get("tests", (None, None))
            if given is None or (isinstance(given, Sequence) and not given.items):
                reader.problem(given or top, "there is no case", "list them under `tests`")
    reader.raise_problems()
    return CaseFile(
        source=source,
        tests=tuple(test for test in tests if isinstance(test, PolicyTest)),
        output_tests=tuple(test for test in tests if isinstance(test, OutputTest)),
    )


def cases_of(snapshot: Snapshot, files: Iterable[CaseFile] = ()) -> list[tuple[str, PolicyTest]]:
    """Every case with its source: those of the policies, then those of the files."""
    inside = [(policy.source, test) for policy in snapshot.policies for test in policy.tests]
    return inside + [(file.source, test) for file in files for test in file.tests]


def output_cases_of(
    snapshot: Snapshot, files: Iterable[CaseFile] = ()
) -> list[tuple[str, OutputTest]]:
    """Every case about a result with its source: those of the policies, then those of the files."""
    inside = [(policy.source, test) for policy in snapshot.policies for test in policy.output_tests]
    return inside + [(file.source, test) for file in files for test in file.output_tests]


def run_tests(
    snapshot: Snapshot, files: Iterable[CaseFile] = (), *, judge: Judge | None = None
) -> list[TestOutcome]:
    """Decide every case of every policy and file by the snapshot as a whole.

    A case about a result fails when there is no `judge`.
    """
    files = tuple(files)
    outcomes = []
    for source, test in cases_of(snapshot, files):
        decision = decision_on(snapshot, test)
        foreign = _not_liftable(snapshot, test)
        passed = (
            decision.decision in _accepted(test)
            and test.rule_id in (None, decision.rule_id)
            and not foreign
        )
        outcomes.append(
            TestOutcome(
                name=test.name,
                source=source,
                line=test.line,
                passed=passed,
                wanted=_by_rule(test.decision, test.rule_id),
                got=foreign or _by_rule(decision.decision, decision.rule_id),
            )
        )
    outcomes.extend(_example_outcomes(snapshot))
    for source, case in output_cases_of(snapshot, files):
        verdict, rule_id = judge(snapshot, case) if judge is not None else ("not judged", "")
        outcomes.append(
            TestOutcome(
                name=case.name,
                source=source,
                line=case.line,
                passed=verdict == case.verdict and case.rule_id in (None, rule_id),
                wanted=_by_rule(case.verdict, case.rule_id),
                got=_by_rule(verdict, rule_id),
            )
        )
    return outcomes


def _example_outcomes(snapshot: Snapshot) -> Iterator[TestOutcome]:
    """One outcome for each example of each detector and each program that a policy describes."""
    for policy in snapshot.policies:
        for detector in policy.detectors:
            for examples, is_match in ((detector.match, True), (detector.no_match, False)):
                for text in examples:
                    wrong = failed_example(detector, text, is_match=is_match)
                    wanted = "a finding" if is_match else "no finding"
                    yield _of_example(policy, f"detector {detector.name}", text, wanted, wrong)
        for program in policy.programs:
            line = line_of(policy, "program", program.name)
            for text, classes in program.examples:
                wrong = failed_program_example(program, text, classes, policy.all_programs)
                wanted = ", ".join(classes)
                yield _of_example(policy, f"program {program.name}", text, wanted, wrong, line)


def _of_example(
    policy: Policy, owner: str, text: str, wanted: str, wrong: str, line: int = 1
) -> TestOutcome:
    """The outcome of an example; `wrong` says what is wrong with it, or is empty."""
    return TestOutcome(
        name=f"{owner}: {text[:_SHOWN_CHARS]}",
        source=policy.source,
        line=line,
        passed=not wrong,
        wanted=wanted,
        got=wrong or wanted,
    )


def decision_on(snapshot: Snapshot, test: PolicyTest) -> Decision:
    """The decision on a case: at its instant, with its throttle rules inside their limits."""
    return evaluate(
        snapshot,
        request_of(test.request),
        now=test.now or CASES_AT,
        lifted=frozenset(test.lifted),
    )


def _accepted(test: PolicyTest) -> tuple[Effect, ...]:
    """The decisions that a case accepts: an `allow` seldom means one without any constraint."""
    if test.decision is Effect.ALLOW and not test.exactly:
        return (Effect.ALLOW, Effect.ALLOW_WITH_CONSTRAINTS)
    return (test.decision,)


def _not_liftable(snapshot: Snapshot, test: PolicyTest) -> str:
    """What is wrong with `lifted`: a name that no gate would ever lift; empty otherwise."""
    if not test.lifted:
        return ""
    rules = [rule for layer in snapshot.layers for rule in layer.rules]
    limited = {rule.id for rule in rules if rule.throttle is not None}
    foreign = [name for name in test.lifted if name not in limited]
    return f"no throttle rule with a limit is named `{foreign[0]}`" if foreign else ""


def request_of(case: Mapping[str, Any]) -> Request:
    """The request of a case; `prompt` and `context` are its payload."""
    fields = {key: value for key, value in case.items() if key not in ("prompt", "context")}
    if "mcp" in fields:
        fields["mcp"] = ToolCall(**fields["mcp"])
    if "delegation" in fields:
        fields["delegation"] = Delegation(**fields["delegation"])
    return Request(
        **fields,
        payload={"prompt": case.get("prompt", ""), "context": case.get("context")},
    )


def _by_rule(decision: str, rule_id: str | None) -> str:
    return f"{decision} by {rule_id}" if rule_id else decision
