"""Validator of e-mail addresses. Those of examples count: an address is one, whoever owns it.

Refused: the user of a connection (`ssh root@host`, `https://user@host`, `git@host:path`), a package
at a version, a picture at twice its size, a unit of systemd.
"""

from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import Validator, own_confidence
from forestall.output.findings import Candidate

# What looks like a top-level domain and is none: endings of files, of units, of versions.
_NO_TOP_DOMAINS = (
    *("png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "mjs", "ts", "tsx"),
    *("jsx", "json", "yaml", "yml", "toml", "xml", "html", "htm", "pyc", "rb", "go", "java"),
    *("class", "jar", "txt", "log", "lock", "cfg", "conf", "ini", "sql", "csv", "pdf", "tar"),
    *("gz", "service", "socket", "target", "timer", "mount", "device", "slice", "scope"),
    *("localhost", "localdomain", "beta", "alpha", "rc", "snapshot"),
)
_PRIVATE_TOP_DOMAINS = frozenset(("internal", "corp", "intranet"))
# Of machines that announce themselves on their own network: what stands in front is a process.
_MACHINE_TOP_DOMAINS = frozenset(("local", "lan", "home"))
_CONNECTION = Expression(r"://[^\s/@]{0,64}$|\b(?:ssh|scp|sftp|rsync|mosh|git clone)\s[^\n]{0,40}$")
_CIPHER_HOSTS = frozenset(("openssh.com", "libssh.org"))  # their ciphers are named so
_TECHNICAL_USERS = frozenset(("git", "noreply", "no-reply", "donotreply", "do-not-reply", "root"))
_VERSION = Expression(r"^v?\d+\.\d|^\d+x\.")
_LOCAL_CHARS_MAX, _HOST_CHARS_MAX, _LABEL_CHARS_MAX = 64, 253, 63


def _address(candidate: Candidate) -> float | None:
    user, _, host = candidate.value.rpartition("@")
    host = host.lower()
    top_domain = host.rpartition(".")[2]
    if not _is_host(host, top_domain) or not _is_user(user) or _is_something_else(candidate, user):
        return None
    if top_domain in _MACHINE_TOP_DOMAINS:
        return None
    if top_domain in _PRIVATE_TOP_DOMAINS:  # a machine's prompt looks the same
        is_prompt = user.isdigit() or candidate.after[:1] in (":", "]")
        return None if is_prompt else 0.6
    return 0.6 if user.lower() in _TECHNICAL_USERS else 0.95


def _is_host(host: str, top_domain: str) -> bool:
    if len(host) > _HOST_CHARS_MAX or not 2 <= len(top_domain) <= _LABEL_CHARS_MAX:
        return False
    if top_domain in _NO_TOP_DOMAINS or host in _CIPHER_HOSTS or _VERSION.match(host):
        return False
    return ".-" not in f".{host}" and "-." not in host


def _is_user(user: str) -> bool:
    return len(user) <= _LOCAL_CHARS_MAX and ".." not in user and any(map(str.isalnum, user))


def _is_something_else(candidate: Candidate, user: str) -> bool:
    """Whether what stands beside the value says that it is a connection, a call in a program, or a
    scope of packages."""
    before, after = candidate.before, candidate.after[:1]
    if after.isalnum() or after == "(" or before[-1:] == "@":
        return True
    return _CONNECTION.search(before) is not None or (user == "git" and after in (":", "/"))


VALIDATORS: dict[str, Validator] = {"email_address": own_confidence(_address)}
