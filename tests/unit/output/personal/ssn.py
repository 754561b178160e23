"""Social security and taxpayer numbers: made up; the advertised ones are refused."""

FOUND = (
    "SSN: «536-22-8714»",
    "«536-22-8714»",
    "ssn=«536228714»",
    "social security number «536 22 8714»",
    '"ssn": "«536-22-8714»"',
    "ITIN «912-78-1234»",
    "row: 12,«536-22-8714»,x",
    "taxpayer id «536.22.8714»",
)
NOTHING = (
    "000-12-3456",
    "SSN 666-12-3456",
    "SSN 536-00-8714",
    "SSN 536-22-0000",
    "SSN 078-05-1120",
    "912-78-1234",  # a taxpayer's number needs its word
    "536228714",
    "part 536-22-8714",
    "A-536-22-8714",
    "536-22-8714-9",
    "536-22.8714",
    "1536-22-8714",
    "2024-12-1234",
    "SSN 111-11-1111",
)
