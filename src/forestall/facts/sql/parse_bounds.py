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
_COUNTED_SIGNS: Final = "([{.:>?"  # every opener, every link and `|>` has one of these
_OPERAND_STARTS: Final = "_\"'`$@"  # and letters and digits


def is_within_bounds(tokens: Sequence[str]) -> bool:
    """Whether the parser may see these tokens, given as they are written."""
    text = "".join(tokens)
    if sum(map(text.count, _COUNTED_SIGNS)) <= PIPES_MAX:
        return True  # too few brackets and operators for any bound; most queries end here
    chains = [0]  # the links of the chain at hand, for each bracket that is open
    after_operand = False  # whether a bracket that opens here would be a link
    after_link = True  # whether an operand that stands here goes on with the chain
    pipes = 0
    for sign in tokens:
        if sign in _OPENERS:
            chains[-1] = chains[-1] + 1 if after_operand else 0
            chains.append(0)
            after_operand, after_link = False, True
        elif sign in _CLOSERS:
            if len(chains) > 1:
                chains.pop()
            after_operand, after_link = True, False
        elif sign in _LINKS:
            chains[-1] += 1
            after_operand, after_link = False, True
        elif sign[:1].isalnum() or sign[:1] in _OPERAND_STARTS:
            if not after_link:
                chains[-1] = 0
            after_operand, after_link = True, False
        else:
            chains[-1] = 0
            after_operand, after_link = False, False
            pipes += sign == "|>"
        if len(chains) > NESTING_MAX + 1 or chains[-1] > LINKS_MAX or pipes > PIPES_MAX:
            return False
    return True
