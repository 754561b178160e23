"""Random policies, requests and instants over a small, hostile alphabet: collisions are common."""

import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import strategies as st

from forestall.facts.derive import DEFAULT_DERIVATIONS, Derivation, PayloadKind
from forestall.facts.origin import Origin
from forestall.policy import Effect, Policy, Request
from forestall.policy.arguments import QUANTIFIERS
from forestall.policy.content import PAYLOAD_DETECTORS
from forestall.policy.request import Delegation, ToolCall
from forestall.policy.rules import (
    ApprovalTerms,
    ArgCondition,
    Budgets,
    Comparison,
    Constraints,
    ContentMatch,
    DelegationMatch,
    FieldTest,
    Match,
    McpMatch,
    Operator,
    OutputRule,
    OwnProgram,
    Rule,
    Throttle,
    TimeMatch,
    Verdict,
)

# How many random cases the agreement of evaluate and oracle is tried on; the others take a tenth.
EXAMPLES = int(os.environ.get("FORESTALL_PROPERTY_EXAMPLES", "2000"))
SHARES = 4  # the agreement is tested in so many parts, so that workers can take one each
ASKED_PER_POLICY = 8  # making a policy is most of the cost of a case
POLICIES = -(-EXAMPLES // (SHARES * ASKED_PER_POLICY)) + 1
CASES: Counter[str] = Counter()  # compared so far, by what; `conftest.py` prints the sums

WORDS = ["a", "b", "ab", "job.a", "job.exec.a", "job.exec.sh", "A", "*", "prod", "é", "a\n"]
GLOBS = [
    *WORDS[:7],
    "*",
    "?",
    "job.*",
    "job.exec.*",
    "*.a",
    "j*.*a",
    "[ab]",
    "[!a]",
    "a*b",
    "é?",
    "**",
]
OWN_DERIVATIONS = (
    Derivation(
        kind=PayloadKind.SHELL,
        topics=("job.exec.*", "a*"),
        fields=("args.b.a", "context['a.b']", "context.command"),
        ignore=("prompt", "context.a", "args.b[*]", "labels.x"),
    ),
)
LABEL_NAMES = ["env", "team", "x", "y", "command_class", "command_program", "command_scope"]
# Tables of own programs, which say different things of the same commands in `SHELL`.
OWN_PROGRAMS = (
    (),
    (OwnProgram(name="tool", entry='{"does":"read","plain_options":"-v","words":1}'),),
    (
        OwnProgram(
            name="tool",
            entry='{"does":"write","options":{"-x":"destructive"},"value_options":"-v"}',
        ),
        OwnProgram(name="asa", entry='{"wrapper":{"adds":"read","words_before":1}}'),
    ),
    (OwnProgram(name="tool", entry='{"does":"destructive","subcommands":{"a":"read"}}'),),
)
SHELL = ["rm -rf /", "ls", "tool a", "tool -v a", "tool -x; ls", "asa b tool a", "asa b rm c",
         "ls | sudo rm x", "$X", "curl a | sh", "", "cat a; mv a b", "git $X",
         "cd /; rm -rf b", "git -C a push --force", "timeout 5 git push"]  # fmt: skip
COMMANDS = [
    "tool a",
    "tool -v a",
    "tool *",
    "git push *",
    "git push --force *",
    "rm *",
    "ls",
    "*",
    "git *",
]
PATHS = ["$.a", "$.b.a", "$['a']", '$["a.b"]', "$.b[0]", "$.b[-1]", "$['it\\'s']", "$[0]"]
LIST_PATHS = ["$.b[*]", "$[*]", "$.b[*].a", "$.b[*][*]", "$.b[*][-1]", "$.a[*]"]
PATTERNS = ["a", "a|b", "[0-9]+", ".*", "(?i)A.*", "é?a"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MINUTES = [0, 1, 90, 120, 150, 180, 720, 1439]

words = st.sampled_from(WORDS)
maybe_word = words | st.just("")
some_words = st.lists(words, max_size=3, unique=True).map(tuple)
a_few_words = st.lists(words, min_size=1, max_size=2, unique=True).map(tuple)
some_globs = st.lists(st.sampled_from(GLOBS), min_size=1, max_size=2, unique=True).map(tuple)
_label_values = words | st.just("destructive")
_NUMBER_TEXTS = ["0", "5", "-1", "5.0", "0.1", "1e3", " 5", "", "\u0665", "nan", "5" * 15, "5" * 16]
labels: st.SearchStrategy[dict[str, str]] = st.just({}) | st.fixed_dictionaries(
    {"env": _label_values},
    optional={
        **dict.fromkeys(LABEL_NAMES[1:], _label_values),
        "cost": st.sampled_from(_NUMBER_TEXTS),
    },
)
_label_globs = st.lists(
    st.sampled_from(["*", *GLOBS, "destructive", "unknown", "read"]),
    min_size=1,
    max_size=3,
    unique=True,
).map(tuple)
# Mostly one pair, now and then more than the index has columns for.
label_globs = (
    st.fixed_dictionaries({"env": _label_globs})
    | st.dictionaries(st.sampled_from(LABEL_NAMES), _label_globs, min_size=1, max_size=5)
).map(lambda pairs: tuple(sorted(pairs.items())))

numbers = st.sampled_from([0, -1, 1, 5, 5.0, 0.1, 10**30, -(10**30)])
texts = st.sampled_from([*WORDS, "", "7", "secret://vault/a", "SECRET://B", "true"])
scalars: st.SearchStrategy[Any] = st.none() | st.booleans() | numbers | texts
json_values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "b", "a.b", "it's", "command", "secret://"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)
# Documents in which the paths of the rules often lead somewhere.
documents = json_values | st.fixed_dictionaries(
    {"a": scalars},
    optional={
        "a.b": scalars,
        "it's": scalars,
        "b": st.lists(scalars, max_size=2)
        | st.lists(texts, max_size=3)
        | st.lists(st.fixed_dictionaries({}, optional={"a": texts}), max_size=3)
        | st.lists(st.lists(texts, max_size=2), max_size=2)
        | st.fixed_dictionaries({"a": scalars}),
    },
)

_OPERANDS: dict[Operator, st.SearchStrategy[Any]] = {
    Operator.EQ: scalars,
    Operator.IN: (
        st.lists(numbers, min_size=1, max_size=3)
        | st.lists(texts, min_size=1, max_size=3)
        | st.lists(st.booleans(), min_size=1, max_size=2)
    ).map(tuple),
    Operator.GLOB: st.sampled_from(GLOBS) | some_globs,
    Operator.MATCHES: st.sampled_from(PATTERNS),
    Operator.EXISTS: st.booleans(),
    Operator.ONLY: st.lists(
        st.sampled_from(["a", "a.b", "b", "it's"]), max_size=4, unique=True
    ).map(tuple),
    **dict.fromkeys((Operator.LT, Operator.LE, Operator.GT, Operator.GE), numbers),
}
_VALUE_OPERATORS = [operator for operator in _OPERANDS if operator is not Operator.EXISTS]


@st.composite
def comparisons(draw: st.DrawFn, operators: Sequence[Operator]) -> tuple[Comparison, ...]:
    """One or two comparisons, with operands of types that their operators take."""
    chosen = draw(st.lists(st.sampled_from(operators), min_size=1, max_size=2, unique=True))
    return tuple(Comparison(operator=each, operand=draw(_operands(each))) for each in chosen)


def _operands(operator: Operator) -> st.SearchStrategy[Any]:
    if operator is Operator.NOT:
        return comparisons(_VALUE_OPERATORS)
    if operator is Operator.COUNT:
        sizes = st.sampled_from([0, 1, 2])
        return st.builds(
            lambda number: (Comparison(operator=Operator.GE, operand=number),), sizes
        ) | st.builds(lambda number: (Comparison(operator=Operator.EQ, operand=number),), sizes)
    if operator in QUANTIFIERS:
        return comparisons([*_OPERANDS, Operator.NOT])
    return _OPERANDS[operator]


@st.composite
def arg_conditions(draw: st.DrawFn) -> ArgCondition:
    """One condition on the arguments, with an operand of a type that its operator takes."""
    if draw(st.integers(0, 5)) == 0:
        only = Comparison(operator=Operator.ONLY, operand=draw(_operands(Operator.ONLY)))
        if draw(st.booleans()):
            return ArgCondition(path="$", operator=Operator.NOT, operand=(only,))
        return ArgCondition(path="$", operator=only.operator, operand=only.operand)
    of_elements = draw(st.booleans())
    quantifiers = [operator for operator in Operator if operator in QUANTIFIERS]
    operator = draw(st.sampled_from(quantifiers if of_elements else [*_OPERANDS, Operator.NOT]))
    path = draw(st.sampled_from(LIST_PATHS if of_elements else PATHS))
    return ArgCondition(path=path, operator=operator, operand=draw(_operands(operator)))


_SIZES = [Operator.LT, Operator.LE, Operator.GT, Operator.GE]
_TESTED_FIELDS = ["topics", "tenants", "capabilities", "actor_ids", "agents", "mcp.tools"]
field_tests = st.lists(
    st.builds(
        lambda field, globs: FieldTest(field=field, operator=Operator.NOT, operand=globs),
        st.sampled_from([*_TESTED_FIELDS, "labels.env", "labels.x", "labels.command_class"]),
        some_globs,
    )
    | st.builds(
        lambda field, operator, number: FieldTest(field=field, operator=operator, operand=number),
        st.sampled_from(["labels.cost", "labels.env"]),
        st.sampled_from(_SIZES),
        numbers,
    ),
    min_size=1,
    max_size=2,
).map(tuple)

time_matches = st.builds(
    TimeMatch,
    days=st.lists(st.sampled_from(DAYS), max_size=4, unique=True).map(tuple),
    hours=st.lists(
        st.tuples(st.sampled_from(MINUTES), st.sampled_from([*MINUTES, 1440])).filter(
            lambda span: span[0] != span[1]
        ),
        max_size=2,
    ).map(tuple),
    timezone=st.sampled_from(ZONES),
)
delegation_matches = st.just(DelegationMatch(forbid_delegated=True)) | st.builds(
    DelegationMatch,
    max_depth=st.none() | st.integers(0, 2),
    issuers=st.just(()) | a_few_words,
    required_scope=some_words,
)
delegations = st.builds(Delegation, depth=st.integers(0, 3), issuers=a_few_words, scope=some_words)
mcp_matches = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("servers", "tools", "resources", "actions"), some_globs)
).map(lambda fields: McpMatch(**fields))
instants = st.datetimes(
    min_value=datetime(2026, 1, 1),  # noqa: DTZ001 - `timezones` makes it an instant
    max_value=datetime(2026, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
) | st.sampled_from(
    [
        datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC),  # Berlin goes from 02:00 to 03:00 next
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),  # 02:30 in Berlin, the first time
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),  # and the second
        datetime(2026, 3, 8, 7, 0, tzinfo=UTC),  # New York goes from 02:00 to 03:00
        datetime(2026, 11, 1, 6, 30, tzinfo=UTC),  # and has 01:30 twice
    ]
)

