"""Read `output_rules`, `detect` and test cases about results, as strictly as the rest of the
language.

An output rule may match on the job alone (for example a topic whose results always need a person);
its content criteria are about the result.
"""

import ipaddress
import re
from datetime import datetime

from forestall.limits import LIST_ITEMS_PER_FIELD_MAX, OUTPUT_RULES_PER_FILE_MAX, REASON_CHARS_MAX
from forestall.policy.language.cordum_hints import PEER_RULE_KEYS, PEER_VERDICTS
from forestall.policy.language.document import Mapping, plain_value
from forestall.policy.language.match_reader import read_match, read_result_content
from forestall.policy.language.reader import Reader
from forestall.policy.rules import Detect, OutputRule, OutputTest, Verdict

SEVERITIES = ("low", "medium", "high", "critical")
OUTPUT_RULE_KEYS = ("id", "decision", "reason", "match", "unless", "owner", "severity")
_DETECT_KEYS = ("internal_hosts", "source_paths")
_HOST = re.compile(r"(?!.*[.][0-9]+$)(?:\*?[.])?[0-9A-Za-z_-]+(?:[.][0-9A-Za-z_-]+)*[.]?")
_PREFIX_BITS_MIN = 7  # as fc00::/7, the widest network that is private
_FOLDER = re.compile(r"(?:/+|[A-Za-z]:[\\/]+|\\\\)[^\s/\\].*")


def note_id(reader: Reader, entry: Mapping, rule_id: str, first_line: dict[str, int]) -> None:
    """Note where a rule id stands; a problem when the id was used before."""
    if rule_id in first_line:
        reader.problem(
            entry.entries["id"][1],
            f"the rule id `{rule_id}` is used twice",
            f"first on line {first_line[rule_id]}",
        )
    first_line.setdefault(rule_id, entry.line)


def read_output_rules(
    reader: Reader, top: Mapping, first_line: dict[str, int]
) -> tuple[OutputRule, ...]:
    """The rules under `output_rules`."""
    rules: list[OutputRule] = []
    for entry in reader.mappings(top, "output_rules", most=OUTPUT_RULES_PER_FILE_MAX):
        rule = _read_rule(reader, entry)
        if rule is not None:
            note_id(reader, entry, rule.id, first_line)
            rules.append(rule)
    return tuple(rules)


def _read_rule(reader: Reader, entry: Mapping) -> OutputRule | None:
    reader.known_keys(entry, OUTPUT_RULE_KEYS, "an output rule", PEER_RULE_KEYS)
    rule_id = reader.identifier(entry, "id", "an output rule")
    word = reader.word(entry, "decision", tuple(Verdict), PEER_VERDICTS)
    if word is None and "decision" not in entry.entries:
        reader.problem(entry, "the rule has no `decision`", "one of: " + ", ".join(Verdict))
    match = read_match(reader, entry, content=read_result_content)
    unless = read_match(reader, entry, "unless") if "unless" in entry.entries else None
    reason = reader.text(entry, "reason", most=REASON_CHARS_MAX) or ""
    owner = reader.text(entry, "owner") or ""
    severity = reader.word(entry, "severity", SEVERITIES) or ""
    if rule_id is None or word is None or match is None:
        return None
    return OutputRule(
        id=rule_id,
        verdict=Verdict(word),
        match=match,
        unless=unless,
        reason=reason,
        owner=owner,
        severity=severity,
        line=entry.line,
    )


def read_detect(reader: Reader, top: Mapping) -> Detect:
    """The internal hosts and source paths for the detectors that need them."""
    section = reader.section(top, "detect")
    if section is None:
        return Detect()
    reader.known_keys(section, _DETECT_KEYS, "`detect`")
    named = {key: reader.words(section, key) for key in _DETECT_KEYS}
    for key, words in named.items():
        if any(not word.strip() for word in words):
            reader.problem(section.entries[key][1], f"an entry of `{key}` is blank")
        for word in words:
            if word.strip() and (hint := _REFUSED[key](word)):
                reader.problem(
                    section.entries[key][1], f"`{word[:60]}` cannot stand in `{key}`", hint
                )
    assert all(len(words) <= LIST_ITEMS_PER_FIELD_MAX for words in named.values())
    return Detect(internal_hosts=named["internal_hosts"], source_paths=named["source_paths"])


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


_REFUSED = {"internal_hosts": _no_host, "source_paths": _no_folder}


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
        reader.problem(want.entries["decision"][0], "a case with a `result` wants a `verdict`")
        return None
    for mapping, key in ((want, "exactly"), (entry, "lifted")):
        if key in mapping.entries:
            reader.problem(mapping.entries[key][0], f"`{key}` is not for a case with a `result`")
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
