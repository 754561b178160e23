"""Make a foreign text visible: one line, in which no character hides, moves or reorders another.

Agents, workers and approvers write texts that people read on a terminal and in log files. Changes
no text that holds only visible characters, and refuses no text.
"""

import re

from forestall.limits import LINE_CHARS_MAX

# Code points that Python counts as printable and that a terminal shows as nothing, or only as a
# change of the character before: fillers, joiners, variation selectors, inherent vowels.
_UNSEEN = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U00016fe4"
    "\U000e0100-\U000e01ef"
)
_UNSEEN_CHAR = re.compile(f"[{_UNSEEN}]")
# More marks on one letter than any script writes grow into the lines above and below.
_MARKS_MAX = 4
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_STACK = re.compile(f"(?<=[{_MARKS}]{{{_MARKS_MAX}}})[{_MARKS}]+")


def is_visible(char: str) -> bool:
    """Whether a terminal shows this character as itself, and does nothing else on reading it."""
    return char.isprintable() and _UNSEEN_CHAR.match(char) is None


def visible(text: str) -> str:
    """The text as one line; each character that is not visible stands as its code point, such as
    `<U+001B>`. Line breaks are such characters, so no text can begin a line of its own."""
    if text.isascii() and text.isprintable():
        return text
    seen = "".join(char if is_visible(char) else _code_point(char) for char in text)
    return _STACK.sub(lambda stack: "".join(map(_code_point, stack[0])), seen)


def visible_line(text: str) -> str:
    """The text as `visible` shows it, cut to LINE_CHARS_MAX of its characters; a line that was cut
    says so."""
    cut = len(text) - LINE_CHARS_MAX
    if cut <= 0:
        return visible(text)
    return f"{visible(text[:LINE_CHARS_MAX])} … ({cut} more characters)"


def _code_point(char: str) -> str:
    return f"<U+{ord(char):04X}>"
