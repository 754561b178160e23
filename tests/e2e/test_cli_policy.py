"""`forestall policy`: reports for people and for CI, through the command line itself."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from forestall.cli.main import cli

ROOT = Path(__file__).parents[2]
STARTER = str(ROOT / "src" / "forestall" / "server" / "starter-policy.yaml")
TEN = ROOT / "tests" / "golden" / "ten-mistakes.yaml"

POLICY = """\
rules:
  - {id: hold, decision: require_approval, match: {topics: [job.a], labels: {env: prod}}}
  - {id: go, decision: allow, match: {topics: [job.a]}}
  - {id: late, decision: deny, match: {topics: [job.a], tenants: [x]}}
tests:
  - {name: "go <&> \\x01", request: {topic: job.a}, want: {decision: deny}}
  - {name: held, request: {topic: job.a, labels: {env: prod}}, want: {decision: require_approval}}
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["policy", *arguments])


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("my policy.yaml").write_text(POLICY)
    return "my policy.yaml"


def test_ten_planted_mistakes_are_found() -> None:
    """Exactly ten, each on its line."""
    planted = [
        n for n, line in enumerate(TEN.read_text().splitlines(), 1) if re.search(r"# \d+:", line)
    ]
    report = json.loads(run("check", str(TEN), "--json").stdout)
    assert [problem["line"] for problem in report["problems"]] == planted
    assert len(planted) == 10
    shown = run("check", str(TEN))
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr.endswith("10 problem(s)\n")


def test_warnings_leave_the_exit_code_alone_unless_strict(policy: str) -> None:
    done = run("check", policy)
    assert done.exit_code == 0
    assert done.stdout.startswith("ok: 3 rules in my policy, snapshot ")
    assert "my policy.yaml:2: warning: rule `hold` does not hold a client that" in done.stderr
    assert "my policy.yaml:4: warning: rule `late` never speaks: rule `go` on line 3" in done.stderr
    assert run("check", policy, "--strict").exit_code == 1
    report = json.loads(run("check", policy, "--json").stdout)
    assert report["ok"] is True
    assert [(one["code"], one["line"]) for one in report["warnings"]] == [
        ("dodgeable", 2),
        ("shadowed", 4),
    ]
    assert run("check", STARTER, "--strict").exit_code == 0


