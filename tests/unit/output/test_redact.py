"""The redacted copy: nothing of what was found, still JSON, and no change the second time."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.output.detectors import DETECTORS
from forestall.output.findings import Finding
from forestall.output.redact import is_json, redact
from forestall.output.scan import scan
from tests.unit.output.samples import SECRETS, drawn

SECRET = DETECTORS["secret"]
TOKEN = drawn(SECRETS["github_personal_token"], 3)
MARK = "[REDACTED:github_personal_token]"


def cleaned(content: str) -> str:
    return redact(content, scan(content, detectors=(SECRET,)).findings)


def test_text_gets_a_mark_in_place() -> None:
    assert cleaned(f"zażółć {TOKEN}, and {TOKEN}") == f"zażółć {MARK}, and {MARK}"


def test_nothing_found_is_nothing_changed() -> None:
    assert redact("abc", ()) == "abc"


def test_json_stays_json() -> None:
    value = {"a": [f"x {TOKEN} y", 1, None], TOKEN: {TOKEN: "b"}, "n": "\u20ac\n"}
    done = json.loads(cleaned(json.dumps(value)))
    assert done["a"] == [f"x {MARK} y", 1, None]
    assert done["n"] == "\u20ac\n"
    names = [*done, *next(v for k, v in done.items() if k.startswith("[RED"))]
    assert len([name for name in names if name.startswith("[REDACTED:")]) == 2


def test_names_of_one_object_stay_different() -> None:
    other = drawn(SECRETS["github_personal_token"], 4)
    done = json.loads(cleaned(json.dumps({TOKEN: 1, other: 2})))
    assert sorted(done.values()) == [1, 2]


def test_a_number_becomes_a_text() -> None:
    text = '{"secret_key": 84729103847561203948579135}'
    assert json.loads(cleaned(text)) == {"secret_key": "[REDACTED:named_secret]"}


def test_an_escape_is_never_cut() -> None:
    text = json.dumps({"a": "\u20ac" + TOKEN + "\u20ac"})
    for start, end in ((8, 30), (9, 30), (10, 52), (7, 55), (20, 58)):
        found = Finding(
            kind="k",
            detector="d",
            start=start,
            end=end,
            start_byte=start,
            end_byte=end,
            confidence=1.0,
            masked="",
        )
        json.loads(redact(text, (found,)))


def test_a_finding_over_structure_leaves_the_structure() -> None:
    text = '["abc", {"def": "ghi"}, 12]'
    found = Finding(
        kind="k",
        detector="d",
        start=3,
        end=25,
        start_byte=3,
        end_byte=25,
        confidence=1.0,
        masked="",
    )
    done = json.loads(redact(text, (found,)))
    assert done == ["a[REDACTED:k]", {"[REDACTED:k#1]": "[REDACTED:k]"}, "[REDACTED:k]"]


def test_overlapping_findings_become_one_named_after_the_surest() -> None:
    def at(start: int, end: int, kind: str, confidence: float) -> Finding:
        return Finding(
            kind=kind,
            detector="d",
            start=start,
            end=end,
            start_byte=start,
            end_byte=end,
            confidence=confidence,
            masked="",
        )

    findings = (at(2, 5, "a", 0.5), at(4, 8, "b", 0.9), at(7, 9, "c", 0.6))
    assert redact("0123456789", findings) == "01[REDACTED:b]9"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_bytes_stay_in_their_encoding(encoding: str) -> None:
    raw = f"zażółć 💡 {TOKEN}".encode(encoding)
    done = redact(raw, scan(raw, detectors=(SECRET,)).findings)
    assert done.decode(encoding) == f"zażółć 💡 {MARK}"


def test_what_is_json() -> None:
    assert is_json('{"a": 1}')
    assert not is_json("a: 1")
    assert not is_json("[" * 100_000)
    assert not is_json(b"\xff")


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return [_shape(each) for each in value.values()]
    if isinstance(value, list):
        return [_shape(each) for each in value]
    return "scalar"


texts = st.one_of(
    st.text(max_size=12),
    st.builds(
        lambda name, seed, before: before + drawn(SECRETS[name], seed),
        st.sampled_from(sorted(SECRETS)),
        st.integers(0, 50),
        st.sampled_from(["", " ", "x=", '"', "\\", "\u200b", "\n", "é"]),
    ),
)
values = st.recursive(
    st.one_of(texts, st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(texts, st.sampled_from(["password", "api_key"])), inner, max_size=4
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(values, st.booleans(), st.sampled_from([None, 1]), st.integers(0, 3))
def test_any_json_is_cleaned(value: Any, ascii_only: bool, indent: int | None, nested: int) -> None:
    """Valid, of the same shape, without what was found, and the same the second time."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    for _ in range(nested):
        text = json.dumps({"inner": text})
    before = scan(text, detectors=(SECRET,), key=b"k")
    done = redact(text, before.findings, json=True)
    assert _shape(json.loads(done)) == _shape(json.loads(text))
    after = scan(done, detectors=(SECRET,), key=b"k")
    gone = {each.correlation for each in before.findings}
    assert not [each for each in after.findings if each.correlation in gone]
    assert redact(done, (), json=True) == done


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, max_size=6), st.sampled_from(["\n", " ", ", ", "\t"]))
def test_any_text_is_cleaned(parts: list[str], between: str) -> None:
    text = between.join(parts)
    before = scan(text, detectors=(SECRET,), key=b"k")
    done = redact(text, before.findings, json=False)
    after = scan(done, detectors=(SECRET,), key=b"k")
    gone = {each.correlation for each in before.findings}
    assert not [each for each in after.findings if each.correlation in gone]


