"""What a text may cost before it is given to the parser: brackets, and chains of postfix operators.

The parser recurses into brackets, and for each link of a chain such as `a[1][2].b::c` it may copy
or walk all that stands before the link, so that its time grows with the square of the chain. Both
are counted in one pass over the tokens. This module refuses to guess how long a parse takes.
"""

from collections.abc import Sequence
from typing import Final

NESTING_MAX: Final = 32  # open brackets at once; honest queries need ten
LINKS_MAX: Final = 24  # postfix operators in one chain; honest paths into JSON need ten

PIPES_MAX: Final = 16  # `|>` in one text; each copies the query before it

_OPENERS: Final = frozenset("([{")
_CLOSERS: Final = frozenset(")]}")
_LINKS: Final = frozenset((".", "::", ":", "->", "->>", "#>", "#>>", "?", "?.", ":>", "::?", ".:"))


def is_within_bounds(tokens: Sequence[str]) -> bool:
    """Whether the parser may see these tokens, given as they are written."""
    text = "".join(tokens)
    if sum(map(text.count, "([{.:>?")) <= PIPES_MAX:
        return True  # too few brackets and operators for any bound; most queries end here
    links = [0]  # in the chain at hand, for each bracket that is open
    after_operand = False  # whether a bracket that opens here would be a link
    after_link = True
    pipes = 0
    for sign in tokens:
        if sign in _OPENERS:
            links[-1] = links[-1] + 1 if after_operand else 0
            links.append(0)
            after_operand, after_link = False, True
        elif sign in _CLOSERS:
            if len(links) > 1:
                links.pop()
            after_operand, after_link = True, False
        elif sign in _LINKS:
            links[-1] += 1
            after_operand, after_link = False, True
        elif sign[:1].isalnum() or sign[:1] in "_\"'`$@":
            if not after_link:
                links[-1] = 0
            after_operand, after_link = True, False
        else:
            links[-1] = 0
            after_operand, after_link = False, False
            pipes += sign == "|>"
        if len(links) > NESTING_MAX + 1 or links[-1] > LINKS_MAX or pipes > PIPES_MAX:
            return False
    return True
