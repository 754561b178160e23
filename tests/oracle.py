"""A slow, obvious evaluator: what docs/reference/policy.md means, written down once more.

It shares the values (Policy, Request, Effect) with the product and none of its code: no index, no
compiled globs, no combination helpers. Fast, cached and oracle must agree.
"""

import itertools
import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import re2

from forestall.facts.derive import (
    DEFAULT_DERIVATIONS,
    DERIVED_LABELS,
    LABELS_OF_KIND,
    Derivation,
    PayloadKind,
    PayloadReading,
    derive,
)
from forestall.facts.origin import Origin
from forestall.facts.payload import Places
from forestall.facts.payload_places import DeclaredPlaces
from forestall.facts.payload_texts import has_traversal
from forestall.facts.shell.command_patterns import CommandPattern, CommandUnresolvedError
from forestall.output.detectors import DETECTORS
from forestall.output.scan import scan
from forestall.policy import Effect, Policy, Request
from forestall.policy.rules import (
    ApprovalTerms,
    ArgCondition,
    Comparison,
    ContentMatch,
    DelegationMatch,
    FieldTest,
    Match,
    McpMatch,
    Operator,
    Rule,
    TimeMatch,
)

STRICTNESS = [
    Effect.ALLOW,
    Effect.ALLOW_WITH_CONSTRAINTS,
    Effect.THROTTLE,
    Effect.REQUIRE_APPROVAL,
    Effect.DENY,
]
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Labels = Mapping[str, str]
NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
NOTHING = object()
VIEWS_AT_MOST = 1_024
SINGULAR = {
    "tenants": "tenant",
    "topics": "topic",
    "capabilities": "capability",
    "actor_ids": "actor_id",
    "agents": "agent",
    "servers": "server",
    "tools": "tool",
    "resources": "resource",
    "actions": "action",
}


class WrongTypeError(Exception):
    """An argument that a condition reached is of another type than the rule wants."""


class Verdict(NamedTuple):
    """A decision, the rule that decided (empty when none did) and how it came about."""

    effect: Effect
    rule_id: str
    code: str


def oracle(
    policies: Sequence[Policy],
    request: Request,
    *,
    now: datetime = NOON,
    lifted: frozenset[str] = frozenset(),
) -> Verdict:
    """The decision at an instant, with the throttle rules named by `lifted` kept silent."""
    try:
        return strictest_of(policies, request, now, lifted)
    except WrongTypeError:
        return Verdict(Effect.DENY, "", "rule_error")


def strictest_of(
    policies: Sequence[Policy], request: Request, now: datetime, lifted: frozenset[str]
) -> Verdict:
    """Over every actor and every view; a rule goes before an equally strict default."""
    verdicts: list[Verdict] = []
    for rules, settled in speakers_of_each_view(policies, request, now, lifted):
        verdicts.extend(Verdict(rule.effect, rule.id, "rule") for rule in rules)
        if not settled:
            verdicts.append(Verdict(default_of(policies), "", "default"))
    strictest = max(STRICTNESS.index(verdict.effect) for verdict in verdicts)
    deciding = [verdict for verdict in verdicts if verdict.effect == STRICTNESS[strictest]]
    by_rule = [verdict for verdict in deciding if verdict.rule_id]
    return (by_rule or deciding)[0]


def speakers_of_each_view(
    policies: Sequence[Policy], request: Request, now: datetime, lifted: frozenset[str]
) -> list[tuple[list[Rule], bool]]:
    """For every actor and every view: the rules that speak, of each list of rules of each file, and
    whether an ordinary one among them speaks whatever is not sure.

    What the content says tightens what the other rules say, and is never instead of it.
    """
    found = []
    requests = [each for actor in all_variants(policies, request) for each in all_attested(actor)]
    for asked, labels in itertools.product(requests, all_views(policies, request)):
        speaking: list[Rule] = []
        settled = False
        for policy in in_order(policies):
            for rules in (policy.rules, policy.input_rules):
                sure = sure_labels(policies, policy, asked, labels)
                heard, surely = speakers(rules, asked, labels, sure, now, lifted)
                speaking += heard
                settled = settled or (surely and rules is policy.rules)
        found.append((speaking, settled))
    return found


