"""Validators of secrets known by where they stand: in a block of a key, a URL, a header, a command
line. What a value says about itself, and whether it stands for one."""

import binascii
import re

from forestall.output.detectors.checks import placeholder, random
from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import Validator, entry_confidence, own_confidence
from forestall.output.findings import Candidate

_FROM_URL = str.maketrans("-_", "+/")
_BASE64 = Expression(r"[A-Za-z0-9+/=\s\\nr]{24,}")
_PORT_AND_PATH = Expression(r"[0-9]{1,5}/|/")
# Words behind an option in a sentence: `pass it with --password from your vault`.
_SENTENCE_WORDS = frozenset(
    (
        *("argument", "arguments", "been", "command", "config", "does", "each", "else", "empty"),
        *("field", "file", "flag", "flags", "from", "given", "have", "here", "input", "instead"),
        *("into", "just", "like", "line", "means", "must", "need", "needs", "never", "only"),
        *("option", "options", "over", "parameter", "please", "prompt", "prompted", "same"),
        *("should", "since", "stdin", "that", "them", "then", "there", "they", "this", "those"),
        *("through", "twice", "unless", "until", "used", "uses", "using", "value", "values"),
        *("variable", "were", "what", "when", "where", "whether", "which", "while", "will", "with"),
        *("without", "would", "your"),
    )
)
_PLAIN_WORDS = frozenset({"password", "passwd", "pass", "pwd", "pw", "secret", "user", "token"})


def _pem(candidate: Candidate) -> bool:
    body = candidate.value.split("-----")[2] if candidate.value.count("-----") > 1 else ""
    encoded = _BASE64.search(body)
    return not (
        encoded is None or "..." in body[:200] or re.search(r"(?i)x{8}|example", body) is not None
    )


def _jwt(candidate: Candidate) -> bool:
    """The head of a JWT is an object that names an algorithm."""
    head = candidate.value.split(".")[0]
    try:
        plain = binascii.a2b_base64(head.translate(_FROM_URL) + "=" * (-len(head) % 4))
    except binascii.Error:
        return False
    return plain.startswith(b"{") and b'"' in plain


def _in_url(candidate: Candidate) -> bool:
    value = candidate.value
    if placeholder(value) or value.lower() in _PLAIN_WORDS or len(value) < 3:
        return False
    if value.lower().startswith(("pass", "secret", "user")) and value.isalpha():
        return False
    return not (any(mark in value for mark in "{}<>$()[]") or value.startswith(("%", ":", "*")))


def _in_url_with_slash(candidate: Candidate) -> bool:
    """Not what begins with the number of a port and a path."""
    return _PORT_AND_PATH.match(candidate.value) is None and _in_url(candidate)


def _password(candidate: Candidate) -> bool:
    """A password of a command line: anything but a variable, a file or a word for one."""
    value = candidate.value.strip("\"'`")
    return not (
        len(value) < 4
        or placeholder(value)
        or value.startswith(("-", "/", "$", "@", "%", "<", "file:", "env:", "fd:"))
        or value.strip(".,:;()[]").lower() in _SENTENCE_WORDS
    )


def _flag(candidate: Candidate) -> float | None:
    """Of a flag for a token or a key, only what looks drawn."""
    if "pass" in candidate.matched.lower() or "pwd" in candidate.matched.lower():
        return 0.8 if _password(candidate) else None
    return 0.75 if random(candidate.value, length_min=8) else None


def _basic(candidate: Candidate) -> bool:
    """Base64 of a name, a colon and a password."""
    text = candidate.value
    try:
        plain = binascii.a2b_base64(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
    name, colon, password = plain.partition(":")
    if not colon or not plain.isprintable() or not (name or password):
        return False
    return not (placeholder(password) and placeholder(name))


VALIDATORS: dict[str, Validator] = {
    "private_key_block": entry_confidence(_pem),
    "json_web_token": entry_confidence(_jwt),
    "url_password": entry_confidence(_in_url),
    "url_password_with_slash": entry_confidence(_in_url_with_slash),
    "typed_password": entry_confidence(_password),
    "command_line_secret": own_confidence(_flag),
    "basic_credentials": entry_confidence(_basic),
}
