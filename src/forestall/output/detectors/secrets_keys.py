"""Private keys, signed tokens, passwords in URLs, headers and command lines, password hashes."""

import binascii
import re

from forestall.output.detectors.checks import not_placeholder, placeholder, random
from forestall.output.detectors.shapes import token
from forestall.output.findings import Candidate, Kind

_BASE64 = re.compile(r"[A-Za-z0-9+/=\s\\nr]{24,}")
_URL_PLAIN_WORDS = frozenset({"password", "passwd", "pass", "pwd", "pw", "secret", "user", "token"})


def _pem(found: Candidate) -> float | None:
    body = found.value.split("-----")[2] if found.value.count("-----") > 1 else ""
    encoded = _BASE64.search(body)
    if encoded is None or "..." in body[:200] or re.search(r"(?i)x{8}|example", body):
        return None
    return 0.98


def _jwt(found: Candidate) -> float | None:
    """The head of a JWT is an object that names an algorithm."""
    head = found.value.split(".")[0]
    try:
        plain = binascii.a2b_base64(head.translate(_URL) + "=" * (-len(head) % 4))
    except binascii.Error:
        return None
    return 0.95 if plain.startswith(b"{") and b'"' in plain else None


_URL = str.maketrans("-_", "+/")


def _in_url(found: Candidate) -> float | None:
    value = found.value
    if placeholder(value) or value.lower() in _URL_PLAIN_WORDS or len(value) < 3:
        return None
    if value.lower().startswith(("pass", "secret", "user")) and value.isalpha():
        return None
    if any(mark in value for mark in "{}<>$()[]") or value.startswith(("%", ":", "*")):
        return None
    return 0.9


def _password(found: Candidate) -> float | None:
    """A password of a command line: anything but a variable, a file or a word for one."""
    value = found.value.strip("\"'`")
    if len(value) < 4 or placeholder(value) or value.startswith(("-", "/", "$", "@", "%", "<")):
        return None
    return 0.8


def _flag(found: Candidate) -> float | None:
    """Of a flag for a token or a key, only what looks drawn."""
    if "pass" in found.matched.lower() or "pwd" in found.matched.lower():
        return _password(found)
    return 0.75 if random(found.value, length_min=8) else None


