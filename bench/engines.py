"""The engines that the comparison runs: ours, the oracle, and what Python can call elsewhere.

One plain policy is told to each in its own words: a rule names a tenant, a capability, a value of
the label `env` and the beginning of a topic; a deny goes before any allow, and nothing is allowed
by default. Others are imported from a folder of their own, never from the project's packages.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.oracle import oracle

from forestall.policy import Effect, Policy, Request, Snapshot, compile_policy, evaluate
from forestall.policy.cache import DecisionCache
from forestall.policy.rules import Match, Rule

FOLDER = Path(sys.prefix) / "bench-engines"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000


class Plain(NamedTuple):
    """One rule."""

    allow: bool
    tenant: str
    capability: str
    env: str
    topic: str  # what topics begin with


class Asked(NamedTuple):
    """One request."""

    tenant: str
    capability: str
    env: str
    topic: str


Decide = Callable[[Any], bool]
_EFFECT = {True: "allow", False: "deny"}


class Engine(NamedTuple):
    """How to tell an engine rules and requests. Only `load` and what it returns are timed."""

    name: str
    module: str  # empty: ours
    source: Callable[[Sequence[Plain]], Any]  # the rules in the engine's own words
    load: Callable[[Any], Decide]
    native: Callable[[Asked], Any]  # a request as the engine wants it


def available(engine: Engine) -> bool:
    """Whether the engine can be imported here."""
    if not engine.module:
        return True
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    try:
        importlib.import_module(engine.module)
    except ImportError:
        return False
    return True


def _policy(rules: Sequence[Plain]) -> Policy:
    """First match decides, so the denies stand first."""
    return Policy(
        name="field",
        source="",
        rules=tuple(
            Rule(
                id=f"rule-{number}",
                effect=Effect.ALLOW if rule.allow else Effect.DENY,
                match=Match(
                    tenants=(rule.tenant,),
                    capabilities=(rule.capability,),
                    topics=(f"{rule.topic}*",),
                    labels=(("env", (rule.env,)),),
                ),
            )
            for number, rule in enumerate(sorted(rules, key=lambda rule: rule.allow))
        ),
    )


def _request(asked: Asked) -> Request:
    return Request(
        topic=asked.topic,
        tenant=asked.tenant,
        capability=asked.capability,
        labels={"env": asked.env},
    )


def _load_forestall(policy: Policy) -> Decide:
    snapshot = compile_policy(policy)
    return lambda request: evaluate(snapshot, request, now=NOW).decision is Effect.ALLOW


def _load_cached(policy: Policy) -> Decide:
    snapshot: Snapshot = compile_policy(policy)
    cache = DecisionCache(entries_max=10_000, ttl_ms=30_000)

    def allows(request: Request) -> bool:
        decision = cache.evaluate(snapshot, request, now=NOW, now_us=NOW_US)
        return decision.decision is Effect.ALLOW

    return allows


def _load_oracle(policy: Policy) -> Decide:
    return lambda request: oracle([policy], request, now=NOW).effect is Effect.ALLOW


def _cedar_text(rules: Sequence[Plain]) -> str:
    return "\n".join(
        f'{"permit" if rule.allow else "forbid"}(principal == Tenant::"{rule.tenant}", '
        f'action == Action::"{rule.capability}", resource) when '
        f'{{ context.topic like "{rule.topic}*" && context.labels has env && '
        f'context.labels.env == "{rule.env}" }};'
        for rule in rules
    )


def _load_cedar(text: str) -> Decide:
    cedar = importlib.import_module("cedarpy")
    policies = cedar.PolicySet.from_str(text)
    entities = cedar.Entities.from_json_str("[]")
    return lambda request: bool(cedar.is_authorized(request, policies, entities).allowed)


def _cedar_request(asked: Asked) -> dict[str, Any]:
    return {
        "principal": {"type": "Tenant", "id": asked.tenant},
        "action": {"type": "Action", "id": asked.capability},
        "resource": {"type": "Topic", "id": asked.topic},
        "context": {"topic": asked.topic, "labels": {"env": asked.env}},
    }


def _rego_rules(rules: Sequence[Plain]) -> tuple[str, Any]:
    """One Rego rule for each rule."""
    bodies = [
        f'{"allow" if rule.allow else "deny"} if {{ input.tenant == "{rule.tenant}"; '
        f'input.capability == "{rule.capability}"; input.labels.env == "{rule.env}"; '
        f'startswith(input.topic, "{rule.topic}") }}'
        for rule in rules
    ]
    end = 'decision := "allow" if { allow; not deny }'
    return "\n".join([*_REGO_HEAD, *bodies, end]), {}


def _rego_data(rules: Sequence[Plain]) -> tuple[str, Any]:
    """Three Rego rules over data that the author has put into an index by tenant."""
    by_tenant: dict[str, list[dict[str, Any]]] = {}
    for rule in rules:
        by_tenant.setdefault(rule.tenant, []).append(
            {**rule._asdict(), "effect": _EFFECT[rule.allow]}
        )
    return "\n".join([*_REGO_HEAD, _REGO_WALK]), {"rules": by_tenant}


_REGO_HEAD = ("package field", "import rego.v1", 'default decision := "deny"')
_REGO_WALK = """
hit contains rule.effect if {
    some rule in data.rules[input.tenant]
    rule.capability == input.capability
    rule.env == input.labels.env
    startswith(input.topic, rule.topic)
}
decision := "allow" if { hit["allow"]; not hit["deny"] }
"""


def _load_rego(source: tuple[str, Any]) -> Decide:
    rego = importlib.import_module("regopy")
    text, data = source
    interpreter = rego.Interpreter()
    interpreter.add_module("field", text)
    interpreter.add_data(data)
    bundle = interpreter.build("data.field.decision")

    def allows(request: dict[str, Any]) -> bool:
        interpreter.set_input(rego.Input(request))
        return str(interpreter.query_bundle(bundle)) == '{"expressions":["allow"]}'

    return allows


def _rego_request(asked: Asked) -> dict[str, Any]:
    return {
        "tenant": asked.tenant,
        "topic": asked.topic,
        "capability": asked.capability,
        "labels": {"env": asked.env},
    }


_CASBIN_MODEL = """
[request_definition]
r = tenant, capability, env, topic
[policy_definition]
p = tenant, capability, env, topic, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.tenant == p.tenant && r.capability == p.capability && r.env == p.env && \
keyMatch(r.topic, p.topic)
"""


def _casbin_lines(rules: Sequence[Plain]) -> list[list[str]]:
    """Without repetitions: pycasbin refuses a list that holds a line twice."""
    lines = {
        (rule.tenant, rule.capability, rule.env, f"{rule.topic}*", _EFFECT[rule.allow]): None
        for rule in rules
    }
    return [list(line) for line in lines]


_CASBIN_KEYS = (0, 1)  # an index on tenant and capability


def _load_casbin(lines: list[list[str]]) -> Decide:
    casbin = importlib.import_module("casbin")
    return _casbin(casbin.Enforcer, casbin.Model(), lines)


def _load_casbin_fast(lines: list[list[str]]) -> Decide:
    casbin = importlib.import_module("casbin")
    model = importlib.import_module("casbin.model.model_fast").FastModel(_CASBIN_KEYS)
    return _casbin(partial(casbin.FastEnforcer, cache_key_order=_CASBIN_KEYS), model, lines)


def _casbin(enforcer_of: Callable[[Any], Any], model: Any, lines: list[list[str]]) -> Decide:
    model.load_model_from_text(_CASBIN_MODEL)
    enforcer = enforcer_of(model)
    assert enforcer.add_policies(lines)
    return lambda request: bool(enforcer.enforce(*request))


def _cel_texts(rules: Sequence[Plain]) -> list[tuple[str, bool]]:
    """An expression for each rule, denies first."""
    return [(_cel_text(rule), rule.allow) for rule in sorted(rules, key=lambda rule: rule.allow)]


def _cel_text(rule: Plain) -> str:
    return (
        f'tenant == "{rule.tenant}" && capability == "{rule.capability}" && '
        f'labels.env == "{rule.env}" && topic.startsWith("{rule.topic}")'
    )


def _load_cel(texts: list[tuple[str, bool]]) -> Decide:
    cel = importlib.import_module("cel")
    programs = [(cel.compile(text).execute, allow) for text, allow in texts]

    def allows(request: dict[str, Any]) -> bool:
        context = cel.Context(variables=request)
        return next((allow for holds, allow in programs if holds(context)), False)

    return allows


ENGINES = (
    Engine("forestall", "", _policy, _load_forestall, _request),
    Engine("forestall, cached", "", _policy, _load_cached, _request),
    Engine("oracle", "", _policy, _load_oracle, _request),
    Engine("cedar (cedarpy)", "cedarpy", _cedar_text, _load_cedar, _cedar_request),
    Engine("rego, as rules (regopy)", "regopy", _rego_rules, _load_rego, _rego_request),
    Engine("rego, data by tenant (regopy)", "regopy", _rego_data, _load_rego, _rego_request),
    Engine("casbin (pycasbin)", "casbin", _casbin_lines, _load_casbin, tuple),
    Engine(
        "casbin, fast by two fields",
        "casbin",
        _casbin_lines,
        _load_casbin_fast,
        tuple,
    ),
    Engine("cel, a loop over rules", "cel", _cel_texts, _load_cel, _rego_request),
)
