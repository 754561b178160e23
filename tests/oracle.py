"""A slow, obvious evaluator: the meaning of DESIGN 3 and 4 written down once more, line by line.

It shares the values (Policy, Request, Effect) with the product and none of its code: no index, no
compiled globs, no combination helpers. Fast, cached and oracle must agree.
"""

import itertools
from collections.abc import Mapping, Sequence

import msgspec

from forestall.facts.derive import DEFAULT_DERIVATIONS, DERIVED_LABELS, derive
from forestall.facts.origin import Origin
from forestall.policy import Effect, Policy, Request
from forestall.policy.rules import Match, Rule

STRICTNESS = [
    Effect.ALLOW,
    Effect.ALLOW_WITH_CONSTRAINTS,
    Effect.THROTTLE,
    Effect.REQUIRE_APPROVAL,
    Effect.DENY,
]
Labels = Mapping[str, str]


def oracle(policies: Sequence[Policy], request: Request) -> tuple[Effect, str]:
    """The decision and the rule that decided (empty for the default decision)."""
    verdicts: list[tuple[Effect, str]] = []
    for asked, labels in itertools.product(all_actors(request), all_views(policies, request)):
        speakers = [
            rule
            for policy in in_order(policies)
            if (rule := first_match(policy, asked, labels)) is not None
        ]
        if speakers:
            verdicts.extend((rule.effect, rule.id) for rule in speakers)
        else:
            verdicts.append((default_of(policies), ""))
    strictest = max(STRICTNESS.index(effect) for effect, _ in verdicts)
    deciding = [verdict for verdict in verdicts if verdict[0] == STRICTNESS[strictest]]
    by_rule = [verdict for verdict in deciding if verdict[1]]
    return (by_rule or deciding)[0]


def all_actors(request: Request) -> list[Request]:
    """The request as by the proven actor, then as by the one it names."""
    proven = request.principal or request.actor_id
    named = request.actor_id or proven
    return [msgspec.structs.replace(request, actor_id=actor) for actor in (proven, named)]


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


def first_match(policy: Policy, request: Request, labels: Labels) -> Rule | None:
    """The first rule of a layer whose every field holds."""
    for rule in policy.rules:
        if matches(rule.match, request, labels):
            return rule
    return None


def matches(match: Match, request: Request, labels: Labels) -> bool:
    """All fields that are present hold."""
    return (
        glob_field(match.topics, request.topic)
        and glob_field(match.tenants, request.tenant)
        and glob_field(match.capabilities, request.capability)
        and glob_field(match.pack_ids, request.pack_id)
        and glob_field(match.actor_ids, request.actor_id)
        and (not match.actor_types or request.actor_type in match.actor_types)
        and (not match.risk_tags or any(tag in match.risk_tags for tag in request.risk_tags))
        and all(word in request.requires for word in match.requires)
        and all(
            label in labels and any(glob_matches(glob, labels[label]) for glob in globs)
            for label, globs in match.labels
        )
    )


def glob_field(globs: Sequence[str], value: str) -> bool:
    """Open, or present and matched by one of the globs."""
    return not globs or (value != "" and any(glob_matches(glob, value) for glob in globs))


def glob_matches(glob: str, value: str) -> bool:
    """By recursion on the definition of DESIGN 3."""
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
    """Every label assignment: per derived view the trusted one, and one a disagreeing origin."""
    trust: dict[str, Origin] = {}
    for policy in policies:
        for label, origin in policy.label_trust.items():
            trust[label] = max(trust.get(label, Origin.CLAIMED), origin)
    for label in DERIVED_LABELS:
        trust.setdefault(label, Origin.DERIVED)
    views: list[dict[str, str]] = []
    for derived in derived_views(policies, request):
        sources = [
            (Origin.SERVER, request.server_labels),
            (Origin.CREDENTIAL, request.credential_labels),
            (Origin.DERIVED, derived),
            (Origin.CLAIMED, request.labels),
        ]
        trusted: dict[str, str] = {}
        for origin, labels in sources:  # strongest first: the first to speak is believed
            for label, value in labels.items():
                if origin >= trust.get(label, Origin.CLAIMED):
                    trusted.setdefault(label, value)
        views.append(trusted)
        for _, labels in sources[1:]:
            views.append({**trusted, **labels})
    return views


def derived_views(policies: Sequence[Policy], request: Request) -> list[Labels]:
    """What the derivers say of the payload; one empty view when none applies."""
    said = [policy.derivations for policy in in_order(policies) if policy.derivations is not None]
    derivations = [d for each in said for d in each] if said else list(DEFAULT_DERIVATIONS)
    views = [
        view
        for derivation in derivations
        if any(glob_matches(glob, request.topic) for glob in derivation.topics)
        for view in derive(derivation, request.payload)
    ]
    return views or [{}]
