"""Validators of secrets that are known by where they stand: in the block of a key, a URL, a header,
a command line."""

from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import Validator, entry_confidence, own_confidence
from forestall.output.detectors.value_checks import decoded_base64, is_placeholder, is_random
from forestall.output.findings import Candidate

_FROM_URL = str.maketrans("-_", "+/")
_BASE64 = Expression(r"[A-Za-z0-9+/=\s\\nr]{24,}")
_FILLED_IN = Expression(r"(?i)x{8}|example")
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


def _private_key_block(candidate: Candidate) -> bool:
    """The body of the block is base64, and not left out or filled in."""
    parts = candidate.value.split("-----")
    body = parts[2] if len(parts) > 2 else ""
    if _BASE64.search(body) is None or "..." in body[:200]:
        return False
    return _FILLED_IN.search(body) is None


def _json_web_token(candidate: Candidate) -> bool:
    """The header of a JWT (RFC 7519) is an object that names an algorithm."""
    encoded = candidate.value.split(".")[0]
    header = decoded_base64(encoded.translate(_FROM_URL))
    return header is not None and header.startswith(b"{") and b'"' in header


def _url_password(candidate: Candidate) -> bool:
    value = candidate.value
    if is_placeholder(value) or value.lower() in _PLAIN_WORDS or len(value) < 3:
        return False
    if value.lower().startswith(("pass", "secret", "user")) and value.isalpha():
        return False
    return not (any(mark in value for mark in "{}<>$()[]") or value.startswith(("%", ":", "*")))


def _url_password_with_slash(candidate: Candidate) -> bool:
    """What begins with the number of a port and a path is no password."""
    return _PORT_AND_PATH.match(candidate.value) is None and _url_password(candidate)


def _typed_password(candidate: Candidate) -> bool:
    """A password of a command line: anything but a variable, a file or a word for a password."""
    value = candidate.value.strip("\"'`")
    return not (
        len(value) < 4
        or is_placeholder(value)
        or value.startswith(("-", "/", "$", "@", "%", "<", "file:", "env:", "fd:"))
        or value.strip(".,:;()[]").lower() in _SENTENCE_WORDS
    )


def _command_line_secret(candidate: Candidate) -> float | None:
    """Behind an option for a token or a key, only what looks drawn."""
    matched = candidate.matched.lower()
    if "pass" in matched or "pwd" in matched:
        return 0.8 if _typed_password(candidate) else None
    return 0.75 if is_random(candidate.value, length_min=8) else None


def _basic_credentials(candidate: Candidate) -> bool:
    """Base64 of a name, a colon and a password (RFC 7617)."""
    try:
        credentials = (decoded_base64(candidate.value) or b"").decode()
    except UnicodeDecodeError:
        return False
    name, colon, password = credentials.partition(":")
    if not colon or not credentials.isprintable() or not (name or password):
        return False
    return not (is_placeholder(password) and is_placeholder(name))


VALIDATORS: dict[str, Validator] = {
    "private_key_block": entry_confidence(_private_key_block),
    "json_web_token": entry_confidence(_json_web_token),
    "url_password": entry_confidence(_url_password),
    "url_password_with_slash": entry_confidence(_url_password_with_slash),
    "typed_password": entry_confidence(_typed_password),
    "command_line_secret": own_confidence(_command_line_secret),
    "basic_credentials": entry_confidence(_basic_credentials),
}
