"""The table of controls as a test: a "yes" names what proves it, and what is missing is missing."""

import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from forestall import limits
from forestall.cli.main import cli
from forestall.identity.roles import Role
from forestall.server.api import ENDPOINTS
from forestall.wire.keys import NewKeyBody
from tests.asgi import opened
from tests.e2e.harness import serving
from tests.test_docs import GENERATE

ROOT = Path(__file__).parents[1]
CONTROLS: list[dict[str, Any]] = GENERATE.controls()
AGENT_RULES = """
name: agents
labels: {env: {trust: credential}, site: {trust: server}}
rules:
  - {id: by-credential, decision: allow, match: {labels: {env: "*"}}}
  - {id: by-server, decision: allow, match: {labels: {site: "*"}}}
  - {id: by-id, decision: allow, match: {agents: ["*"]}}
  - {id: by-tier, decision: allow, match: {agent_risk_tiers: [low, medium, high, critical]}}
  - {id: by-data, decision: allow, match: {agent_data_classes: [public, internal]}}
  - {id: delegated, decision: allow, match: {delegation: {max_depth: 64}}}
"""


def _proofs() -> Iterator[str]:
    for row in CONTROLS:
        yield from row["proved_by"]
        for entry in row.get("missing", ()):
            yield from entry.get("shown_by", ())


def _tracked_files() -> list[str]:
    left_out = {".git", ".venv", "forestall-data"}
    return [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*")
        if not left_out & set(path.relative_to(ROOT).parts)
        and path.is_file()
        and path.suffix not in (".pyc", ".md")
    ]


def _product() -> dict[str, list[str]]:
    """What there is, by the kinds that `absent` names."""
    commands = list(GENERATE.walk_commands("", cli))
    return {
        "endpoint": [endpoint.path for endpoint in ENDPOINTS],
        "command": [path.strip() for path, _ in commands],
        "option": [
            option for _, command in commands for param in command.params for option in param.opts
        ],
        "file": _tracked_files(),
    }


# -- the table --


def test_there_are_twelve_rows() -> None:
    assert [row["number"] for row in CONTROLS] == list(range(1, 13))


@pytest.mark.parametrize("row", CONTROLS, ids=lambda row: str(row["number"]))
def test_a_row_says_what_proves_it_and_what_is_missing(row: dict[str, Any]) -> None:
    assert row["today"] in ("yes", "partly", "no")
    assert row["proved_by"]
    assert bool(row.get("missing")) == (row["today"] != "yes")
    for entry in row.get("missing", ()):
        assert entry.keys() <= {"what", "absent", "shown_by"}
        assert entry.get("absent") or entry.get("shown_by")


def test_every_proof_exists() -> None:
    tests = {proof for proof in _proofs() if not proof.startswith("make ")}
    command = [sys.executable, "-m", "pytest", "--collect-only"]
    found = subprocess.run(
        [*command, *sorted(tests)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-2000:]
    collected = {line.partition("[")[0] for line in found.stdout.splitlines() if "::" in line}
    assert collected == tests
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in {proof.removeprefix("make ") for proof in _proofs()} - tests:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_what_is_missing_is_missing() -> None:
    """Whoever builds it mends the table."""
    product = _product()
    assert all(len(names) > 30 for names in product.values())
    for row in CONTROLS:
        for entry in row.get("missing", ()):
            for kind, patterns in entry.get("absent", {}).items():
                there = [
                    name
                    for name in product[kind]
                    for pattern in patterns
                    if fnmatchcase(name, pattern)
                ]
                assert not there, f"control {row['number']}: {entry['what']}"


# -- what a row says is missing, or says in figures --


@pytest.mark.parametrize("role", [Role.AGENT, Role.ADMIN])
def test_over_http_nothing_names_an_agent(role: Role) -> None:
    """No field is taken for an agent, a delegation or a label that only a key can carry."""
    claims: dict[str, Any] = {
        "agent": "a",
        "agent_id": "a",
        "agent_risk_tier": "low",
        "agent_data_classes": ["public"],
        "delegation": {"depth": 1, "issuers": ["corp"], "scope": ["read"]},
    }
    with opened(policy=AGENT_RULES) as door:
        key = door.key(role, name="claimant")
        body = {"topic": "job.demo.read", "prompt": "x", **claims, "meta": claims}
        labels = {"agent_id": "a", "env": "test", "site": "lab"}
        reply = door.submit({**body, "labels": labels}, key=key)
        assert (reply.status, reply.json["rule_id"]) == (403, "")


def test_a_key_of_an_agent_has_no_scopes() -> None:
    """`scopes` is another way to name a role: anything else in it is refused."""
    assert "topics" not in NewKeyBody.__struct_fields__
    with opened() as door:
        wanted = {"name": "narrow", "role": "", "scopes": ["job.demo.*"]}
        assert door.ask("POST", "/api/v1/auth/keys", wanted).status == 400


@pytest.mark.e2e
def test_a_start_says_that_the_policy_is_unsigned(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        assert "warning: the policy is unsigned" in server.banner


def test_the_bounds_of_the_cache_are_those_of_the_table() -> None:
    (row,) = (row for row in CONTROLS if row["number"] == 9)
    entries, seconds = limits.DECISION_CACHE_ENTRIES_MAX, limits.DECISION_CACHE_TTL_MS // 1_000
    assert f"{entries:,} entries, {seconds} seconds" in row["short"]
