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


class OwnProgramUse(msgspec.Struct, frozen=True, kw_only=True):
    """An own program that the payload runs: the policy that describes it, and those by whose rules
    its entry counts. To the rules of every other policy the program is not known."""

    program: str
    described_by: str
    used_by: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A decision and the rules nearest to it, nearest first. `default_used`: no rule decided."""

    decision: Decision
    rules: tuple[ExplainedRule, ...]
    views: tuple[LabelView, ...]  # every label view that was decided under
    default_decision: Effect
    default_used: bool
    unread: tuple[UnreadPlace, ...]  # places of the payload with a text that counts as unknown
    own_programs: tuple[OwnProgramUse, ...] = ()
