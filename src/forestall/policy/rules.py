"""The values of the policy language: policies, rules, effects, decisions. Data only.

Nothing here reads a file, evaluates a rule or checks a bound: `language/` reads, `evaluator`
decides.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from forestall.facts.derive import Derivation
from forestall.facts.origin import Origin


class Effect(StrEnum):
    """What a rule asks for, and what an evaluation returns; from the loosest to the strictest."""

    ALLOW = "allow"
    ALLOW_WITH_CONSTRAINTS = "allow_with_constraints"
    THROTTLE = "throttle"
    REQUIRE_APPROVAL = "require_approval"
    DENY = "deny"

    @property
    def strictness(self) -> int:
        """0 for allow to 4 for deny. Over layers, actors and label views the strictest stands."""
        return _STRICTNESS[self]


_STRICTNESS = {effect: rank for rank, effect in enumerate(Effect)}
REDACTION_LEVELS = ("none", "standard", "strict")  # from the loosest to the strictest


class Budgets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Numeric bounds on a run: milliseconds, retries after the first attempt, bytes of the result,
    jobs of the same rule that run at once. None: the rule sets no bound."""

    max_runtime_ms: int | None = None
    max_retries: int | None = None
    max_artifact_bytes: int | None = None
    max_concurrent_jobs: int | None = None


