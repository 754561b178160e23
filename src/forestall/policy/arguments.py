"""`args`: compare a value of a JSON document with an operand. Never converts between types.

A path names one node (RFC 9535's singular queries: `$.a['b'][0]`), or with `[*]` the elements of a
list, of which a quantifier (`every`, `any`, `none`, `count`) says how many must meet a comparison.
The path `$` is the whole document, of which `only` says which members it may have.
A missing node makes a condition false (only `exists: false` holds). A value of another type than
the operand cannot be compared. That is a rule error, which denies: `{"amount": "10"}` must not slip
past `gt: 5`. An element that cannot be compared counts as unknown: the condition can be evaluated
only where the other elements settle it, whatever that element is.
"""

import math
import re
from collections.abc import Callable, Sequence
from enum import Enum
from functools import cache
from operator import ge, gt, le, lt
from typing import Any

import re2

from forestall.limits import (
    ARG_ELEMENTS_MAX,
    ARG_PATH_CHARS_MAX,
    LIST_ITEMS_PER_FIELD_MAX,
    PATTERN_BYTES_MAX,
)
from forestall.policy.globs import GlobError, compile_globs
from forestall.policy.rules import ArgCondition, Comparison, Operator


class Each(Enum):
    """The step `[*]`: every element of a list."""

    ELEMENT = "[*]"


EACH = Each.ELEMENT
Step = str | int | Each
Steps = tuple[Step, ...]
Check = Callable[[Any], bool]
_COMPARE: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.LT: lt,
    Operator.LE: le,
    Operator.GT: gt,
    Operator.GE: ge,
}
ORDERED = frozenset(_COMPARE)
QUANTIFIERS = frozenset({Operator.EVERY, Operator.ANY, Operator.NONE, Operator.COUNT})
MILLION = 1_000_000  # amounts are added up in millionths, as whole numbers
_STEP = (
    r"\.([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)"
    r"|\[(0|-?[1-9][0-9]{0,8}|\*)\]"
    r"|\['((?:[^'\\]|\\['\\])*)'\]"
    r'|\["((?:[^"\\]|\\["\\])*)"\]'
)
_MISSING = object()
_PATTERN_MEMORY_BYTES = 8 << 20


class ArgumentError(ValueError):
    """A condition is not well formed, or its value is of another type than its operand."""


@cache
def _step_pattern() -> re.Pattern[str]:
    """The pattern of one step. Compiling it takes longer than importing this module."""
    return re.compile(_STEP)


def parse_path(text: str) -> Steps:
    """The steps of a path; none for `$`, the whole document. Raises ArgumentError."""
    if len(text) > ARG_PATH_CHARS_MAX:
        raise ArgumentError(f"a path is at most {ARG_PATH_CHARS_MAX} characters long")
    if not text.startswith("$"):
        raise ArgumentError("a path begins with `$`, such as `$.amount`")
    step = _step_pattern()
    steps: list[Step] = []
    position = 1
    while position < len(text):
        found = step.match(text, position)
        if found is None:
            raise ArgumentError(
                f"`{text[position:][:20]}` is no step; use `.name`, `['name']`, `[0]`, `[*]`"
            )
        name, index, single, double = found.groups()
        quoted = single if single is not None else double
        if quoted is not None:
            steps.append(re.sub(r"\\(.)", r"\1", quoted))
        elif index == "*":
            steps.append(EACH)
        else:
            steps.append(int(index) if index is not None else name)
        position = found.end()
    return tuple(steps)


def names_of_only(condition: ArgCondition | Comparison) -> frozenset[str] | None:
    """The names that `only` lists; None for a condition by another operator."""
    return frozenset(condition.operand) if condition.operator is Operator.ONLY else None


def names_of_not_only(condition: ArgCondition | Comparison) -> frozenset[str] | None:
    """The names besides which `{not: {only: …}}` demands a member; None for another condition."""
    if condition.operator is not Operator.NOT:
        return None
    inner = [names_of_only(each) for each in condition.operand]
    return inner[0] if len(inner) == 1 else None


def compile_condition(condition: ArgCondition) -> Callable[[Any], bool]:
    """The test of a condition on a document.

    Raises ArgumentError for an operand of the wrong type. The test itself raises it for a value
    that cannot be compared with the operand; the message has the path and the type of the value.
    """
    path, operator = condition.path, condition.operator
    steps = parse_path(path)
    if (EACH in steps) is not (operator in QUANTIFIERS):
        words = ", ".join(f"`{word}`" for word in Operator if word in QUANTIFIERS)
        raise ArgumentError(f"a path with `[*]`, and no other path, takes one of {words}")
    if not steps and not _is_about_members(condition):
        raise ArgumentError(
            "`$` takes `only` or `{not: {only: […]}}`; any other operator compares a place inside"
            " the arguments, such as `$.amount`"
        )
    if operator in QUANTIFIERS:
        test = _elements_test(path, steps, condition)
    elif operator is Operator.EXISTS:
        return _exists(condition.operand, lambda document: _at(document, steps))
    else:
        test = _value_test(steps, condition)

    def holds(document: Any) -> bool:
        try:
            return test(document)
        except _TypeMismatchError as mismatch:
            raise ArgumentError(f"`{path}` {mismatch}") from mismatch

    return holds