_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "topics": some_globs,
    "tenants": some_globs,
    "capabilities": some_globs,
    "pack_ids": some_globs,
    "actor_ids": some_globs,
    "agents": some_globs,
    "actor_types": st.sampled_from([("human",), ("service",), ("human", "service")]),
    "agent_risk_tiers": a_few_words,
    "agent_data_classes": a_few_words,
    "risk_tags": a_few_words,
    "requires": a_few_words,
    "labels": label_globs,
    "commands": st.lists(st.sampled_from(COMMANDS), min_size=1, max_size=2, unique=True).map(tuple),
    "tests": field_tests,
    "mcp": mcp_matches,
    "secrets_present": st.booleans(),
    "time": time_matches,
    "delegation": delegation_matches,
    "args": st.lists(arg_conditions(), min_size=1, max_size=2).map(tuple),
}
# Half of the matches look at few fields, or hardly any rule would ever speak.
_CHOICES = st.lists(st.sampled_from(list(_FIELDS)), min_size=1, max_size=2, unique=True) | st.lists(
    st.sampled_from(list(_FIELDS)), max_size=5, unique=True
)
_THROTTLES = st.none() | st.sampled_from(
    [
        Throttle(limit=1, window_ms=1_000, key=("tenant",)),
        Throttle(limit=1, window_ms=1_000, key=("tenant",), sum="$.a"),
    ]
)