class Sandbox(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run may reach: hosts, files to read or write. None: no bound; empty: nothing."""

    isolated: bool | None = None
    network_allowlist: tuple[str, ...] | None = None
    fs_read_only: tuple[str, ...] | None = None
    fs_read_write: tuple[str, ...] | None = None


class Toolchain(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tools and commands that a run may use. None: no bound from this rule; empty: none at all."""

    allowed_tools: tuple[str, ...] | None = None
    allowed_commands: tuple[str, ...] | None = None


class DiffLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many files and lines a run may change, and which paths it must not change."""

    max_files: int | None = None
    max_lines: int | None = None
    deny_path_globs: tuple[str, ...] | None = None


class Constraints(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Limits on a run that is allowed, or that an approval will allow. `redaction_level` is one of
    REDACTION_LEVELS, or empty where the rule sets none."""

    budgets: Budgets = Budgets()
    sandbox: Sandbox = Sandbox()
    toolchain: Toolchain = Toolchain()
    diff: DiffLimits = DiffLimits()
    redaction_level: str = ""


class Remediation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rewrite of a denied job that the rule offers instead (control 12).

    An empty replacement leaves the topic or the capability of the job as it is. `title` and
    `summary` are shown to people.
    """

    id: str
    title: str = ""
    summary: str = ""
    replacement_topic: str = ""
    replacement_capability: str = ""
    add_labels: Mapping[str, str] = {}
    remove_labels: tuple[str, ...] = ()


class McpMatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Globs on the parts of a tool call. They are ordinary fields: in a deny rule, `tools: [x]`
    denies the tool x, and lists no tools that are allowed."""

    servers: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()


class Operator(StrEnum):
    """How a condition compares a value with its operand.

    `only` compares the names of an object's members with a tuple of names. The last four are
    quantifiers: their operand is a list of comparisons, which every, any or no
    element of a list meets, or which the number of elements meets.
    """

    EQ = "eq"
    IN = "in"
    GLOB = "glob"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    EXISTS = "exists"
    MATCHES = "matches"
    NOT = "not"
    ONLY = "only"
    EVERY = "every"
    ANY = "any"
    NONE = "none"
    COUNT = "count"


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison with `operand`. That of `not`: comparisons that must not all hold."""

    operator: Operator
    operand: Any


class ArgCondition(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison of what is at `path` with `operand`: of one node (an RFC 9535 path), or with
    `[*]` in the path and a quantifier as operator, of the elements of a list."""

    path: str
    operator: Operator
    operand: Any


LABEL_PREFIX = "labels."  # before the name of a label, where fields and labels stand together


class FieldTest(msgspec.Struct, frozen=True, kw_only=True):
    """One condition on the field of a match (`topics`, `mcp.tools`) or on a label (`labels.env`):
    `not` with a tuple of globs, or a comparison by size with a number."""

    field: str
    operator: Operator
    operand: Any

    @property
    def label(self) -> str:
        """The label that the test reads; empty for a test of a field."""
        return self.field.removeprefix(LABEL_PREFIX) if self.field.startswith(LABEL_PREFIX) else ""


class TimeMatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Days and hours at which a rule applies, in a time zone. Empty days or hours: all of them."""

    days: tuple[str, ...] = ()  # mon … sun
    # [from, to) in minutes of the day; from > to goes past midnight
    hours: tuple[tuple[int, int], ...] = ()
    timezone: str = "UTC"


class DelegationMatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a rule demands of a delegation. A request without a delegation fails every demand but
    `forbid_delegated`, which only such a request meets."""

    max_depth: int | None = None
    issuers: tuple[str, ...] = ()  # all links of the chain must be issued by one of these
    required_scope: tuple[str, ...] = ()  # the delegation must carry all of these
    forbid_delegated: bool = False  # the request must not be delegated


class OwnDetector(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A detector that a policy file defines. `match` and `no_match` are its examples: texts in
    which it must find something, and in which it must find nothing."""

    name: str
    pattern: str
    keywords: tuple[str, ...] = ()
    validator: str = ""
    match: tuple[str, ...] = ()
    no_match: tuple[str, ...] = ()


class OwnProgram(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A command-line tool that a policy file describes.

    `entry` is its entry in the program table as canonical JSON, without the examples, which decide
    nothing; `examples` are texts, each with all classes of its commands.
    """

    name: str
    entry: str
    examples: tuple[tuple[str, tuple[str, ...]], ...] = ()


class ContentMatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Content criteria on a payload or a result. A criterion holds when any of its entries does;
    all criteria that are given must hold. `size_gt` is in bytes of JSON."""

    detectors: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    content_types: tuple[str, ...] = ()
    size_gt: int | None = None
    own_detectors: tuple[OwnDetector, ...] = ()  # beside `detectors`: without their examples

    @property
    def detector_names(self) -> tuple[str, ...]:
        """The names of all detectors, of which one must find something."""
        return (*self.detectors, *(own.name for own in self.own_detectors))


class Match(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a rule applies to. Every field that is not empty must hold; the reader of policy files
    refuses a match without any field."""

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
    commands: tuple[str, ...] = ()  # patterns over the words of one command
    own_programs: tuple[OwnProgram, ...] = ()  # that the patterns name: without their examples
    mcp: McpMatch = McpMatch()
    tests: tuple[FieldTest, ...] = ()
    secrets_present: bool | None = None
    time: TimeMatch | None = None
    delegation: DelegationMatch | None = None
    args: tuple[ArgCondition, ...] = ()
    content: ContentMatch | None = None  # in input and output rules only

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels that the match reads, each once: by globs, tests, or words of a command."""
        names = [name for name, _ in self.labels]
        names += [test.label for test in self.tests if test.label]
        names += ["command_words"] if self.commands else []
        return tuple(dict.fromkeys(names))


class Throttle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A limit on how often a matching action may happen, or on the sum of a number over them. The
    rule speaks only past the limit."""

    limit: int  # actions in one window, or the sum of their numbers
    window_ms: int
    key: tuple[str, ...]  # what has a counter of its own: tenant, topic, actor_id, labels.x, …
    sum: str = ""  # the path of the number in the arguments; empty: actions are counted


class ApprovalTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Terms of approval of one rule: which roles may approve, how many people must, and for how
    many milliseconds the approval stays open. No roles: any approver; None: the default time."""

    roles: tuple[str, ...] = ()
    quorum: int = 1
    ttl_ms: int | None = None


class RoleDemand(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A demand for `quorum` people with one of the roles each; without roles, any approver."""

    roles: tuple[str, ...] = ()
    quorum: int = 1


class ApprovalDemands(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an approval needs: every demand met (`approval.is_met`), before its time is over."""

    each: tuple[RoleDemand, ...]
    ttl_ms: int | None = None  # the shortest that a rule sets; None: no rule sets one

    @property
    def quorum(self) -> int:
        """The least number of approvers. Demands on different roles may need more people."""
        return max(demand.quorum for demand in self.each)


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One match and one effect, as written. The rule does not apply where `unless` holds.

    `owner` and `severity` are for people and decide nothing. `line` is the rule's place in its
    file.
    """

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

    @property
    def decision(self) -> Effect:
        """What stands under `decision` in the file."""
        return self.effect


class Verdict(StrEnum):
    """What happens to a result: everybody may read it, everybody may read a redacted copy, or
    nobody may read it until a second person releases it."""

    ALLOW = "allow"
    REDACT = "redact"
    QUARANTINE = "quarantine"

    @property
    def strictness(self) -> int:
        """0 for allow to 2 for quarantine. Over layers, actors and views the strictest stands."""
        return _VERDICT_STRICTNESS[self]


_VERDICT_STRICTNESS = {verdict: rank for rank, verdict in enumerate(Verdict)}


class OutputRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One match and one verdict on results. `match.content` is about the result; the other fields
    of the match are about the job that returned it."""

    id: str
    verdict: Verdict
    match: Match
    unless: Match | None = None
    reason: str = ""
    owner: str = ""
    severity: str = ""
    line: int = 0

    @property
    def decision(self) -> Verdict:
        """What stands under `decision` in the file."""
        return self.verdict


class Detect(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What detectors cannot know by themselves: host names and source paths of the organisation."""

    internal_hosts: tuple[str, ...] = ()
    source_paths: tuple[str, ...] = ()


class PolicyTest(msgspec.Struct, frozen=True, kw_only=True):
    """A test case that the author wrote beside the rules: a request and the expected decision.

    `rule_id` is the rule that must decide; None where any may. `now` is the instant of the decision
    (None: the usual one), `lifted` are the throttle rules whose limit is not reached. With
    `exactly` an expected `allow` is not met by an allow with constraints.
    """

    name: str
    request: Mapping[str, Any]
    decision: Effect
    rule_id: str | None
    line: int
    now: datetime | None = None
    lifted: tuple[str, ...] = ()
    exactly: bool = False


class OutputTest(msgspec.Struct, frozen=True, kw_only=True):
    """A test case about a result: the request of the job, its result, and the expected verdict."""

    name: str
    request: Mapping[str, Any]
    result: Any  # JSON
    verdict: Verdict
    rule_id: str | None
    line: int
    now: datetime | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a policy file, kept for problems that are found after the file was read."""

    line: int
    column: int
    length: int = 1
    excerpt: str = ""  # the line of the file, without its end


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One policy file, read and checked. Each file becomes a layer of its own.

    `priority` orders the layers: lower first, and files of `invariants` before all others.
    """

    name: str
    source: str  # the path, or another name to show to people
    invariants: bool = False
    priority: int = 0
    default_decision: Effect | None = None  # None: the file says nothing, which means deny
    # whether the file only defines names for the others: then its silence on the default is no deny
    only_names: bool = False
    label_trust: Mapping[str, Origin] = {}
    derivations: tuple[Derivation, ...] = ()  # beside the defaults of facts/derive.py
    danger_no_default_derivations: bool = False  # the defaults derive nothing for these rules
    # topics whose submitter runs the job itself; no worker is offered it
    caller_topics: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    input_rules: tuple[Rule, ...] = ()  # rules whose match may look at the content of a payload
    output_rules: tuple[OutputRule, ...] = ()
    detect: Detect = Detect()
    detectors: tuple[OwnDetector, ...] = ()
    programs: tuple[OwnProgram, ...] = ()
    programs_of: tuple[str, ...] = ()  # names of other files, under `use_programs`
    used_programs: tuple[OwnProgram, ...] = ()  # those of these files
    tests: tuple[PolicyTest, ...] = ()
    output_tests: tuple[OutputTest, ...] = ()
    # Keys are ("label", name), ("used label", name), ("derive", number), ("program", name),
    # ("use_programs", file) and ("remediation", rule id, id). For messages only.
    places: Mapping[tuple[str, ...], Place] = {}

    @property
    def job_rules(self) -> tuple[Rule, ...]:
        """The rules that decide jobs: the ordinary ones, then the input rules."""
        return (*self.rules, *self.input_rules)

    @property
    def all_rules(self) -> tuple[Rule | OutputRule, ...]:
        """Every rule of the file: the rules that decide jobs, then the output rules."""
        return (*self.job_rules, *self.output_rules)

    @property
    def all_programs(self) -> tuple[OwnProgram, ...]:
        """The own programs by which commands are read for the rules of this file."""
        return (*self.programs, *self.used_programs)


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of a rule in words: the field, and the patterns or values that the rule wants.

    `found` is what the request has in that field; only explain fills it in.
    """

    field: str
    wanted: tuple[str, ...]
    found: tuple[str, ...] = ()


class LabelConflict(msgspec.Struct, frozen=True, kw_only=True):
    """A weaker origin gave a label another value than the trusted one."""

    label: str
    origin: str  # the weaker origin
    value: str
    trusted_value: str | None  # None: no origin that the label trusts gave a value


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an evaluation, with its reasons.

    `code` says how the decision came about: `rule` (rules decided), `default` (no ordinary rule
    matched), `rule_error` (a rule or a fact could not be evaluated, therefore deny).
    """

    decision: Effect
    code: str
    reason: str = ""
    rule_id: str = ""  # the rule that decided; empty when no rule did
    matched_rules: tuple[str, ...] = ()  # all that spoke under any label view, strictest first
    clauses: tuple[Clause, ...] = ()  # the clauses of the deciding rule
    facts: tuple[tuple[str, str], ...] = ()  # the labels of the label view that decided, sorted
    conflicts: tuple[LabelConflict, ...] = ()
    constraints: Constraints | None = None
    approval: ApprovalDemands | None = None  # of all rules that require it; None: any approver
    throttle: Throttle | None = None  # of the deciding throttle rule; None: no limit to report
    remediations: tuple[Remediation, ...] = ()
    snapshot: str = ""  # digest of the snapshot that decided
    errors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.constraints is not None and self.decision in (Effect.DENY, Effect.ALLOW):
            raise ValueError("only what may run under constraints carries constraints")