def _is_about_members(condition: ArgCondition) -> bool:
    inner = condition.operand if condition.operator is Operator.NOT else (condition,)
    return isinstance(inner, tuple) and all(each.operator is Operator.ONLY for each in inner)


class _TypeMismatchError(Exception):
    """A value is of another type than a comparison takes. Names types, never the value, which is
    the client's and may be a secret."""


def _value_test(steps: Steps, condition: ArgCondition) -> Check:
    check = _check(condition.operator, condition.operand)
    if not steps:  # a request without any arguments has none that could be named, or not named
        return lambda document: document is not None and check(document)

    def holds(document: Any) -> bool:
        value = _at(document, steps)
        return value is not _MISSING and check(value)

    return holds


def _elements_test(path: str, steps: Steps, condition: ArgCondition) -> Check:
    """The test of a quantifier on the elements at a path; false when the list is missing."""
    first = steps.index(EACH)
    to_list, inside = steps[:first], steps[first:]
    quantify = _quantifier(condition.operator, condition.operand)

    def holds(document: Any) -> bool:
        whole = _at(document, to_list)
        if whole is _MISSING:
            return False
        elements = _elements(path, whole, inside)
        try:
            return quantify(elements)
        except _TypeMismatchError as mismatch:
            raise _TypeMismatchError(f"has an element that {mismatch}") from mismatch

    return holds


def compile_amount(path: str) -> Callable[[Any], int]:
    """The amount at a path of a document, in millionths, rounded up; of the elements of a list,
    their sum.

    Raises ArgumentError for a text that is no path. The function raises it for an amount that
    cannot be added up: it is missing, no number, negative, or not finite.
    """
    steps = parse_path(path)
    if not steps:
        raise ArgumentError("the path of an amount leads into the arguments, such as `$.amount`")
    first = steps.index(EACH) if EACH in steps else len(steps)
    to_list, inside = steps[:first], steps[first:]

    def amount(document: Any) -> int:
        try:
            whole = _at(document, to_list)
            return sum(map(_millionths, _elements(path, whole, inside)))
        except _TypeMismatchError as mismatch:
            raise ArgumentError(f"`{path}` {mismatch}") from mismatch

    return amount


def _millionths(value: Any) -> int:
    number = _require(value, "number")
    if not 0 <= number < math.inf:
        raise _TypeMismatchError("is negative or not finite where the rule adds up amounts")
    if isinstance(number, int):
        return number * MILLION
    from fractions import Fraction  # imported here: few policies add up fractions

    # `repr` gives the decimal fraction that was written: 0.1 is 100,000 millionths and no more.
    return math.ceil(Fraction(repr(number)) * MILLION)


def _elements(path: str, whole: Any, steps: Steps) -> list[Any]:
    """The nodes at a path from its `[*]` on; a missing node for an element without the place."""
    nodes = [whole]
    for step in steps:
        if step is not EACH:
            nodes = [_at(node, (step,)) for node in nodes]
            continue
        following: list[Any] = []
        for node in nodes:
            following.extend(_require(node, "list"))
            if len(following) > ARG_ELEMENTS_MAX:
                raise ArgumentError(f"`{path}` has more than {ARG_ELEMENTS_MAX} elements")
        nodes = following
    return nodes


def _quantifier(operator: Operator, operand: Any) -> Callable[[list[Any]], bool]:
    if not isinstance(operand, tuple) or not operand:
        raise ArgumentError(f"`{operator}` takes comparisons, such as `{{eq: 1}}`")
    if operator is Operator.COUNT:
        check = _every(_count_checks(operand))

        def count(elements: list[Any]) -> bool:
            if any(element is _MISSING for element in elements):
                raise _TypeMismatchError("is missing, so nothing is counted")
            return check(len(elements))

        return count
    check = _every([_check(each.operator, each.operand) for each in operand])
    if operator is Operator.EVERY:
        # An empty list proves nothing, so it lets no allow rule speak.
        return lambda elements: bool(elements) and _kleene_all(check, elements, True)
    if operator is Operator.ANY:
        return lambda elements: not _kleene_all(check, elements, False)
    return lambda elements: _kleene_all(check, elements, False)


def _count_checks(operand: Sequence[Comparison]) -> list[Check]:
    checks = [_check(each.operator, each.operand) for each in operand]
    try:
        if any(each.operator is Operator.EXISTS for each in operand):
            raise _TypeMismatchError
        for check in checks:
            check(0)
    except _TypeMismatchError:
        raise ArgumentError("`count` compares with whole numbers") from None
    return checks


def _every(checks: Sequence[Check]) -> Check:
    """The conjunction of checks. One that is false settles it, whatever the others do."""
    if len(checks) == 1:
        return checks[0]
    return lambda value: _kleene_all(lambda check: check(value), checks, True)


