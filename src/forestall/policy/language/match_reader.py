"""Read `match` and `unless`, strictly: to hold of every request, a match must say so."""

import collections.abc
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import msgspec

from forestall.limits import ARG_CONDITIONS_MAX, INTEGER_MAX
from forestall.policy.arguments import (
    QUANTIFIERS,
    ArgumentError,
    compile_condition,
    compile_pattern,
    parse_path,
)
from forestall.policy.calendar import DAYS, CalendarError, parse_hours, zone
from forestall.policy.content import PAYLOAD_DETECTORS
from forestall.policy.finding_names import class_of, kinds_of
from forestall.policy.language.cordum_hints import (
    PEER_DELEGATION_KEYS,
    PEER_MATCH_KEYS,
    PEER_MCP_KEYS,
)
from forestall.policy.language.document import Mapping, Node, Scalar, Sequence, plain_value
from forestall.policy.language.field_tests_reader import SPELLINGS, take_field_tests
from forestall.policy.language.literals import LITERAL_KEY, glob_of_literal, value_problem
from forestall.policy.language.named_lists import expand
from forestall.policy.language.reader import Reader
from forestall.policy.problems import did_you_mean
from forestall.policy.rules import (
    ArgCondition,
    Comparison,
    ContentMatch,
    DelegationMatch,
    Match,
    McpMatch,
    Operator,
    TimeMatch,
)

_GLOB_FIELDS = ("tenants", "topics", "capabilities", "pack_ids", "actor_ids", "agents")
_WORD_FIELDS = (
    "actor_types",
    "agent_risk_tiers",
    "agent_data_classes",
    "risk_tags",
    "requires",
)
MATCH_KEYS = (
    *_GLOB_FIELDS,
    *_WORD_FIELDS,
    "labels",
    "commands",
    "mcp",
    "secrets_present",
    "time",
    "delegation",
    "args",
)
CONTENT_KEYS = ("detectors", "keywords", "patterns", "content_types", "size_gt")
# Detector classes for results. tests/unit/output checks that each class has a detector.
DETECTOR_CLASSES = (
    "secret",
    "personal_data",
    "prompt_injection",
    "source_path",
    "internal_host",
    "named_entity",
)
_ACTOR_TYPES = ("human", "service")
_SHOWN_CHARS = 80  # characters of a text that a message shows
_NOTHING: collections.abc.Mapping[str, str] = {}
_ELSEWHERE = dict.fromkeys(
    CONTENT_KEYS,
    "what the payload says is matched by `input_rules`, what the result says by `output_rules`",
)
_EVERYTHING = 'a rule for everything says so: match: {topics: ["*"]}'


def read_match(
    reader: Reader,
    entry: Mapping,
    key: str = "match",
    *,
    content: Callable[[Reader, Mapping], ContentMatch | None] | None = None,
) -> Match | None:
    """The match under `key`; None (and a problem) when it is missing, empty or not a mapping.

    `content` reads the content criteria that such a match may have: on a payload, or on a result.
    """
    node = reader.child(entry, key)
    if node is None:
        if key not in entry.entries:
            reader.problem(entry, f"the rule has no `{key}`", _EVERYTHING)
        return None
    match = reader.mapping(node, f"`{key}`")
    if match is None:
        return None
    allowed = (*MATCH_KEYS, *CONTENT_KEYS) if content else MATCH_KEYS
    reader.known_keys(match, allowed, f"`{key}`", {**_ELSEWHERE, **PEER_MATCH_KEYS})
    if not match.entries:
        reader.problem(node, f"an empty `{key}`", _EVERYTHING if key == "match" else "leave it out")
        return None
    expand(reader, match)
    tests = take_field_tests(reader, match)
    globs = {field: reader.globs(match, field) for field in _GLOB_FIELDS}
    words = {field: reader.words(match, field) for field in _WORD_FIELDS}
    _require_known(reader, match, "actor_types", words["actor_types"], _ACTOR_TYPES, "actor type")
    return Match(
        **globs,
        **words,
        labels=_read_labels(reader, match),
        commands=_read_commands(reader, match),
        own_programs=(),  # `join_programs` adds those that the commands name
        mcp=_read_mcp(reader, match),
        tests=tests,
        secrets_present=reader.boolean(match, "secrets_present"),
        time=_read_time(reader, match),
        delegation=_read_delegation(reader, match),
        args=_read_args(reader, match),
        content=content(reader, match) if content else None,
    )


def _require_known(
    reader: Reader,
    mapping: Mapping,
    key: str,
    words: Iterable[str],
    vocabulary: Collection[str],
    what: str,
) -> None:
    """Note a problem for each word under a key that the vocabulary does not have."""
    for word in words:
        if word not in vocabulary:
            hint = did_you_mean(word, vocabulary)
            reader.problem(mapping.value_of(key), f"unknown {what} `{word}`", hint)


def _section(
    reader: Reader,
    match: Mapping,
    key: str,
    allowed: tuple[str, ...] | None,
    instead: collections.abc.Mapping[str, str] = _NOTHING,
) -> Mapping | None:
    """A mapping inside a match. An empty one is a problem: it would hold of every request."""
    section = reader.section(match, key)
    if section is None:
        return None
    if allowed is not None:
        reader.known_keys(section, allowed, f"`{key}`", instead)
    if not section.entries:
        reader.problem(section, f"`{key}` is empty and would match everything", "leave it out")
    return section


