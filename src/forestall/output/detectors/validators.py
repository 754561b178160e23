"""Every validator that an entry may name. To add one: a function, and a line in its module."""

from collections.abc import Mapping

from forestall.output.detectors import (
    injection_checks,
    personal_birth,
    personal_cards,
    personal_email,
    personal_iban,
    personal_network,
    personal_phone,
    personal_ssn,
    secret_names,
    secret_places,
    secret_tokens,
    value_checks,
)
from forestall.output.detectors.validation import Validator

VALIDATORS: Mapping[str, Validator] = {
    **value_checks.VALIDATORS,
    **secret_tokens.VALIDATORS,
    **secret_places.VALIDATORS,
    **secret_names.VALIDATORS,
    **personal_birth.VALIDATORS,
    **personal_cards.VALIDATORS,
    **personal_email.VALIDATORS,
    **personal_iban.VALIDATORS,
    **personal_network.VALIDATORS,
    **personal_phone.VALIDATORS,
    **personal_ssn.VALIDATORS,
    **injection_checks.VALIDATORS,
}