def _kleene_all(check: Check, items: Sequence[Any], expected: bool) -> bool:
    """Whether the check of every item gives the `expected` truth value, in three-valued logic: one
    that gives the other value settles it; else one that cannot be evaluated raises."""
    unknown: _TypeMismatchError | None = None
    for item in items:
        try:
            if check(item) is not expected:
                return False
        except _TypeMismatchError as mismatch:
            unknown = mismatch
    if unknown is not None:
        raise unknown
    return True


def _at(document: Any, steps: Steps) -> Any:
    value = document
    for step in steps:
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return _MISSING
            value = value[step]
        else:
            assert isinstance(step, int)  # `_elements` takes the steps `[*]`
            if not isinstance(value, list) or not -len(value) <= step < len(value):
                return _MISSING
            value = value[step]
    return value


def _exists(expected: Any, node_of: Callable[[Any], Any]) -> Check:
    if type(expected) is not bool:
        raise ArgumentError("`exists` is `true` or `false`")
    return lambda value: (node_of(value) is not _MISSING) is expected


def _check(operator: Operator, operand: Any) -> Check:
    """The check of one comparison on one node. It raises _TypeMismatchError."""
    if operator is Operator.EXISTS:
        return _exists(operand, lambda node: node)
    if operator is Operator.NOT:
        if not isinstance(operand, tuple) or not operand:
            raise ArgumentError("`not` takes comparisons, such as `{eq: 1}`")
        if any(each.operator in (Operator.NOT, Operator.EXISTS) for each in operand):
            raise ArgumentError("`not` turns a comparison of a value; write `exists: false`")
        negated = _every([_check(each.operator, each.operand) for each in operand])
        return lambda value: not negated(value)
    if operator in QUANTIFIERS:
        raise ArgumentError(f"`{operator}` stands directly under a path with `[*]`")
    if operator is Operator.EQ:
        kind = _kind(operand)
        return lambda value: bool(_require(value, kind) == operand)
    if operator is Operator.IN:
        return _membership(operand)
    if operator is Operator.ONLY:
        return _only(operand)
    if operator is Operator.GLOB:
        try:
            matches = compile_globs(_texts_operand(operand, operator))
        except GlobError as cause:
            raise ArgumentError(f"not a glob: {cause}") from cause
        return lambda value: matches(_require(value, "text"))
    if operator is Operator.MATCHES:
        if not isinstance(operand, str):
            raise ArgumentError("`matches` takes a text")
        pattern = compile_pattern(operand)
        return lambda value: pattern.fullmatch(_require(value, "text")) is not None
    return number_check(operator, operand)


def number_check(operator: Operator, operand: Any) -> Check:
    """The check of a comparison by size on a number."""
    if operator not in ORDERED or _kind(operand) != "number":
        raise ArgumentError(f"`{operator}` compares with a number")
    compare = _COMPARE[operator]
    return lambda value: compare(_require(value, "number"), operand)


def _membership(operand: Any) -> Check:
    if not isinstance(operand, (list, tuple)) or not operand:
        raise ArgumentError("`in` takes a list of values")
    kinds = {_kind(item) for item in operand}
    if len(kinds) != 1:
        raise ArgumentError("the values of `in` are all of one type")
    kind = kinds.pop()
    values = frozenset(operand)
    return lambda value: _require(value, kind) in values


def _only(operand: Any) -> Check:
    if not isinstance(operand, tuple) or not all(isinstance(name, str) for name in operand):
        raise ArgumentError("`only` takes a list of names, such as `[to, subject]`, or `[]`")
    if "" in operand:
        raise ArgumentError("`only` lists an empty name; leave it out")
    if len(operand) > LIST_ITEMS_PER_FIELD_MAX:
        raise ArgumentError(f"`only` lists at most {LIST_ITEMS_PER_FIELD_MAX} names")
    includes = frozenset(operand).issuperset
    return lambda value: includes(_require(value, "object"))


def _texts_operand(operand: Any, operator: Operator) -> tuple[str, ...]:
    texts = operand if isinstance(operand, tuple) else (operand,)
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ArgumentError(f"`{operator}` takes a text or a list of texts")
    return texts


def _kind(value: Any) -> str:
    """The type of a scalar in the words of the policy language."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number" if value == value else "not-a-number"
    if isinstance(value, str):
        return "text"
    if value is None:
        return "null"
    raise ArgumentError("a condition compares with a text, a number, true, false or null")


def _require(value: Any, kind: str) -> Any:
    """The value, which is of this kind. Raises _TypeMismatchError for any other."""
    if value is _MISSING:
        raise _TypeMismatchError(f"is missing where the rule wants {kind}")
    found = "object" if isinstance(value, dict) else "list" if isinstance(value, list) else None
    found = found or _kind(value)
    if found != kind:
        raise _TypeMismatchError(f"is of type {found} where the rule wants {kind}")
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
