"""Read `detect`, which configures detectors for results, and test cases about results."""

import ipaddress
import re
from datetime import datetime

from forestall.policy.language.document import Mapping, plain_value
from forestall.policy.language.reader import Reader
from forestall.policy.rules import Detect, OutputTest, Verdict

_HOST = re.compile(r"(?!.*[.][0-9]+$)(?:\*?[.])?[0-9A-Za-z_-]+(?:[.][0-9A-Za-z_-]+)*[.]?")
_PREFIX_BITS_MIN = 7  # as fc00::/7, the widest network that is private
_FOLDER = re.compile(r"(?:/+|[A-Za-z]:[\\/]+|\\\\)[^\s/\\].*")


def read_detect(reader: Reader, top: Mapping) -> Detect:
    """The internal hosts and source paths for the detectors that need them."""
    section = reader.section(top, "detect", tuple(_PROBLEM_OF_ENTRY))
    if section is None:
        return Detect()
    listed = {key: reader.words(section, key) for key in _PROBLEM_OF_ENTRY}
    for key, words in listed.items():
        if any(not word.strip() for word in words):
            reader.problem(section.value_of(key), f"an entry of `{key}` is blank")
        for word in filter(str.strip, words):
            hint = _PROBLEM_OF_ENTRY[key](word)
            if hint:
                message = f"`{word[:60]}` cannot stand in `{key}`"
                reader.problem(section.value_of(key), message, hint)
    return Detect(**listed)


def _no_host(word: str) -> str:
    """Why an entry is no host; empty when it is one."""
    if _HOST.fullmatch(word):
        return ""
    try:
        network = ipaddress.ip_network(word, strict=False)
    except ValueError:
        return "a name such as corp.example.net (punycode), an address, or a range as 10.0.0.0/8"
    return "" if network.prefixlen >= _PREFIX_BITS_MIN else "a range this wide is everybody's"


def _no_folder(word: str) -> str:
    """Why an entry is no folder; empty when it is one."""
    if "*" in word or "?" in word:
        return "a folder stands for all in it; it is no pattern"
    if _FOLDER.fullmatch(word) is None:
        return "a whole path below the root, such as /srv/app"
    return ""


# The keys of `detect`; each function gives the hint for an entry that is refused, else empty.
_PROBLEM_OF_ENTRY = {"internal_hosts": _no_host, "source_paths": _no_folder}


def read_output_want(
    reader: Reader,
    entry: Mapping,
    want: Mapping,
    request: dict[str, object],
    *,
    name: str,
    now: datetime | None,
) -> OutputTest | None:
    """The test case about a result: its expected verdict and rule."""
    if "decision" in want.entries:
        reader.problem(want.key_of("decision"), "a case with a `result` wants a `verdict`")
        return None
    for mapping, key in ((want, "exactly"), (entry, "lifted")):
        if key in mapping.entries:
            reader.problem(mapping.key_of(key), f"`{key}` is not for a case with a `result`")
    word = reader.word(want, "verdict", tuple(Verdict))
    rule_id = reader.text(want, "rule_id")
    if word is None or "topic" not in request:
        if "verdict" not in want.entries or "topic" not in request:
            reader.problem(entry, "a case of a result needs `request.topic` and `want.verdict`")
        return None
    _, result = entry.entries["result"]
    return OutputTest(
        name=name,
        request=request,
        now=now,
        result=plain_value(result),
        verdict=Verdict(word),
        rule_id=rule_id,
        line=entry.line,
    )
