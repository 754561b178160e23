"""The real server, asked whatever its own OpenAPI document allows and forbids.

No answer is a 500, and each fits the document. `make check-all` installs schemathesis into a folder
of its own, which nothing else sees, and says how many examples an operation gets.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.harness import Server, environment, serving
from tests.http_samples import ALLOWED_JOB, HELD_JOB

ROOT = Path(__file__).parents[2]
COMMAND = ROOT / ".venv" / "schemathesis" / "bin" / "schemathesis"
EXAMPLES = os.environ.get("FORESTALL_API_EXAMPLES", "")
SECONDS_MAX = 600  # of one run; it takes a minute where nothing else runs
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,unsupported_method,allow_header_conformance"
)
pytestmark = pytest.mark.e2e
fuzzed = pytest.mark.skipif(not EXAMPLES, reason="`make check-all` runs schemathesis")


class Setting(NamedTuple):
    """A server with something in it, and its own description of its API."""

    server: Server
    api: dict[str, Any]
    worker_key: str
    names: Mapping[str, list[str]]  # what there is for each parameter of a path


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """It must end well, and must have met no error that nobody foresaw."""
    with serving(tmp_path_factory.mktemp("api") / "data") as server:
        yield _filled(server)
        code = server.stop()
        assert "Traceback" not in server.log, server.log[-4000:]
        assert code == 0


def _filled(server: Server) -> Setting:
    held = server.ask("POST", "/api/v1/jobs", HELD_JOB).json
    job = server.ask("POST", "/api/v1/jobs", ALLOWED_JOB).json
    wanted = {"worker_id": "crane", "allowed_topics": ["job.*"]}
    token = server.ask("POST", "/api/v1/workers/credentials", wanted).json["token"]
    assert server.ask("POST", "/api/v1/workers/crane/register", {}, key=token).status == 200
    assert server.ask("POST", "/api/v1/schemas", {"id": "any", "schema": {}}).status == 204
    assert server.ask("PUT", "/api/v1/pools/fast", {}).status == 201
    names = {
        "job_id": [held["job_id"], job["job_id"]],
        "trace_id": [job["trace_id"]],
        "digest": [job["policy_snapshot"]],
        "worker_id": ["crane"],
        "id": ["any"],
        "name": ["fast"],
        "topic": ["job.fast"],
    }
    return Setting(server, server.ask("GET", "/openapi.json", key="").json, token, names)


def operations(api: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and operation."""
    for path, by_method in api["paths"].items():
        for method, operation in by_method.items():
            yield method.upper(), path, operation


def test_what_the_document_protects_is_refused_without_a_key(setting: Setting) -> None:
    """Each once: whoever knocks too often without a key is told to slow down instead."""
    protected = 0
    for method, path, operation in operations(setting.api):
        status = setting.server.ask(method, path, key="").status
        if operation["security"]:
            protected += 1
            assert status in (401, 429), (method, path)
        else:
            assert status == 200, (method, path)
    assert protected > 60


@fuzzed
@pytest.mark.parametrize("works", [False, True], ids=["as an admin", "as a worker"])
def test_every_answer_fits_the_document(setting: Setting, tmp_path: Path, works: bool) -> None:
    chosen = [
        operation["operationId"]
        for _, path, operation in operations(setting.api)
        if (operation["x-permission"] == "work") is works and not path.endswith("/stream")
    ]
    assert COMMAND.exists(), "`make check-all` installs it"
    api_file, config = tmp_path / "openapi.json", tmp_path / "schemathesis.toml"
    api_file.write_text(json.dumps(_closed(setting.api)), encoding="utf-8")
    lines = [f'"path.{name}" = {json.dumps(values)}' for name, values in setting.names.items()]
    config.write_text("\n".join(["[parameters]", *lines, ""]), encoding="utf-8")
    key = setting.worker_key if works else setting.server.key
    done = subprocess.run(
        [
            *(str(COMMAND), f"--config-file={config}", "run", str(api_file)),
            f"--url={setting.server.url}",
            f"--header=X-API-Key:{key}",
            *("--phases=coverage,fuzzing", f"--max-examples={EXAMPLES}", f"--checks={CHECKS}"),
            *("--seed=1", "--generation-database=none", "--continue-on-failure", "--no-color"),
            *("--generation-with-security-parameters=false", "--request-timeout=60"),
            *(f"--include-operation-id={name}" for name in chosen),
        ],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert f"Tested: {len(chosen)}" in done.stdout, done.stdout[-2000:]


def _closed(api: Mapping[str, Any]) -> dict[str, Any]:
    """The document, in which answers have no fields but those that it names. Clients are told to
    ignore such fields; here they are a mistake."""
    closed: dict[str, Any] = json.loads(json.dumps(api))
    for schema in closed["components"]["schemas"].values():
        if schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
    return closed
