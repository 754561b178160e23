"""Decode the base64, hexadecimal and compressed runs that stand in a text.

A run is recognised by a part of it that can only be encoded text. No run is decoded past the
budget.
"""

import binascii
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import re2

from forestall.output.decodings import DecodeBudget, ParentPlace, valid_utf8

# Base64 of seven-bit text, at whatever place its groups of four begin: the bit in front of each
# byte is 0, which halves what three of the four characters may be. Random runs fail it soon.
_GROUP = r"[A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589+-][A-Za-z0-9+/_-]\r?\n?"
# Part of a run of base64 or hexadecimal; in group 1, the start of a compressed run.
_RECOGNISABLE = re2.compile(
    rf"(?:{_GROUP}){{4,}}(?:[A-Za-f][A-HQ-Xg-nw-z0-3][A-Za-z0-9+/_-]?={{0,2}})?"
    r"|(?:0[9aAdD]|[2-7][0-9a-fA-F]){10,}"
    r"|(?:^|[^A-Za-z0-9+/_-])((?:H4sI|eJ[w-z]|eN[o-r]|eA[E-H]|eF[4-7])"
    r"(?:[A-Za-z0-9+/_-]\r?\n?){12,})"
)
_HEX = re.compile(rb"(?:0[9aAdD]|[2-7][0-9a-fA-F])+")
_RUN_BEHIND = re.compile(rb"[A-Za-z0-9+/_-]*=*")
_BINARY = bytes([*range(1, 9), 11, 12, *range(14, 32), *range(127, 256)])
_URL_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_GZIP_OR_ZLIB = 47  # window bits of zlib: the header says which of the two


class DecodedRun(NamedTuple):
    """The text of one run, and the place of the whole run in the parent."""

    text: bytes
    parent_start: int
    parent_end: int
    names: tuple[str, ...]  # of its encodings, outermost first


class DecodedText:
    """The decoded runs of a text, one on each line."""

    def __init__(self, runs: list[DecodedRun]) -> None:
        self.data = b"\n".join(run.text for run in runs)
        self._runs = runs
        self._starts: list[int] = []  # of each run, in `data`
        start = 0
        for run in runs:
            self._starts.append(start)
            start += len(run.text) + 1

    def origin(self, start: int, end: int) -> ParentPlace:
        """See `Decoding.origin`."""
        first = self._runs[bisect_right(self._starts, start) - 1]
        last = self._runs[bisect_right(self._starts, max(start, end - 1)) - 1]
        return ParentPlace(first.parent_start, last.parent_end, first.names)


def decoded_runs(data: bytes, budget: DecodeBudget, *, last: bool) -> DecodedText | None:
    """The encoded runs of a text, decoded; None when there are none. `last`: the text ends here.
    Without it, a compressed run at the end may go on in the next block, and exceeds the budget."""
    runs = [run for run in _runs(data, budget, last=last) if budget.take(len(run.text))]
    return DecodedText(runs) if runs else None


def _runs(data: bytes, budget: DecodeBudget, *, last: bool) -> Iterator[DecodedRun]:
    """Each run, decoded. A base64 run is decoded at up to four alignments: those at which a part of
    it was recognised."""
    run_start = run_end = 0
    tried: set[int] = set()  # alignments at which the current run was decoded
    gave_text: set[int] = set()  # those of them at which it is text
    for match in _RECOGNISABLE.finditer(data):
        start, end = match.span()
        compressed_start = match.span(1)[0]
        if compressed_start >= 0:
            may_go_on = not last and end == len(data)
            text = _inflated(data[compressed_start:end], budget, may_go_on=may_go_on)
            if text is not None:
                whole = _whole_run(data, compressed_start, end)
                yield DecodedRun(valid_utf8(text), *whole, ("base64", "gzip"))
            continue
        part = data[start:end]
        if _HEX.fullmatch(part) and len(part) % 2 == 0:
            yield DecodedRun(bytes.fromhex(part.decode()), start, end, ("hex",))
            continue
        if start >= run_end:
            run_start, run_end = _whole_run(data, start, end)
            tried.clear()
            gave_text.clear()
        alignment = (start - run_start) % 4
        if alignment not in tried:
            tried.add(alignment)
            raw = _from_base64(data[run_start + alignment : run_end])
            if _is_mostly_text(raw):
                gave_text.add(alignment)
                yield DecodedRun(_as_utf8(raw), run_start, run_end, ("base64",))
        if alignment not in gave_text:  # binary data: decode the text that was recognised in it
            part_start = max(run_start + alignment, start - 4)
            raw = _from_base64(data[part_start : min(run_end, end + 4)])
            yield DecodedRun(_as_utf8(raw), run_start, run_end, ("base64",))


def _whole_run(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Start and end of the whole encoded run round a part of it, its padding included."""
    step = 64
    while start > 0:  # in growing steps, since the text in front may be long and the run short
        low = max(0, start - step)
        outside = len(data[low:start].rstrip(_ALPHABET))
        start, step = low + outside, step * 2
        if outside:
            break
    return start, _RUN_BEHIND.match(data, end).end()  # type: ignore[union-attr]


def _is_mostly_text(raw: bytes) -> bool:
    return 4 * len(raw.translate(None, _BINARY)) >= 3 * len(raw)


def _as_utf8(raw: bytes) -> bytes:
    """The bytes as UTF-8; UTF-16 of ASCII characters becomes ASCII."""
    return raw[::2] if len(raw) > 3 and not raw[1::2].strip(b"\0") else valid_utf8(raw)


def _from_base64(run: bytes) -> bytes:
    """The bytes of a run in either alphabet, padded or not; a last character alone is dropped."""
    joined = run.translate(_URL_TO_STANDARD, b"\r\n=")
    usable = len(joined) - (len(joined) % 4 == 1)
    return binascii.a2b_base64(joined[:usable] + b"=" * (-usable % 4))


def _inflated(run: bytes, budget: DecodeBudget, *, may_go_on: bool) -> bytes | None:
    """The decompressed run; None when it is neither gzip nor zlib, or exceeds the budget."""
    decompressor = zlib.decompressobj(wbits=_GZIP_OR_ZLIB)
    try:
        text = decompressor.decompress(_from_base64(run), budget.left_bytes + 1)
    except zlib.error:
        return None
    if len(text) > budget.left_bytes or (may_go_on and not decompressor.eof):
        budget.exceeded = True
        return None
    return text
