"""What a reader of a payload reports when it finds more facts than can be decided one by one.

A reader never raises: it reports exactly as many facts as its bound, of which the last one says
`unknown`. `derive.py` refuses every text that reaches a bound, so it does not matter which of the
facts are reported; this module refuses to choose among them.
"""

from collections.abc import Iterable
from typing import TypeVar

_Fact = TypeVar("_Fact")


def at_most(facts_max: int, facts: Iterable[_Fact], unknown: _Fact) -> tuple[_Fact, ...]:
    """Distinct facts, and the unknown one in the place of those past the bound."""
    reported = tuple(facts)
    if len(reported) <= facts_max:
        return reported
    certain = [fact for fact in reported if fact != unknown]
    return (*certain[: facts_max - 1], unknown)
