"""What every test folder shares."""

import signal

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Shells start what runs in the background with Ctrl-C ignored, and children inherit that; the
    tests of Ctrl-C need children that do not ignore it."""
    del config
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
