"""What an explanation holds: the decision, and what held and failed in the rules nearest to it.

Values alone: whoever only writes them down as JSON loads no evaluator.
"""

import msgspec

from forestall.facts.derive import LabelView
from forestall.policy.rules import Clause, Decision, Effect


class ExplainedRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule under the view in which it came nearest to matching.

    `matched` says that every clause held; `spoke` that no earlier rule of its layer matched.
    """

    rule_id: str
    layer: str
    effect: Effect
    matched: bool
    spoke: bool
    line: int
    owner: str
    severity: str
    held: tuple[Clause, ...]
    failed: tuple[Clause, ...]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A decision and the rules that came nearest to it."""

    decision: Decision
    rules: tuple[ExplainedRule, ...]
    views: tuple[LabelView, ...]  # every label assignment that was decided under
    default_decision: Effect
    default_used: bool