def enough_approvers(
    policies: Sequence[Policy],
    request: Request,
    approvers: Sequence[Set[str]],
    *,
    now: datetime = NOON,
    lifted: frozenset[str] = frozenset(),
) -> bool:
    """Whether people with these roles meet the terms of each rule that holds, one by one."""
    for terms in terms_of_holds(policies, request, now=now, lifted=lifted):
        fit = [roles for roles in approvers if not terms.roles or set(terms.roles) & roles]
        if len(fit) < terms.quorum:
            return False
    return len(approvers) > 0


def shortest_time(
    policies: Sequence[Policy], request: Request, *, now: datetime, lifted: frozenset[str]
) -> int | None:
    """For how long an approval may be given: as the most impatient rule says."""
    times = [each.ttl_ms for each in terms_of_holds(policies, request, now=now, lifted=lifted)]
    return min((each for each in times if each is not None), default=None)


def terms_of_holds(
    policies: Sequence[Policy], request: Request, *, now: datetime, lifted: frozenset[str]
) -> list[ApprovalTerms]:
    """The terms of every rule that says require_approval under some view."""
    return [
        rule.approval
        for rules, _ in speakers_of_each_view(policies, request, now, lifted)
        for rule in rules
        if rule.effect is Effect.REQUIRE_APPROVAL and rule.approval is not None
    ]


def all_variants(policies: Sequence[Policy], request: Request) -> list[Request]:
    """The request as by the proven actor, then as by the one it names; then both of them once more
    with the other arguments that it can have."""
    proven = request.principal or request.actor_id
    named = request.actor_id or proven
    requests = [msgspec.structs.replace(request, actor_id=actor) for actor in (proven, named)]
    context = (request.payload or {}).get("context")
    paths = [condition.path for condition in conditions_of(policies)]
    paths += [
        rule.throttle.sum
        for policy in policies
        for rule in policy.rules
        if rule.throttle is not None and rule.throttle.sum
    ]
    leads = any(starts_in(path, context) for path in paths)
    if request.args is None or not leads:
        return requests
    # What is sent in two places: the arguments alone, and with the context over them.
    over = united(request.args, context)
    return [*requests, *(msgspec.structs.replace(each, arguments=over) for each in requests)]


def conditions_of(policies: Sequence[Policy]) -> list[ArgCondition]:
    """Every condition on arguments."""
    return [
        condition
        for policy in policies
        for rule in (*policy.rules, *policy.input_rules)
        for match in (rule.match, rule.unless)
        for condition in (match.args if match is not None else ())
    ]


def starts_in(path: str, document: Any) -> bool:
    """Whether the first step of a path can lead into a document: an index only into a list; `$`
    is any document."""
    if path == "$":
        return document is not None
    index = path.startswith("$[") and path[2] not in "'\""
    return isinstance(document, list if index else dict)


def united(under: Any, over: Any) -> Any:
    """Objects united, member by member; where both have another value, the second one."""
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    return {
        name: united(under[name], over[name])
        if name in under and name in over
        else over.get(name, under.get(name))
        for name in {**under, **over}
    }


def all_attested(request: Request) -> list[Request]:
    """The request under each mixture of what is vouched for and what the client claims instead."""
    packs = two_values(request, "pack_id")
    types = two_values(request, "actor_type")
    tags = {*request.risk_tags, *request.attested.get("risk_tags", ())}
    views = []
    for (pack, pack_proven), (kind, kind_proven) in itertools.product(packs, types):
        proven = {"risk_tags": tuple(request.attested.get("risk_tags", ()))}
        if pack_proven:
            proven["pack_id"] = (pack,)
        if kind_proven:
            proven["actor_type"] = (kind,)
        views.append(
            msgspec.structs.replace(
                request, pack_id=pack, actor_type=kind, risk_tags=tuple(tags), attested=proven
            )
        )
    return views


def two_values(request: Request, name: str) -> list[tuple[str, bool]]:
    """The value that someone vouches for, if any, and the claimed one, if it is another."""
    claim, proven = getattr(request, name), [v for v in request.attested.get(name, ())[:1] if v]
    values = [(value, True) for value in proven]
    if not proven or (claim and claim != proven[0]):
        values.append((claim, False))
    return values


def less_said(request: Request) -> Request:
    """The request without what nobody but the client says."""
    return msgspec.structs.replace(
        request,
        pack_id="".join(request.attested.get("pack_id", ())[:1]),
        actor_type="".join(request.attested.get("actor_type", ())[:1]),
        risk_tags=tuple(request.attested.get("risk_tags", ())),
    )


