"""Texts of others, in the form in which they may travel and be kept. Pure; knows no message."""


def escaped(text: str) -> str:
    """The text with NUL and half surrogate pairs as visible escapes, such as `\\u0000`: no reader
    of JSON refuses it. A byte that is no UTF-8, read as a surrogate, is seen as `\\udcXX`."""
    return text.replace("\x00", "\\u0000").encode("utf-8", "backslashreplace").decode()
