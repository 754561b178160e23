"""Input schemas: bounded before they are stored, linear when they are used."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.jobs.schemas import InputSchema, SchemaInvalidError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "$ref",
                    "allOf",
                    "not",
                    "items",
                    "properties",
                    "a",
                    "type",
                    "pattern",
                    "$defs",
                    "if",
                ]
            ),
            inner | st.sampled_from(["#", "#/a", "#/$defs/a", "object"]),
            max_size=4,
        )
    ),
    max_leaves=25,
)


def compiled(schema: Any) -> InputSchema:
    return InputSchema(msgspec.json.encode(schema), schema)


def refusal(schema: Any) -> str:
    with pytest.raises(SchemaInvalidError) as caught:
        compiled(schema)
    return caught.value.message


def test_a_hostile_pattern_takes_linear_time() -> None:
    """What keeps a backtracking engine busy for ever is over at once."""
    schema = compiled({"pattern": "^(a+)+$"})
    started = time.perf_counter()
    assert schema.violations("a" * 100_000 + "b", size_bytes=1)
    assert time.perf_counter() - started < 1


def test_schemas_that_look_at_one_place_for_ever() -> None:
    """Doubling by references, by recursion and by looking again at neighbours."""
    chain: dict[str, Any] = {
        f"d{number}": {"allOf": [{"$ref": f"#/$defs/d{number + 1}"}] * 2} for number in range(30)
    }
    assert "too often" in refusal({"$defs": {**chain, "d30": {}}, "$ref": "#/$defs/d0"})
    twice = {"properties": {"a": {"allOf": [{"$ref": "#/$defs/x"}, {"$ref": "#/$defs/x"}]}}}
    assert "too often" in refusal({"$defs": {"x": twice}, "$ref": "#/$defs/x"})
    again: dict[str, Any] = {}
    for _ in range(12):
        again = {"allOf": [again], "unevaluatedProperties": False}
    assert "too often" in refusal(again)
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"not": deep}
    assert "deep" in refusal(deep)


def test_a_reference_that_never_goes_down_never_ends() -> None:
    for schema in (
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}]},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    ):
        assert "never ends" in refusal(schema)


def test_ordinary_schemas_are_taken() -> None:
    """Trees, lists and names that look like keywords."""
    node = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "v": {"type": "integer"}}}
    tree = compiled({**node, "additionalProperties": False})
    assert tree.violations({"left": {"v": 1}, "right": {"left": {"v": "x"}}}, size_bytes=9) == (
        "`/right/left/v` breaks `#/properties/v/type`",
    )
    assert not tree.violations({"left": {"right": {}}}, size_bytes=9)
    names = compiled({"properties": {"$ref": {"type": "string"}, "allOf": {"const": {"$ref": 1}}}})
    assert names.violations({"$ref": 1}, size_bytes=9)
    compiled({"properties": {f"p{number}": {"type": "string"} for number in range(500)}})
    compiled({"$schema": "https://json-schema.org/draft/2020-12/schema", "format": "email"})
    assert compiled(False).violations(1, size_bytes=1)


@given(JSON, JSON)
def test_any_json_is_a_schema_or_refused_and_never_slow(value: Any, payload: Any) -> None:
    """Any JSON gives an InputSchema or a SchemaInvalidError, and a verdict soon."""
    started = time.perf_counter()
    try:
        schema = compiled(value)
    except SchemaInvalidError:
        return
    schema.violations(payload, size_bytes=1)
    assert time.perf_counter() - started < 2
