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
# The keywords of JSON Schema 2020-12 by what they hold. Schemas under a `_HERE` keyword examine the
# same place as the schema around them, the others its members or its items.
_HERE = ("not", "if", "then", "else")
_HERE_LISTS = ("allOf", "anyOf", "oneOf")
_HERE_MAPS = ("dependentSchemas",)
_MEMBERS = ("additionalProperties", "unevaluatedProperties", "propertyNames")
_ITEMS = ("items", "contains", "unevaluatedItems")
_SCHEMAS = (*_HERE, *_MEMBERS, *_ITEMS)  # each holds one schema
_LISTS_OF_SCHEMAS = (*_HERE_LISTS, "prefixItems")
_DEFINITIONS = ("$defs", "definitions")
_MAPS_OF_SCHEMAS = (*_HERE_MAPS, "properties", "patternProperties", *_DEFINITIONS)
# These hold no schemas.
_ANNOTATIONS = (
    *("$schema", "$id", "$ref", "$comment", "title", "description", "default", "deprecated"),
    *("readOnly", "writeOnly", "examples"),
)
_ASSERTIONS = (
    *("type", "enum", "const", "format"),
    *("multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"),
    *("maxLength", "minLength", "pattern"),
    *("maxItems", "minItems", "uniqueItems", "maxContains", "minContains"),
    *("maxProperties", "minProperties", "required", "dependentRequired"),
)
_KEYWORDS = frozenset(
    (*_SCHEMAS, *_LISTS_OF_SCHEMAS, *_MAPS_OF_SCHEMAS, *_ANNOTATIONS, *_ASSERTIONS)
)
_PATTERN_COST = 100
_COMPARISONS_PER_SCHEMA = 16  # so many plain comparisons cost as much as one schema
_NOT_COMPUTED, _BEING_COMPUTED = -1, -2  # in the place of a cost
_UNEVALUATED_COST = 4  # the keyword examines everything beside it again, as does each one above


class SchemaShapeError(ValueError):
    """The schema contains a keyword or form that is not allowed; `place` is its path in the
    schema."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


class _SchemaNode(NamedTuple):
    """One schema of the document, with the numbers of the schemas that examine the same place and
    the places below it."""

    place: str
    cost: int  # of its own keywords
    factor: int  # how often schemas for the same place are evaluated
    here: list[int]
    properties: list[int]  # under distinct names: a member meets one of them
    members: list[int]  # a member may meet all of them
    prefixes: list[int]  # at distinct positions: an item meets one of them
    items: list[int]  # an item may meet all of them


def require_bounded(schema: Any) -> None:
    """Require that the cost of the schema is bounded. Raises SchemaShapeError."""
    document = _Document(schema)
    document.read()
    document.require_cheap()


class _Document:
    """The schemas of one document, as a graph of numbered nodes."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._nodes: list[_SchemaNode] = []
        self._numbers: dict[int, int] = {}  # id() of an object of the document → number of its node

    def read(self) -> None:
        self._node(self._root, "#", 0)

    def _node(self, schema: Any, place: str, depth: int) -> int:
        if not isinstance(schema, dict):
            if not isinstance(schema, bool):
                raise SchemaShapeError("a schema is an object, true or false", place)
            self._nodes.append(_SchemaNode(place, 0, 1, [], [], [], [], []))
            return len(self._nodes) - 1
        earlier = self._numbers.get(id(schema))
        if earlier is not None:
            return earlier
        if len(self._nodes) >= SCHEMA_NODES_MAX:
            raise SchemaShapeError(f"more than {SCHEMA_NODES_MAX} schemas in one", place)
        if depth > SCHEMA_DEPTH_MAX:
            raise SchemaShapeError(f"more than {SCHEMA_DEPTH_MAX} schemas deep", place)
        _require_keywords(schema, place)
        node = _SchemaNode(place, _own_cost(schema), _factor(schema), [], [], [], [], [])
        self._nodes.append(node)
        number = self._numbers[id(schema)] = len(self._nodes) - 1
        self._children(schema, node, depth + 1)
        if "$ref" in schema:
            target, where = self._target(schema["$ref"], place)
            node.here.append(self._node(target, where, depth + 1))
        return number

    def _children(self, schema: dict[str, Any], node: _SchemaNode, depth: int) -> None:
        """Read the schemas inside a schema, and add their numbers to its node."""
        by_keyword = {"properties": node.properties, "prefixItems": node.prefixes}
        for name in schema:
            place = f"{node.place}/{name}"
            if name in _MAPS_OF_SCHEMAS:
                pairs = _mapped(schema[name], place)
            elif name in _LISTS_OF_SCHEMAS:
                pairs = _listed(schema[name], place)
            elif name in _SCHEMAS:
                pairs = [(place, schema[name])]
            else:
                continue
            children = [self._node(child, where, depth) for where, child in pairs]
            if name in _DEFINITIONS:
                continue
            if name in _ITEMS:
                node.items.extend(children)
            elif name in _MEMBERS or name == "patternProperties":
                node.members.extend(children)
            else:
                by_keyword.get(name, node.here).extend(children)

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
        """Require that the root is cheap along the worst path, for deeper and deeper payloads.

        The cost of a node rests on the costs of the nodes one level further down. They are computed
        for payloads of one level, then of two, until nothing changes or a payload cannot be deeper.
        """
        below = [0] * len(self._nodes)
        for _ in range(JSON_DEPTH_MAX + 1):
            costs = self._costs(below)
            if costs == below:
                return
            below = costs

    def _costs(self, below: list[int]) -> list[int]:
        """The cost of each node, given the costs of the nodes one level further down."""
        costs = [_NOT_COMPUTED] * len(self._nodes)
        for number in range(len(self._nodes)):
            self._cost(number, below, costs)
        return costs

    def _cost(self, number: int, below: list[int], costs: list[int]) -> int:
        if costs[number] >= 0:
            return costs[number]
        node = self._nodes[number]
        if costs[number] == _BEING_COMPUTED:
            raise SchemaShapeError("a `$ref` leads back here and never ends", node.place)
        costs[number] = _BEING_COMPUTED
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


def _require_keywords(schema: dict[str, Any], place: str) -> None:
    for name in schema:
        if name not in _KEYWORDS:
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
            cost += len(value) // _COMPARISONS_PER_SCHEMA
    return cost


def _factor(schema: dict[str, Any]) -> int:
    """How often the schemas for the same place are evaluated."""
    repeats = "unevaluatedProperties" in schema or "unevaluatedItems" in schema
    return _UNEVALUATED_COST if repeats else 1


def _mapped(value: Any, place: str) -> list[tuple[str, Any]]:
    """The schemas of an object of schemas, each with its place."""
    if not isinstance(value, dict):
        raise SchemaShapeError("this is an object of schemas", place)
    return [(f"{place}/{name[:64]}", child) for name, child in value.items()]


def _listed(value: Any, place: str) -> list[tuple[str, Any]]:
    """The schemas of a list of schemas, each with its place."""
    if not isinstance(value, list):
        raise SchemaShapeError("this is a list of schemas", place)
    return [(f"{place}/{number}", child) for number, child in enumerate(value)]
