"""The peer's `match` → ours. A comment says what a part means now whose meaning was a trap."""

import re
from typing import Any

from forestall.cordum_import.yaml_writer import Notes
from forestall.policy.language.document import Mapping
from forestall.policy.language.literals import glob_of_literal
from forestall.policy.language.reader import Reader
from forestall.policy.rules import McpMatch

_TEXT_FIELDS = ("tenants", "capabilities", "pack_ids", "actor_ids")  # exact texts there, globs here
_WORD_FIELDS = {
    "risk_tags": "risk_tags",
    "requires": "requires",
    "actor_types": "actor_types",
    "agent_risk_tiers": "agent_risk_tiers",
    "agent_data_classifications": "agent_data_classes",
}
_MATCH_KEYS = (
    *_TEXT_FIELDS,
    "topics",
    *_WORD_FIELDS,
    "labels",
    "label_allowlist",
    "label_threshold",
    "secrets_present",
    "predicate",
    "delegation",
    "mcp",
)
_MCP_PARTS = McpMatch.__struct_fields__
_MCP_KEYS = tuple(f"{verb}_{part}" for verb in ("allow", "deny") for part in _MCP_PARTS)
_DELEGATION_KEYS = ("max_depth", "issuers", "require_issuer", "required_scope", "forbid_delegated")
_DEPTH = re.compile(r"\s*delegation\.depth\s*(>=|<=|==|>|<)\s*([0-9]{1,2})\s*")
_SCOPE = re.compile(r"\s*delegation\.scope\.contains\(\s*([\"'])(.+)\1\s*\)\s*")
_DEPTH_MAX = 64  # the deepest delegation that our reader accepts
_EVERYTHING = {"topics": ["*"]}

Block = dict[str, Any]


def converted_match(
    reader: Reader, entry: Mapping, decision: str, notes: Notes
) -> tuple[Block, Block]:
    """Our `match` and `unless` (which may be empty) for one rule of the peer."""
    block = reader.section(entry, "match")
    if block is None or not block.entries:
        notes.add(entry, "a rule without `match` matched everything")
        return dict(_EVERYTHING), {}
    reader.known_keys(block, _MATCH_KEYS, "the peer's `match`")
    match: Block = {}
    unless: Block = {}
    converted_topics(reader, block, match)
    converted_texts(reader, block, match, notes)
    _labels(reader, block, match, notes)
    _allowlist(reader, block, match, unless, notes)
    if "label_threshold" in block.entries:
        message = "`label_threshold` compares a label, which is a text that the client writes"
        hint = "compare the argument itself: match: {args: {$.amount: {gt: 10}}}"
        reader.problem(block.key_of("label_threshold"), message, hint)
    if "secrets_present" in block.entries:
        present = reader.boolean(block, "secrets_present")
        match["secrets_present"] = present
        note = "`secrets_present` is read from the payload here, not from a label"
        notes.add(block.key_of("secrets_present"), note)
    _mcp(reader, block, decision, match, unless, notes)
    _delegation(reader, block, match)
    _predicate(reader, block, match, unless, notes)
    if not match:
        notes.add(block, "nothing in `match` narrows the rule: it matches everything")
        match = dict(_EVERYTHING)
    return match, unless


def converted_topics(reader: Reader, block: Mapping, match: Block) -> None:
    """The `topics` of a match. A glob with another meaning here is a problem."""
    globs = reader.globs(block, "topics") if "topics" in block.entries else ()
    for glob in globs:
        if "\\" in glob or "[!" in glob:
            hint = "a backslash is a character like any other, and `[!a]` is all but a"
            reader.problem(block.value_of("topics"), f"`{glob}` is read otherwise here", hint)
    if globs:
        match["topics"] = list(globs)


def converted_texts(reader: Reader, block: Mapping, match: Block, notes: Notes) -> None:
    """The fields that the peer compares as exact texts: globs here, with escapes."""
    for key in _TEXT_FIELDS:
        if key in block.entries:
            words = [word.strip() for word in reader.words(block, key)]
            match[key] = [glob_of_literal(word) for word in words]
            if any(word.lower() != word or glob_of_literal(word) != word for word in words):
                notes.add(block.key_of(key), f"`{key}` ignored upper and lower case")
    for key, ours in _WORD_FIELDS.items():
        if key in block.entries:
            match[ours] = list(reader.words(block, key))
            if key != ours:
                notes.add(block.key_of(key), f"`{key}` is `{ours}` here")
            if any(word.lower() != word for word in match[ours]):
                notes.add(block.key_of(key), f"`{key}` ignored upper and lower case")


# -- labels --


def _labels(reader: Reader, block: Mapping, match: Block, notes: Notes) -> None:
    if "labels" not in block.entries:
        return
    globs: Block = {}
    for name, value in reader.text_map(block, "labels").items():
        if value:
            globs[name] = glob_of_literal(value)
        else:
            message = f"the empty value of label `{name}` also matched requests without the label"
            hint = 'say what is meant, such as unless: {labels: {x: "*"}}'
            reader.problem(block.key_of("labels"), message, hint)
    if globs:
        match["labels"] = globs
    else:
        notes.add(block.key_of("labels"), "`labels` names nothing and is left out")


