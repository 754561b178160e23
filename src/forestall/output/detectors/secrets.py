"""The detector `secret`: every family of credentials in one table."""

from forestall.output.findings import Detector, Kind

SECRET = Detector(
    name="secret",
    kinds=(
        Kind(
            name="aws_access_key_id",
            pattern=r"\b((?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16})\b",
            keywords=("akia", "asia", "abia", "acca"),
            shown=4,
        ),
    ),
)