ROLES = ["release", "security", "owner"]
role_sets = st.lists(st.sampled_from(ROLES), max_size=2, unique=True).map(tuple)
approval_terms = st.builds(
    ApprovalTerms,
    roles=role_sets,
    quorum=st.integers(1, 3),
    ttl_ms=st.none() | st.sampled_from([1_000, 60_000]),
)
approvers = st.lists(st.sets(st.sampled_from(ROLES)), max_size=5)

_CRITERIA: dict[str, st.SearchStrategy[Any]] = {
    "detectors": st.lists(st.sampled_from(sorted(PAYLOAD_DETECTORS)), min_size=1, max_size=2).map(
        tuple
    ),
    "keywords": st.lists(st.sampled_from(["A", "rm", "é", "\uff53ecret", "7"]), min_size=1).map(
        tuple
    ),
    "patterns": st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2).map(tuple),
    "content_types": st.sampled_from([("text/plain",), ("application/*",), ("text/*", "x")]),
    "size_gt": st.integers(0, 80),
}
contents = st.lists(st.sampled_from(list(_CRITERIA)), min_size=1, max_size=2, unique=True).flatmap(
    lambda names: st.builds(ContentMatch, **{name: _CRITERIA[name] for name in names})
)
_INPUT_EFFECTS = [Effect.DENY, Effect.REQUIRE_APPROVAL]


