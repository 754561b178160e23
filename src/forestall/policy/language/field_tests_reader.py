"""Read what a field or a label of a match says beyond a list of globs: `{in: […], not: […]}`, and
the size of a number in a label (`{gt: 100}`).

The list under `in` stays in the match, where the readers of globs find it. Everything else becomes
a field test. `not` is refused for fields of words and for what a client claims: there `unless` says
what is meant when the fact is left out.
"""

from collections.abc import Iterator

from forestall.policy.arguments import ORDERED, ArgumentError
from forestall.policy.field_tests import compile_field_test
from forestall.policy.language.document import Mapping, Node, Scalar, plain_value
from forestall.policy.language.literals import LITERAL_KEY, value_problem
from forestall.policy.language.reader import Reader
from forestall.policy.rules import LABEL_PREFIX, FieldTest, Operator

SPELLINGS = {"gte": Operator.GE, "lte": Operator.LE}  # other words for the same comparisons
_NEGATED_FIELDS = ("tenants", "topics", "capabilities", "actor_ids", "agents")
_LIST_KEYS = (Operator.IN.value, Operator.NOT.value)
_LABEL_KEYS = (*_LIST_KEYS, *sorted(ORDERED), *SPELLINGS)


def take_field_tests(reader: Reader, match: Mapping) -> tuple[FieldTest, ...]:
    """The field tests of a match, in the order of their fields. They are taken out of the document:
    what is left of each field is its list of globs, or nothing."""
    tests: list[FieldTest] = []
    for field in _NEGATED_FIELDS:
        tests.extend(_taken(reader, match, field, field, _LIST_KEYS))
    for section, keys in (("labels", _LABEL_KEYS), ("mcp", _LIST_KEYS)):
        node = match.entries.get(section, (None, None))[1]
        if not isinstance(node, Mapping) or not node.entries:
            continue
        for name in tuple(node.entries):
            if section == "labels":
                reader.note_label(node.key_of(name), name)
            tests.extend(_taken(reader, node, name, f"{section}.{name}", keys))
        if not node.entries:
            del match.entries[section]
    return tuple(sorted(tests, key=lambda test: test.field))


def _taken(
    reader: Reader, parent: Mapping, key: str, field: str, keys: tuple[str, ...]
) -> Iterator[FieldTest]:
    """The tests under one key of a match; the globs under `in` take the place of the mapping."""
    key_node, node = parent.entries.get(key, (None, None))
    if key_node is None or not isinstance(node, Mapping) or LITERAL_KEY in node.entries:
        return
    reader.known_keys(node, keys, f"`{field}`")
    if not node.entries:
        reader.problem(node, f"`{field}` is empty and would match everything", "leave it out")
    for word, (_, operand) in node.entries.items():
        if word in keys and word != Operator.IN:
            yield from _field_test(reader, node, field, word, operand)
    listed = node.entries.get(Operator.IN)
    if listed is not None:
        parent.entries[key] = (key_node, listed[1])
    else:
        del parent.entries[key]


def _field_test(
    reader: Reader, node: Mapping, field: str, word: str, operand: Node
) -> Iterator[FieldTest]:
    operator = SPELLINGS.get(word) or Operator(word)
    if operator is Operator.NOT:
        globs = reader.globs(node, word, one_allowed=True)
        for glob in globs if field.startswith(LABEL_PREFIX) else ():
            message, hint = value_problem(field.removeprefix(LABEL_PREFIX), glob)
            if message:
                reader.problem(operand, message, hint)
        if globs:
            yield FieldTest(field=field, operator=operator, operand=globs)
        return
    number = plain_value(operand) if isinstance(operand, Scalar) else None
    test = FieldTest(field=field, operator=operator, operand=number)
    try:
        compile_field_test(test)
    except ArgumentError as cause:
        reader.problem(operand, f"`{field}`: {cause}")
    else:
        yield test
