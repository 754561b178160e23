"""Write converted rules: values as YAML, ids, decisions, comments. Knows no field of a match."""

import json
import re
from typing import Any, NamedTuple

from forestall.policy.language.document import Mapping, Node, plain_value
from forestall.policy.language.reader import IDENTIFIER, Reader

_DECISIONS = {
    "allow": "allow",
    "permit": "allow",
    "deny": "deny",
    "block": "deny",
    "require_approval": "require_approval",
    "require-approval": "require_approval",
    "require_human": "require_approval",
    "allow_with_constraints": "allow_with_constraints",
    "allow-with-constraints": "allow_with_constraints",
    "throttle": "throttle",
}
_NO_TIERS = (
    "a client chose its tier with labels, and a job's allow went before a global deny;"
    " here each file is a layer with a `priority`, and the strictest decision stands"
)
_BARE = re.compile(r"[a-z_]+")


class ConvertedRule(NamedTuple):
    """One rule to write: its comments, then its keys in order."""

    place: Node
    notes: list[str]
    body: dict[str, Any]


class Notes:
    """Comments about one rule (or the head of the file), each with its line in the source."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, node: Node, text: str) -> None:
        """Add a comment about a place in the source."""
        visible = "".join(
            char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text
        )
        self.lines.append(f"line {node.line}: {visible}")


def yaml_flow(value: Any) -> str:
    """A value as YAML on one line. Every text is quoted."""
    if isinstance(value, dict):
        pairs = (f"{_key(key)}: {yaml_flow(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(yaml_flow(item) for item in value) + "]"
    if isinstance(value, str):
        return _quoted(value)
    return json.dumps(value)


def _key(text: str) -> str:
    """A known key stays bare; any other text is quoted."""
    bare = _BARE.fullmatch(text) and text not in ("null", "true", "false")
    return text if bare else _quoted(text)


def _quoted(text: str) -> str:
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else _escaped(char) for char in plain)


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def rule_id_of(reader: Reader, entry: Mapping, notes: Notes) -> str:
    """The id of a rule, made into a name; without an id, a name made from its line."""
    written = reader.text(entry, "id", most=None)
    if not written:
        notes.add(entry, "the rule had no `id`")
        return f"line-{entry.line}"
    if IDENTIFIER.fullmatch(written):
        return written
    name = re.sub(r"[^A-Za-z0-9._:/-]", "-", written).lstrip("._:/-")[:128] or f"line-{entry.line}"
    notes.add(entry.value_of("id"), f"the id was `{written}`, which is not a name")
    return name


def decision_word(reader: Reader, entry: Mapping, notes: Notes) -> str:
    """Our word for the decision of a rule. The peer treats an unknown decision as a deny."""
    if "decision" not in entry.entries:
        notes.add(entry, "a rule without `decision` was a deny")
        return "deny"
    word = reader.text(entry, "decision") or ""
    decision = _DECISIONS.get(word.strip().lower())
    if decision is None:
        notes.add(entry.value_of("decision"), f"the unknown decision `{word}` was a deny")
        return "deny"
    if decision != word:
        notes.add(entry.value_of("decision"), f"`{word}` is `{decision}` here")
    return decision


def converted_words(reader: Reader, entry: Mapping, body: dict[str, Any], notes: Notes) -> None:
    """Copy `reason` (or else `description`) and `severity` of a content rule."""
    for key in ("reason", "description"):
        text = reader.text(entry, key, most=None)
        if text and "reason" not in body:
            body["reason"] = text
            if key != "reason":
                notes.add(entry.key_of(key), f"`{key}` is `reason` here")
        elif text:
            notes.add(entry.key_of(key), f"{key}: {' '.join(text.split())}")
    if "severity" in entry.entries:
        body["severity"] = reader.text(entry, "severity") or ""


def converted_scope(reader: Reader, block: Mapping, notes: Notes) -> None:
    """Convert `tier` and `selector`: the widest tier is a file here; other values have no
    counterpart."""
    tier = reader.text(block, "tier")
    if tier in ("global", ""):
        notes.add(block.key_of("tier"), "`tier: global` is left out: there are no tiers")
    elif tier is not None:
        reader.problem(block.value_of("tier"), f"there is no tier `{tier}` here", _NO_TIERS)
    if "selector" in block.entries:
        key, value = block.entries["selector"]
        if plain_value(value):
            reader.problem(key, "there is no `selector` here", _NO_TIERS)
        else:
            notes.add(key, "an empty `selector` is left out")