def _basic(found: Candidate) -> float | None:
    """Base64 of a name, a colon and a password."""
    text = found.value
    try:
        plain = binascii.a2b_base64(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, password = plain.partition(":")
    if not colon or not plain.isprintable() or not (name or password):
        return None
    return None if placeholder(password) and placeholder(name) else 0.9


def _bearer(found: Candidate) -> float | None:
    return 0.85 if random(found.value, length_min=16) else None


def _hash(found: Candidate) -> float | None:
    return None if placeholder(found.value[12:]) else 0.9


KINDS: tuple[Kind, ...] = (
    Kind(
        name="private_key",
        pattern=r"(?s)(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:[^-]|-[^-]|--[^-]|---[^-]|----[^-]){20,}?"
        r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|-----BEGIN|\z))",
        keywords=("private key",),
        before=64,
        after=8_192,
        check=_pem,
        shown=11,
    ),
    Kind(
        name="private_key",
        pattern=r"(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"[A-Za-z0-9+/=\s\\:,.()-]{24,})",
        keywords=("private key",),
        before=64,
        after=8_192,
        check=_pem,
        shown=11,
    ),
    Kind(
        name="putty_private_key",
        pattern=r"(PuTTY-User-Key-File-[23]: [^\n]{1,80}\n(?s:.{40,}?)"
        r"Private-(?:MAC|Hash): [0-9a-f]{40,64})",
        keywords=("putty-user-key-file",),
        after=6_000,
        shown=19,
    ),
    token("age_secret_key", r"AGE-SECRET-KEY-1[02-9A-Z]{58}", "age-secret-key-1", shown=16),
    token("nkey_seed", r"S[ACNOUX][A-Z2-7]{56}", "nats", "nkey", "seed", sure=0.8),
    token("minisign_secret_key", r"RWRTY0Iy[A-Za-z0-9+/]{50,}={0,2}", "rwrty0iy", shown=8),
    Kind(
        name="json_web_key",
        pattern=r"\"kty\"\s*:\s*\"(?:RSA|EC|OKP|oct)\"[^{}]{0,}?\"(?:d|k)\"\s*:\s*\"([\w-]{16,})\"",
        keywords=('"kty"',),
        after=5_000,
        check=_bearer,
    ),
    Kind(
        name="json_web_token",
        pattern=r"\b(ey[A-Za-z0-9_-]{10,}\.(?:ey|Z[XA-Z])[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{10,})",
        keywords=("eyj", "ewo", "eya"),
        after=2_000,
        check=_jwt,
        shown=3,
    ),
    Kind(
        name="json_web_token_unsigned",
        pattern=r"\b(eyJ[A-Za-z0-9_-]{10,800}\.eyJ[A-Za-z0-9_-]{8,})\.?",
        keywords=("eyj",),
        after=2_000,
        confidence=0.7,
        check=lambda found: 0.7 if _jwt(found) else None,
        shown=3,
    ),
    Kind(
        name="json_web_token_encoded",
        pattern=r"\b(ZXlK[A-Za-z0-9+/_-]{40,})",
        keywords=("zxlk",),
        after=2_000,
        check=not_placeholder(0.85, skip=4),
        shown=4,
    ),
    Kind(
        name="password_in_url",
        pattern=r"\b(?:[a-zA-Z][a-zA-Z0-9+.-]{1,30})://"
        r"[^\s:/?#@\"'<>]{0,120}:([^\s/@\"'<>]{3,200})@[^\s@]",
        keywords=("://",),
        before=32,
        after=360,
        check=_in_url,
    ),
    Kind(
        name="bearer_token",
        pattern=r"(?i:bearer|authorization[\"']?\s{0,2}[:=]\s{0,2}[\"']?token)"
        r"[\s:]{1,3}([\w.~+/=-]{16,})",
        keywords=("bearer", "authorization"),
        after=600,
        check=_bearer,
    ),
    Kind(
        name="authorization_value",
        pattern=r"(?i:authorization|x-[a-z-]{2,24}-(?:key|token|secret))"
        r"[\"']?\s{0,2}[:=]\s{0,2}[\"'`]?"
        r"(?:[A-Za-z]{3,12} )?([\w.~+/=:-]{16,})",
        keywords=("authorization", "x-"),
        after=400,
        check=_bearer,
    ),
    Kind(
        name="basic_credentials",
        pattern=r"(?i:basic)\s{1,3}([A-Za-z0-9+/]{6,400}={0,2})(?:[^A-Za-z0-9+/=]|$)",
        keywords=("basic",),
        after=450,
        check=_basic,
    ),
    Kind(
        name="docker_registry_auth",
        pattern=r"\"auth\"\s*:\s*\"([A-Za-z0-9+/]{8,400}={0,2})\"",
        keywords=('"auth"',),
        check=_basic,
    ),
    Kind(
        name="curl_credentials",
        pattern=r"\bcurl\b[^\n]{0,200}?\s(?:-u|--user|--proxy-user)[\s=]{1,2}"
        r"[\"']?[^\s:\"']{0,80}:([^\s\"'<>]{3,120})",
        keywords=("curl",),
        check=_password,
    ),
    Kind(
        name="command_line_password",
        pattern=r"(?:^|\s)(?"
        r":--?(?:pass(?:word|wd|phrase|code)?|pwd|token|secret|api-?key|client-secret)"
        r")[=\s]{1,2}[\"']?([^\s\"'=&|;]{4,200})",
        keywords=("-pass", "-pwd", "-token", "-secret", "-api", "-client-secret"),
        any_case=True,
        after=240,
        check=_flag,
    ),
    Kind(
        name="remote_command_password",
        pattern=r"(?i)\b(?:sshpass|psexec(?:\.exe)?|plink|mysql|mysqldump|mongo|smbclient|"
        r"connect-viserver|winexe)\b[^\n]{0,160}?\s(?:-p|-password|--password)[\s=]{0,2}[\"']?"
        r"([^\s\"'=]{4,100})",
        keywords=(
            "sshpass",
            "psexec",
            "plink",
            "mysql",
            "mongo",
            "smbclient",
            "connect-viserver",
            "winexe",
        ),
        after=300,
        check=_password,
    ),
    Kind(
        name="netrc_password",
        pattern=r"(?i)\bmachine\s+\S{1,200}\s+login\s+\S{1,120}\s+password\s+(\S{3,200})",
        keywords=("machine",),
        check=_password,
    ),
    Kind(
        name="sql_password",
        pattern=r"(?i)\biden"
        r"tified\s+(?:with\s+\w+\s+)?by\s+(?:password\s+)?[\"'`]?([^\s\"'`;]{4,200})",
        keywords=("identified",),
        check=_password,
    ),
    Kind(
        name="sql_password",
        pattern=r"(?i)\b(?:user|role|login)"
        r"\b[^\n;]{1,120}?\bpassword\s*(?:=|:)?\s*N?[\"'`]([^\"'`\n]{3,200})[\"'`]",
        keywords=("password",),
        before=160,
        check=_password,
    ),
    Kind(
        name="sql_password",
        pattern=r"(?i)\bpassword\(\s*[\"'`]([^\"'`\n]{3,200})[\"'`]",
        keywords=("password(",),
        check=_password,
    ),
    Kind(
        name="powershell_password",
        pattern=r"(?i)convertto-securestring\b[^\n]{0,80}?[\"']([^\"'\n$]{4,200})[\"']",
        keywords=("convertto-securestring",),
        check=_password,
    ),
    Kind(
        name="connection_string_password",
        pattern=r"(?i);\s{0,2}(?:pwd|password)\s{0,2}=\s{0,2}\{?([^;\"'\s<>{}$%&()]{3,120})",
        keywords=("pwd", "password"),
        before=16,
        check=_password,
    ),
    Kind(
        name="connection_string_password",
        pattern=r"(?i)(?:pwd|password)\s{0,2}=\s{0,2}\{?([^;\"'\s<>{}$%&()]{3,120})\}?;"
        r"\s{0,2}[A-Za-z ]{2,30}=",
        keywords=("pwd", "password"),
        before=16,
        check=_password,
    ),
    Kind(
        name="password_hash",
        pattern=r"(\$(?:2[abxy]?|[1-9y]|gy|apr1|md5|argon2(?:id|i|d)|pbkdf2[\w-]{0,12}|scrypt"
        r"|krb5(?:tgs|asrep|pa))"
        r"\$[\w./$=,*+@-]{20,})",
        keywords=(
            "$2",
            "$5$",
            "$6$",
            "$7$",
            "$y$",
            "$gy$",
            "$apr1$",
            "$1$",
            "$md5$",
            "$argon2",
            "$pbkdf2",
            "$scrypt$",
            "$8$",
            "$9$",
            "$krb5",
        ),
        after=300,
        check=_hash,
        shown=3,
    ),
    Kind(
        name="htpasswd_sha",
        pattern=r"(\{S?SHA(?:256|512)?\}[A-Za-z0-9+/]{27,}={0,2})",
        keywords=("sha}", "sha256}", "sha512}"),
        check=not_placeholder(0.85, skip=9),
        shown=5,
    ),
    Kind(
        name="ntlm_hash",
        pattern=r"\b([0-9a-fA-F]{32}:[0-9a-fA-F]{32}):::",
        keywords=(":::",),
        before=80,
    ),
    Kind(
        name="one_time_password_seed",
        pattern=r"(?i:otpauth://|(?:otp|totp|2fa|mfa)[\w -]{0,20}(?:secret|seed|key)?)"
        r"[^\n]{0,120}?[=:]\s?[\"']?([A-Z2-7]{16,64})\b",
        keywords=("otp", "2fa", "mfa"),
        after=240,
        check=lambda found: 0.85 if not placeholder(found.value) else None,
    ),
    Kind(
        name="kubernetes_secret_value",
        pattern=r"(?is)\bkind[\"']?:\s{0,3}[\"']?secret\b.{0,400}?\bdata[\"']?:\s{0,3}\{?\s{1,40}"
        r"[\"']?[\w.-]{1,80}[\"']?:\s{1,3}[\"']?([A-Za-z0-9+/]{8,}={0,2})",
        keywords=("kind",),
        after=3_000,
        check=lambda found: None if placeholder(found.value) else 0.85,
    ),
    Kind(
        name="kubernetes_secret_value",
        pattern=r"(?is)\bdata[\"']?:\s{0,3}\{?\s{1,40}[\"']?[\w.-]{1,80}[\"']?:\s{1,3}[\"']?"
        r"([A-Za-z0-9+/]{8,}={0,2}).{0,400}?\bkind[\"']?:\s{0,3}[\"']?secret\b",
        keywords=("kind",),
        before=2_600,
        check=lambda found: None if placeholder(found.value) else 0.85,
    ),
)
