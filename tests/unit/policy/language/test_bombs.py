"""Bad input of any size: an error with line and column, soon and in little memory, and no rule
dropped in silence. Each case is a process of its own, so that its peak of memory can be measured.

What it takes here is well below a second; the bound on the time is generous, because the machine
that runs the tests may be busy.
"""

import subprocess
import sys

import pytest

from forestall.limits import POLICY_BYTES_MAX, RULES_PER_FILE_MAX
from forestall.policy import PolicyError, load_policy
from forestall.policy.language.document import Lines

MEMORY_MB_MAX = 256
SECONDS_MAX = 10
HEADER = """
import sys
from pathlib import Path
from forestall.policy import PolicyError, compile_policy, load_policy
MATCH = "match: {topics: [job.%s]}"
ARGS = "match: {args: {$.a: {matches: '(a%s'}}}"
def rule(i, more="match: {topics: [a]}"):
    return "- {id: r%s, decision: deny, %s}\\n" % (i, more)
def matching(text):
    return "rules: [{id: a, decision: deny, match: {" + text + "}}]"
"""
FOOTER = """
data = text if isinstance(text, bytes) else text.encode()
del text
try:
    compile_policy(load_policy(data, source="p.yaml"))
except PolicyError as error:
    first = error.problems[0]
    error.render()
    # Not `ru_maxrss`: a child begins it with the peak of the process it was forked from.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak_mb = int(status["VmHWM"].split()[0]) // 1024
    print(f"{peak_mb}\\n{first.line}:{first.column}\\n{first.message}\\n{first.hint}")
"""

