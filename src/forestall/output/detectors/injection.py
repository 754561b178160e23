"""The detector `prompt_injection`: orders in a text that are meant for a model that reads it."""

from forestall.output.detectors import (
    injection_deeds,
    injection_disguised,
    injection_languages,
    injection_languages_east,
    injection_markup,
    injection_orders,
    injection_requests,
    injection_roles,
)
from forestall.output.findings import Detector

PROMPT_INJECTION = Detector(
    name="prompt_injection",
    kinds=(
        *injection_orders.KINDS,
        *injection_requests.KINDS,
        *injection_roles.KINDS,
        *injection_languages_east.KINDS,
        *injection_markup.KINDS,
        *injection_deeds.KINDS,
        *injection_disguised.KINDS,
        *injection_languages.KINDS,
    ),
)
