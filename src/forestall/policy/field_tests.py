"""Field tests: conditions on one field or label that no posting of the index expresses.

`not` holds when the fact is there and none of the globs matches it: an absent fact meets no
condition, also none that is negated. A comparison by size reads the text of a label as a decimal
number; a text that is no such number cannot be compared, which is a rule error.
"""

import re
from collections.abc import Callable, Sequence

from forestall.policy.arguments import ArgumentError, number_check
from forestall.policy.fields import FIELDS, Labels
from forestall.policy.globs import compile_globs
from forestall.policy.request import Request
from forestall.policy.rules import FieldTest, Operator

_VALUES = {field.name: field.values for field in FIELDS}
# Few digits, so that a fraction is exact enough and a whole number is exact.
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)
FieldCheck = Callable[[Request, Labels], bool]


def values_of(test: FieldTest, request: Request, labels: Labels) -> Sequence[str]:
    """What the request has in the field or label of a test; empty when the fact is absent."""
    label = test.label
    if not label:
        return _VALUES[test.field](request)
    value = labels.get(label)
    return () if value is None else (value,)


def compile_field_test(test: FieldTest) -> FieldCheck:
    """The check of a test on a request under one label view.

    Raises ArgumentError for an operand of the wrong type. The check raises it for a label whose
    text is no number.
    """
    if test.operator is Operator.NOT:
        matches = compile_globs(test.operand)

        def differs(request: Request, labels: Labels) -> bool:
            values = values_of(test, request, labels)
            return bool(values) and not any(matches(value) for value in values)

        return differs
    check = number_check(test.operator, test.operand)

    def compares(request: Request, labels: Labels) -> bool:
        values = values_of(test, request, labels)
        return bool(values) and check(_number(values[0], test.field))

    return compares


def _number(text: str, field: str) -> int | float:
    """The number that a text spells. Raises ArgumentError; the text may be a secret."""
    if not isinstance(text, str) or _NUMBER.fullmatch(text) is None:
        raise ArgumentError(f"`{field}` is a text that is no number where the rule wants a number")
    return float(text) if "." in text else int(text)