# What builds the text, the place of the error, and what it says.
CASES = {
    "aliases": (
        "'a0: &a0 [x]\\n' + ''.join(f'a{i}: &a{i} [*a{i-1},*a{i-1}]\\n' for i in range(1, 99))",
        "1:5",
        "anchors and aliases are not allowed",
    ),
    "a late alias": (
        "'rules:\\n' + ''.join(rule(i) for i in range(9_999)) + '- *x\\n'",
        "10001:3",
        "anchors and aliases are not allowed",
    ),
    "depth of lists": ("'rules: ' + '[' * 1_000_000", "1:31", "nested deeper than 24 levels"),
    "depth of mappings": ("'rules: ' + '{a: ' * 1_000_000", "1:100", "nested deeper than 24"),
    "depth of dashes": ("'- ' * 1_000_000", "1:49", "nested deeper than 24 levels"),
    "depth of lines": (
        "'\\n'.join(' ' * i + 'a:' for i in range(3_000))",
        "25:25",
        "nested deeper than 24 levels",
    ),
    "size": (f"'x' * ({POLICY_BYTES_MAX} + 1)", "1:1", "bytes long; 8388608 are allowed"),
    "one long list": (
        "'rules: [' + 'a,' * 4_000_000 + 'a]'",
        "1:20009",
        "`rules` has more than 10000 entries",
    ),
    "one long list in a match": (
        "matching('topics: [' + 'a,' * 3_900_000 + 'a]')",
        "1:20050",
        "`topics` has more than 10000 entries",
    ),
    "one large mapping": (
        "'labels: {' + ','.join(f'k{i}: {{}}' for i in range(500_000)) + '}'",
        "1:98900",
        "`labels` has more than 10000 entries",
    ),
    "many labels in a match": (
        "matching('labels: {' + ','.join(f'k{i}: a' for i in range(2_000)) + '}')",
        "1:49",
        "`labels` has 2000 entries; 1000 are allowed",
    ),
    "many lists": (
        "'rules: [' + ('[' + 'a,' * 9_999 + 'a],') * 390 + 'a]'",
        "1:1299870",
        "more keys and values than are read",
    ),
    "line breaks": ("'\\n' * 8_000_000 + 'rules: 1\\n'", "8000001:8", "is a list of mappings"),
    "a long line": ("'rules: ' + 'x' * 8_000_000", "1:8", "is a list of mappings, not the text"),
    "a long key": ("'? ' + 'x' * 8_000_000 + '\\n: 1\\n'", "1:1", "there are no `rules`"),
    "100,000 rules": (
        "'rules:\\n' + ''.join(rule(i) for i in range(100_000))",
        "10002:3",
        "`rules` has more than 10000 entries",
    ),
    "100,000 longer rules": (
        "'rules:\\n' + ''.join(rule(i, MATCH % ('a' * 50)) for i in range(100_000))",
        "1:1",
        "8388608 are allowed",
    ),
    "10,000 rules with unknown keys": (
        "'rules:\\n' + ''.join(rule(i, 'macth: {topcis: [a]}') for i in range(10_000))",
        "2:3",
        "the rule has no `match`",
    ),
    "10,000 refused patterns": (
        "'rules:\\n' + ''.join(rule(i, ARGS % i) for i in range(10_000))",
        "2:58",
        "not a pattern that RE2 takes",
    ),
    "10,000 times one id": (
        "'rules:\\n' + ''.join(rule(7) for _ in range(10_000))",
        "3:8",
        "the rule id `r7` is used twice",
    ),
    "a key twice": ("'rules: []\\nname: a\\nrules: []\\n'", "3:1", "`rules` is written twice"),
    "a tab": ("'rules:\\n\\t- id: a\\n'", "2:1", "not YAML"),
    "a NUL": ("'name: a\\nrules: \\0'", "2:8", "a character that YAML does not allow"),
    "not UTF-8": ("b'name: a\\nrules: \\xff'", "2:8", "not UTF-8 text"),
    "a wrong type": ("'rules: {a: 1}\\n'", "1:8", "is a list of mappings, not a mapping"),
    "an unknown key": ("'ruels: []\\nname: a\\n'", "1:1", "unknown key `ruels`"),
    "a backreference": (
        "matching(r\"args: {$.a: {matches: '(a)\\1'}}\")",
        "1:63",
        "not a pattern that RE2 takes",
    ),
    "a huge pattern": (
        "matching(\"args: {$.a: {matches: '((a{1000}){1000}){10}'}}\")",
        "1:63",
        "not a pattern that RE2 takes",
    ),
    "an open bracket": ("matching(\"topics: ['job.[a']\")", "1:50", "is not a glob: the bracket"),
    "a million brackets": (
        "matching(\"topics: ['\" + '[' * 1_000_000 + \"']\")",
        "1:50",
        "is not a glob: a glob is at most 512 characters",
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("case", CASES)
def test_refused_at_its_place(case: str) -> None:
    text, place, message = CASES[case]
    done = subprocess.run(
        [sys.executable, "-c", f"{HEADER}\ntext = {text}\n{FOOTER}"],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=True,
    )
    peak_mb, found, said, _ = done.stdout.split("\n", 3)
    assert found == place, said
    assert message in said
    assert int(peak_mb) < MEMORY_MB_MAX


@pytest.mark.parametrize("key", ["rules", "input_rules", "tests"])
def test_too_many_rules_say_what_to_do(key: str) -> None:
    text = f"{key}:\n" + "- {id: a}\n" * (RULES_PER_FILE_MAX + 1)
    with pytest.raises(PolicyError) as caught:
        load_policy(text)
    (one,) = caught.value.problems
    assert (caught.value.code, one.line) == ("policy_invalid", RULES_PER_FILE_MAX + 2)
    assert one.hint == "split the rules over several files in one directory"


def test_as_many_as_are_allowed_load() -> None:
    rules = "".join(
        f"- {{id: r{i}, decision: deny, match: {{topics: [job.a{i}]}}}}\n"
        for i in range(RULES_PER_FILE_MAX)
    )
    assert len(load_policy("rules:\n" + rules).rules) == RULES_PER_FILE_MAX


@pytest.mark.parametrize("size", [0, 1, 4_094, 4_095, 4_096, 4_097, 9_000])
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\x85", "\u2028"])
def test_lines_are_those_of_yaml(size: int, line_break: str) -> None:
    """Blocks end between the two characters of a break, before it and after it."""
    wanted = ["x" * size, "", "second", "x" * size, "last"]
    lines = Lines(line_break.join(wanted))
    assert [lines.line(number) for number in range(1, 6)] == wanted
    assert (lines.line(0), lines.line(6)) == ("", "")