def _allowlist(reader: Reader, block: Mapping, match: Block, unless: Block, notes: Notes) -> None:
    """A label with a value outside a list: `match` takes any value, `unless` those of the list."""
    if "label_allowlist" not in block.entries:
        return
    key, node = block.entries["label_allowlist"]
    lists = reader.mapping(node, "`label_allowlist`")
    if lists is None:
        return
    if len(lists.entries) != 1:
        reader.problem(key, "`label_allowlist` names several labels", "write a rule for each")
        return
    (label,) = lists.entries
    values = list(reader.words(lists, label))
    labels = match.setdefault("labels", {})
    if label in labels or not all(values):
        reader.problem(key, f"`label_allowlist` and `labels` both speak of `{label}`, or of ``")
        return
    labels[label] = "*"
    if values:
        unless["labels"] = {label: [glob_of_literal(value) for value in values]}
    notes.add(
        key,
        "`label_allowlist` matched values outside the list, upper and lower case alike;"
        " that is `unless` here, and case counts",
    )


# -- tool calls --


def _mcp(
    reader: Reader, block: Mapping, decision: str, match: Block, unless: Block, notes: Notes
) -> None:
    lists = reader.section(block, "mcp")
    if lists is None:
        return
    reader.known_keys(lists, _MCP_KEYS, "the peer's `mcp`")
    key = block.key_of("mcp")
    denied = [part for part in _MCP_PARTS if f"deny_{part}" in lists.entries]
    if len(denied) > 1:
        reader.problem(key, "`mcp` denies in several lists", "write a rule for each of them")
        return
    if {f"allow_{part}" for part in denied} & lists.entries.keys():
        reader.problem(key, "`mcp` allows and denies the same part", "write two rules")
        return
    fields: Block = {}
    for part in _MCP_PARTS:
        if f"allow_{part}" in lists.entries:
            fields[part] = _globs(reader, lists, f"allow_{part}")
            notes.add(lists.key_of(f"allow_{part}"), f"`allow_{part}` is `{part}` here")
    for part in denied:
        place = lists.key_of(f"deny_{part}")
        globs = _globs(reader, lists, f"deny_{part}")
        if decision == "deny":
            fields[part] = globs
            notes.add(
                place,
                f"CHECK THIS: with `deny_{part}` the rule denied everything except what is listed;"
                " here it denies what is listed",
            )
        else:
            unless["mcp"] = {part: globs}
            notes.add(place, f"`deny_{part}` kept the rule from matching; that is `unless` here")
    if fields:
        match["mcp"] = fields
        notes.add(key, "`mcp` also held of requests that call no tool; here it does not")
    if unless.keys() > {"mcp"}:
        reader.problem(key, "`mcp` and `label_allowlist` in one rule", "write two rules")


def _globs(reader: Reader, lists: Mapping, key: str) -> list[str]:
    return [glob_of_literal(word) for word in reader.words(lists, key)]


# -- delegation --


def _delegation(reader: Reader, block: Mapping, match: Block) -> None:
    given = reader.section(block, "delegation")
    if given is None:
        return
    reader.known_keys(given, _DELEGATION_KEYS, "the peer's `delegation`")
    if "require_issuer" in given.entries:
        message = "`require_issuer` looked at the root of the chain only"
        hint = "`issuers` lists who may have issued any link"
        reader.problem(given.key_of("require_issuer"), message, hint)
    delegation: Block = {}
    if "max_depth" in given.entries:
        delegation["max_depth"] = reader.integer(given, "max_depth", minimum=0, maximum=_DEPTH_MAX)
    for key in ("issuers", "required_scope"):
        if key in given.entries:
            delegation[key] = list(reader.words(given, key))
    if "forbid_delegated" in given.entries:
        delegation["forbid_delegated"] = reader.boolean(given, "forbid_delegated")
    match["delegation"] = delegation


def _predicate(reader: Reader, block: Mapping, match: Block, unless: Block, notes: Notes) -> None:
    text = reader.text(block, "predicate", most=None)
    if text is None:
        return
    key, node = block.entries["predicate"]
    depth, scope = _DEPTH.fullmatch(text), _SCOPE.fullmatch(text)
    delegation: Block = {}
    exception: Block = {}
    if scope is not None:
        delegation = {"required_scope": [scope[2]]}
    elif depth is not None:
        delegation, exception = _depth(depth[1], int(depth[2]))
    if not delegation or "delegation" in match or (exception and unless):
        hint = "write it as `delegation` {max_depth, issuers, required_scope, forbid_delegated}"
        reader.problem(node, f"the predicate `{text[:60]}` is not converted", hint)
        return
    match["delegation"] = delegation
    if exception:
        unless["delegation"] = exception
    notes.add(key, f"was the predicate `{text}`")


def _depth(operator: str, number: int) -> tuple[Block, Block]:
    """The bounds on the depth of a delegation, as match and exception; nothing if impossible."""
    low = {">": number + 1, ">=": number, "==": number}.get(operator, 0)
    high = {"<": number - 1, "<=": number, "==": number}.get(operator, _DEPTH_MAX)
    if high < low:
        return {}, {}
    return {"max_depth": high}, {"max_depth": low - 1} if low > 0 else {}