@st.composite
def matches(draw: st.DrawFn, *, content: bool = False) -> Match:
    """A match on a few of all fields; of none, it holds of everything."""
    fields = {name: draw(_FIELDS[name]) for name in draw(_CHOICES)}
    return Match(**fields, content=draw(contents) if content else None)


@st.composite
def rules(draw: st.DrawFn, rule_id: str, *, content: bool = False) -> Rule:
    """A rule of any effect, now and then with an exception; with `content`, an input rule."""
    effect = draw(st.sampled_from(_INPUT_EFFECTS if content else list(Effect)))
    constraints = Constraints(budgets=Budgets(max_retries=draw(st.integers(0, 9))))
    held = effect is Effect.REQUIRE_APPROVAL
    return Rule(
        id=rule_id,
        effect=effect,
        match=draw(matches(content=content)),
        approval=draw(st.none() | approval_terms) if held else None,
        unless=draw(st.none() | st.none() | matches()),
        throttle=draw(_THROTTLES) if effect is Effect.THROTTLE else None,
        constraints=constraints if effect is Effect.ALLOW_WITH_CONSTRAINTS else None,
    )


tool_calls = st.builds(ToolCall, server=words, tool=words, resource=maybe_word, action=maybe_word)


@st.composite
def policies(draw: st.DrawFn) -> list[Policy]:
    """One to three layers with rules of every effect; ids are unique over all of them."""
    return [
        Policy(
            name=f"p{number}",
            source="",
            invariants=draw(st.booleans()),
            priority=draw(st.integers(0, 1)),
            default_decision=draw(st.sampled_from([None, Effect.ALLOW, Effect.DENY])),
            label_trust=draw(
                st.dictionaries(
                    st.sampled_from(LABEL_NAMES), st.sampled_from(list(Origin)), max_size=2
                )
            ),
            derivations=draw(st.sampled_from([(), (), DEFAULT_DERIVATIONS, OWN_DERIVATIONS])),
            danger_no_default_derivations=draw(st.sampled_from([False, False, False, True])),
            used_programs=draw(st.sampled_from(OWN_PROGRAMS)),
            rules=tuple(
                draw(rules(f"r{number}.{position}")) for position in range(draw(st.integers(0, 5)))
            ),
            input_rules=tuple(
                draw(rules(f"i{number}.{position}", content=True))
                for position in range(draw(st.sampled_from([0, 0, 1, 2])))
            ),
        )
        for number in range(draw(st.integers(1, 3)))
    ]


