"""What the conversion writes with: values as YAML, literal globs, names, comments."""

import json
import re
from typing import Any

from forestall.policy.document import Mapping, Node
from forestall.policy.reader import Reader

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
_BARE = re.compile(r"[a-z_]+")


class Notes:
    """Comments about one rule (or the head of the file), each with the line it came from."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, node: Node, text: str) -> None:
        """Note a change."""
        said = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
        self.lines.append(f"line {node.line}: {said}")


def yaml_flow(value: Any) -> str:
    """A value as YAML on one line; every text is quoted."""
    if isinstance(value, dict):
        pairs = (f"{_key(key)}: {yaml_flow(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(yaml_flow(item) for item in value) + "]"
    if isinstance(value, str):
        return _quoted(value)
    return json.dumps(value)


def _key(text: str) -> str:
    """A key of ours stays bare; any other text is quoted."""
    return (
        text if _BARE.fullmatch(text) and text not in ("null", "true", "false") else _quoted(text)
    )


def _quoted(text: str) -> str:
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else _escaped(char) for char in plain)


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def literal_glob(text: str) -> str:
    """The glob that matches exactly this text."""
    return re.sub(r"([*?\[])", r"[\1]", text)


def rule_id_of(reader: Reader, entry: Mapping, notes: Notes) -> str:
    """The id of a rule, or one made from its line; ids are names here."""
    written = reader.text(entry, "id", most=None) if "id" in entry.entries else None
    if not written:
        notes.add(entry, "the rule had no `id`")
        return f"line-{entry.line}"
    if _NAME.fullmatch(written):
        return written
    name = re.sub(r"[^A-Za-z0-9._:/-]", "-", written).lstrip("._:/-")[:128] or f"line-{entry.line}"
    notes.add(entry.entries["id"][1], f"the id was `{written}`, which is not a name")
    return name
