"""`forestall policy check|test|show|explain|convert`: read policies exactly as the server does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forestall.cli.options import (
    F,
    names_model_option,
    read_file,
    subdirectories_option,
    with_subdirectories,
)
from forestall.cli.output import (
    EXIT_CHECK_FAILED,
    json_option,
    print_content,
    print_json,
    print_line,
    print_lines,
)

# Each command imports what it needs when it runs: imports are most of the time of a short command.
if TYPE_CHECKING:
    from forestall.cli.ci_reports import Result
    from forestall.policy.problems import PolicyWarning, Problem
    from forestall.policy.rules import Policy
    from forestall.policy.snapshot import Snapshot
    from forestall.policy.testing import CaseFile, Judge, TestOutcome

_paths_argument = click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)


def _paths(command: F) -> F:
    """Add the paths of the policy files, and --subdirectories."""
    return _paths_argument(subdirectories_option(command))


_sarif_option = click.option(
    "--sarif",
    "sarif_path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what was found as SARIF 2.1.0, for code review.",
)


class _PolicyGroup(click.Group):
    """A group that shares `explain` with the server's commands, which import an HTTP client."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "explain"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "explain":
            return _offline_explain()
        return super().get_command(ctx, cmd_name)


@click.group(cls=_PolicyGroup)
def policy() -> None:
    """Check and test policy files; needs no server."""


@policy.command()
@_paths
@click.option("--strict", is_flag=True, help="Exit with 1 when there is a warning.")
@click.option(
    "--against",
    "old_paths",
    metavar="OLD",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Also say what gets weaker by a change from these files; repeatable.",
)
@_sarif_option
@json_option
def check(
    paths: tuple[Path, ...],
    strict: bool,
    old_paths: tuple[Path, ...],
    sarif_path: Path | None,
    as_json: bool,
) -> None:
    """Find every mistake in policy files (or directories of them).

    Warns about rules that load and do not mean what they seem to.
    """
    from forestall.cli.ci_reports import problem_results, warning_results
    from forestall.cli.policy_report import (
        print_warnings,
        print_weaker,
        problem_object,
        warning_object,
    )
    from forestall.policy.lint.warnings import analyse
    from forestall.policy.lint.weaker import weakened
    from forestall.policy.problems import PolicyError

    policies, snapshot, problems = _load(paths)
    warnings = analyse(snapshot) if snapshot is not None else ()
    weaker: tuple[PolicyWarning, ...] = ()
    if old_paths and snapshot is not None:
        weaker = weakened(_earlier(old_paths), snapshot)
    errors = sum(each.error for each in warnings)
    if sarif_path is not None:
        results = warning_results([*warnings, *weaker])
        _write_sarif(sarif_path, [*problem_results(problems), *results])
    if as_json:
        report = {
            "ok": snapshot is not None and not errors,
            "snapshot": snapshot.digest if snapshot else "",
            "rules": snapshot.rule_count if snapshot else 0,
            "problems": [problem_object(problem) for problem in problems],
            "warnings": [warning_object(warning) for warning in warnings],
        }
        if old_paths:
            report["weaker"] = [warning_object(each) for each in weaker]
        print_json(report)
    elif snapshot is None:
        print_lines(PolicyError(problems).render(), err=True)
        print_line(f"{len(problems)} problem(s)", err=True)
    else:
        print_warnings(warnings)
        if old_paths:
            print_weaker(weaker)
        if errors:
            print_line(f"{errors} problem(s)", err=True)
        else:
            names = ", ".join(policy.name for policy in policies)
            digest = snapshot.digest[:12]
            print_line(f"ok: {snapshot.rule_count} rules in {names}, snapshot {digest}")
    if snapshot is None or errors or (strict and (warnings or weaker)):
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


