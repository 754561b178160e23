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
_is_session = holder(
    r"sess|\bs?sid\b|sid$|auth|token|jwt|[cx]srf|remember|login|secret|credential|identity|ticket"
)
_SPACES_ONLY = Expression(r"[\w.\"'`\]-][ \t]{1,3}[\"'`]{0,2}$")
_names_a_secret = holder(r"key|token|secret|pass|pw|auth|cred|\bid\b|_id\b|sid\b|bearer|login|hook")
_PAIR_NAME = Expression(
    r"(?i)(?:\b(?:name|key|variable|field|label|property|setting|param|parameter|option|title)"
    r"|\B(?:Key|Name))[\"']?\s{0,2}[:=>]\s{0,2}[\"']?([\w .-]{1,80})"
)
_is_password = holder(r"pass|pwd|\bpw|[_-]pw")
_WORD_BEGINS = Expression(r"[\w.-]*(?: [\w.-]+)?")
_ID_CHARACTERS = Expression(r"[A-Za-z0-9+/_-]*$")
_ID_CHARS_MIN = 20
_CODE = Expression(
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\(?|[A-Za-z_]\w*\(.*|[A-Za-z_]\w*\[.*|&&|\|\||=>|[-=]>|::"
)
_BACKWARDS = Expression(r"[\w.-]{0,40}")
_NAME = Expression(r"(\w[\w .-]*)\W*$")
_PATHLIKE = Expression(r"^(?:\.{0,2}/|[A-Za-z]:\\|https?:|file:|~/)|/[\w.-]+/[\w.-]+\.\w{1,5}$")
_LOOKED_AT_CHARS = 192
_FIELD = Expression(r"[a-z][a-z_]{0,15}=")  # another name, with its value
_is_secret_word = holder(r"key|token|secret|pass|pw|cred")
_UUID = Expression(r"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_VERSION = Expression(
    r"^v?[0-9]+(?:\.[0-9]+){1,3}\b|^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"|^[A-Za-z][A-Za-z-]{1,20}-[0-9]+(?:\.[0-9]+){1,3}(?:-[a-z-]+)?$"  # also of a licence
)


def _code(value: str) -> bool:
    return _CODE.fullmatch(value) is not None and (len(value) < 40 or wordlike(value))


def _name(candidate: Candidate) -> str:
    """The whole name in front of the value, with what stands in front of the match."""
    front = candidate.matched[: candidate.matched.find(candidate.value)][-_LOOKED_AT_CHARS:]
    before = _BACKWARDS.match(candidate.before[::-1])
    assert before is not None, "it matches the empty text"
    named = _NAME.search(before[0][::-1] + front)
    return named[1] if named else front


def _refused(candidate: Candidate) -> bool:
    value = candidate.value[:_LOOKED_AT_CHARS]
    return (
        _is_no_value(value)
        or _is_no_name_of_a_secret(_name(candidate).rstrip(" .-_"))
        or _is_no_name(candidate)
    )


def _is_no_value(value: str) -> bool:
    """Something that stands for a secret, a path, a version."""
    return (
        placeholder(value)
        or _PATHLIKE.search(value) is not None
        or _VERSION.search(value) is not None
    )


def _is_object(value: str) -> bool:
    """The name of a file, or of an object in folders: what a key finds, and no key."""
    return _FILE.match(value) is not None or _FOLDERS.match(value) is not None


def _is_no_name(candidate: Candidate) -> bool:
    """Letters that are part of a digest or of an id, or a value of which a list goes on."""
    front = candidate.matched[: candidate.matched.find(candidate.value)]
    name = _WORD_BEGINS.match(front)
    name_end = name.end() if name is not None else 0
    before = candidate.before
    if _LIST_SEPARATOR.match(front, name_end) and _ASSIGNED_NAME.search(before + front[:name_end]):
        return True
    run = _ID_CHARACTERS.search(before)
    whole = (run[0] if run is not None else "") + front[:name_end]
    return len(whole) >= _ID_CHARS_MIN and random(whole, length_min=_ID_CHARS_MIN)


def assigned_to_name(check: Check | None, confidence: float) -> Check:
    """The check of a value behind a name: the name is a whole word, and the value is assigned to
    it. Where only spaces part them, the name has to say that it names a secret."""

    def check_name(candidate: Candidate) -> float | None:
        front = candidate.matched.partition(candidate.value)[0]
        before = candidate.before[-1:]
        if before.isalnum() and not (before.islower() and front[:1].isupper()):
            return None
        if _SPACES_ONLY.search(front) and not _names_a_secret(front):
            return None
        return confidence if check is None else check(candidate)

    return check_name


def named_password(value: str) -> float | None:
    """How sure it is that a value which is named a password is one."""
    if len(value) < 5 or _is_no_value(value) or " " in value or _CODE.match(value):
        return None
    mixed = any(map(str.isdigit, value)) or not value.replace("_", "").replace("-", "").isalpha()
    return 0.75 if mixed or not wordlike(value) else None


def named_secret(value: str) -> float | None:
    """How sure it is that a value which is named a secret is one: it has to look drawn."""
    if len(value) < 8 or _is_no_value(value) or _is_object(value) or _code(value):
        return None
    if _UUID.match(value):
        return 0.6
    return 0.75 if random(value, length_min=8) else None


def cookie_value(name: str, value: str) -> float | None:
    """How sure it is that a cookie is that of a session."""
    if not _is_session(name) or placeholder(value):
        return None
    return 0.75 if _UUID.match(value) or random(value, length_min=12) else None


def _password_quoted(candidate: Candidate) -> float | None:
    value = candidate.value
    if len(value) < 5 or _refused(candidate) or _CODE.fullmatch(value):
        return None
    if " " in value and not any(_mixed(word) for word in value.split()):
        return None
    if value.replace("_", "").replace("-", "").isalpha():
        return 0.6 if len(value) >= 6 and not wordlike(value) else None
    return 0.8


def _mixed(word: str) -> bool:
    return word.isalnum() and not word.isalpha() and not word.isdigit()


def _password_bare(candidate: Candidate) -> float | None:
    value = candidate.value.rstrip(".:")
    if (
        len(value) < 5
        or _refused(candidate)
        or _CODE.match(value)
        or candidate.after.startswith("(")
    ):
        return None
    if not any(map(str.isdigit, value)):
        odd = sum(not c.isalnum() and c not in "_-./" for c in value)
        if odd == 0:
            return 0.6 if len(value) >= 8 and not wordlike(value) and value.isalnum() else None
    return 0.75


def _named_value(given: ValidatorInput) -> Check:
    sure, length_min = given.confidence, given.length_min

    def check(candidate: Candidate) -> float | None:
        value = candidate.value.strip(".")
        # Most values behind a name are short: ask that before anything dearer.
        if len(value) < length_min or _refused(candidate) or _is_object(value) or _code(value):
            return None
        if _UUID.match(value):
            return sure - 0.1
        return sure if random(value, length_min=length_min) else None

    return check


def _apart(candidate: Candidate) -> float | None:
    """Only spaces between: it has to be random beyond doubt."""
    value = candidate.value
    if len(value) < 16 or _refused(candidate) or _is_object(value) or _CODE.match(value):
        return None
    field = _FIELD.match(value)
    if field is not None and not _is_secret_word(field[0]):
        return None
    if not random(value, length_min=16):
        return None
    if _UUID.match(value):
        return 0.6
    digits = sum(map(str.isdigit, value))
    if digits and len(value) < 32 and (switches(value) < 4 or wordlike(value)):
        return None
    return 0.6


def _spoken_password(candidate: Candidate) -> float | None:
    """In a sentence: with a digit, and no word."""
    digits = any(map(str.isdigit, candidate.value))
    return 0.6 if digits and _password_bare(candidate) is not None else None


def _paired_value(candidate: Candidate) -> float | None:
    """The value of a pair that names a secret in another of its fields."""
    named = _PAIR_NAME.search(candidate.matched)
    name = named[1] if named is not None else ""
    if _is_no_name_of_a_secret(name.rstrip(" .-_")):
        return None
    if _is_password(name):
        return named_password(candidate.value)
    return named_secret(candidate.value)


VALIDATORS: dict[str, Validator] = {
    "quoted_password": own_confidence(_password_quoted),
    "bare_password": own_confidence(_password_bare),
    "spoken_password": own_confidence(_spoken_password),
    "named_value": _named_value,
    "paired_value": own_confidence(_paired_value),
    "value_apart": own_confidence(_apart),
}
