"""The detector `personal_data`: what tells who a person is, or reaches one, in one table."""

from forestall.output.detectors import (
    personal_birth,
    personal_cards,
    personal_email,
    personal_iban,
    personal_ids,
    personal_network,
    personal_phone,
    personal_ssn,
)
from forestall.output.findings import Detector

PERSONAL_DATA = Detector(
    name="personal_data",
    kinds=(
        *personal_email.KINDS,
        *personal_phone.KINDS,
        *personal_cards.KINDS,
        *personal_iban.KINDS,
        *personal_ssn.KINDS,
        *personal_ids.KINDS,
        *personal_birth.KINDS,
        *personal_network.KINDS,
    ),
)
