"""The values of the policy language: rule, effect, decision. Data only; nothing here decides."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from forestall.facts.derive import Derivation
from forestall.facts.origin import Origin


class Effect(StrEnum):
    """What a rule asks for and what an evaluation returns."""

    ALLOW = "allow"
    ALLOW_WITH_CONSTRAINTS = "allow_with_constraints"
    THROTTLE = "throttle"
    REQUIRE_APPROVAL = "require_approval"
    DENY = "deny"

    @property
    def strictness(self) -> int:
        """0 for allow … 4 for deny; across layers and views the highest stands."""
        return _STRICTNESS[self]


_STRICTNESS = {effect: rank for rank, effect in enumerate(Effect)}


REDACTION_LEVELS = ("none", "standard", "strict")  # from the loosest to the strictest


class Budgets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Numeric bounds on a run; None means no bound from this rule."""

    max_runtime_ms: int | None = None
    max_retries: int | None = None
    max_artifact_bytes: int | None = None
    max_concurrent_jobs: int | None = None


class Sandbox(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a run may reach. None means no bound; an empty list means nothing at all."""

    isolated: bool | None = None
    network_allowlist: tuple[str, ...] | None = None
    fs_read_only: tuple[str, ...] | None = None
    fs_read_write: tuple[str, ...] | None = None


class Toolchain(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which tools a run may use. None means no bound; an empty list means none."""

    allowed_tools: tuple[str, ...] | None = None
    allowed_commands: tuple[str, ...] | None = None


class DiffLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much a run may change."""

    max_files: int | None = None
    max_lines: int | None = None
    deny_path_globs: tuple[str, ...] | None = None


class Constraints(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Limits bound to an allow (or to a run that an approval will allow)."""

    budgets: Budgets = Budgets()
    sandbox: Sandbox = Sandbox()
    toolchain: Toolchain = Toolchain()
    diff: DiffLimits = DiffLimits()
    redaction_level: str = ""


class Remediation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An offered rewrite of a denied job (control 12)."""

    id: str
    title: str = ""
    summary: str = ""
    replacement_topic: str = ""
    replacement_capability: str = ""
    add_labels: Mapping[str, str] = {}
    remove_labels: tuple[str, ...] = ()


class McpMatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parts of a tool call; ordinary fields: in a deny rule, `tools: [x]` denies x."""

    servers: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()


class Operator(StrEnum):
    """How a value in the arguments is compared."""

    EQ = "eq"
    IN = "in"
    GLOB = "glob"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    EXISTS = "exists"
    MATCHES = "matches"


class ArgCondition(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison: the value at `path` (RFC 9535, one node) against `operand`."""

    path: str
    operator: Operator
    operand: Any


class TimeMatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a rule applies: days and hours of the given instant, in a time zone."""

    days: tuple[str, ...] = ()  # mon … sun
    hours: tuple[tuple[int, int], ...] = ()  # [from, to) in minutes of the day; from > to wraps
    timezone: str = "UTC"


class DelegationMatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is wanted of a delegation; only `forbid_delegated` holds of undelegated requests."""

    max_depth: int | None = None
    issuers: tuple[str, ...] = ()  # every link of the chain was issued by one of these
    required_scope: tuple[str, ...] = ()  # all of these were delegated
    forbid_delegated: bool = False  # the request is not delegated at all


class ContentMatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a rule wants of a payload or a result: any entry inside a criterion, all criteria."""

    detectors: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    content_types: tuple[str, ...] = ()
    size_gt: int | None = None


class Match(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a rule applies to: every field that is not empty must hold."""

    tenants: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    pack_ids: tuple[str, ...] = ()
    actor_ids: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    actor_types: tuple[str, ...] = ()
    agent_risk_tiers: tuple[str, ...] = ()
    agent_data_classes: tuple[str, ...] = ()
    risk_tags: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    mcp: McpMatch = McpMatch()
    secrets_present: bool | None = None
    time: TimeMatch | None = None
    delegation: DelegationMatch | None = None
    args: tuple[ArgCondition, ...] = ()
    content: ContentMatch | None = None  # in input and output rules only


class Throttle(msgspec.Struct, frozen=True, kw_only=True):
    """How often a matching action may happen; the rule speaks only past the limit."""

    limit: int  # actions in one window
    window_ms: int
    key: tuple[str, ...]  # what is counted separately: tenant, topic, actor_id, labels.x, …


class ApprovalTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who may approve what a rule holds, how many of them, and for how long."""

    roles: tuple[str, ...] = ()
    quorum: int = 1
    ttl_ms: int | None = None


class RoleDemand(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """So many people, each with one of the roles; of any role where none is named."""

    roles: tuple[str, ...] = ()
    quorum: int = 1


class ApprovalDemands(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an approval needs: *every* demand met (`approval.is_met`), within the time."""

    each: tuple[RoleDemand, ...]
    ttl_ms: int | None = None  # the shortest that a rule gives; None: no rule bounds it

    @property
    def quorum(self) -> int:
        """At least so many people are needed; with demands on several roles it may be more."""
        return max(demand.quorum for demand in self.each)


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One match and one effect, as written; `line` is where it stands in its file."""

    id: str
    effect: Effect
    match: Match
    unless: Match | None = None
    reason: str = ""
    throttle: Throttle | None = None
    approval: ApprovalTerms | None = None
    constraints: Constraints | None = None
    remediations: tuple[Remediation, ...] = ()
    owner: str = ""
    severity: str = ""
    line: int = 0


class Verdict(StrEnum):
    """What becomes of a result: everybody gets it, everybody gets a copy without what was found,
    or nobody gets it until a second person releases it."""

    ALLOW = "allow"
    REDACT = "redact"
    QUARANTINE = "quarantine"

    @property
    def strictness(self) -> int:
        """0 for allow … 2 for quarantine; across layers and views the highest stands."""
        return _VERDICT_STRICTNESS[self]


_VERDICT_STRICTNESS = {verdict: rank for rank, verdict in enumerate(Verdict)}


class OutputRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One match and one verdict on results; `match.content` is about the result, the rest of it
    about the job that gave it."""

    id: str
    verdict: Verdict
    match: Match
    unless: Match | None = None
    reason: str = ""
    owner: str = ""
    severity: str = ""
    line: int = 0


class Detect(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What detectors cannot know by themselves: which hosts and paths are ours."""

    internal_hosts: tuple[str, ...] = ()
    source_paths: tuple[str, ...] = ()


class PolicyTest(msgspec.Struct, frozen=True, kw_only=True):
    """A case that the author wrote beside the rules: a request and the wanted decision."""

    name: str
    request: Mapping[str, Any]
    decision: Effect
    rule_id: str | None
    line: int


class OutputTest(msgspec.Struct, frozen=True, kw_only=True):
    """A case about a result: what the job of a request answered, and the wanted verdict."""

    name: str
    request: Mapping[str, Any]
    result: Any  # JSON
    verdict: Verdict
    rule_id: str | None
    line: int


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where something stands in its file, for what is found out about it later."""

    line: int
    column: int
    length: int = 1
    excerpt: str = ""  # the line of the file, without its end


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One policy file, read and checked. Each file is a layer of its own."""

    name: str
    source: str  # the path or other name shown to people
    invariants: bool = False
    priority: int = 0
    default_decision: Effect | None = None  # None: the file says nothing, which means deny
    label_trust: Mapping[str, Origin] = {}
    derivations: tuple[Derivation, ...] | None = None  # None: those of facts/derive.py
    caller_topics: tuple[str, ...] = ()  # whoever submits such a job does the work itself
    rules: tuple[Rule, ...] = ()
    input_rules: tuple[Rule, ...] = ()  # their matches look at content too
    output_rules: tuple[OutputRule, ...] = ()
    detect: Detect = Detect()
    tests: tuple[PolicyTest, ...] = ()
    output_tests: tuple[OutputTest, ...] = ()
    # By ("label", name), ("derive", number) or ("remediation", rule id, id). Decides nothing.
    places: Mapping[tuple[str, ...], Place] = {}


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of a rule: the field and what the rule wants there.

    `found` is what the request has there; filled in by explain only.
    """

    field: str
    wanted: tuple[str, ...]
    found: tuple[str, ...] = ()


class LabelConflict(msgspec.Struct, frozen=True, kw_only=True):
    """A weaker origin said something else than a stronger one."""

    label: str
    origin: str  # of the weaker value
    value: str
    trusted_value: str | None  # None: no origin that the label accepts gave a value


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What evaluation returned, with its reasons.

    `code` says how it came about: `rule` (rules decided), `default` (no rule matched),
    `rule_error` (a rule could not be evaluated, hence deny).
    """

    decision: Effect
    code: str
    reason: str = ""
    rule_id: str = ""  # the rule that decided; empty when none did
    matched_rules: tuple[str, ...] = ()  # one a layer at the most, strictest first
    clauses: tuple[Clause, ...] = ()  # what held in the deciding rule
    facts: tuple[tuple[str, str], ...] = ()  # the label view that decided, sorted
    conflicts: tuple[LabelConflict, ...] = ()
    constraints: Constraints | None = None
    approval: ApprovalDemands | None = None  # of all rules that hold it; None: any one person
    throttle: Throttle | None = None  # limit of the rule that throttles; None: always
    remediations: tuple[Remediation, ...] = ()
    snapshot: str = ""  # digest of the snapshot that decided
    errors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.constraints is not None and self.decision in (Effect.DENY, Effect.ALLOW):
            raise ValueError("only what may run under constraints carries constraints")
