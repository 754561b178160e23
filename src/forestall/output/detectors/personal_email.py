"""Validator of addresses of e-mail. Those of examples count: an address is one, whoever owns it.

Not an address: the user of a connection (`ssh root@host`, `https://user@host`, `git@host:path`), a
package at a version, a picture at twice its size, a unit of systemd.
"""

from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import Validator, own_confidence
from forestall.output.findings import Candidate

# Endings of files and of units that no country and no registry has.
_NO_TOPS = (
    *("png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "mjs", "ts", "tsx"),
    *("jsx", "json", "yaml", "yml", "toml", "xml", "html", "htm", "pyc", "rb", "go", "java"),
    *("class", "jar", "txt", "log", "lock", "cfg", "conf", "ini", "sql", "csv", "pdf", "tar"),
    *("gz", "service", "socket", "target", "timer", "mount", "device", "slice", "scope"),
    *("localhost", "localdomain", "beta", "alpha", "rc", "snapshot"),
)
_PRIVATE_TOPS = frozenset(("internal", "corp", "intranet"))
# Of machines that announce themselves on their own network: what stands in front is a process.
_MACHINE_TOPS = frozenset(("local", "lan", "home"))
_CONNECTION = Expression(r"://[^\s/@]{0,64}$|\b(?:ssh|scp|sftp|rsync|mosh|git clone)\s[^\n]{0,40}$")
_ALGORITHMS = frozenset(("openssh.com", "libssh.org"))  # they name ciphers so
_TECHNICAL = frozenset(("git", "noreply", "no-reply", "donotreply", "do-not-reply", "root"))
_VERSION = Expression(r"^v?\d+\.\d|^\d+x\.")
_LOCAL_CHARS_MAX, _HOST_CHARS_MAX, _LABEL_CHARS_MAX = 64, 253, 63


def _address(candidate: Candidate) -> float | None:
    user, _, host = candidate.value.rpartition("@")
    host = host.lower()
    top = host.rpartition(".")[2]
    if len(user) > _LOCAL_CHARS_MAX or len(host) > _HOST_CHARS_MAX or top in _NO_TOPS:
        return None
    if host in _ALGORITHMS or _VERSION.match(host) or ".." in user:
        return None
    if not 2 <= len(top) <= _LABEL_CHARS_MAX or ".-" in f".{host}" or "-." in host:
        return None
    if not any(map(str.isalnum, user)) or candidate.after[:1].isalnum():
        return None
    if _CONNECTION.search(candidate.before) or (
        user == "git" and candidate.after[:1] in (":", "/")
    ):
        return None
    if candidate.after[:1] == "(" or candidate.before[-1:] == "@":  # a call, a scope of packages
        return None
    if top in _MACHINE_TOPS or (top in _PRIVATE_TOPS and user.isdigit()):
        return None
    if top in _PRIVATE_TOPS:  # a machine's prompt looks the same
        return None if candidate.after[:1] in (":", "]") else 0.6
    return 0.6 if user.lower() in _TECHNICAL else 0.95


VALIDATORS: dict[str, Validator] = {"email_address": own_confidence(_address)}
