"""The value that explain returns: the decision, and the rules nearest to it.

Values only, so that code which merely writes them as JSON loads no evaluator.
"""

import msgspec

from forestall.facts.derive import LabelView, PayloadKind
from forestall.policy.rules import Clause, Decision, Effect


class ExplainedRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, under the label view in which it came nearest to matching.

    `matched`: every clause held. `spoke`: the rule was the first match of its list under some view.
    `held` and `failed` are its clauses, each with what the request has in that field.
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


class UnreadPlace(msgspec.Struct, frozen=True):
    """A place of the payload with a text that no derivation of the kind reads."""

    place: str
    kind: PayloadKind


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A decision and the rules that came nearest to it, nearest first. `default_used`: no rule
    decided."""

    decision: Decision
    rules: tuple[ExplainedRule, ...]
    views: tuple[LabelView, ...]  # every label view that was decided under
    default_decision: Effect
    default_used: bool
    unread: tuple[UnreadPlace, ...]  # places of the payload with a text that counts as unknown
