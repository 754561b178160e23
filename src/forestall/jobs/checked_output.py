"""Values that describe a result or a content after its check. Nothing here scans or decides."""

import msgspec

from forestall.jobs.job import Job, OutputCheck
from forestall.output.findings import Finding


class CheckedContent(msgspec.Struct, frozen=True, kw_only=True):
    """A content after its check. `released` is the text that may be read; None: it is withheld."""

    check: OutputCheck
    released: bytes | None
    findings: tuple[Finding, ...] = ()


class FindingPreview(msgspec.Struct, frozen=True):
    """A finding with its masked surroundings, as an authorised person sees it."""

    finding: Finding
    context: str = ""


class QuarantinePreview(msgspec.Struct, frozen=True, kw_only=True):
    """The check of a job's result, as a person who may read the job sees it.

    `sealed`: the original is still kept, encrypted.
    """

    job: Job
    findings: tuple[FindingPreview, ...]
    sealed: bool
    result: bytes | None  # what was released; None while it is withheld


class OutputCounts(msgspec.Struct):
    """Counts of checked results by verdict, and the time that the checks took, in microseconds."""

    allowed: int = 0
    redacted: int = 0
    quarantined: int = 0
    spent_us: int = 0

    @property
    def total(self) -> int:
        """The number of checked results."""
        return self.allowed + self.redacted + self.quarantined

    def add(self, other: "OutputCounts") -> None:
        """Add the counts of `other` to these."""
        self.allowed += other.allowed
        self.redacted += other.redacted
        self.quarantined += other.quarantined
        self.spent_us += other.spent_us
