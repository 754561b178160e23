"""`args`: compare one value of a JSON document with one operand. Never converts between types.

A path names exactly one node (RFC 9535's singular queries: `$.a['b'][0]`), so that a condition
cannot hold of one node and fail of another. A missing node makes a condition false (only `exists:
false` holds). A value of another type than the operand is a rule error, which denies: `{"amount":
"10"}` must not slip past `gt: 5`.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import re2

from forestall.limits import ARG_PATH_CHARS_MAX, PATTERN_BYTES_MAX
from forestall.policy.globs import GlobError, compile_globs
from forestall.policy.rules import ArgCondition, Operator

Steps = tuple[str | int, ...]
_STEP = (
    r"\.([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)"
    r"|\[(0|-?[1-9][0-9]{0,8})\]"
    r"|\['((?:[^'\\]|\\['\\])*)'\]"
    r'|\["((?:[^"\\]|\\["\\])*)"\]'
)
_MISSING = object()
_PATTERN_MEMORY_BYTES = 8 << 20


class ArgumentError(ValueError):
    """A condition is not well formed, or its value is of another type than its operand."""


@cache
def _step_pattern() -> re.Pattern[str]:
    """The pattern of one step, compiled when the first path is read: compiling takes longer than
    importing this module."""
    return re.compile(_STEP)


def parse_path(text: str) -> Steps:
    """The steps of a singular path. Raises ArgumentError for anything else."""
    if len(text) > ARG_PATH_CHARS_MAX:
        raise ArgumentError(f"a path is at most {ARG_PATH_CHARS_MAX} characters long")
    if not text.startswith("$"):
        raise ArgumentError("a path begins with `$`, such as `$.amount`")
    step = _step_pattern()
    steps: list[str | int] = []
    position = 1
    while position < len(text):
        found = step.match(text, position)
        if found is None:
            raise ArgumentError(
                f"`{text[position:][:20]}` does not name one place; use `.name`, `['name']`, `[0]`"
            )
        name, index, single, double = found.groups()
        quoted = single if single is not None else double
        if quoted is not None:
            steps.append(re.sub(r"\\(.)", r"\1", quoted))
        else:
            steps.append(int(index) if index is not None else name)
        position = found.end()
    if not steps:
        raise ArgumentError("a path names a place inside the arguments, such as `$.amount`")
    return tuple(steps)


def compile_condition(condition: ArgCondition) -> Callable[[Any], bool]:
    """The test of a condition on a document.

    Raises ArgumentError for an operand of the wrong type. The test itself raises it for a value of
    another type than the operand.
    """
    steps = parse_path(condition.path)
    operand, operator = condition.operand, condition.operator
    if operator is Operator.EXISTS:
        if type(operand) is not bool:
            raise ArgumentError("`exists` is `true` or `false`")
        return lambda document: (_at(document, steps) is not _MISSING) is operand
    compare = _comparison(operator, operand)

    def holds(document: Any) -> bool:
        value = _at(document, steps)
        return value is not _MISSING and compare(value)

    return holds


def _at(document: Any, steps: Steps) -> Any:
    value = document
    for step in steps:
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return _MISSING
            value = value[step]
        else:
            if not isinstance(value, list) or not -len(value) <= step < len(value):
                return _MISSING
            value = value[step]
    return value


def _comparison(operator: Operator, operand: Any) -> Callable[[Any], bool]:
    if operator is Operator.EQ:
        kind = _kind(operand)
        return lambda value: _require(value, kind) == operand
    if operator is Operator.IN:
        return _membership(operand)
    if operator is Operator.GLOB:
        try:
            matches = compile_globs(_text_operand(operand, operator))
        except GlobError as cause:
            raise ArgumentError(f"not a glob: {cause}") from cause
        return lambda value: matches(_require(value, "text"))
    if operator is Operator.MATCHES:
        pattern = compile_pattern(_text_operand(operand, operator)[0])
        return lambda value: pattern.fullmatch(_require(value, "text")) is not None
    if _kind(operand) != "number":
        raise ArgumentError(f"`{operator}` compares with a number")
    if operator is Operator.LT:
        return lambda value: bool(_require(value, "number") < operand)
    if operator is Operator.LE:
        return lambda value: bool(_require(value, "number") <= operand)
    if operator is Operator.GT:
        return lambda value: bool(_require(value, "number") > operand)
    return lambda value: bool(_require(value, "number") >= operand)


def _membership(operand: Any) -> Callable[[Any], bool]:
    if not isinstance(operand, (list, tuple)) or not operand:
        raise ArgumentError("`in` takes a list of values")
    kinds = {_kind(item) for item in operand}
    if len(kinds) != 1:
        raise ArgumentError("the values of `in` are all of one type")
    kind = kinds.pop()
    values = frozenset(operand)
    return lambda value: _require(value, kind) in values


def _text_operand(operand: Any, operator: Operator) -> tuple[str]:
    if not isinstance(operand, str):
        raise ArgumentError(f"`{operator}` takes a text")
    return (operand,)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "text"
    if value is None:
        return "null"
    raise ArgumentError("a condition compares with a text, a number, true, false or null")


def _require(value: Any, kind: str) -> Any:
    found = "object" if isinstance(value, dict) else "list" if isinstance(value, list) else None
    found = found or _kind(value)
    if found != kind:
        # Only the type: the value is the client's and may be a secret.
        raise ArgumentError(f"an argument is of type {found} where the rule wants {kind}")
    return value


def compile_pattern(text: str) -> Any:
    """A linear-time pattern (RE2 syntax). Raises ArgumentError with the reason of RE2."""
    if len(text.encode("utf-8", "replace")) > PATTERN_BYTES_MAX:
        raise ArgumentError(f"a pattern is at most {PATTERN_BYTES_MAX} bytes long")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_MEMORY_BYTES
    try:
        return re2.compile(text, options)
    except re2.error as cause:
        why = cause.args[0].decode() if isinstance(cause.args[0], bytes) else str(cause.args[0])
        raise ArgumentError(f"not a pattern that RE2 takes: {why}") from cause