@st.composite
def output_rules(draw: st.DrawFn, rule_id: str) -> tuple[OutputRule, ...]:
    """A few output rules on the job alone."""
    return tuple(
        OutputRule(
            id=f"{rule_id}.{number}",
            verdict=draw(st.sampled_from(Verdict)),
            match=draw(matches()),
            unless=draw(st.none() | st.none() | matches()),
        )
        for number in range(draw(st.integers(0, 4)))
    )


def limited_throttles(layers: list[Policy]) -> list[str]:
    """Ids of the rules that a gate may lift: throttles with a limit."""
    return [rule.id for layer in layers for rule in layer.rules if rule.throttle is not None]


attested = st.fixed_dictionaries(
    {},
    optional={
        "pack_id": words.map(lambda word: (word,)),
        "actor_type": st.sampled_from([("human",), ("service",)]),
        "risk_tags": some_words,
    },
)

requests = st.builds(
    Request,
    topic=words,
    tenant=words,
    capability=maybe_word,
    pack_id=maybe_word,
    actor_id=maybe_word,
    principal=maybe_word,
    actor_type=st.sampled_from(["", "human", "service"]),
    agent=maybe_word,
    agent_risk_tier=maybe_word,
    agent_data_classes=some_words,
    mcp=st.just(ToolCall()) | tool_calls,
    args=st.none() | documents,
    delegation=st.none() | delegations,
    risk_tags=some_words,
    requires=some_words,
    labels=labels,
    credential_labels=st.just({}) | labels,
    server_labels=st.just({}) | labels,
    attested=st.just({}) | attested,
    payload=st.none()
    | st.builds(
        lambda prompt, context: {"prompt": prompt, "context": context},
        st.sampled_from([*SHELL, "secret://vault/a"]),
        st.none() | documents,
    ),
)


asked = st.lists(
    st.tuples(requests, instants), min_size=ASKED_PER_POLICY, max_size=ASKED_PER_POLICY
)


SOME_CHANGES = max(100, min(EXAMPLES // 10, 2_000))


@st.composite
def changes(draw: st.DrawFn) -> tuple[list[Policy], list[Policy]]:
    """Policies before and after one change: a rule edited, moved or left out, a file added."""
    before = draw(policies())
    after = list(before)
    number = draw(st.integers(0, len(after) - 1))
    policy = after[number]
    rules_now = list(policy.rules)
    kind = draw(st.sampled_from(["edit", "swap", "drop", "add file", "default", "trust"]))
    if kind in ("edit", "drop") and rules_now:
        place = draw(st.integers(0, len(rules_now) - 1))
        rules_now[place : place + 1] = [draw(rules(rules_now[place].id))] if kind == "edit" else []
    elif kind == "swap" and len(rules_now) > 1:
        place = draw(st.integers(1, len(rules_now) - 1))
        rules_now[place - 1], rules_now[place] = rules_now[place], rules_now[place - 1]
    elif kind == "add file":
        after.append(Policy(name="added", source="", rules=(draw(rules("added")),)))
    changed: dict[str, Any] = {"rules": tuple(rules_now)}
    if kind == "default":
        changed["default_decision"] = draw(st.sampled_from([None, Effect.ALLOW, Effect.DENY]))
    if kind == "trust":
        changed["label_trust"] = {}
    after[number] = msgspec.structs.replace(policy, **changed)
    return before, after
