"""The detector `secret`: every family of credentials in one table."""

from forestall.output.detectors import (
    secrets_chat,
    secrets_cloud,
    secrets_code,
    secrets_keys,
    secrets_models,
    secrets_named,
    secrets_payment,
    secrets_vendors,
)
from forestall.output.findings import Detector

SECRET = Detector(
    name="secret",
    kinds=(
        *secrets_cloud.KINDS,
        *secrets_code.KINDS,
        *secrets_models.KINDS,
        *secrets_chat.KINDS,
        *secrets_payment.KINDS,
        *secrets_keys.KINDS,
        *secrets_vendors.KINDS,
        *secrets_named.KINDS,
    ),
)
