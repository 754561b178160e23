"""Every host that a text could make a client talk to.

Readers disagree on where a URL's host stands: on backslashes, missing slashes, `@`, blanks. Each
reading that a known client would make is a fact of its own, and so is a URL inside a URL. The parts
of a URL are named as in RFC 3986: its authority is `user@host:port`. What a host is, `hosts.py`
says. What looks like a URL and cannot be read strictly is `unknown`; this module refuses to leave
such a thing out.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

import msgspec

from forestall.facts.bounded_facts import at_most
from forestall.facts.data_files import WordLists
from forestall.facts.hosts import LOOPBACK_NAMES, NUMBER, HostKind, readings_of_host

TEXT_BYTES_MAX: Final = 64 * 1024  # a URL of 8 KiB is already refused by most servers
AUTHORITY_CHARS_MAX: Final = 1_024  # a host has 253 at most; the rest is user information
FACTS_MAX: Final = 64  # hosts reported; each one costs a decision
STARTS_MAX: Final = 2_048  # places where a URL may start in one text
SLASHES_MAX: Final = 8  # before a host; browsers take any number, nobody writes more than three
DECODINGS_MAX: Final = 3  # percent-encoding inside percent-encoding
SCHEME_CHARS_MAX: Final = 40
PORT_MAX: Final = 65_535


class UrlFact(msgspec.Struct, frozen=True, kw_only=True):
    """One host that could be reached: "" when that cannot be known.

    `scheme` is "" when the text has none; `port` is the scheme's own when none is given, or 0.
    """

    host: str
    scheme: str
    port: int
    kind: HostKind


_WORDS: Final = WordLists("hosts.yaml")
_PORTS: Final = _WORDS.meanings("scheme_ports", int)
_WEB_SCHEMES: Final = _WORDS.set("web_schemes")  # these need no slashes at all
_HOSTLESS_SCHEMES: Final = _WORDS.set("hostless_schemes")
_COMMON_ENDINGS: Final = _WORDS.set("common_endings")

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*$")
# What a reader that looks for a scheme finds at the end of `xhttp`.
_KNOWN_SCHEME: Final = re.compile(r"(?:https?|wss?|ftps?|file|gopher|javascript|data)$")
_SLASHES_WITHOUT_SCHEME: Final = re.compile(r"(?:^|(?<=[\s=&?#,;|\"'<>(\[{]))[/\\]{2,}(?=[^/\\\s])")
_WITHOUT_BREAKS: Final = {ord(char): None for char in "\t\r\n"}
_WRAPPING: Final = "<>\"'()[]{},;.!`"
# `host`, `host:port`, `host/path`, and `user@host:path` of scp
_HOST_SHAPE: Final = re.compile(
    r"(?P<user>[^\s/@\\]{1,64}@)?(?P<host>\[[0-9A-Fa-f:.%\w]{2,64}\]|[^\s/:@\\?#\[\]]{1,253})"
    r"(?P<port>:\d{1,10})?(?P<scp>:[^\s:]*)?(?P<path>[/?#\\].*)?",
    re.DOTALL,
)
# Where the authority of a URL ends, to different readers.
_AUTHORITY_ENDS: Final = (r"[/\\?#\s\"'<>`|^{}]", r"[/?#\s\"'<>`]", r"[/\s\"'<>`]")
# And to browsers, which take blanks, too, for a part of the user's name when an `@` follows them.
_AUTHORITY_ENDS_WITH_BLANKS: Final = (r"[/?#\"'<>`]", r"[/\"'<>`]")


def _unknown_host(scheme: str = "") -> UrlFact:
    return UrlFact(host="", scheme=scheme, port=0, kind=HostKind.UNKNOWN)


_UNKNOWN: Final = _unknown_host()


def urls_in(text: str) -> tuple[UrlFact, ...]:
    """Every host that `text` names, without duplicates; never empty."""
    if len(text) > TEXT_BYTES_MAX or len(text.encode("utf-8", "replace")) > TEXT_BYTES_MAX:
        return (_UNKNOWN,)
    facts: dict[UrlFact, None] = {}
    for number, decoding in enumerate(_decodings(text)):
        for fact in _facts(decoding, as_written=number == 0):
            facts[fact] = None
            if len(facts) > FACTS_MAX:
                return at_most(FACTS_MAX, facts, _UNKNOWN)
    if not facts or any(_is_strange(char) for char in text if not "\x20" < char < "\x7f"):
        facts[_UNKNOWN] = None
    return at_most(FACTS_MAX, facts, _UNKNOWN)


def _is_strange(char: str) -> bool:
    """Control and invisible characters: some readers drop them, others stop there."""
    return char not in "\t\r\n " and unicodedata.category(char)[0] in "CZ"


def _decodings(text: str) -> list[str]:
    """The text as different readers would take it: first as it is, then made plain, and decoded."""
    text = text.strip()
    plain = "".join(
        "." if char in "\u3002\uff61" else char
        for char in unicodedata.normalize("NFKC", text)
        if unicodedata.category(char) not in ("Cf", "Cc", "Mn") or char in "\t\r\n"
    )
    forms = [text, plain]
    for form in (text, plain):
        for _ in range(DECODINGS_MAX):
            form = unquote(form, errors="replace")
            forms.append(form)
    if " " not in text:
        forms.append(text.translate(_WITHOUT_BREAKS))
    return list(dict.fromkeys(forms))


def _facts(text: str, *, as_written: bool) -> Iterator[UrlFact]:
    """The facts of one decoding of the text."""
    starts = 0
    for colon in re.finditer(":", text):
        at = colon.start()
        scheme = _SCHEME.search(text[max(0, at - SCHEME_CHARS_MAX) : at])
        if scheme is None:
            continue
        starts += 1
        if starts > STARTS_MAX:
            yield _UNKNOWN
            break
        name = scheme[0].lower()
        known = _KNOWN_SCHEME.search(name)
        after = text[at + 1 : at + 3 + AUTHORITY_CHARS_MAX]
        yield from _facts_of_url(known[0] if known else name, after)
    for slashes in _SLASHES_WITHOUT_SCHEME.finditer(text):
        after = text[slashes.end() : slashes.end() + AUTHORITY_CHARS_MAX + 2]
        yield from _facts_of_authority("", after)
    tokens = text.split()
    is_whole_text = as_written and len(tokens) == 1
    for token in tokens[:STARTS_MAX]:
        yield from _facts_of_token(token.strip(_WRAPPING), is_whole_text=is_whole_text)


def _facts_of_url(scheme: str, rest: str) -> Iterator[UrlFact]:
    """What `scheme:rest` names."""
    after_slashes = rest.lstrip("/\\")
    slashes = len(rest) - len(after_slashes)
    if slashes > SLASHES_MAX:
        yield _unknown_host(scheme)
    if scheme in _HOSTLESS_SCHEMES:
        yield _unknown_host(scheme)
        # `file:///path` has no host, and a reader may find one behind any other number of slashes.
        if scheme == "file" and slashes >= 2 and slashes != 3 and after_slashes:
            yield from _facts_of_authority(scheme, after_slashes)
    elif scheme in _WEB_SCHEMES:
        if after_slashes[:1].strip():
            yield from _facts_of_authority(scheme, after_slashes)
            # A client that removes tabs and line breaks first sees another host.
            word = after_slashes.split(" ")[0]
            if "\t" in word:
                yield from _facts_of_authority(scheme, word.translate(_WITHOUT_BREAKS))
        elif slashes:
            yield _unknown_host(scheme)
    elif slashes >= 2:
        yield from _facts_of_authority(scheme, after_slashes)


def _facts_of_authority(scheme: str, rest: str) -> Iterator[UrlFact]:
    """The hosts that different readers find in the authority at the start of `rest`."""
    for ends in _AUTHORITY_ENDS:
        authority = re.split(ends, rest, maxsplit=1)[0]
        if len(authority) > AUTHORITY_CHARS_MAX:
            yield _unknown_host(scheme)
            return
        before_host, at, host = authority.rpartition("@")
        yield from _facts_of_host_and_port(scheme, host)
        if not at:
            continue
        users = before_host.split("@")
        for user in users:  # a reader that stops at the first `@`, or at `:`, takes it for the host
            name = user.partition(":")[0]
            if len(users) > 1 or "." in name or name.isdigit():
                yield from _facts_of_host_and_port(scheme, user)
    yield from _facts_behind_blanks(scheme, rest)


def _facts_behind_blanks(scheme: str, rest: str) -> Iterator[UrlFact]:
    """The host of a URL whose user has a blank in the name: `http://a.com @b.com/` leads to b.com.

    It takes prose with a URL and a mail address for such a URL, too.
    """
    for ends in _AUTHORITY_ENDS_WITH_BLANKS:
        authority = re.split(ends, rest, maxsplit=1)[0]
        if authority == rest and len(rest) > AUTHORITY_CHARS_MAX - SLASHES_MAX:
            yield _unknown_host(scheme)  # it may go on behind what was cut off
        user, at, host = authority.rpartition("@")
        if at and host.strip() and any(map(str.isspace, user)):
            yield from _facts_of_host_and_port(scheme, host.split()[0])


def _facts_of_host_and_port(scheme: str, text: str) -> Iterator[UrlFact]:
    """`host` or `host:port`."""
    port = _PORTS.get(scheme, 0)
    sure = True
    if text.startswith("["):
        host, bracket, after = text.partition("]")
        host += bracket
        sure = bool(bracket) and (not after or after.startswith(":"))
        written_port = after[1:]
    else:
        host, _, written_port = text.partition(":")
        host = host.rstrip(",;)!]}")
        if ":" in written_port:  # an IPv6 address without its brackets
            yield from _facts_of_host(f"[{text}]", scheme, 0)
            sure = False
    written_port = written_port.rstrip(",;).!]}\\")
    if written_port:
        if _is_port(written_port):
            port = int(written_port)
        else:
            sure = False
    if not sure:
        yield _unknown_host(scheme)
    yield from _facts_of_host(host, scheme, port)


def _is_port(text: str) -> bool:
    is_number = text.isascii() and text.isdigit() and len(text) < 9
    return is_number and 0 < int(text) <= PORT_MAX


def _facts_of_token(token: str, *, is_whole_text: bool) -> Iterator[UrlFact]:
    """A token without a scheme: `host`, `host:port`, `host/path`, `user@host:path`.

    In prose, only a token is taken for a host that looks like one.
    """
    shape = _HOST_SHAPE.fullmatch(token)
    if shape is None:
        if is_whole_text and not _SCHEME.search(token.partition(":")[0]):
            yield _UNKNOWN
        return
    host = shape["host"]
    if shape["scp"] and not shape["user"]:
        return  # scheme:rest
    ending = host.rstrip(".").rpartition(".")[2].lower()
    is_name = "." in host.strip(".") and (ending in _COMMON_ENDINGS or not host.isascii())
    looks_like_host = (
        is_whole_text
        or (shape["port"] and not host.isdigit())  # a port, and not the time of day
        or (NUMBER.fullmatch(ending) and host.count(".") == 3)
        or host.startswith("[")
        or shape["scp"]
        or (is_name and not shape["user"])
        or host.lower() in LOOPBACK_NAMES
    )
    if looks_like_host:
        scheme = "ssh" if shape["scp"] else ""
        yield from _facts_of_host_and_port(scheme, host + (shape["port"] or ""))


def _facts_of_host(host: str, scheme: str, port: int) -> Iterator[UrlFact]:
    """The facts of one host as it is written; several where readers disagree."""
    for name, kind in readings_of_host(host):
        yield UrlFact(host=name, scheme=scheme, port=port, kind=kind)
