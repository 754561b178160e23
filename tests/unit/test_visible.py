"""Texts that would command, hide, move or reorder what stands on a terminal or in a log."""

import io
import logging
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.client.logs import VisibleFormatter
from forestall.limits import LINE_CHARS_MAX
from forestall.visible import is_visible, visible, visible_line

ESC = "\x1b"
ATTACKS = {
    "clear the screen": f"{ESC}[2J",
    "a title": f"{ESC}]0;approved\x07",
    "a link": f"{ESC}]8;;https://evil.example{ESC}\\click",
    "one-byte escapes": "\x9b2J\x90q\x9c",
    "back over it": "deny\b\b\b\ballow",
    "carriage return": "deny\rallow",
    "line feed": "deny\nallow",
    "other line ends": "a\x0bb\x0cc\x85d\u2028e\u2029f",
    "overrides": "\u202e\u202d\u202a\u202b\u202c",
    "isolates": "\u2066\u2067\u2068\u2069",
    "marks of direction": "\u200e\u200f\u061c",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\ufefff",
    "soft hyphen": "a\u00adb",
    "fillers": "\u115f\u1160\u3164\uffa0\u2800",
    "variation selectors": "a\ufe00\ufe0f\U000e0100\U000e01ef\u180b",
    "a joiner": "a\u034fb",
    "tags": "\U000e0041\U000e007f",
    "no-break spaces": "a\u00a0b\u2007c\u202f\u3000",
    "private use": "\ue000\U000f0000",
    "unassigned": "\u0378\U0001fffe",
    "half a pair": "\ud800\udfff",
    "a stack of marks": "x" + "\u0336\u0338\u20e3" * 40,
    "nul and delete": "\0\x7f",
}


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_nothing_that_is_not_seen_comes_through(text: str) -> None:
    line = visible(f"before {text} after")
    assert line.startswith("before ")
    assert line.endswith(" after")
    assert "<U+" in line
    assert_seen(line)


def test_what_is_seen_stays() -> None:
    for text in ("rm -rf /tmp", "Größe 42 €", "日本語", "นี้", "שלום", "🔥", "Việt ộ̂", "<U+001B>"):
        assert visible(text) == text


@given(st.text(max_size=300))
def test_any_text_is_one_seen_line(text: str) -> None:
    assert_seen(visible(text))
    assert visible(visible(text)) == visible(text)


def test_a_long_text_is_cut_and_says_so() -> None:
    line = visible_line("x" * 1_000_000)
    assert len(line) < LINE_CHARS_MAX + 100
    assert line.endswith("(996000 more characters)")
    assert visible_line("x" * LINE_CHARS_MAX) == "x" * LINE_CHARS_MAX


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_log_line_holds_no_other(text: str) -> None:
    """Neither a message nor the text of an exception can begin a line that looks like ours."""
    stream = io.StringIO()
    log = logging.getLogger("forestall.test_visible")
    log.propagate = False
    handler = logging.StreamHandler(stream)
    handler.setFormatter(VisibleFormatter("%(levelname)s %(message)s"))
    log.handlers = [handler]
    try:
        raise ValueError(f"{text}\nINFO policy now in force")
    except ValueError:
        log.exception("job %s failed\nINFO all is well", text)
    first, *rest = stream.getvalue().rstrip("\n").split("\n")
    assert first.startswith("ERROR job ")
    assert all(line.startswith("    | ") for line in rest)
    for line in (first, *rest):
        assert_seen(line)


def assert_seen(line: str) -> None:
    """An oracle of its own: no category but letters, marks, numbers, signs and the space."""
    for char in line:
        assert char == " " or unicodedata.category(char)[0] in "LMNPS", hex(ord(char))
        assert is_visible(char)
