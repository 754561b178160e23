"""Policies → snapshot: checked across files, ordered, digested, ready to evaluate. No I/O.

In this order: refuse clashes between files · order the layers · compile the clauses of each rule
into tests · digest everything that can change a decision · refuse a rule that provably never
matches · refuse a remediation that leads to a denied request.
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from forestall.policy.lint.never_matches import never_matching
from forestall.policy.problems import PolicyError, Problem, line_of, problem_at
from forestall.policy.rules import OwnDetector, Policy
from forestall.policy.snapshot import Snapshot

__all__ = ["Snapshot", "assemble", "compile_policy"]


def compile_policy(policy: Policy | Sequence[Policy], *, wire: bool = False) -> Snapshot:
    """Compile one policy or several (each file a layer of its own).

    Order: invariants first, then by `priority` (lower first), then by name. Raises PolicyError
    when two files share a rule id or a name, for a rule that provably never matches, and for a
    remediation that is certainly denied.

    `wire` says that requests come over the wire: then a rule for topics outside the wire's grammar
    (`job.` and words) never matches either.
    """
    snapshot = assemble([policy] if isinstance(policy, Policy) else policy)
    silent = never_matching(snapshot, wire=wire)
    if silent:
        raise PolicyError(silent)
    if any(rule.remediations for layer in snapshot.layers for rule in layer.rules):
        # Imported here: few policies offer remediations, and the proof loads much code.
        from forestall.policy.lint.remediations import denied_remediations

        problems = denied_remediations(snapshot)
        if problems:
            raise PolicyError(problems)
    return snapshot


def assemble(policies: Sequence[Policy]) -> Snapshot:
    """The snapshot of policies as they are, whether their rules mean what they seem to or not.

    For tests of the engine; everybody else calls `compile_policy`. Raises PolicyError when two
    policies share a rule id or a name.
    """
    _reject_clashes(policies)
    ordered = sorted(policies, key=lambda each: (not each.invariants, each.priority, each.name))
    return Snapshot(ordered)


def _reject_clashes(policies: Sequence[Policy]) -> None:
    """Raises PolicyError when two files have one name, or two rules have one id."""
    problems: list[Problem] = []
    seen_names: dict[str, str] = {}
    seen_rules: dict[str, str] = {}
    for policy in policies:
        if policy.name in seen_names:
            hint = f"the other is {seen_names[policy.name]}; give one of them a `name`"
            problems.append(problem_at(policy, None, f"two files are named `{policy.name}`", hint))
        seen_names[policy.name] = policy.source
        for rule in policy.all_rules:
            if rule.id in seen_rules:
                problems.append(
                    Problem(
                        source=policy.source,
                        line=rule.line,
                        column=1,
                        message=f"the rule id `{rule.id}` is used twice",
                        hint=f"also at {seen_rules[rule.id]}",
                    )
                )
            seen_rules.setdefault(rule.id, f"{policy.source}:{rule.line}")
    problems.extend(_detector_clashes(policies))
    problems.extend(_program_clashes(policies))
    if problems:
        raise PolicyError(problems)


def _detector_clashes(policies: Sequence[Policy]) -> Iterator[Problem]:
    """Own detectors of one name that find different things. Rules name a finding by the name of
    its detector, so one file would decide what a rule of another file matches."""
    seen: dict[str, tuple[OwnDetector, str]] = {}
    for policy in policies:
        for own in policy.detectors:
            finds = replace(own, match=(), no_match=())  # its examples decide nothing
            first, source = seen.setdefault(own.name, (finds, policy.source))
            if first != finds:
                message = f"the detector `{own.name}` finds other things than in another file"
                hint = f"the other is in {source}; give one of them another name"
                yield problem_at(policy, None, message, hint)


def _program_clashes(policies: Sequence[Policy]) -> Iterator[Problem]:
    """Own programs of one name in two files: no file may say what another one's program does."""
    seen: dict[str, str] = {}
    for policy in policies:
        for own in policy.programs:
            key = ("program", own.name)
            here = f"{policy.source}:{line_of(policy, *key)}"
            first = seen.setdefault(own.name, here)
            if first != here:
                message = f"the program `{own.name}` is described twice"
                hint = (
                    f"the other entry is at {first}; keep one, and name its file under"
                    " `use_programs` in the other"
                )
                yield problem_at(policy, policy.places.get(key), message, hint)
