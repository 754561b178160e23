"""What one payload may cost: the texts of a payload share the bounds of one text."""

from typing import Any

import pytest

from forestall.facts.derive import (
    DERIVED_LABELS,
    FIELDS_OF_KIND,
    Derivation,
    LabelView,
    PayloadKind,
    derive,
    reading_of,
)
from forestall.facts.payload import TooMuchToDeriveError
from forestall.facts.sql.statements import TOKENS_MAX, ParsedSql, statements_in
from forestall.limits import PARSED_CHARS_MAX


def _views(
    kind: PayloadKind, payload: Any, labels: frozenset[str] = DERIVED_LABELS
) -> tuple[LabelView, ...]:
    derivation = Derivation(kind=kind, topics=("*",), fields=FIELDS_OF_KIND[kind])
    return derive(reading_of(derivation), payload.items(), labels)


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


MANY_HOSTS = " ".join(f"http://10.0.0.{number}" for number in range(100))
MANY_COMMANDS = "; ".join(f"program{number}" for number in range(300))
MANY_DELETIONS = "; ".join(f"kubectl delete pod p{number}" for number in range(300))
MANY_FILES = [f"{number}.txt" for number in range(100)]
MANY_STATEMENTS = ";".join(f"SELECT * FROM t{number}" for number in range(100))


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (PayloadKind.URL, f"{MANY_HOSTS} http://evil.example.com"),
        (PayloadKind.URL, f"{MANY_HOSTS} http://evil.example.com \u200b"),
        (PayloadKind.PATH, [*MANY_FILES, "package.json"]),
        (PayloadKind.PATH, [*MANY_FILES, "package.json", "$X"]),
        (PayloadKind.SQL, f"{MANY_STATEMENTS}; DROP TABLE t"),
        (PayloadKind.SQL, f"{MANY_STATEMENTS}; nonsense"),
        (PayloadKind.SHELL, MANY_COMMANDS),
        (PayloadKind.SHELL, f"{MANY_COMMANDS}; $x"),
        (PayloadKind.CLUSTER, MANY_COMMANDS),
        (PayloadKind.CLUSTER, f"{MANY_COMMANDS}; $x"),
    ],
)
@pytest.mark.parametrize("label", ["*", "command_class"])
def test_no_fact_is_left_out_of_the_decision(kind: PayloadKind, payload: Any, label: str) -> None:
    """An unknown fact among too many once made room for the others to be dropped silently."""
    labels = DERIVED_LABELS if label == "*" else frozenset({label})
    with pytest.raises(TooMuchToDeriveError):
        _views(kind, {"args": payload}, labels)


def test_commands_that_only_their_words_tell_apart_are_too_many() -> None:
    """To the cluster room these are one deletion of a pod, and to a rule about words 300."""
    with pytest.raises(TooMuchToDeriveError):
        _views(PayloadKind.CLUSTER, {"prompt": MANY_DELETIONS})
    labels = frozenset({"cluster_class"})
    assert len(_views(PayloadKind.CLUSTER, {"prompt": MANY_DELETIONS}, labels)) == 1


def test_a_long_script_of_cluster_commands_is_decided_command_by_command() -> None:
    """Rules that read words of commands take up to 256 of them, as they do of a shell text."""
    text = "; ".join(f"program{number} a" for number in range(100))
    views = _views(PayloadKind.CLUSTER, {"prompt": text})
    assert {f"program{number}" for number in range(100)} <= {v["cluster_tool"] for v in views}
