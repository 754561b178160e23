"""Canonical JSON agrees with an independent RFC 8785 implementation, or refuses."""

import math
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from forestall.canonical import canonical_bytes, digest
from forestall.errors import InvalidRequestError
from forestall.limits import INTEGER_MAX

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(max_codepoint=0xD7FF))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_equals_the_independent_implementation(value: Any) -> None:
    assert canonical_bytes(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        math.nan,
        2**53,
        -(2**53),
        "\ud800",
        {"\ue000": 1},
        {"\U0001f600": 1},
        {1: "a"},
        b"bytes",
        {"a": {"b": [0.5]}},
    ],
)
def test_refuses_what_has_no_single_form(value: Any) -> None:
    with pytest.raises(InvalidRequestError):
        canonical_bytes(value)


def test_refuses_endless_nesting() -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(InvalidRequestError):
        canonical_bytes(deep)


def test_domains_do_not_run_into_each_other() -> None:
    assert digest("job", b"x") != digest("payload", b"x")
    assert digest("a", b"bc") != digest("ab", b"c")
