"""Policies that an operator of the simulation changes between, made from a seed.

Every topic keeps the id of its rule from version to version, as people do when they edit a file.
"""

import re
from collections.abc import Sequence
from functools import cache
from random import Random

from forestall.control.publish import compile_files
from forestall.policy.compile import Snapshot
from tests.sim.output_rules import output_rules

TOPICS = ("job.alpha.run", "job.beta.run", "job.gamma.run", "job.delta.run")
SAFE = "job.safe.run"
TENANTS = ("acme", "bolt")

_OUTCOMES: Sequence[tuple[str, float]] = (
    ("allow", 4),
    ("concurrent", 3),
    ("retries", 2),
    ("runtime", 2),
    ("small", 0.5),
    ("limited", 2),
    ("throttle", 0.7),
    ("deny", 1.2),
    ("deny_remedy", 1.2),
    ("approve", 1.2),
    ("approve_two", 0.6),
)
_CALM = (("allow", 1), ("concurrent", 4), ("retries", 1), ("runtime", 1))


def policy_text(random: Random, *, calm: bool = False) -> str:
    """A policy; a calm one lets every job run, some within bounds."""
    outcomes = _CALM if calm else _OUTCOMES
    names, weights = zip(*outcomes, strict=True)
    rules = [_rule(topic, random.choices(names, weights)[0], random) for topic in TOPICS]
    rules.append(f"  - id: rule-safe\n    decision: allow\n    match: {{topics: ['{SAFE}']}}\n")
    rules.append(output_rules(random))
    return "name: sim\ndefault_decision: deny\nrules:\n" + "".join(rules)


def edited(text: str, random: Random) -> str:
    """The same policy with another rule on a topic that no job has: of most questions to people
    it changes nothing."""
    others, head = _OTHER.sub("", text), "  - id: rule-safe\n"
    name = f"job.other.n{random.randrange(1_000)}"
    rule = f"  - id: other\n    decision: deny\n    match: {{topics: ['{name}']}}\n"
    return others.replace(head, rule + head)


_OTHER = re.compile(r"  - id: other\n.*\n.*\n")


def _rule(topic: str, outcome: str, random: Random) -> str:
    name = topic.split(".")[1]
    head = f"  - id: rule-{name}\n    reason: '{name} says {outcome}'\n"
    match = f"    match: {{topics: ['{topic}']}}\n"
    rule = head + f"    decision: {_WORDS.get(outcome, outcome)}\n" + match + _more(outcome, random)
    if outcome == "limited":  # what holds while its limit is not reached
        rule += f"  - id: rule-{name}-under\n    decision: allow\n{match}"
    return rule


_WORDS = {
    "concurrent": "allow_with_constraints",
    "retries": "allow_with_constraints",
    "runtime": "allow_with_constraints",
    "small": "allow_with_constraints",
    "limited": "throttle",
    "deny_remedy": "deny",
    "approve": "require_approval",
    "approve_two": "require_approval",
}


def _more(outcome: str, random: Random) -> str:
    if outcome == "concurrent":
        budget = f"max_concurrent_jobs: {random.randint(1, 2)}"
    elif outcome == "retries":
        budget = f"max_retries: {random.randint(0, 2)}"
    elif outcome == "runtime":
        budget = f"max_runtime_ms: {random.choice((3, 10, 40)) * 1_000}"
    elif outcome == "small":
        budget = "max_artifact_bytes: 8"
    elif outcome == "limited":
        limit, window_ms = random.randint(1, 4), random.choice((5, 20, 60)) * 1_000
        return f"    throttle: {{limit: {limit}, window: {window_ms // 1000}s, key: [tenant]}}\n"
    elif outcome == "approve_two":
        return "    approval: {quorum: 2, ttl: 2m}\n"
    elif outcome == "deny_remedy":
        return (
            "    remediations:\n      - id: use-safe\n        title: 'Use the safe one'\n"
            f"        replacement_topic: {SAFE}\n"
        )
    else:
        return ""
    return f"    constraints:\n      budgets: {{{budget}}}\n"


@cache
def compiled(text: str) -> Snapshot:
    """The snapshot of a policy, for checks that decide anew by themselves."""
    return compile_files([("sim.yaml", text.encode())])