def sure_labels(
    policies: Sequence[Policy], policy: Policy, request: Request, labels: Labels
) -> Labels:
    """The labels of a view that are there for a file whatever the other files derive.

    A label is not, when another file derives it on the topic, this file neither does nor says that
    it believes what is derived, and neither the key nor the server gives the value."""
    topic = request.topic
    by_others: set[str] = set()
    for other in policies:
        if other is not policy:
            by_others |= derived_for(other, topic)
    trusting = {name for name, origin in policy.label_trust.items() if origin >= Origin.DERIVED}
    foreign = by_others - derived_for(policy, topic) - trusting
    return {
        name: value
        for name, value in labels.items()
        if name not in foreign
        or request.credential_labels.get(name) == value
        or request.server_labels.get(name) == value
    }


def derived_for(policy: Policy, topic: str) -> set[str]:
    """The labels that are derived on a topic for the rules of one file, whatever the others say."""
    defaults = () if policy.danger_no_default_derivations else DEFAULT_DERIVATIONS
    return {
        label
        for derivation in (*defaults, *policy.derivations)
        if applies_to(derivation, topic)
        for label in LABELS_OF_KIND[derivation.kind]
    }


def applies_to(derivation: Derivation, topic: str) -> bool:
    """Whether payloads of a topic are read as a derivation says."""
    return topic not in derivation.except_topics and any(
        glob_matches(glob, topic) for glob in derivation.topics
    )


def in_order(policies: Sequence[Policy]) -> list[Policy]:
    """Invariants first, then by priority, then by name."""
    return sorted(policies, key=lambda p: (0 if p.invariants else 1, p.priority, p.name))


def default_of(policies: Sequence[Policy]) -> Effect:
    """Deny, unless every ordinary file says allow and no invariants file says deny."""
    ordinary = [policy for policy in policies if not policy.invariants]
    if not ordinary:
        return Effect.DENY
    for policy in ordinary:
        if policy.default_decision is not Effect.ALLOW:
            return Effect.DENY
    for policy in policies:
        if policy.invariants and policy.default_decision is Effect.DENY:
            return Effect.DENY
    return Effect.ALLOW


def speakers(
    rules: Sequence[Rule],
    request: Request,
    labels: Labels,
    sure: Labels,
    now: datetime,
    lifted: frozenset[str],
) -> tuple[list[Rule], bool]:
    """The rules of a list that speak, and whether the last of them does so surely.

    A rule speaks when its `match` holds and its `unless` does not, or does only by a claim or by a
    label that only another file derives. The first one that also speaks when less is said, and
    less derived, is the last one.
    """
    speaking: list[Rule] = []
    sober = less_said(request)
    for rule in rules:
        if not matches(rule.match, request, labels, now):
            continue
        excepted = rule.unless is not None and matches(rule.unless, request, labels, now)
        if excepted and rule.unless is not None and matches(rule.unless, sober, sure, now):
            continue
        if rule.throttle is not None and rule.throttle.sum:
            amount = value_at(rule.throttle.sum, arguments(request))
            if type_name(amount) != "number" or not 0 <= amount < float("inf"):
                raise WrongTypeError
        if rule.throttle is not None and rule.id in lifted:  # without a limit it speaks always
            continue
        speaking.append(rule)
        if not excepted and matches(rule.match, sober, sure, now):
            return speaking, True
    return speaking, False


def matches(match: Match, request: Request, labels: Labels, now: datetime) -> bool:
    """All fields that are present hold. Arguments come last: they alone can fail to evaluate."""
    return (
        glob_field(match.topics, request.topic)
        and glob_field(match.tenants, request.tenant)
        and glob_field(match.capabilities, request.capability)
        and glob_field(match.pack_ids, request.pack_id)
        and glob_field(match.actor_ids, request.actor_id)
        and glob_field(match.agents, request.agent)
        and word_field(match.actor_types, request.actor_type)
        and word_field(match.agent_risk_tiers, request.agent_risk_tier)
        and overlap_field(match.agent_data_classes, request.agent_data_classes)
        and overlap_field(match.risk_tags, request.risk_tags)
        and all(word in request.requires for word in match.requires)
        and mcp_field(match.mcp, request)
        and all(
            label in labels and any(glob_matches(glob, labels[label]) for glob in globs)
            for label, globs in match.labels
        )
        and all(test_holds(test, request, labels) for test in match.tests)
        and secrets_field(match.secrets_present, request)
        and (match.time is None or time_field(match.time, now))
        and (match.delegation is None or delegation_field(match.delegation, request))
        and (not match.commands or commands_field(match.commands, labels))
        and all(argument_holds(condition, request) for condition in match.args)
        and (match.content is None or content_field(match.content, request))
    )


