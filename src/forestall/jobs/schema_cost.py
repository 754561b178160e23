"""The cost of a JSON schema: how often it examines one place of a payload. Compiles nothing.

The walk knows which keywords hold schemas, so that a property named `$ref` is no reference. Cost is
counted along one path into a payload: schemas for the same place add up; schemas of different
properties never meet. A recursive schema is followed as deep as a payload can be.
"""

from typing import Any, NamedTuple

from forestall.limits import (
    JSON_DEPTH_MAX,
    PATTERN_BYTES_MAX,
    SCHEMA_COST_MAX,
    SCHEMA_DEPTH_MAX,
    SCHEMA_NODES_MAX,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_HERE = ("not", "if", "then", "else")
_HERE_LISTS = ("allOf", "anyOf", "oneOf")
_HERE_MAPS = ("dependentSchemas",)
_MEMBERS = ("additionalProperties", "unevaluatedProperties", "propertyNames")
_ITEMS = ("items", "contains", "unevaluatedItems")
_LISTS = (*_HERE_LISTS, "prefixItems")
_MAPS = (*_HERE_MAPS, "properties", "patternProperties", "$defs", "definitions")
_SCHEMAS = (*_HERE, *_MEMBERS, *_ITEMS)
_WORDS = (
    "$schema",
    "$id",
    "$ref",
    "$comment",
    "title",
    "description",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "examples",
)
_VALUES = ("type", "enum", "const")
_NUMBERS = ("multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum")
_TEXTS = ("maxLength", "minLength", "pattern")
_COUNTS = ("maxItems", "minItems", "uniqueItems", "maxContains", "minContains")
_OBJECTS = ("maxProperties", "minProperties", "required", "dependentRequired", "format")
_PLAIN = (*_WORDS, *_VALUES, *_NUMBERS, *_TEXTS, *_COUNTS, *_OBJECTS)
_KNOWN = frozenset((*_PLAIN, *_LISTS, *_MAPS, *_SCHEMAS))
_PATTERN_COST = 100
_MANY = 16  # this many plain comparisons count as one schema
_UNEVALUATED_COST = 4  # the keyword examines everything beside it again, as does each one above


class SchemaShapeError(ValueError):
    """The schema contains a keyword or form that is not allowed; `place` is its path in the
    schema."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


class _SchemaNode(NamedTuple):
    """One schema of the document, with the schemas that examine the same place and the places
    below."""

    place: str
    cost: int
    factor: int  # how often schemas for the same place are evaluated
    here: list[int]
    properties: list[int]  # under distinct names: a value meets one of them
    members: list[int]  # a value may meet all of them
    prefixes: list[int]
    items: list[int]


def require_bounded(schema: Any) -> None:
    """Require that the cost of the schema is bounded. Raises SchemaShapeError."""
    document = _Document(schema)
    document.read()
    document.require_cheap()


class _Document:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._nodes: list[_SchemaNode] = []
        self._known: dict[int, int] = {}  # id of an object of the document → number of its node

    def read(self) -> None:
        self._node(self._root, "#", 0)

    def _node(self, schema: Any, place: str, depth: int) -> int:
        if not isinstance(schema, dict):
            if not isinstance(schema, bool):
                raise SchemaShapeError("a schema is an object, true or false", place)
            self._nodes.append(_SchemaNode(place, 0, 1, [], [], [], [], []))
            return len(self._nodes) - 1
        earlier = self._known.get(id(schema))
        if earlier is not None:
            return earlier
        if len(self._nodes) >= SCHEMA_NODES_MAX:
            raise SchemaShapeError(f"more than {SCHEMA_NODES_MAX} schemas in one", place)
        if depth > SCHEMA_DEPTH_MAX:
            raise SchemaShapeError(f"more than {SCHEMA_DEPTH_MAX} schemas deep", place)
        _require_known(schema, place)
        node = _SchemaNode(place, _own_cost(schema), _factor(schema), [], [], [], [], [])
        self._nodes.append(node)
        number = self._known[id(schema)] = len(self._nodes) - 1
        self._children(schema, node, depth + 1)
        if "$ref" in schema:
            target, where = self._target(schema["$ref"], place)
            node.here.append(self._node(target, where, depth + 1))
        return number

    def _children(self, schema: dict[str, Any], node: _SchemaNode, depth: int) -> None:
        homes = {"properties": node.properties, "prefixItems": node.prefixes}
        for name in schema:
            place = f"{node.place}/{name}"
            if name in _MAPS:
                pairs = _pairs(schema[name], place)
            elif name in _LISTS:
                pairs = _listed(schema[name], place)
            elif name in _SCHEMAS:
                pairs = [(place, schema[name])]
            else:
                continue
            children = [self._node(child, where, depth) for where, child in pairs]
            if name in ("$defs", "definitions"):
                continue
            if name in _ITEMS:
                home = node.items
            elif name in _MEMBERS or name == "patternProperties":
                home = node.members
            else:
                home = homes.get(name, node.here)
            home.extend(children)

    def _target(self, reference: Any, place: str) -> tuple[Any, str]:
        """The schema that a reference names, which must be in this document."""
        if not isinstance(reference, str) or (reference != "#" and reference[:2] != "#/"):
            raise SchemaShapeError("a `$ref` is `#` or begins with `#/`: nothing is fetched", place)
        target = self._root
        for step in reference.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and name in target and "%" not in name:
                target = target[name]
            elif isinstance(target, list) and name.isascii() and name.isdecimal():
                if int(name[:9]) >= len(target):
                    raise SchemaShapeError("a `$ref` points at nothing", place)
                target = target[int(name[:9])]
            else:
                raise SchemaShapeError("a `$ref` points at nothing", place)
        return target, reference

    def require_cheap(self) -> None:
        """Require that the root is cheap along the worst path, for deeper and deeper payloads."""
        below = [0] * len(self._nodes)
        for _ in range(JSON_DEPTH_MAX + 1):
            costs = self._costs(below)
            if costs == below:
                return
            below = costs

    def _costs(self, below: list[int]) -> list[int]:
        """The cost of each node, given the costs of the nodes one level further down."""
        costs: list[int] = [-1] * len(self._nodes)  # -1: not computed; -2: being computed
        for number in range(len(self._nodes)):
            self._cost(number, below, costs)
        return costs

    def _cost(self, number: int, below: list[int], costs: list[int]) -> int:
        if costs[number] >= 0:
            return costs[number]
        node = self._nodes[number]
        if costs[number] == -2:
            raise SchemaShapeError("a `$ref` leads back here and never ends", node.place)
        costs[number] = -2
        here = sum(self._cost(child, below, costs) for child in node.here)
        members = _worst(node.properties, below) + sum(below[child] for child in node.members)
        items = _worst(node.prefixes, below) + sum(below[child] for child in node.items)
        cost = node.cost + here * node.factor + max(members, items)
        if cost > SCHEMA_COST_MAX:
            raise SchemaShapeError(
                f"it looks at one place of a payload too often (more than {SCHEMA_COST_MAX} times)",
                node.place,
            )
        costs[number] = cost
        return cost


def _worst(children: list[int], below: list[int]) -> int:
    return max((below[child] for child in children), default=0)


def _require_known(schema: dict[str, Any], place: str) -> None:
    for name in schema:
        if name not in _KNOWN:
            raise SchemaShapeError(
                f"`{name[:64]}` is no keyword that is enforced; leave it out or correct it", place
            )
    if schema.get("$schema", DIALECT).rstrip("#") != DIALECT:
        raise SchemaShapeError(f"`$schema` is {DIALECT} or left out", place)
    if "$id" in schema and place != "#":
        raise SchemaShapeError("only the whole document may have an `$id`", place)
    patterns = [schema["pattern"]] if "pattern" in schema else []
    if isinstance(schema.get("patternProperties"), dict):
        patterns += schema["patternProperties"]
    for pattern in patterns:
        if isinstance(pattern, str) and len(pattern.encode()) > PATTERN_BYTES_MAX:
            raise SchemaShapeError(f"a pattern is longer than {PATTERN_BYTES_MAX} bytes", place)


def _own_cost(schema: dict[str, Any]) -> int:
    """The cost of the keywords of one schema, without the schemas inside."""
    cost = 1
    for name, value in schema.items():
        if name == "pattern":
            cost += _PATTERN_COST
        elif name == "patternProperties" and isinstance(value, dict):
            cost += _PATTERN_COST * len(value)
        elif isinstance(value, dict | list):
            cost += len(value) // _MANY
    return cost


def _factor(schema: dict[str, Any]) -> int:
    again = "unevaluatedProperties" in schema or "unevaluatedItems" in schema
    return _UNEVALUATED_COST if again else 1


def _pairs(value: Any, place: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise SchemaShapeError("this is an object of schemas", place)
    return [(f"{place}/{name[:64]}", child) for name, child in value.items()]


def _listed(value: Any, place: str) -> list[tuple[str, Any]]:
    if not isinstance(value, list):
        raise SchemaShapeError("this is a list of schemas", place)
    return [(f"{place}/{number}", child) for number, child in enumerate(value)]
