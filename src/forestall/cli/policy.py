"""`forestall policy check|test`: read policies as the server would, without a server."""

from pathlib import Path
from typing import Any

import click

from forestall.cli.output import EXIT_CHECK_FAILED, json_option, print_json
from forestall.policy.compile import Snapshot, compile_policy
from forestall.policy.language import load_policy
from forestall.policy.problems import PolicyError, Problem
from forestall.policy.rules import Policy
from forestall.policy.testing import TestOutcome, run_tests

_paths = click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)


@click.group()
def policy() -> None:
    """Check and test policy files; needs no server."""


@policy.command()
@_paths
@json_option
def check(paths: tuple[Path, ...], as_json: bool) -> None:
    """Find every mistake in policy files (or directories of them)."""
    policies, snapshot, problems = _load(paths)
    if as_json:
        print_json(
            {
                "ok": snapshot is not None,
                "snapshot": snapshot.digest if snapshot else "",
                "rules": snapshot.rule_count if snapshot else 0,
                "problems": [_problem_object(problem) for problem in problems],
            }
        )
    elif snapshot is not None:
        names = ", ".join(policy.name for policy in policies)
        click.echo(f"ok: {snapshot.rule_count} rules in {names}, snapshot {snapshot.digest[:12]}")
    if snapshot is None:
        if not as_json:
            click.echo(PolicyError(problems).render(), err=True)
            click.echo(f"{len(problems)} problem(s)", err=True)
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


@policy.command()
@_paths
@json_option
def test(paths: tuple[Path, ...], as_json: bool) -> None:
    """Run the `tests` that stand in policy files against all of the given files together."""
    policies, snapshot, problems = _load(paths)
    if snapshot is None:
        raise PolicyError(problems)
    outcomes = run_tests(snapshot)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if as_json:
        print_json(
            {
                "passed": len(outcomes) - len(failed),
                "failed": len(failed),
                "tests": [_outcome_object(outcome) for outcome in outcomes],
            }
        )
    else:
        for outcome in outcomes:
            click.echo(f"{'ok    ' if outcome.passed else 'FAILED'} {outcome.name}")
            if not outcome.passed:
                click.echo(f"       wanted {outcome.wanted}, got {outcome.got}")
                click.echo(f"       {outcome.source}:{outcome.line}")
        click.echo(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
        if not outcomes:
            names = ", ".join(policy.source for policy in policies)
            click.echo(f"there are no `tests` in {names}", err=True)
    if failed or not outcomes:
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def _load(paths: tuple[Path, ...]) -> tuple[list[Policy], Snapshot | None, list[Problem]]:
    policies: list[Policy] = []
    problems: list[Problem] = []
    for path in _files(paths):
        try:
            policies.append(load_policy(path.read_bytes(), source=str(path)))
        except PolicyError as error:
            problems.extend(error.problems)
        except OSError as cause:
            raise click.UsageError(f"cannot read {path}: {cause.strerror}") from cause
    if not problems:
        try:
            return policies, compile_policy(policies), []
        except PolicyError as error:
            problems.extend(error.problems)
    return policies, None, problems


def _files(paths: tuple[Path, ...]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.suffix in (".yaml", ".yml"))
            if not inside:
                raise click.UsageError(f"there is no .yaml file in {path}")
            found.extend(inside)
        else:
            found.append(path)
    return found


def _problem_object(problem: Problem) -> dict[str, Any]:
    return {
        "source": problem.source,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "hint": problem.hint,
    }


def _outcome_object(outcome: TestOutcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "passed": outcome.passed,
        "wanted": outcome.wanted,
        "got": outcome.got,
        "source": outcome.source,
        "line": outcome.line,
    }
