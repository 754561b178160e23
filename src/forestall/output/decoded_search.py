"""Find the hits in a text and in everything that is decoded from it, at their places in the text.

Decodings are decoded again, as deep as the budget allows. What the search could not look into is a
reason why the scan is incomplete.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from forestall.output.decodings import DecodeBudget, Decoding
from forestall.output.encoded_runs import DecodedText, decoded_runs
from forestall.output.engine import Hit, engine_of
from forestall.output.escapes import unescaped, unescaped_whole
from forestall.output.findings import Detector, IncompleteReason, ScanBudget
from forestall.output.prose_readers import ProseReading, ReaderFailedError

_Decodings = tuple[Decoding, ...]  # from a text to the one that is searched, outermost first


class TextHit(NamedTuple):
    """A hit at its place in the text, in bytes. `seen_in` names the decodings, outermost first."""

    start: int
    end: int
    hit: Hit
    seen_in: tuple[str, ...]


class DecodedSearch:
    """The search of one scan. `stopped`: nothing more will be found; `reasons` says why."""

    def __init__(self, detectors: Sequence[Detector], budget: ScanBudget) -> None:
        self._engine = engine_of(tuple(each for each in detectors if each.reader is None))
        self._prose = ProseReading([each for each in detectors if each.reader is not None])
        self._budget = budget
        self._decode_budget = DecodeBudget(budget.decoded_bytes_max)
        self._reasons: set[IncompleteReason] = set()
        self.stopped = False

    @property
    def reasons(self) -> set[IncompleteReason]:
        """Why the search did not see everything; empty when it did."""
        exceeded = {IncompleteReason.ENCODINGS} if self._decode_budget.exceeded else set()
        return self._reasons | exceeded

    def hits(self, text: bytes, *, last: bool) -> Iterator[TextHit]:
        """The hits in a text, at any depth. `last`: the content ends with this text."""
        unsearched: list[tuple[bytes, _Decodings]] = [(text, ())]
        while unsearched:
            data, decodings = unsearched.pop()
            for hit in self._engine.hits(data, self._budget.expired):
                if hit.cut:
                    self._reasons.add(IncompleteReason.TOO_LONG_A_FINDING)
                yield _text_hit(hit, decodings)
            # Prose is read with every escape undone, so a text with its escapes undone was read.
            if self._prose and (not decodings or isinstance(decodings[-1], DecodedText)):
                yield from self._hits_in_prose(data, decodings)
            if self.stopped:
                return
            if self._budget.expired():
                self._stop(IncompleteReason.TIME)
                return
            ends_here = last or bool(decodings)
            unsearched.extend(
                (decoding.data, (*decodings, decoding))
                for decoding in self._decodings_of(data, len(decodings), last=ends_here)
            )

    def _hits_in_prose(self, data: bytes, decodings: _Decodings) -> Iterator[TextHit]:
        for _ in range(self._budget.depth_max):
            undone = unescaped_whole(data)
            if undone is None or not self._may_decode(undone, depth=len(decodings)):
                break
            data, decodings = undone.data, (*decodings, undone)
        try:
            for hit in self._prose.hits(data, self._budget.expired):
                yield _text_hit(hit, decodings)
        except ReaderFailedError:
            self._stop(IncompleteReason.READER_FAILED)

    def _decodings_of(self, data: bytes, depth: int, *, last: bool) -> list[Decoding]:
        """The decodings of a text. Deeper than the budget allows, none, and the search is
        incomplete if there is anything to decode."""
        decodings: list[Decoding] = []
        runs = decoded_runs(data, self._decode_budget, last=last)
        if runs is not None:
            decodings.append(runs)
        undone = unescaped(data)
        if undone is not None and self._may_decode(undone, depth=depth):
            decodings.append(undone)
        if decodings and depth >= self._budget.depth_max:
            # An escape in a text that was undone already is ordinary text: no reason to withhold.
            if runs is not None:
                self._reasons.add(IncompleteReason.ENCODINGS)
            return []
        return decodings

    def _may_decode(self, undone: Decoding, *, depth: int) -> bool:
        """Take a text with its escapes undone from the budget. That of the content itself costs
        nothing, since it is no larger than the content."""
        return self._decode_budget.take(len(undone.data) if depth else 0)

    def _stop(self, reason: IncompleteReason) -> None:
        self._reasons.add(reason)
        self.stopped = True


def _text_hit(hit: Hit, decodings: _Decodings) -> TextHit:
    """The hit at its place in the text from which the decodings lead to it."""
    start, end = hit.start, hit.end
    names: tuple[str, ...] = ()
    for decoding in reversed(decodings):
        start, end, decoded = decoding.origin(start, end)
        names = (*decoded, *names)
    return TextHit(start, end, hit, names)