def commands_field(patterns: Sequence[str], labels: Labels) -> bool:
    """Whether a pattern certainly matches the words of the command."""
    undecided = False
    for pattern in patterns:
        try:
            if CommandPattern(pattern).holds(labels.get("command_words", "")):
                return True
        except CommandUnresolvedError:
            undecided = True
    if undecided:
        raise WrongTypeError
    return False


def word_field(words: Sequence[str], value: str) -> bool:
    """Open, or present and one of the words."""
    return not words or (value != "" and value in words)


def overlap_field(words: Sequence[str], values: Sequence[str]) -> bool:
    """Open, or one word in common."""
    return not words or any(value in words for value in values)


def mcp_field(match: McpMatch, request: Request) -> bool:
    """The parts of a tool call, each as a field of globs."""
    return (
        glob_field(match.servers, request.mcp.server)
        and glob_field(match.tools, request.mcp.tool)
        and glob_field(match.resources, request.mcp.resource)
        and glob_field(match.actions, request.mcp.action)
    )


def test_holds(test: FieldTest, request: Request, labels: Labels) -> bool:
    """A condition on one fact: it is there, and differs from all globs or compares by size."""
    section, _, name = test.field.rpartition(".")
    if section == "labels":
        facts = [labels[name]] if name in labels else []
    else:
        of = request.mcp if section == "mcp" else request
        facts = [value] if (value := getattr(of, SINGULAR.get(name, name))) else []
    if not facts:
        return False
    if test.operator is Operator.NOT:
        return not any(glob_matches(glob, facts[0]) for glob in test.operand)
    if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", facts[0]):
        raise WrongTypeError
    number = Decimal(facts[0])
    return truth(
        compared(test.operator, test.operand, float(number) if number % 1 else int(number))
    )


def secrets_field(wanted: bool | None, request: Request) -> bool:
    """Open, or whether the payload or the arguments spell `secret://` anywhere."""
    if wanted is None:
        return True
    everything = json.dumps([request.payload, request.args], ensure_ascii=False)
    return ("secret://" in everything.casefold()) == wanted


def time_field(match: TimeMatch, now: datetime) -> bool:
    """Day and hour of the instant on a wall clock of that zone; the end is excluded."""
    local = now.astimezone(ZoneInfo(match.timezone))
    if match.days and DAYS[local.weekday()] not in match.days:
        return False
    minute = 60 * local.hour + local.minute
    for begin, end in match.hours:
        span = range(begin, end) if begin < end else [*range(begin, 24 * 60), *range(end)]
        if minute in span:
            return True
    return not match.hours


def delegation_field(match: DelegationMatch, request: Request) -> bool:
    """`forbid_delegated` holds of requests that are not delegated, the rest of those that are."""
    given = request.delegation
    if given is None:
        return match.forbid_delegated
    if match.forbid_delegated:
        return False
    if match.max_depth is not None and given.depth > match.max_depth:
        return False
    known = [issuer in match.issuers for issuer in given.issuers]
    if match.issuers and not (known and all(known)):
        return False
    return all(word in given.scope for word in match.required_scope)


def argument_holds(condition: ArgCondition, request: Request) -> bool:
    """One condition on the arguments."""
    document = arguments(request)
    list_path, star, rest = condition.path.partition("[*]")
    value = document if list_path == "$" else value_at(list_path, document)
    if condition.path == "$" and document is None:
        return False
    if condition.operator is Operator.EXISTS:
        return (value is not NOTHING) is condition.operand
    if value is NOTHING:
        return False
    if not star:
        return truth(compared(condition.operator, condition.operand, value))
    nodes = [value]
    for part in [star + each for each in rest.split("[*]")]:
        if any(not isinstance(node, list) for node in nodes):
            raise WrongTypeError
        nodes = [value_at("$" + part[3:], each) for node in nodes for each in node]
    return truth(quantified(condition, nodes))