def test_a_remediation_that_is_denied_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "rules:\n  - {id: a, decision: deny, match: {topics: [job.a]},"
        " remediations: [{id: r, replacement_topic: job.b}]}\n"
    )
    done = run("check", str(path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "p.yaml:2:75: the remediation `r` of rule `a` is always denied" in done.stderr
    assert json.loads(run("check", str(path), "--json").stdout)["ok"] is False


def _results(path: str) -> list[dict[str, object]]:
    log = json.loads(Path(path).read_text())
    assert log["version"] == "2.1.0"
    (sarif_run,) = log["runs"]
    rules = [rule["id"] for rule in sarif_run["tool"]["driver"]["rules"]]
    found = []
    for result in sarif_run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        region = place["region"]
        assert region["startColumn"] < region["endColumn"]
        found.append(
            {
                "rule": result["ruleId"],
                "level": result["level"],
                "uri": place["artifactLocation"]["uri"],
                "line": region["startLine"],
            }
        )
    return found


def test_sarif(policy: str) -> None:
    """Relative addresses, one result for each thing found."""
    run("check", policy, "--sarif", "out.sarif")
    assert _results("out.sarif") == [
        {"rule": rule, "level": "warning", "uri": "my%20policy.yaml", "line": line}
        for rule, line in (("dodgeable", 2), ("shadowed", 4))
    ]
    run("test", policy, "--sarif", "out.sarif")
    assert [(one["rule"], one["line"]) for one in _results("out.sarif")] == [("test_failed", 6)]
    run("check", str(TEN), "--sarif", "out.sarif")
    assert [one["level"] for one in _results("out.sarif")] == ["error"] * 10
    assert str(_results("out.sarif")[0]["uri"]).startswith("file://")
    run("test", str(TEN), "--sarif", "out.sarif")
    assert len(_results("out.sarif")) == 10


def test_junit(policy: str) -> None:
    """Well-formed whatever a case is called."""
    run("test", policy, "--junit", "out.xml")
    suites = ET.fromstring(Path("out.xml").read_text())
    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")
    cases = list(suites.iter("testcase"))
    assert [case.get("name") for case in cases] == ["go <&> \N{REPLACEMENT CHARACTER}", "held"]
    failure = cases[0].find("failure")
    assert failure is not None
    assert failure.get("message") == "wanted deny, got allow by go"


def test_coverage(policy: str, tmp_path: Path) -> None:
    done = run("test", policy)
    assert "never exercised: late (my policy.yaml:4)\n" in done.stdout
    assert "coverage: 2 of 3 rules (66.67%)\n1 passed, 1 failed\n" in done.stdout
    assert json.loads(run("test", policy, "--json").stdout)["coverage"]["exercised"] == 2
    assert run("test", STARTER, "--min-coverage", "100").exit_code == 0
    cases = tmp_path / "cases.json"
    cases.write_text('{"tests": [{"request": {"topic": "job.a"}, "want": {"decision": "allow"}}]}')
    bare = tmp_path / "bare.yaml"
    bare.write_text(POLICY.partition("tests:")[0])
    covered = run("test", str(bare), "--cases", str(cases), "--min-coverage", "30")
    assert (covered.exit_code, "coverage: 1 of 3 rules (33.33%)" in covered.stdout) == (0, True)
    short = run("test", str(bare), "--cases", str(cases), "--min-coverage", "34")
    assert (short.exit_code, short.stderr) == (1, "coverage is below 34%\n")
    cases.write_text('{"tests": [{"request": {"topic": "job.a"}}]}')
    broken = run("test", str(bare), "--cases", str(cases))
    assert "a test needs a `request` and a `want`" in str(broken.exception)


def test_show(policy: str) -> None:
    text = run("show", policy).stdout
    assert "default   deny\n" in text
    assert "  require_approval  hold  (line 2)\n      topics: job.a\n" in text
    value = json.loads(run("show", policy, "--json").stdout)
    (layer,) = value["layers"]
    assert [rule["id"] for rule in layer["rules"]] == ["hold", "go", "late"]
    assert layer["rules"][0]["clauses"][1] == {"field": "labels.env", "wanted": ["prod"]}


def test_show_tells_the_rules_about_results(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "rules: [{id: go, decision: allow, match: {topics: ['**']}}]\n"
        "output_rules:\n"
        "- {id: hold-pay, decision: quarantine, reason: pay, match: {topics: [job.pay],"
        " detectors: [secret, source_path], size_gt: 9}}\n"
        "detect: {source_paths: [/srv/app]}\n"
    )
    text = run("show", str(path)).stdout
    assert "  of results:\n  quarantine  hold-pay  (line 3)\n      reason: pay\n" in text
    assert "      detectors: secret or source_path\n      size_gt: 9\n" in text
    (layer,) = json.loads(run("show", str(path), "--json").stdout)["layers"]
    assert layer["output_rules"][0]["decision"] == "quarantine"


def test_explain(policy: str) -> None:
    done = run("explain", "--policy", policy, "--topic", "job.a")
    assert (done.exit_code, done.stdout.startswith("ALLOW by rule go\n")) == (0, True)
    assert run("explain", "--topic", "job.a").exit_code == 2


def test_convert(tmp_path: Path) -> None:
    """What is written loads; what cannot be converted writes nothing."""
    peer, ours = tmp_path / "peer.yaml", tmp_path / "ours.yaml"
    peer.write_text("rules:\n  - {id: a, decision: block, match: {topics: [job.a]}}\n")
    printed = run("convert", str(peer))
    assert (printed.exit_code, "# line 2: `block` is `deny` here" in printed.stdout) == (0, True)
    assert run("convert", str(peer), "-o", str(ours)).exit_code == 0
    assert ours.read_text() == printed.stdout
    assert run("check", str(ours), "--strict").exit_code == 0
    ours.unlink()
    peer.write_text("tier: job\n" + peer.read_text())
    assert run("convert", str(peer), "-o", str(ours)).exit_code == 1
    assert not ours.exists()


def test_check_imports_no_more_than_it_needs() -> None:
    """Most of its time to the first line is importing; the budget for that is 0.15 s."""
    program = (
        "import sys; from click.testing import CliRunner; from forestall.cli.main import cli;"
        f"done = CliRunner().invoke(cli, ['policy', 'check', {STARTER!r}]);"
        "print(done.exit_code, *sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    code, *modules = done.stdout.split()
    assert code == "0"
    needless = (
        "importlib.metadata",
        "zoneinfo",
        "http.client",
        "forestall.facts.shell.commands",
        "forestall.cordum_import.convert",
        "forestall.policy.coverage",
        "forestall.cli.simulate",
    )
    assert [each for each in needless if each in modules] == []


def test_a_policy_that_does_not_load_still_writes_junit(policy: str) -> None:
    """A build that reads only this file must not take it for success."""
    Path(policy).write_text("rules:\n  - {id: a, decision: dney, match: {topics: [b]}}\n")
    assert run("test", policy, "--junit", "out.xml").exit_code != 0
    root = ET.parse("out.xml").getroot()
    assert root.get("errors") == "1"
    (case,) = root.iter("testcase")
    (error,) = case
    assert "unknown decision `dney`" in str(error.get("message"))
    assert (case.get("file"), case.get("line")) == (policy, "2")


def test_subdirectories_count_when_told_so(policy: str) -> None:
    for name in ("p/a.yaml", "p/deep/er/b.yaml", "p/.hidden/c.yaml", "p/deep/.d.yaml"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        rule = f"{{id: {Path(name).stem[-1]}, decision: deny, match: {{topics: [job.a]}}}}"
        Path(name).write_text(f"rules:\n  - {rule}\n")
    Path("p/deep/link").symlink_to(Path("p").absolute())
    assert "1 rules in a," in run("check", "p").output
    assert "2 rules in a, b," in run("check", "p", "--subdirectories").output


def test_simulate_takes_arguments_and_a_tool_call(policy: str) -> None:
    Path(policy).write_text(
        "rules:\n"
        "  - {id: mail, decision: allow, match: {topics: [job.mail.send], mcp: {tools: [send]},"
        " args: {'$.to[*]': {every: {glob: '*@our.example'}}}}}\n"
    )
    asked = ["--policy", policy, "--topic", "job.mail.send", "--mcp", "tool=send"]

    def answer(verb: str, *more: str) -> str:
        return CliRunner().invoke(cli, [verb, *asked, *more]).output

    assert "ALLOW by rule mail" in answer("simulate", "--args", '{"to": ["a@our.example"]}')
    assert "DENY by default" in answer("simulate", "--args", '{"to": ["a@else.example"]}')
    wrong = answer("explain", "--args", '{"to": "a@our.example"}')
    assert "rule `mail` could not be evaluated: `$.to[*]` is of type text" in wrong
    assert " - mail" in wrong
    assert "is no part of a tool call" in answer("simulate", "--mcp", "tol=x")
