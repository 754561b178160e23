"""What a scan promises: nothing is hidden by pieces, encodings or size, and never in silence."""

import base64
import gzip
import json
import random
import string
import time
import tracemalloc
import urllib.parse
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.output import engine
from forestall.output import scan as scanning
from forestall.output.detectors import DETECTORS
from forestall.output.findings import Detector, IncompleteReason, Kind, Scan, ScanBudget
from forestall.output.scan import Scanner, scan
from tests.unit.output.samples import SECRETS, drawn

TOKEN = drawn(SECRETS["github_personal_token"], 7)
ALL = tuple(DETECTORS.values())
SECRET = DETECTORS["secret"]
SMALL_BLOCK = 48 * 1024
PLAIN = Detector(
    name="plain", kinds=(Kind(name="token", pattern=r"ghp_\w{36}", keywords=("ghp_",)),)
)


def seen(content: str | bytes, **more: Any) -> Scan:
    return scan(content, detectors=(SECRET,), key=b"test", **more)


def places(content: str) -> list[str]:
    result = seen(content)
    assert result.complete, result.reasons
    return [content[each.start : each.end] for each in result.findings]


# -- places --


@pytest.mark.parametrize("before", ["", "plain ", "zażółć ", "😀 🎲 💡 ", "e\u0301 "])
def test_places_are_given_in_characters_and_in_bytes(before: str) -> None:
    text = f"{before}{TOKEN} after"
    (found,) = seen(text).findings
    assert text[found.start : found.end] == TOKEN
    assert text.encode()[found.start_byte : found.end_byte].decode() == TOKEN
    assert TOKEN not in repr(found)
    assert found.masked == "ghp_********"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("before", ["", "💡 zażółć "])
def test_places_in_utf_16_are_those_of_its_bytes(encoding: str, before: str) -> None:
    text = f"{before}{TOKEN} after"
    mark = {"utf-16": b"", "utf-16-be": b"\xfe\xff", "utf-16-le": b"\xff\xfe"}[encoding]
    raw = mark + text.encode(encoding)
    result = seen(raw)
    (found,) = result.findings
    assert result.complete
    assert text[found.start : found.end] == TOKEN
    assert raw[found.start_byte : found.end_byte].decode(result.encoding) == TOKEN


def test_equal_values_have_equal_hashes_under_one_key() -> None:
    other = drawn(SECRETS["github_personal_token"], 8)
    first, second, third = seen(f"{TOKEN} {other} {TOKEN}").findings
    assert first.correlation == third.correlation != second.correlation
    assert scan(TOKEN, detectors=(SECRET,)).findings[0].correlation == ""
    assert scan(TOKEN, detectors=(SECRET,), key=b"b").findings[0].correlation != first.correlation


# -- encodings --


def _zero_width(text: str) -> str:
    return "\u200b".join((text[:9], text[9:20], text[20:]))


