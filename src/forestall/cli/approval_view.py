"""Render an approval for a terminal: exactly what would run. Asks nobody.

Agents write most of these texts. A terminal must obey nothing in them, and none may imitate a line
of ours: this module breaks every line, and marks the continuation of a long line.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from forestall.limits import RETRIES_DEFAULT
from forestall.visible import is_visible, visible

_NAME_COLUMNS = 15
_LEFT_OUT_WHEN_EMPTY = frozenset(
    {"requires", "tags", "risk tags", "pack", "tool call", "budget", "acts for", "first asked"}
)
_BAR, _ON = "  | ", "  : "  # mark of a line of a text, and mark of its continuation


def rendered(context: Mapping[str, Any], *, width: int) -> str:
    """A whole approval. What runs comes first; what is decided comes last, next to the question."""
    lines = [
        *_withheld(context, width),
        *_payload(context["job_input"], width),
        *_conditions(context, width),
        *_asked(context, width),
    ]
    for warning in _warnings(context):
        lines += _row("!", warning, width)
    return "\n".join(lines)


def _withheld(context: Mapping[str, Any], width: int) -> Iterator[str]:
    if context.get("payload_withheld"):
        yield from _row("!", "payload and labels are not shown: no `payloads.read`", width)


def _payload(job_input: Any, width: int) -> Iterator[str]:
    rest = job_input
    if isinstance(job_input, dict) and isinstance(job_input.get("prompt"), str):
        prompt = job_input["prompt"]
        rest = {key: value for key, value in job_input.items() if key != "prompt"}
        if prompt:
            yield f"prompt ({len(prompt)} characters)"
            yield from _block(prompt, width)
    if rest and rest != {"context": None}:
        text = _json(rest)
        yield f"payload ({len(text)} characters as JSON)"
        yield from _block(text, width)


def _conditions(context: Mapping[str, Any], width: int) -> Iterator[str]:
    for name in ("constraints", "facts"):
        if context.get(name):
            yield f"{name}"
            yield from _block(_json(context[name]), width)


def _asked(context: Mapping[str, Any], width: int) -> Iterator[str]:
    approval, runs = context["approval"], context["will_run"]
    yield f"approval {visible(approval['job_id'])}: {visible(approval['approval_status'])}"
    rows: list[tuple[str, str]] = [
        ("topic", runs["topic"]),
        ("capability", runs["capability"] or "none"),
        ("requires", ", ".join(runs["requires"])),
        ("tags", ", ".join(runs["tags"])),
        ("risk tags", ", ".join(runs["risk_tags"])),
        *(("label", f"{name}={value}") for name, value in runs["labels"].items()),
        ("pack", runs["pack_id"]),
        ("tool call", _json_line(runs["tool_call"])),
        ("budget", _json_line(runs["budget"])),
        ("retries", _retries(runs)),
        ("asked by", runs["principal"]),
        ("acts for", "" if runs["actor_id"] == runs["principal"] else runs["actor_id"]),
        ("rule", approval["policy_rule_id"] or "none (the default)"),
        ("why", approval["policy_reason"]),
        *(
            ("rests on", f"{each['kind']} {each['name']}, revision {each['revision']}")
            for each in context["registry"]
        ),
        ("who approves", "; ".join(map(_demand, approval["demands"]))),
        *(("voted", _vote(vote)) for vote in approval["votes"]),
        *(("asked again", change) for change in approval["changes"]),
        ("first asked", approval["first_asked_at"] if approval["changes"] else ""),
        ("time left", _duration(context["time_remaining_ms"] // 1_000)),
        ("policy", context["policy_snapshot"]),
        ("job hash", context["job_hash"]),
    ]
    for name, text in rows:
        if text or name not in _LEFT_OUT_WHEN_EMPTY:
            yield from _row(name, text, width)


def _retries(runs: Mapping[str, Any]) -> str:
    """How often the job may run again; without a value of its own, the server's default."""
    most = RETRIES_DEFAULT if runs["max_retries"] is None else runs["max_retries"]
    return f"{most}{' (idempotent)' if runs['idempotent'] else ''}"


def _warnings(context: Mapping[str, Any]) -> Iterator[str]:
    texts = list(_texts({**context, "drift": []}))
    hidden = sum(not is_visible(char) and char != "\n" for text in texts for char in text)
    if hidden:
        yield f"{hidden} characters that would hide or reorder text stand as <U+…>"
    if any(unicodedata.bidirectional(char) in ("R", "AL") for text in texts for char in text):
        yield "right-to-left letters: your terminal may show words in another order"
    for drift in context["drift"]:
        yield f"changed since it was asked: {drift}"
    if context["drift"]:
        yield "it cannot be approved as it stands; whoever asked can ask again (`repair`)"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _demand(demand: Mapping[str, Any]) -> str:
    count, roles = demand["quorum"], demand["roles"]
    if not roles:
        return "any one person but the requester" if count == 1 else f"any {count} people"
    return f"{count} with the role {' or '.join(roles)}"


def _vote(vote: Mapping[str, Any]) -> str:
    reasons = "; ".join(text for text in (vote["reason"], vote["note"]) if text)
    return f"{vote['principal']}: {vote['decision']}" + (f" ({reasons})" if reasons else "")


def _duration(seconds: int) -> str:
    if seconds <= 0:
        return "none"
    hours, minutes = seconds // 3_600, seconds % 3_600 // 60
    if hours >= 48:
        return f"{hours // 24} days"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def _row(name: str, text: str, width: int) -> Iterator[str]:
    first = f"  {name}".ljust(_NAME_COLUMNS)
    on = _ON.rjust(_NAME_COLUMNS)
    for number, part in enumerate(_parts(visible(text), width - _NAME_COLUMNS)):
        yield (on if number else first) + part


def _block(text: str, width: int) -> Iterator[str]:
    for line in text.split("\n"):
        for number, part in enumerate(_parts(visible(line), width - len(_BAR))):
            yield (_ON if number else _BAR) + part


def _parts(line: str, width: int) -> Iterator[str]:
    """A line cut to the width of the screen: at least one part."""
    part, used = "", 0
    for char in line:
        columns = 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if used + columns > width and part:
            yield part
            part, used = "", 0
        part += char
        used += columns
    yield part


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _json_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value else ""
