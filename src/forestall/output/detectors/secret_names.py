"""Validators of secrets that are known by their name: a name, a separator, and a value that looks
drawn.

A value stands in quotes behind its name, bare behind it, or with only spaces between. The less the
form ties a value to its name, the more random the value has to be.
"""

from forestall.output.detectors.context import matched_in_front
from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import Validator, ValidatorInput, own_confidence
from forestall.output.detectors.value_checks import (
    JUDGED_CHARS,
    is_placeholder,
    is_random,
    is_wordlike,
    letter_digit_changes,
    search_of,
)
from forestall.output.findings import Candidate, Check

# A name of what is public, or of what is only about a secret.
_names_no_secret = search_of(
    r"public|checksum|digest|integrity|fingerprint|sha(?:1|256|512)|commit|hash(?:[^i]|$)|revision"
    r"|(?:id|ids|name|names|file|path|type|url|uri|length|size|count|index|format|version|prefix"
    r"|status|date|time|limit|max|min|field|label|header|expiry|expires|class|column|alias|arn"
    r"|usage|hint|policy|policies|provider|scope|enabled|required|manager|store|handler|regex"
    r"|pattern|ref|reference|email|user|endpoint|audience|issuer)$"
    r"|primary_?key|foreign|keyword|keyboard|monkey|hockey|turkey|keyframe|keypress|tokenize"
    r"|token_?type|max_?token|hotkey|key_?code|sort_?key|cache_?key|partition|author\b|authors"
    r"|authority|authentic|sessionid$"
    # What goes on with a list, or makes a request count once, opens nothing; nor does what finds
    # an object, a row or a text.
    r"|(?:^|[^a-z0-9]|(?-i:[a-z][NPCISRDMO]))(?:next|page|next[_-]?page|paging|pagination"
    r"|continue|continuation|cursor|client|client_?request|idempotency|start|starting|resume|sync"
    r"|scroll|delta|skip|marker|watch|change|offset|etag|ack|receipt|task|dedup\w*)[_. -]?tokens?$"
    r"|(?:^|[^a-z0-9])(?:s3|object|file|blob|bucket|storage|row|partition|range|group|map|lookup"
    r"|translation|i18n|message|issue|project|routing|dedup\w*|idempotency|sort|order)[_. -]?keys?$"
    r"|auth\w{0,8}[_-]?(?:fail(?:ed|ures?)?|errors?|success|result|state|method|mode|reason)$"
)
# What stands behind `=` is a value: of `Name=private-ip,Values=10.0.0.1` no part is a secret.
_ASSIGNED_NAME = Expression(r"=[\"']?[\w.-]*$")
_LIST_SEPARATOR = Expression(r"[\"'`\]]{0,2}\s{0,6},")
_FILE = Expression(
    r"^[\w@.+-]*[A-Za-z_][\w@.+-]*\.(?:ova|ovf|vmdk|qcow2|iso|img|zip|t?gz|tar|bz2|xz|zst|7z|rar"
    r"|json|csv|tsv|parquet|avro|orc|log|txt|md|xml|ya?ml|html?|pdf|docx?|xlsx?|pptx?|png|jpe?g"
    r"|gif|svg|mp[34]|sql|db|bak|dump|jar|war|whl|deb|rpm|exe|dll|so"
    r"|py|js|ts|go|rs|java|c|h|sh|conf|ini|toml|crt"
    r"|pem|pub|bin|dat)$"
)
_FOLDERS = Expression(r"^[a-z][a-z_-]{2,}/[\w./=-]+$")
_names_a_session = search_of(
    r"sess|\bs?sid\b|sid$|auth|token|jwt|[cx]srf|remember|login|secret|credential|identity|ticket"
)
_SPACES_ONLY = Expression(r"[\w.\"'`\]-][ \t]{1,3}[\"'`]{0,2}$")
_names_a_secret = search_of(
    r"key|token|secret|pass|pw|auth|cred|\bid\b|_id\b|sid\b|bearer|login|hook"
)
_PAIR_NAME = Expression(
    r"(?i)(?:\b(?:name|key|variable|field|label|property|setting|param|parameter|option|title)"
    r"|\B(?:Key|Name))[\"']?\s{0,2}[:=>]\s{0,2}[\"']?([\w .-]{1,80})"
)
_names_a_password = search_of(r"pass|pwd|\bpw|[_-]pw")
_NAME_START = Expression(r"[\w.-]*(?: [\w.-]+)?")
_ID_CHARACTERS = Expression(r"[A-Za-z0-9+/_-]*$")
_ID_CHARS_MIN = 20
_CODE = Expression(
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\(?|[A-Za-z_]\w*\(.*|[A-Za-z_]\w*\[.*|&&|\|\||=>|[-=]>|::"
)
_NAME_REVERSED = Expression(r"[\w.-]{0,40}")  # of the text in front of a match
_LAST_NAME = Expression(r"(\w[\w .-]*)\W*$")
_PATHLIKE = Expression(r"^(?:\.{0,2}/|[A-Za-z]:\\|https?:|file:|~/)|/[\w.-]+/[\w.-]+\.\w{1,5}$")
_FIELD = Expression(r"[a-z][a-z_]{0,15}=")  # another name, with its value
_is_field_of_a_secret = search_of(r"key|token|secret|pass|pw|cred")
_UUID = Expression(r"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_VERSION = Expression(
    r"^v?[0-9]+(?:\.[0-9]+){1,3}\b|^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"|^[A-Za-z][A-Za-z-]{1,20}-[0-9]+(?:\.[0-9]+){1,3}(?:-[a-z-]+)?$"  # also of a licence
)


def _is_code(value: str) -> bool:
    """Whether a value is an expression of a program: a path of attributes, a call, an operator."""
    return _CODE.fullmatch(value) is not None and (len(value) < 40 or is_wordlike(value))


def _is_name_alone(value: str) -> bool:
    """Whether a value is of letters, hyphens and underscores only."""
    return value.replace("_", "").replace("-", "").isalpha()


def _has_digit(value: str) -> bool:
    return any(map(str.isdigit, value))


def _name(candidate: Candidate) -> str:
    """The whole name in front of the value, with what stands in front of the match."""
    front = matched_in_front(candidate)[-JUDGED_CHARS:]
    before = _NAME_REVERSED.match(candidate.before[::-1])
    assert before is not None, "it matches the empty text"
    name = _LAST_NAME.search(before[0][::-1] + front)
    return name[1] if name is not None else front


def _is_refused(candidate: Candidate) -> bool:
    """Whether the value or its name says that this is no secret."""
    return (
        _is_no_value(candidate.value[:JUDGED_CHARS])
        or _names_no_secret(_name(candidate).rstrip(" .-_"))
        or _is_no_assignment(candidate)
    )


def _is_no_value(value: str) -> bool:
    """Whether a value stands for a secret, or is a path or a version."""
    return (
        is_placeholder(value)
        or _PATHLIKE.search(value) is not None
        or _VERSION.search(value) is not None
    )


def _is_object(value: str) -> bool:
    """Whether a value is the name of a file, or of an object in folders: what a key finds, and no
    key."""
    return _FILE.match(value) is not None or _FOLDERS.match(value) is not None


def _is_no_assignment(candidate: Candidate) -> bool:
    """Whether the name is a part of a digest or of an id, or itself a value of a list that goes
    on."""
    front = matched_in_front(candidate)
    name = _NAME_START.match(front)
    name_end = name.end() if name is not None else 0
    before = candidate.before
    if _LIST_SEPARATOR.match(front, name_end) and _ASSIGNED_NAME.search(before + front[:name_end]):
        return True
    id_start = _ID_CHARACTERS.search(before)
    whole_id = (id_start[0] if id_start is not None else "") + front[:name_end]
    return len(whole_id) >= _ID_CHARS_MIN and is_random(whole_id, length_min=_ID_CHARS_MIN)


def assigned_to_name(check: Check | None, confidence: float) -> Check:
    """The check of a value behind a name: the name is a whole word, and the value is assigned to
    it. Where only spaces stand between them, the name has to say that it names a secret."""

    def check_name(candidate: Candidate) -> float | None:
        front = matched_in_front(candidate)
        before = candidate.before[-1:]
        begins_word = before.islower() and front[:1].isupper()  # in camel case
        if before.isalnum() and not begins_word:
            return None
        if _SPACES_ONLY.search(front) and not _names_a_secret(front):
            return None
        return confidence if check is None else check(candidate)

    return check_name


def named_password(value: str) -> float | None:
    """The confidence that a value which is named a password is one."""
    if len(value) < 5 or _is_no_value(value) or " " in value or _CODE.match(value):
        return None
    mixed = _has_digit(value) or not _is_name_alone(value)
    return 0.75 if mixed or not is_wordlike(value) else None


def named_secret(value: str) -> float | None:
    """The confidence that a value which is named a secret is one: it has to look drawn."""
    if len(value) < 8 or _is_no_value(value) or _is_object(value) or _is_code(value):
        return None
    if _UUID.match(value):
        return 0.6
    return 0.75 if is_random(value, length_min=8) else None


def cookie_value(name: str, value: str) -> float | None:
    """The confidence that a cookie is that of a session."""
    if not _names_a_session(name) or is_placeholder(value):
        return None
    return 0.75 if _UUID.match(value) or is_random(value, length_min=12) else None


def _quoted_password(candidate: Candidate) -> float | None:
    value = candidate.value
    if len(value) < 5 or _is_refused(candidate) or _CODE.fullmatch(value):
        return None
    if " " in value and not any(_is_letters_and_digits(word) for word in value.split()):
        return None
    if _is_name_alone(value):
        return 0.6 if len(value) >= 6 and not is_wordlike(value) else None
    return 0.8


def _is_letters_and_digits(word: str) -> bool:
    return word.isalnum() and not word.isalpha() and not word.isdigit()


def _bare_password(candidate: Candidate) -> float | None:
    value = candidate.value.rstrip(".:")
    is_call = candidate.after.startswith("(")
    if len(value) < 5 or _is_refused(candidate) or _CODE.match(value) or is_call:
        return None
    if not _has_digit(value) and all(c.isalnum() or c in "_-./" for c in value):
        return 0.6 if len(value) >= 8 and not is_wordlike(value) and value.isalnum() else None
    return 0.75


def _named_value(entry: ValidatorInput) -> Check:
    confidence, length_min = entry.confidence, entry.length_min

    def check(candidate: Candidate) -> float | None:
        value = candidate.value.strip(".")
        # Most values behind a name are short: the length is compared before the dearer checks.
        if len(value) < length_min or _is_refused(candidate):
            return None
        if _is_object(value) or _is_code(value):
            return None
        if _UUID.match(value):
            return confidence - 0.1
        return confidence if is_random(value, length_min=length_min) else None

    return check


def _value_apart(candidate: Candidate) -> float | None:
    """With only spaces between name and value, the value has to be random beyond doubt."""
    value = candidate.value
    if len(value) < 16 or _is_refused(candidate) or _is_object(value) or _CODE.match(value):
        return None
    field = _FIELD.match(value)
    if field is not None and not _is_field_of_a_secret(field[0]):
        return None
    if not is_random(value, length_min=16):
        return None
    if _UUID.match(value):
        return 0.6
    is_short = len(value) < 32
    if is_short and _has_digit(value) and (letter_digit_changes(value) < 4 or is_wordlike(value)):
        return None
    return 0.6


def _spoken_password(candidate: Candidate) -> float | None:
    """A password in a sentence: with a digit, and no word."""
    is_password = _has_digit(candidate.value) and _bare_password(candidate) is not None
    return 0.6 if is_password else None


def _paired_value(candidate: Candidate) -> float | None:
    """The value of a pair that names a secret in another of its fields."""
    pair_name = _PAIR_NAME.search(candidate.matched)
    name = pair_name[1] if pair_name is not None else ""
    if _names_no_secret(name.rstrip(" .-_")):
        return None
    if _names_a_password(name):
        return named_password(candidate.value)
    return named_secret(candidate.value)


VALIDATORS: dict[str, Validator] = {
    "quoted_password": own_confidence(_quoted_password),
    "bare_password": own_confidence(_bare_password),
    "spoken_password": own_confidence(_spoken_password),
    "named_value": _named_value,
    "paired_value": own_confidence(_paired_value),
    "value_apart": own_confidence(_value_apart),
}