ENCODINGS: dict[str, Callable[[str], str]] = {
    "base64": lambda t: base64.b64encode(t.encode()).decode(),
    "base64 with text round it": lambda t: base64.b64encode(f"the key {t} of x".encode()).decode(),
    "base64 of bytes that are no text": lambda t: base64.b64encode(
        bytes(range(200, 250)) + t.encode() + bytes(range(200, 251))
    ).decode(),
    "base64url": lambda t: base64.urlsafe_b64encode(f"???>>>{t}???".encode()).decode(),
    "base64 in lines": lambda t: base64.encodebytes((t + " " * 60 + t).encode()).decode(),
    "base64 twice": lambda t: base64.b64encode(base64.b64encode(t.encode())).decode(),
    "base64 of UTF-16": lambda t: base64.b64encode(t.encode("utf-16-le")).decode(),
    "base64 behind a path": lambda t: "a/b/" + base64.b64encode(t.encode()).decode(),
    "gzip in base64": lambda t: base64.b64encode(gzip.compress(t.encode())).decode(),
    "zlib in base64": lambda t: base64.b64encode(zlib.compress(t.encode())).decode(),
    "gzip in base64 in gzip in base64": lambda t: base64.b64encode(
        gzip.compress(base64.b64encode(gzip.compress(t.encode())))
    ).decode(),
    "hexadecimal": lambda t: t.encode().hex(),
    "percent, all": lambda t: "".join(f"%{byte:02X}" for byte in t.encode()),
    "percent, some": lambda t: urllib.parse.quote(t).replace("_", "%5f"),
    "percent of percent": lambda t: urllib.parse.quote(t.replace("_", "%5F")),
    "escapes, all": lambda t: "".join(f"\\u{ord(c):04x}" for c in t),
    "escapes, braces": lambda t: "".join(f"\\u{{{ord(c):x}}}" for c in t),
    "escapes, bytes": lambda t: "".join(f"\\x{ord(c):02x}" for c in t),
    "escapes of escapes": lambda t: t.replace("_", "\\\\u005f"),
    "entities": lambda t: "".join(f"&#{ord(c)};" for c in t),
    "zero width": _zero_width,
    "zero width, escaped": lambda t: json.dumps(_zero_width(t)),
    "soft hyphens": lambda t: "\u00ad".join(t),
    "tags": lambda t: t[:4] + "".join(chr(0xE0000 + ord(c)) for c in t[4:]),
    "full width": lambda t: "".join(chr(ord(c) + 0xFEE0) for c in t),
    "mathematical": lambda t: "".join(chr(0x1D7F6 + int(c)) if c.isdigit() else c for c in t),
    "NULs": lambda t: "\0".join(t),
    "colours": lambda t: t[:12] + "\x1b[1;31m" + t[12:] + "\x1b[0m",
    "a continued line": lambda t: t[:12] + "\\\n" + t[12:],
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_secret_is_seen_through_an_encoding(name: str) -> None:
    """The place is that of the encoded run, and of nothing else."""
    encoded = ENCODINGS[name](TOKEN)
    text = f"see this: {encoded} - and no more"
    result = seen(text)
    assert result.complete
    assert result.findings
    kept = text
    for found in reversed(result.findings):
        kept = kept[: found.start] + kept[found.end :]
    assert kept.startswith("see this: ")
    assert kept.endswith(" - and no more")
    left = kept.removeprefix("see this: ").removesuffix(" - and no more")
    assert len(left) <= 14, left
    assert result.findings[0].seen_in


def test_encodings_deeper_than_the_budget_are_not_passed_over() -> None:
    text = TOKEN
    for _ in range(8):
        text = base64.b64encode(text.encode()).decode()
    result = seen(text)
    assert result.findings or result.reasons == (IncompleteReason.ENCODINGS,)


def test_a_bomb_ends_at_the_budget() -> None:
    bomb = base64.b64encode(gzip.compress(b"a" * 50_000_000)).decode()
    result = seen(bomb, budget=ScanBudget(decoded_bytes_max=1_000_000))
    assert result.reasons == (IncompleteReason.ENCODINGS,)


# -- pieces --


def _long_text(seed: int, size: int) -> str:
    chance = random.Random(seed)
    words = ["token", "the", "password", "is", "zażółć", "key=", "\n", "http://a/b", "{", '"x":']
    parts: list[str] = []
    while sum(map(len, parts)) < size:
        parts.append(" ".join(chance.choices(words, k=200)))
        name = chance.choice(list(SECRETS))
        parts.append(drawn(SECRETS[name], chance.randrange(1000)))
    return " ".join(parts)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 5), cuts=st.lists(st.integers(0, 150_000), max_size=12))
def test_pieces_do_not_change_what_is_found(seed: int, cuts: list[int]) -> None:
    raw = _long_text(seed, 140_000).encode()
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "BLOCK_BYTES", SMALL_BLOCK)
        scanner = Scanner(detectors=(SECRET,), key=b"test")
        for start, end in pairwise(edges):
            scanner.feed(raw[start:end])
        assert scanner.finish() == seen(raw)


