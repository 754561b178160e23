"""What a validator is: a function with a name, which an entry of a detector file asks for.

A pattern finds a candidate; the validator refuses it or gives the confidence of the finding. It
computes: check digits, randomness, what the words around say. Each module with validators lists
them in its `VALIDATORS`.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from forestall.output.detectors.context import Words
from forestall.output.findings import Candidate, Check


class ValidatorInput(NamedTuple):
    """What an entry says to its validator."""

    confidence: float
    skip: int  # characters in front that belong to the format
    length_min: int
    words: Mapping[str, Words]  # the lists of its file, by name


# Makes the check of one entry.
Validator = Callable[[ValidatorInput], Check]


def entry_confidence(holds: Callable[[Candidate], bool]) -> Validator:
    """A validator that refuses what does not hold; else it gives the confidence of the entry."""
    return lambda entry: lambda candidate: entry.confidence if holds(candidate) else None


def own_confidence(check: Check) -> Validator:
    """A validator with a confidence of its own."""
    return lambda entry: check
