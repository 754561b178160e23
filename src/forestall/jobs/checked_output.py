"""Results and contents after their check, as they are shown and counted. Values alone."""

import msgspec

from forestall.jobs.job import Job, OutputCheck
from forestall.output.findings import Finding


class CheckedContent(msgspec.Struct, frozen=True, kw_only=True):
    """A content after its check. `released` is what everybody gets; None: nobody gets anything."""

    check: OutputCheck
    released: bytes | None
    findings: tuple[Finding, ...] = ()


class FindingPreview(msgspec.Struct, frozen=True):
    """A finding as it may be shown, with what stands round it, masked too."""

    finding: Finding
    context: str = ""


class QuarantinePreview(msgspec.Struct, frozen=True, kw_only=True):
    """The check of a job's result, as whoever may read the job sees it."""

    job: Job
    findings: tuple[FindingPreview, ...]
    sealed: bool
    result: bytes | None  # what was released, if anything was


class OutputCounts(msgspec.Struct):
    """How many results were checked in some time, by verdict, and how long that took."""

    allowed: int = 0
    redacted: int = 0
    quarantined: int = 0
    spent_us: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.allowed + self.redacted + self.quarantined

    def add(self, other: "OutputCounts") -> None:
        """Count those as well."""
        self.allowed += other.allowed
        self.redacted += other.redacted
        self.quarantined += other.quarantined
        self.spent_us += other.spent_us