def _read_labels(reader: Reader, match: Mapping) -> tuple[tuple[str, tuple[str, ...]], ...]:
    section = _section(reader, match, "labels", None)
    if section is None:
        return ()
    pairs = [(name, reader.globs(section, name, one_allowed=True)) for name in section.entries]
    for name, globs in pairs:
        _require_values(reader, section, name, globs)
    return tuple(sorted((name, globs) for name, globs in pairs if globs))


def _read_commands(reader: Reader, match: Mapping) -> tuple[str, ...]:
    if "commands" not in match.entries:
        return ()
    # Imported here: few rules name commands, and a pattern reads the table of programs.
    from forestall.facts.shell.command_patterns import CommandPattern, CommandPatternError

    patterns = reader.words(match, "commands")
    for text in patterns:
        try:
            CommandPattern(text)
        except CommandPatternError as cause:
            reader.problem(match.value_of("commands"), f"`{text[:_SHOWN_CHARS]}` {cause}")
    return tuple(patterns)


def _require_values(reader: Reader, section: Mapping, label: str, globs: tuple[str, ...]) -> None:
    """Note a problem for each value that a derived label never has."""
    key, node = section.entries[label]
    reader.note_label(key, label)
    items = node.items if isinstance(node, Sequence) else [node] * len(globs)
    places = items if len(items) == len(globs) else [node] * len(globs)
    for place, glob in zip(places, globs, strict=True):
        message, hint = value_problem(label, glob)
        if message:
            reader.problem(place, message, hint)


def _read_mcp(reader: Reader, match: Mapping) -> McpMatch:
    section = _section(reader, match, "mcp", McpMatch.__struct_fields__, PEER_MCP_KEYS)
    if section is None:
        return McpMatch()
    return McpMatch(**{key: reader.globs(section, key) for key in McpMatch.__struct_fields__})


def _read_time(reader: Reader, match: Mapping) -> TimeMatch | None:
    section = _section(reader, match, "time", TimeMatch.__struct_fields__)
    if section is None:
        return None
    days = reader.words(section, "days")
    _require_known(reader, section, "days", days, DAYS, "day")
    hours = []
    for text in reader.words(section, "hours"):
        try:
            hours.append(parse_hours(text))
        except CalendarError as cause:
            reader.problem(section.value_of("hours"), str(cause))
    name = reader.text(section, "timezone") or "UTC"
    try:
        zone(name)
    except CalendarError as cause:
        reader.problem(section.value_of("timezone"), str(cause))
        return None
    if not {"days", "hours"} & section.entries.keys():
        reader.problem(section, "`time` names neither `days` nor `hours`")
    return TimeMatch(
        days=tuple(day for day in days if day in DAYS), hours=tuple(hours), timezone=name
    )


def _read_delegation(reader: Reader, match: Mapping) -> DelegationMatch | None:
    allowed = DelegationMatch.__struct_fields__
    section = _section(reader, match, "delegation", allowed, PEER_DELEGATION_KEYS)
    if section is None:
        return None
    forbidden = reader.boolean(section, "forbid_delegated") or False
    if forbidden and len(section.entries) > 1:
        reader.problem(
            section,
            "`forbid_delegated` holds only of requests that are not delegated, the rest only of"
            " those that are",
            "write two rules",
        )
    return DelegationMatch(
        max_depth=reader.integer(section, "max_depth", minimum=0, maximum=64),
        issuers=reader.words(section, "issuers"),
        required_scope=reader.words(section, "required_scope"),
        forbid_delegated=forbidden,
    )


def _read_args(reader: Reader, match: Mapping) -> tuple[ArgCondition, ...]:
    section = _section(reader, match, "args", None)
    if section is None:
        return ()
    conditions: list[ArgCondition] = []
    for path, (key, node) in section.entries.items():
        try:
            parse_path(path)
        except ArgumentError as cause:
            reader.problem(key, f"`{path[:_SHOWN_CHARS]}`: {cause}")
            continue
        for place, compared in _comparisons(reader, node, f"the condition on `{path}`"):
            condition = ArgCondition(
                path=path, operator=compared.operator, operand=compared.operand
            )
            try:
                compile_condition(condition)
            except ArgumentError as cause:
                reader.problem(place if path != "$" else key, f"`{path}`: {cause}")
            else:
                conditions.append(condition)
    if len(conditions) > ARG_CONDITIONS_MAX:
        reader.problem(section, f"`args` has more than {ARG_CONDITIONS_MAX} conditions")
    return tuple(conditions)


