"""What one payload may cost: the texts of a payload share the bounds of one text."""

from typing import Any

import pytest

from forestall.facts.derive import (
    FIELDS_OF_KIND,
    Derivation,
    PayloadKind,
    derive,
    reading_of,
)
from forestall.facts.payload import TooMuchToDeriveError
from forestall.facts.sql.statements import TOKENS_MAX, ParsedSql, statements_in
from forestall.limits import PARSED_CHARS_MAX


def _views(kind: PayloadKind, payload: Any) -> object:
    derivation = Derivation(kind=kind, topics=("*",), fields=FIELDS_OF_KIND[kind])
    return derive(reading_of(derivation), payload.items())


@pytest.mark.parametrize(
    ("kind", "field"), [(PayloadKind.SQL, "queries"), (PayloadKind.SHELL, "commands")]
)
def test_many_long_texts_are_too_much(kind: PayloadKind, field: str) -> None:
    """One megabyte of queries once took twenty seconds."""
    texts = [f"select {number} + " + "a + " * 2_000 + "1" for number in range(40)]
    assert sum(map(len, texts)) > PARSED_CHARS_MAX
    with pytest.raises(TooMuchToDeriveError):
        _views(kind, {"prompt": "", "context": {field: texts}})


def test_one_text_twice_is_one_text() -> None:
    text = "select " + "a + " * 15_000 + "1"
    payload = {"prompt": text, "context": {"query": text, "queries": [text] * 9}}
    assert _views(PayloadKind.SQL, payload)


def test_queries_share_the_tokens_of_a_payload() -> None:
    """What is parsed after the bound is unknown, never safe."""
    parsed = ParsedSql()
    long = "select " + " + ".join(["a"] * 1_500)
    seen = [statements_in(f"{long} + {number}", parsed=parsed) for number in range(5)]
    kinds = [{kind for one in each for kind in one.classes} for each in seen]
    assert parsed.tokens > TOKENS_MAX
    assert "unknown" in kinds[-1]
    alone = statements_in(f"{long} + 4")
    assert kinds[0] == {kind for one in alone for kind in one.classes}
