"""Hosts and folders that the policy names: found whole, and nothing that only looks alike."""

from datetime import UTC, datetime

import pytest

from forestall.output.detectors.configured import internal_host, source_path
from forestall.output.scan import scan
from forestall.policy.compile import compile_policy
from forestall.policy.language.policy_file import load_policy
from forestall.policy.output_verdict import detectors_for, judge, missing_classes
from forestall.policy.problems import PolicyError
from forestall.policy.request import Request

HOSTS = (
    "corp.example.net",
    "*.lan.example",
    "internal",
    "10.1.0.0/16",
    "192.168.0.0/16",
    "172.16.0.0/12",
    "10.9.9.9",
    "fd00::/8",
    "fc00::/7",
)
FOLDERS = ("/srv/app", "C:\\src\\App", "/a/b", "\\\\build\\src", "/home/müller/x")
RULES = "output_rules:\n  - {id: out, decision: redact, match: {detectors: [source_path]}}\n"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("see corp.example.net.", ["corp.example.net"]),
        ("db.CORP.example.net:5432", ["db.CORP.example.net"]),
        ("host=db.corp.example.net&x", ["db.corp.example.net"]),
        ("x.lan.example and y.lan.example", ["x.lan.example", "y.lan.example"]),
        ("db.internal", ["db.internal"]),
        ("http://internal/x", ["internal"]),
        ("alice@internal", ["internal"]),
        ("internal:8080", ["internal:8080"]),
        ("10.1.2.3", ["10.1.2.3"]),
        ("10.9.9.9, 172.31.255.1.", ["10.9.9.9", "172.31.255.1"]),
        ("[fd12:3456::1]:80", ["fd12:3456::1"]),
        ("FD12:3456:789A::1 is up", ["FD12:3456:789A::1"]),
        ("::ffff:10.1.2.3", ["10.1.2.3"]),
        ("https:\\/\\/db.corp.example.net\\/x", ["db.corp.example.net"]),
        ("notcorp.example.net a-corp.example.net", []),
        ("corp.example.net.evil.example", []),
        ("the internal wiki is internal.", []),
        ("110.1.2.3 10.2.2.3 10.1.2.3.4 172.32.0.1", []),
        ("10.1.999.3", []),
        ("12:34:56 fe80::1", []),
    ],
)
def test_hosts(text: str, want: list[str]) -> None:
    findings = scan(text, detectors=(internal_host(HOSTS),)).findings
    assert [text[each.start : each.end] for each in findings] == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("/srv/app", ["/srv/app"]),
        ('File "/srv/app/x.py", line 3', ["/srv/app/x.py"]),
        ("/srv/app/x.py:12 /srv/app/y.py:3", ["/srv/app/x.py", "/srv/app/y.py"]),
        ("at file:///srv/app/x.py", ["/srv/app/x.py"]),
        ("(/srv//app/y)", ["/srv//app/y"]),
        ("PATH=/bin:/srv/app/bin", ["/srv/app/bin"]),
        ("c:/src/app/m.cs", ["c:/src/app/m.cs"]),
        ('{"p": "C:\\\\src\\\\app\\\\m.cs"}', ["C:\\\\src\\\\app\\\\m.cs"]),
        ("\\\\build\\src\\x", ["\\\\build\\src\\x"]),
        ("/a/b/c", ["/a/b/c"]),
        ("/home/müller/x/y", ["/home/müller/x/y"]),
        ("/srv/application/x /srv/app-old/x /a/bc C:\\src\\apple", []),
        ("/opt/srv/app/x https://h.example/srv/app/x ./srv/app", []),
    ],
)
def test_folders(text: str, want: list[str]) -> None:
    findings = scan(text, detectors=(source_path(FOLDERS),)).findings
    assert [text[each.start : each.end] for each in findings] == want


def test_a_policy_that_says_what_is_ours_is_enforced() -> None:
    snapshot = compile_policy(
        load_policy(f"detect: {{source_paths: [/srv/app]}}\n{RULES}".encode())
    )
    assert missing_classes(snapshot) == ()
    detectors = detectors_for(snapshot)
    assert detectors is detectors_for(snapshot)
    seen = scan("failed in /srv/app/x.py", detectors=detectors)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    ruling = judge(snapshot, Request(topic="job.a"), seen, content_type="text/plain", now=now)
    assert (ruling.verdict.value, len(ruling.remove)) == ("redact", 1)


def test_one_that_does_not_cannot_be() -> None:
    snapshot = compile_policy(load_policy(RULES.encode()))
    assert missing_classes(snapshot) == ("source_path",)


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("internal_hosts", "http://corp.example.net"),
        ("internal_hosts", "corp example"),
        ("internal_hosts", "10.1.2.3/99"),
        ("internal_hosts", "10.1.2.300"),
        ("internal_hosts", "0.0.0.0/0"),
        ("internal_hosts", "*"),
        ("source_paths", "srv/app"),
        ("source_paths", "/"),
        ("source_paths", "C:\\"),
        ("source_paths", "/srv/*"),
    ],
)
def test_an_entry_that_names_nothing_of_ours_is_refused(key: str, entry: str) -> None:
    with pytest.raises(PolicyError, match="cannot stand in"):
        load_policy(f"default_decision: deny\ndetect: {{{key}: ['{entry}']}}\n".encode())
