"""What a validator is: a function with a name, which an entry of a detector file asks for.

A pattern finds a candidate; the validator refuses it or says how sure it is. It computes: check
digits, randomness, what the words around say. The modules that have some list them in `VALIDATORS`.
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
    words: Mapping[str, Words]  # the lists of its file


Validator = Callable[[ValidatorInput], Check]


def entry_confidence(holds: Callable[[Candidate], bool]) -> Validator:
    """The validator that refuses what does not hold, with the confidence of the entry."""
    return lambda given: lambda candidate: given.confidence if holds(candidate) else None


def own_confidence(check: Check) -> Validator:
    """The validator that knows by itself how sure it is."""
    return lambda given: check