def test_blocks_do_not_hide_what_lies_across_their_edge() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "BLOCK_BYTES", SMALL_BLOCK)
        for offset in (*range(-60, 20, 3), -33_000, -16_400, -16_384, 16_384):
            text = "é " * ((SMALL_BLOCK + offset) // 3) + TOKEN + " é" * 30_000
            (found,) = seen(text).findings
            assert text[found.start : found.end] == TOKEN
            assert text.encode()[found.start_byte : found.end_byte].decode() == TOKEN


def test_byte_by_byte() -> None:
    raw = f"zażółć {TOKEN} 💡".encode()
    scanner = Scanner(detectors=(SECRET,), key=b"test")
    for n in range(len(raw)):
        scanner.feed(raw[n : n + 1])
    assert scanner.finish() == seen(raw)


# -- what cannot be read --


@pytest.mark.parametrize(
    "raw", [b"\xff\x00binary", b"ok \xc3", b"\xff\xfe\x00\xd8", b"\x1f\x8b\x08\x00\x00", b"\x80"]
)
def test_what_is_no_text_is_not_read(raw: bytes) -> None:
    result = seen(raw)
    assert not result.complete
    assert result.reasons == (IncompleteReason.NOT_TEXT,)


def test_what_is_no_text_is_looked_at_all_the_same() -> None:
    result = seen(b"\xff\xff " + TOKEN.encode())
    assert len(result.findings) == 1
    assert not result.complete


def test_lone_surrogates_are_text() -> None:
    (found,) = seen(f"\ud800 {TOKEN}").findings
    assert (found.start, found.start_byte) == (2, 4)


def test_too_large_is_said() -> None:
    assert seen("a" * 101, budget=ScanBudget(bytes_max=100)).reasons == (
        IncompleteReason.TOO_LARGE,
    )


def test_time_is_the_callers() -> None:
    assert seen("abc", budget=ScanBudget(expired=lambda: True)).reasons == (IncompleteReason.TIME,)


def test_a_secret_without_an_end_in_reach_is_said() -> None:
    chance = random.Random(1)
    endless = "".join(chance.choices(string.ascii_letters + string.digits, k=60_000))
    result = seen("api_key = AQE" + endless + " password_in: glpat-" + endless)
    assert IncompleteReason.TOO_LONG_A_FINDING in result.reasons


def test_nothing_is_complete_and_empty() -> None:
    for nothing in ("", b"", b"a"):
        result = seen(nothing)
        assert result.complete
        assert not result.findings


def test_a_scan_is_complete_or_says_why_not() -> None:
    with pytest.raises(ValueError, match="why not"):
        Scan(
            findings=(),
            complete=True,
            reasons=(IncompleteReason.TIME,),
            size_bytes=0,
            encoding="utf-8",
        )


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_give_a_scan(raw: bytes) -> None:
    result = seen(raw)
    assert result.size_bytes == len(raw)
    for each in result.findings:
        assert 0 <= each.start_byte < each.end_byte <= len(raw)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.sampled_from(sorted(ENCODINGS)))
def test_any_text_and_encoding_give_places_inside(text: str, name: str) -> None:
    whole = text + ENCODINGS[name](TOKEN) + text
    for each in seen(whole).findings:
        assert 0 <= each.start < each.end <= len(whole)


# -- size --


def _seconds_and_bytes(content: str | bytes, **more: object) -> tuple[float, int, Scan]:
    tracemalloc.start()
    started = time.process_time()
    result = seen(content, **more)
    spent = time.process_time() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return spent, peak, result


def test_a_million_secrets_are_too_many_and_do_not_cost_more() -> None:
    """Places are kept up to the bound; then the scan stops and says so."""
    text = f"{TOKEN}\n" * 1_000_000
    _, peak, result = _seconds_and_bytes(text)
    assert result.reasons == (IncompleteReason.TOO_MANY_FINDINGS,)
    assert len(result.findings) <= ScanBudget().findings_max
    assert peak < 400_000_000


def test_memory_does_not_grow_with_a_content_that_is_fed() -> None:
    scanner = Scanner(detectors=(PLAIN,))
    tracemalloc.start()
    for _ in range(40):
        scanner.feed(b"word " * 200_000)
    scanner.feed(TOKEN.encode())
    result = scanner.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(result.findings) == 1
    assert peak < 24_000_000


def test_depth_of_json_costs_nothing() -> None:
    text = '{"a":[' * 10_000 + f'"{TOKEN}"' + "]}" * 10_000
    assert places(text) == [TOKEN]


@pytest.mark.parametrize("seed", range(8))
def test_trying_a_pattern_on_all_of_it_first_changes_nothing(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a text full of keywords most patterns are given up early; what is found stays the same."""
    chance = random.Random(seed)
    recipes = list(SECRETS.values())
    words = [word for each in ALL for kind in each.kinds for word in kind.keywords]
    pieces = [
        chance.choice(words) if chance.random() < 0.7 else drawn(chance.choice(recipes), seed)
        for _ in range(400)
    ]
    text = chance.choice(("", " ", '": "', "=", "\n")).join(pieces).encode()
    found = []
    for dense_bytes in (0, 1 << 30):
        monkeypatch.setattr(engine, "_DENSE_BYTES", dense_bytes)
        found.append(scan(text, detectors=ALL))
    assert found[0] == found[1], f"seed {seed}"
    assert found[0].findings
