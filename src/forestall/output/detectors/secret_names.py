"""Validators of secrets known by the name they are given: a key, a separator, a value that looks
drawn.

Three ways to stand: in quotes behind the name, bare behind it, and apart from it by spaces only.
The farther the name and the value are apart in form, the more random the value has to be.
"""

from forestall.output.detectors.checks import holder, placeholder, random, switches, wordlike
from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import Validator, ValidatorInput, own_confidence
from forestall.output.findings import Candidate, Check

# A name that says what is public or what is only spoken of.

_is_no_name_of_a_secret = holder(
    r"public|checksum|digest|integrity|fingerprint|sha(?:1|256|512)|commit|hash(?:[^i]|$)|revision"
    r"|(?:id|ids|name|names|file|path|type|url|uri|length|size|count|index|format|version|prefix"
    r"|status|date|time|limit|max|min|field|label|header|expiry|expires|class|column|alias|arn"
    r"|usage|hint|policy|policies|provider|scope|enabled|required|manager|store|handler|regex"
    r"|pattern|ref|reference|email|user|endpoint|audience|issuer)$"
    r"|primary_?key|foreign|keyword|keyboard|monkey|hockey|turkey|keyframe|keypress|tokenize"
    r"|token_?type|max_?token|hotkey|key_?code|sort_?key|cache_?key|partition|author\b|authors"
    r"|authority|authentic|sessionid$"
)
_CODE = Expression(
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\(?|[A-Za-z_]\w*\(.*|[A-Za-z_]\w*\[.*|&&|\|\||=>|[-=]>|::"
)
_BACKWARDS = Expression(r"[\w.-]{0,40}")
_NAME = Expression(r"(\w[\w .-]*)\W*$")
_PATHLIKE = Expression(r"^(?:\.{0,2}/|[A-Za-z]:\\|https?:|file:|~/)|/[\w.-]+/[\w.-]+\.\w{1,5}$")
_LOOKED_AT_CHARS = 192
_UUID = Expression(r"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_VERSION = Expression(r"^v?[0-9]+(?:\.[0-9]+){1,3}\b|^[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _code(value: str) -> bool:
    return _CODE.fullmatch(value) is not None and (len(value) < 40 or wordlike(value))


def _name(found: Candidate) -> str:
    """The whole name in front of the value, with what stands in front of the match."""
    front = found.matched[: found.matched.find(found.value)][-_LOOKED_AT_CHARS:]
    before = _BACKWARDS.match(found.before[::-1])
    assert before is not None, "it matches the empty text"
    named = _NAME.search(before[0][::-1] + front)
    return named[1] if named else front


def _refused(found: Candidate) -> bool:
    value = found.value[:_LOOKED_AT_CHARS]
    return (
        placeholder(value)
        or _is_no_name_of_a_secret(_name(found).rstrip(" .-_"))
        or _PATHLIKE.search(value) is not None
        or _VERSION.search(value) is not None
    )


def _password_quoted(found: Candidate) -> float | None:
    value = found.value
    if len(value) < 5 or _refused(found) or _CODE.fullmatch(value):
        return None
    if " " in value and not any(_mixed(word) for word in value.split()):
        return None
    if value.replace("_", "").replace("-", "").isalpha():
        return 0.6 if len(value) >= 6 and not wordlike(value) else None
    return 0.8


def _mixed(word: str) -> bool:
    return word.isalnum() and not word.isalpha() and not word.isdigit()


def _password_bare(found: Candidate) -> float | None:
    value = found.value.rstrip(".:")
    if len(value) < 5 or _refused(found) or _CODE.match(value) or found.after.startswith("("):
        return None
    if not any(map(str.isdigit, value)):
        odd = sum(not c.isalnum() and c not in "_-./" for c in value)
        if odd == 0:
            return 0.6 if len(value) >= 8 and not wordlike(value) and value.isalnum() else None
    return 0.75


def _named_value(given: ValidatorInput) -> Check:
    sure, length_min = given.confidence, given.length_min

    def check(found: Candidate) -> float | None:
        value = found.value.strip(".")
        # Most values behind a name are short: ask that before anything dearer.
        if len(value) < length_min or _refused(found) or _code(value):
            return None
        if _UUID.match(value):
            return sure - 0.1
        return sure if random(value, length_min=length_min) else None

    return check


def _apart(found: Candidate) -> float | None:
    """Only spaces between: it has to be random beyond doubt."""
    value = found.value
    if len(value) < 16 or _refused(found) or _CODE.match(value):
        return None
    if not random(value, length_min=16):
        return None
    if _UUID.match(value):
        return 0.6
    digits = sum(map(str.isdigit, value))
    if digits and len(value) < 32 and (switches(value) < 4 or wordlike(value)):
        return None
    return 0.6


def _spoken_password(found: Candidate) -> float | None:
    """In a sentence: with a digit, and no word."""
    digits = any(map(str.isdigit, found.value))
    return 0.6 if digits and _password_bare(found) is not None else None


VALIDATORS: dict[str, Validator] = {
    "quoted_password": own_confidence(_password_quoted),
    "bare_password": own_confidence(_password_bare),
    "spoken_password": own_confidence(_spoken_password),
    "named_value": _named_value,
    "value_apart": own_confidence(_apart),
}