def test_a_canary_is_gone_whatever_stands_round_it() -> None:
    chance = random.Random(5)
    for name in SECRETS:
        text = drawn(SECRETS[name], chance.randrange(100))
        done = cleaned(f"before {text} behind")
        assert done != f"before {text} behind"
        assert not [e for e in scan(done, detectors=(SECRET,)).findings if e.confidence > 0.9]


def a_finding(start: int, end: int, kind: str, detector: str, confidence: float = 0.9) -> Finding:
    return Finding(
        kind=kind,
        detector=detector,
        start=start,
        end=end,
        start_byte=start,
        end_byte=end,
        confidence=confidence,
        masked="",
        correlation="",
        seen_in=(),
    )


OVER = "bob@example.com:hunter2@db.example.com/x"


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("spans", "left"),
    [
        ([(0, 15), (4, 23)], "db.example.com/x"),  # the second one ends later
        ([(4, 23), (0, 15)], "db.example.com/x"),
        ([(0, 23), (4, 15)], "db.example.com/x"),  # one inside the other
        ([(0, 15), (0, 23)], "db.example.com/x"),  # both begin at one place
        ([(0, 15), (4, 16), (15, 23)], "db.example.com/x"),  # a chain of three
        ([(0, 15), (15, 23)], "db.example.com/x"),  # side by side
    ],
)
def test_of_findings_that_overlap_nothing_is_left(
    spans: list[tuple[int, int]], left: str, *, as_json: bool
) -> None:
    """An e-mail in front of a password, say: of two classes, so neither hides the other."""
    shift = 1 if as_json else 0
    names = (("email", "personal_data"), ("url_password", "secret"), ("phone", "personal_data"))
    findings = [
        a_finding(start + shift, end + shift, *name)
        for (start, end), name in zip(spans, names, strict=False)
    ]
    done = redact(json.dumps(OVER) if as_json else OVER, findings, json=as_json)
    text = json.loads(done) if as_json else done
    for gone in ("bob", "example.com:", "hunter2"):
        assert gone not in text
    assert text.endswith(left)


def test_a_password_in_an_address_behind_an_e_mail_is_gone() -> None:
    """Found by the detectors themselves, in texts as they are logged."""
    both = (DETECTORS["secret"], DETECTORS["personal_data"])
    for text in (
        "ann.smith@example.org:postgres://admin:Xk9-vTq27LmZ@db.example.org/app",
        "mail ann.smith@example.org, https://deploy:Xk9-vTq27LmZ@git.example.org/r.git",
    ):
        findings = scan(text, detectors=both).findings
        done = redact(text, findings)
        assert "Xk9-vTq27LmZ" not in done, (text, findings)
        assert "ann.smith" not in done, (text, findings)