def arguments(request: Request) -> Any:
    """The arguments, or the context of a request that has none."""
    if request.arguments is not msgspec.UNSET:
        return request.arguments
    if request.args is not None:
        return request.args
    return None if request.payload is None else request.payload.get("context")


def quantified(condition: ArgCondition, nodes: list[Any]) -> bool | None:
    """How many of the nodes meet the comparisons; None where that is unknown."""
    if condition.operator is Operator.COUNT:
        return None if NOTHING in nodes else all_hold(condition.operand, len(nodes))
    answers = [all_hold(condition.operand, node) for node in nodes]
    if condition.operator is Operator.EVERY:
        return False if not nodes else conjunction(answers)
    none = conjunction([None if answer is None else not answer for answer in answers])
    return none if condition.operator is Operator.NONE else None if none is None else not none


def conjunction(answers: Sequence[bool | None]) -> bool | None:
    """Three-valued and: one that is false settles it, else one that is unknown makes it unknown."""
    if False in answers:
        return False
    return None if None in answers else True


def truth(answer: bool | None) -> bool:
    """The answer, unless it is unknown."""
    if answer is None:
        raise WrongTypeError
    return answer


def all_hold(comparisons: Sequence[Comparison], value: Any) -> bool | None:
    """Whether all comparisons hold of a node; None where that is unknown."""
    return conjunction([compared(each.operator, each.operand, value) for each in comparisons])


def compared(operator: Operator, operand: Any, value: Any) -> bool | None:
    """One comparison of one node; None where the types differ or the node is missing."""
    if operator is Operator.EXISTS:
        return (value is not NOTHING) is operand
    if operator is Operator.NOT:
        inner = all_hold(operand, value)
        return None if inner is None else not inner
    if operator is Operator.ONLY:
        return all(name in operand for name in value) if isinstance(value, dict) else None
    wanted = operand[0] if isinstance(operand, tuple) else operand
    if value is NOTHING or type_name(value) != type_name(wanted):
        return None
    if operator is Operator.EQ:
        return bool(value == operand)
    if operator is Operator.IN:
        return any(value == item for item in operand)
    if operator is Operator.GLOB:
        globs = operand if isinstance(operand, tuple) else [operand]
        return any(glob_matches(glob, value) for glob in globs)
    if operator is Operator.MATCHES:
        return re2.fullmatch(operand, value) is not None
    difference = (value > operand) - (value < operand)
    return difference in {
        Operator.LT: [-1],
        Operator.LE: [-1, 0],
        Operator.GT: [1],
        Operator.GE: [0, 1],
    }.get(operator, [])


def content_field(match: ContentMatch, request: Request) -> bool:
    """All criteria that are given hold of the payload and the arguments; any entry of each."""
    texts = list(texts_in([request.payload, request.args]))
    as_json = json.dumps([request.payload, request.args], ensure_ascii=False, separators=(",", ":"))
    criteria = []
    if match.detectors:
        classes = [DETECTORS[name] for name in match.detectors if name in DETECTORS]
        climbs = "path_traversal" in match.detectors and any(has_traversal(text) for text in texts)
        criteria.append(climbs or bool(scan(as_json, detectors=classes).findings))
    if match.keywords:
        criteria.append(
            any(as_read(word) in as_read(text) for word in match.keywords for text in texts)
        )
    if match.patterns:
        criteria.append(any(re2.search(p, text) for p in match.patterns for text in texts))
    if match.content_types:
        alone = request.args is None and (request.payload or {}).get("context") is None
        written = "text/plain" if alone else "application/json"
        criteria.append(glob_field(match.content_types, written))
    if match.size_gt is not None:
        criteria.append(len(as_json.encode()) > match.size_gt)
    return all(criteria)