def _comparisons(reader: Reader, node: Node, what: str) -> Iterator[tuple[Node, Comparison]]:
    """The comparisons of a condition, each with the place of its operand."""
    compared = reader.mapping(node, what)
    if compared is None:
        return
    reader.known_keys(compared, (*Operator, *SPELLINGS), what)
    if not compared.entries:
        reader.problem(node, f"{what} compares with nothing")
    for word, (_, operand) in compared.entries.items():
        operator = SPELLINGS.get(word) or word
        if operator in set(Operator):
            value = _operand(reader, operand, Operator(operator))
            noted = value == () and not isinstance(operand, Sequence)
            if not noted:
                yield operand, Comparison(operator=Operator(operator), operand=value)


def read_payload_content(reader: Reader, match: Mapping) -> ContentMatch:
    """The content criteria of an input rule on the payload; at least one is required."""
    if not set(CONTENT_KEYS) & match.entries.keys():
        hint = "one of " + ", ".join(CONTENT_KEYS) + "; without any it belongs under `rules`"
        reader.problem(match, "an input rule says nothing of the content", hint)
    return _content_match(reader, match, PAYLOAD_DETECTORS, of_result=False)


def read_result_content(reader: Reader, match: Mapping) -> ContentMatch | None:
    """The content criteria of an output rule on the result; None without any. What would be found
    everywhere is refused: it would be removed from every result."""
    if not set(CONTENT_KEYS) & match.entries.keys():
        return None
    return _content_match(reader, match, DETECTOR_CLASSES, of_result=True)


def _content_match(
    reader: Reader, match: Mapping, allowed: Collection[str], *, of_result: bool
) -> ContentMatch:
    patterns = reader.words(match, "patterns", any_text=True)
    for text in patterns:
        try:
            matches_empty = compile_pattern(text).search("") is not None
        except ArgumentError as cause:
            reader.problem(match.value_of("patterns"), f"`{text[:60]}`: {cause}")
            continue
        if matches_empty and of_result:
            message = f"`{text[:60]}` holds of the empty text, hence of everything"
            hint = "leave it out, or write what it should find"
            reader.problem(match.value_of("patterns"), message, hint)
    keywords = reader.words(match, "keywords", any_text=True)
    if of_result and any(not word.strip() for word in keywords):
        reader.problem(match.value_of("keywords"), "a keyword without any character")
    detectors = reader.words(match, "detectors")
    own = reader.own_detectors
    known_names = {*allowed, *own, *_named_kinds(detectors, allowed)}
    _require_known(reader, match, "detectors", detectors, known_names, "detector")
    return ContentMatch(
        detectors=tuple(name for name in detectors if name in known_names and name not in own),
        own_detectors=tuple(
            msgspec.structs.replace(own[name], match=(), no_match=())
            for name in detectors
            if name in own
        ),
        keywords=keywords,
        patterns=patterns,
        content_types=reader.globs(match, "content_types"),
        size_gt=reader.integer(match, "size_gt", minimum=0, maximum=INTEGER_MAX),
    )


def _named_kinds(detectors: tuple[str, ...], allowed: Collection[str]) -> Iterator[str]:
    """The kinds of the classes of which a criterion names single kinds."""
    classes = {class_of(name) for name in detectors if name not in allowed}
    for name in sorted(classes.intersection(allowed)):
        yield from kinds_of(name)


def _operand(reader: Reader, node: Node, operator: Operator) -> Any:
    """The operand of a comparison. A quoted word is a text; a plain word is read as YAML 1.2 reads
    it; `{literal: text}` is that text."""
    if operator is Operator.COUNT and isinstance(node, Scalar):
        return (Comparison(operator=Operator.EQ, operand=plain_value(node)),)
    if operator is Operator.NOT or operator in QUANTIFIERS:
        return tuple(one for _, one in _comparisons(reader, node, f"`{operator}`"))
    if operator is Operator.MATCHES:
        return node.text if isinstance(node, Scalar) else plain_value(node)
    if isinstance(node, Mapping) and LITERAL_KEY in node.entries:
        text = reader.literal(node) or ""
        return glob_of_literal(text) if operator is Operator.GLOB else text
    reader.require_no_operator(node)
    if operator in (Operator.IN, Operator.GLOB, Operator.ONLY) and isinstance(node, Sequence):
        if operator is Operator.ONLY:
            return tuple(_member_name(reader, item) for item in node.items)
        inner = Operator.GLOB if operator is Operator.GLOB else Operator.EQ
        return tuple(_operand(reader, item, inner) for item in node.items)
    if operator is Operator.GLOB and isinstance(node, Scalar):
        return node.text
    return plain_value(node)


def _member_name(reader: Reader, node: Node) -> Any:
    """One name under `only`, as it is written: names of members are texts, `1` and `null` too. A
    name that looks like a glob or a path is refused: it would never be the name of a member."""
    if isinstance(node, Scalar):
        shown = node.text[:_SHOWN_CHARS]
        if "*" in node.text:
            hint = f"list each name; {{literal: '{shown}'}} says that `*` is part of the name"
            reader.problem(
                node, f"`only` compares names exactly, and `{shown}` looks like a glob", hint
            )
        elif node.text.startswith("$"):
            hint = "write the name alone, such as `to`; {literal: …} says that `$` is part of it"
            reader.problem(node, f"`only` lists names, and `{shown}` looks like a path", hint)
        reader.require_no_operator(node)
        return node.text
    return _operand(reader, node, Operator.EQ)
