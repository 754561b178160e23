"""Log lines on standard error.

A text of somebody else neither commands a terminal nor begins a line that looks like one of ours.
"""

import logging
import sys

from forestall.visible import visible_line

_CONTINUED = "\n    | "


class VisibleFormatter(logging.Formatter):
    """Formats a record as lines of visible characters, each after the first with a mark."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        return _CONTINUED.join(map(visible_line, super().format(record).rstrip("\n").split("\n")))


def log_to_stderr(level: int) -> None:
    """Log everything from this level on to standard error. Does nothing where the process has set
    up its logs already."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(VisibleFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