@policy.command()
@_paths
@click.option(
    "--cases",
    "case_paths",
    metavar="FILE",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Cases in a file of their own, under `tests`, as YAML or JSON; repeatable.",
)
@click.option("--coverage", "in_full", is_flag=True, help="Show what the cases exercise.")
@click.option(
    "--min-coverage",
    metavar="PERCENT",
    type=click.FloatRange(0, 100),
    help="Exit with 1 when fewer of the rules speak in some case.",
)
@click.option(
    "--junit",
    "junit_path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the outcomes as JUnit XML.",
)
@_sarif_option
@names_model_option
@json_option
def test(
    paths: tuple[Path, ...],
    case_paths: tuple[Path, ...],
    in_full: bool,
    min_coverage: float | None,
    junit_path: Path | None,
    sarif_path: Path | None,
    names_model: str,
    as_json: bool,
) -> None:
    """Run the `tests` that stand in policy files against all of the given files together.

    Names the rules that no case exercises.
    """
    from forestall.cli.ci_reports import (
        junit_xml,
        outcome_results,
        problem_results,
        problems_junit_xml,
    )
    from forestall.cli.policy_report import coverage_object, outcome_object, print_coverage
    from forestall.policy.coverage import measure
    from forestall.policy.problems import PolicyError
    from forestall.policy.testing import cases_of, output_cases_of, run_tests

    policies, snapshot, problems = _load(paths)
    files, case_problems = _load_cases(case_paths)
    problems.extend(case_problems)
    if snapshot is None or problems:
        if junit_path is not None:
            _write(junit_path, problems_junit_xml(problems))
        if sarif_path is not None:
            _write_sarif(sarif_path, list(problem_results(problems)))
        raise PolicyError(problems)
    judge = _judge_of(names_model) if output_cases_of(snapshot, files) else None
    outcomes = run_tests(snapshot, files, judge=judge)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    coverage = measure(snapshot, [case for _, case in cases_of(snapshot, files)])
    if junit_path is not None:
        _write(junit_path, junit_xml(outcomes))
    if sarif_path is not None:
        _write_sarif(sarif_path, list(outcome_results(outcomes)))
    if as_json:
        print_json(
            {
                "passed": len(outcomes) - len(failed),
                "failed": len(failed),
                "tests": [outcome_object(outcome) for outcome in outcomes],
                "coverage": coverage_object(coverage),
            }
        )
    else:
        _print_outcomes(outcomes)
        if outcomes:
            print_coverage(coverage, in_full=in_full or min_coverage is not None)
        print_line(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
        if not outcomes:
            names = ", ".join(policy.source for policy in policies)
            print_line(f"there are no `tests` in {names}", err=True)
    short = min_coverage is not None and coverage.percent < min_coverage
    if short:
        print_line(f"coverage is below {min_coverage:.4g}%", err=True)
    if failed or not outcomes or short:
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def _judge_of(names_model: str) -> Judge:
    from functools import partial

    from forestall.policy.output_cases import judge_case
    from forestall.server.names import load_names
    from forestall.server.settings import parse_names_model

    return partial(judge_case, switched_on=load_names(parse_names_model(names_model)))


@policy.command()
@_paths
@json_option
def show(paths: tuple[Path, ...], as_json: bool) -> None:
    """Print what policy files compile to: layers and rules in order, and the digest."""
    from forestall.cli.policy_report import print_snapshot, snapshot_object
    from forestall.policy.compile import compile_policy

    snapshot = compile_policy(_read(paths), wire=True)
    if as_json:
        print_json(snapshot_object(snapshot))
    else:
        print_snapshot(snapshot)


@policy.command()
@click.argument("path", metavar="FILE", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    "out_path",
    metavar="OUT",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write here instead of standard output.",
)
def convert(path: Path, out_path: Path | None) -> None:
    """Rewrite a policy file of another control plane, Cordum's, in our language.

    Each change is a comment with the line it came from; what has no counterpart is an error,
    and nothing is written.
    """
    from forestall.cordum_import.convert import convert as converted_policy

    text = converted_policy(read_file(path), source=str(path))
    if out_path is None:
        print_content(text.encode())
    else:
        _write(out_path, text)


def _offline_explain() -> click.Command:
    """`forestall explain`, of a policy file only."""
    import copy

    from forestall.cli.simulate import explain as explain_command

    command = copy.copy(explain_command)
    command.params = [copy.copy(param) for param in command.params]
    for param in command.params:
        if isinstance(param, click.Option):
            param.required = param.name == "policy_path"
            param.hidden = param.name in ("url", "api_key")
    return command


def _print_outcomes(outcomes: list[TestOutcome]) -> None:
    for outcome in outcomes:
        print_line(f"{'ok    ' if outcome.passed else 'FAILED'} {outcome.name}")
        if not outcome.passed:
            print_line(f"       wanted {outcome.wanted}, got {outcome.got}")
            print_line(f"       {outcome.source}:{outcome.line}")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as cause:
        raise click.UsageError(f"cannot write {path}: {cause.strerror}") from cause


def _write_sarif(path: Path, results: list[Result]) -> None:
    from forestall.cli.ci_reports import sarif_log

    _write(path, json.dumps(sarif_log(results), indent=2) + "\n")


def _earlier(paths: tuple[Path, ...]) -> Snapshot:
    """The snapshot of files that are only compared with: they may hold rules that a newer version
    refuses. Raises PolicyError for what cannot be read."""
    from forestall.policy.compile import assemble

    return assemble(_read(paths))


def _load(paths: tuple[Path, ...]) -> tuple[list[Policy], Snapshot | None, list[Problem]]:
    """The policies and their snapshot; no snapshot, but problems, where they do not load."""
    from forestall.policy.compile import compile_policy
    from forestall.policy.problems import PolicyError

    policies: list[Policy] = []
    try:
        policies = _read(paths)
        return policies, compile_policy(policies, wire=True), []
    except PolicyError as error:
        return policies, None, list(error.problems)


def _read(paths: tuple[Path, ...]) -> list[Policy]:
    """The policies in files and directories. Raises PolicyError, click.UsageError."""
    from forestall.policy.language.policy_file import load_policies
    from forestall.server.files import FileAccessError, policy_paths

    below = with_subdirectories()
    try:
        files = [file for path in paths for file in policy_paths(path, subdirectories=below)]
    except FileAccessError as cause:
        raise click.UsageError(cause.message) from cause
    return load_policies([(str(file), read_file(file)) for file in files])


def _load_cases(paths: tuple[Path, ...]) -> tuple[list[CaseFile], list[Problem]]:
    from forestall.policy.problems import PolicyError
    from forestall.policy.testing import load_cases

    files: list[CaseFile] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            files.append(load_cases(read_file(path), source=str(path)))
        except PolicyError as error:
            problems.extend(error.problems)
    return files, problems