def texts_in(value: Any) -> Iterator[str]:
    """Every text inside a value, names of members too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from texts_in(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from texts_in(inner)


def as_read(text: str) -> str:
    """In one case, look-alikes united, without what nobody sees."""
    seen = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFKC", seen).casefold()


def type_name(value: Any) -> str:
    """The JSON type of a value."""
    for kind, name in ((bool, "boolean"), ((int, float), "number"), (str, "text")):
        if isinstance(value, kind):
            return name
    return "null" if value is None else "list" if isinstance(value, list) else "object"


def value_at(path: str, document: Any) -> Any:
    """The value at a path of `.name`, `['name']`, `["name"]` and `[0]` steps, or NOTHING."""
    value, rest = document, path[1:]
    while rest:
        if rest[0] == ".":
            name = re.split(r"[.\[]", rest[1:], maxsplit=1)[0]
            step: str | int = name
            rest = rest[1 + len(name) :]
        elif rest[1] in "'\"":
            step, rest = quoted_name(rest[2:], rest[1])
        else:
            digits = rest[1 : rest.index("]")]
            step, rest = int(digits), rest[2 + len(digits) :]
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return NOTHING
        elif not isinstance(value, list) or step >= len(value) or step < -len(value):
            return NOTHING
        value = value[step]
    return value


def quoted_name(rest: str, quote: str) -> tuple[str, str]:
    """The name before the closing quote, and what follows its bracket."""
    name = ""
    while rest[0] != quote:
        if rest[0] == "\\":
            rest = rest[1:]
        name, rest = name + rest[0], rest[1:]
    return name, rest[2:]


def glob_field(globs: Sequence[str], value: str) -> bool:
    """Open, or present and matched by one of the globs."""
    return not globs or (value != "" and any(glob_matches(glob, value) for glob in globs))


@lru_cache(maxsize=65_536)  # or many stars would take for ever
def glob_matches(glob: str, value: str) -> bool:
    """By recursion: `*` any run of characters, `?` one, `[…]` one of a class."""
    if not glob:
        return not value
    head, rest = glob[0], glob[1:]
    if head == "*":
        return any(glob_matches(rest, value[skip:]) for skip in range(len(value) + 1))
    if not value:
        return False
    if head == "?":
        return glob_matches(rest, value[1:])
    if head == "[":
        negated = rest[:1] in ("!", "^")
        start = 1 if negated else 0
        end = rest.index("]", start + 1)
        return in_class(rest[start:end], value[0]) != negated and glob_matches(
            rest[end + 1 :], value[1:]
        )
    return head == value[0] and glob_matches(rest, value[1:])


def in_class(body: str, char: str) -> bool:
    """Whether `[body]` holds a character."""
    index = 0
    while index < len(body):
        if body[index + 1 : index + 2] == "-" and index + 2 < len(body):
            if body[index] <= char <= body[index + 2]:
                return True
            index += 3
        else:
            if body[index] == char:
                return True
            index += 1
    return False


def all_views(policies: Sequence[Policy], request: Request) -> list[dict[str, str]]:
    """Every label assignment of the labels that rules read: for each derived view the trusted one,
    one for each origin, and every mixture of trusted and weaker values."""
    read = read_anywhere(policies)
    trust = trust_of(policies)
    views: list[dict[str, str]] = []
    for derived in derived_views(policies, request):
        sources = [
            (origin, {label: value for label, value in labels.items() if label in read})
            for origin, labels in (
                (Origin.SERVER, request.server_labels),
                (Origin.CREDENTIAL, request.credential_labels),
                (Origin.DERIVED, derived),
                (Origin.CLAIMED, request.labels),
            )
        ]
        trusted: dict[str, str] = {}
        for origin, labels in sources:  # strongest first: the first to speak is believed
            for label, value in labels.items():
                if origin >= trust.get(label, Origin.CLAIMED):
                    trusted.setdefault(label, value)
        views.append(trusted)
        for _, labels in sources[1:]:
            views.append({**trusted, **labels})
        views.extend(mixtures(trusted, [labels for _, labels in sources[1:]]))
    distinct = {tuple(sorted(view.items())) for view in views}
    if len(distinct) > VIEWS_AT_MOST:
        raise WrongTypeError  # too many to decide one by one, which denies
    return views


def mixtures(trusted: Labels, weaker: Sequence[Labels]) -> list[dict[str, str]]:
    """Each label with its trusted value, or with one that a weaker origin gives instead."""
    names = sorted({name for labels in weaker for name in labels})
    choices = [
        [
            None,
            *(
                labels[name]
                for labels in weaker
                if labels.get(name, NOTHING) not in (trusted.get(name, NOTHING), NOTHING)
            ),
        ]
        for name in names
    ]
    if math.prod(map(len, choices)) > VIEWS_AT_MOST:
        raise WrongTypeError
    return [
        {
            **trusted,
            **{name: value for name, value in zip(names, chosen, strict=True) if value is not None},
        }
        for chosen in itertools.product(*choices)
    ]


def trust_of(policies: Sequence[Policy]) -> dict[str, Origin]:
    """The strongest demand of any file; each demands `derived` of derived labels it does not
    list."""
    trust: dict[str, Origin] = {}
    for policy in policies:
        demands = {**dict.fromkeys(DERIVED_LABELS, Origin.DERIVED), **policy.label_trust}
        for label, origin in demands.items():
            trust[label] = max(trust.get(label, Origin.CLAIMED), origin)
    return trust


def labels_of(match: Match) -> list[str]:
    """The labels that a match reads: by globs, by tests, or as the words of a command."""
    labels = [label for label, _ in match.labels]
    labels += [
        test.field.removeprefix("labels.")
        for test in match.tests
        if test.field.startswith("labels.")
    ]
    return [*labels, "command_words"] if match.commands else labels


def read_anywhere(policies: Sequence[Policy]) -> frozenset[str]:
    """The labels that any rule of any file reads."""
    rules = [rule for policy in policies for rule in (*policy.rules, *policy.input_rules)]
    matches = [match for rule in rules for match in (rule.match, rule.unless) if match is not None]
    return frozenset(label for match in matches for label in labels_of(match))


def derived_views(policies: Sequence[Policy], request: Request) -> list[Labels]:
    """What the derivers say of the payload; one empty view when none applies."""
    views: list[Labels] = []
    for kind in PayloadKind:
        files = derivations_of_files(policies, kind, request.topic)
        if not files:
            continue
        declared = [
            DeclaredPlaces(
                tuple(place for derivation in file for place in derivation.fields),
                tuple(place for derivation in file for place in derivation.ignore),
            )
            for file in files
        ]
        for derivation in [d for file in files for d in parsed_as(file)]:
            reading = PayloadReading(kind, Places(declared), (derivation,))
            views.extend(derive(reading, parts_of(request), read_anywhere(policies)))
    return views or [{}]


def derivations_of_files(
    policies: Sequence[Policy], kind: PayloadKind, topic: str
) -> list[list[Derivation]]:
    """For each file that takes part, the derivations that count for it: default ones, then its
    own."""

    def applies(derivation: Derivation) -> bool:
        return derivation.kind is kind and applies_to(derivation, topic)

    defaults = [each for each in DEFAULT_DERIVATIONS if applies(each)]
    files = []
    for policy in policies:
        own = [each for each in policy.derivations if applies(each)]
        by_default = [] if policy.danger_no_default_derivations else defaults
        if own or (by_default and reads_kind(policy, kind, topic)):
            files.append([*by_default, *own])
    if not files and not all(policy.danger_no_default_derivations for policy in policies):
        files = [defaults] if defaults else []
    return files


def parsed_as(file: Sequence[Derivation]) -> Sequence[Derivation]:
    """An own derivation says how the texts are parsed, in place of the default one."""
    own = [derivation for derivation in file if derivation not in DEFAULT_DERIVATIONS]
    return own or file


def reads_kind(policy: Policy, kind: PayloadKind, topic: str) -> bool:
    """Whether a rule that may speak on the topic reads a label of the kind."""
    matches = [
        match
        for rule in (*policy.rules, *policy.input_rules)
        for match in (rule.match, rule.unless)
        if match is not None
    ]
    return any(
        glob_field(match.topics, topic)
        and any(label in LABELS_OF_KIND[kind] for label in labels_of(match))
        for match in matches
    )


def parts_of(request: Request) -> list[tuple[str, Any]]:
    """Everything that a worker or a caller receives and could run, by its place."""
    call = request.mcp
    action = {"server": call.server, "tool": call.tool, "verb": call.action}
    actor = "" if request.actor_id == request.principal else request.actor_id
    return [
        *(request.payload or {}).items(),
        ("args", request.args),
        ("action", {**action, "target_resource": call.resource}),
        ("labels", request.labels),
        ("tags", request.tags),
        ("risk_tags", request.risk_tags),
        ("requires", request.requires),
        ("capability", request.capability),
        ("pack_id", request.pack_id),
        ("actor_id", actor),
    ]
