"""What an answer tells of a finding."""

import pytest

from forestall.output.findings import Finding
from forestall.wire.output import finding_object

FINDING = Finding(
    kind="us_ssn",
    detector="personal_data",
    start=4,
    end=15,
    start_byte=4,
    end_byte=15,
    confidence=0.9,
    masked="*******4567",
    correlation="61244fd89a864ad6",
)


@pytest.mark.parametrize(
    ("for_reviewer", "mask", "correlation"),
    [(False, "********", ""), (True, "*******4567", "61244fd89a864ad6")],
)
def test_only_a_reviewer_sees_anything_of_the_value(
    for_reviewer: bool, mask: str, correlation: str
) -> None:
    """The mask shows four digits. An agent that may check its guesses, and learns which of them is
    equal to what was withheld, needs 36 of them for the rest."""
    told = finding_object(FINDING, for_reviewer=for_reviewer)
    assert (told.masked, told.detail, told.correlation) == (mask, mask, correlation)
