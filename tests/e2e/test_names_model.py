"""The server with a spaCy pipeline of its operator: it starts with one, and not with what is none.

The pipeline comes from `make names`, into an environment of its own; without it these tests are
skipped and say so.
"""

import os
from pathlib import Path

import pytest

from tests.e2e import harness
from tests.e2e.harness import StartFailedError, serving

ROOT = Path(__file__).parents[2]
BIN = Path(os.environ.get("FORESTALL_NAMES", ROOT / ".venv" / "names")) / "bin"
PACKAGE = "ja_ginza"
POLICY = """\
default_decision: deny
output_rules:
  - {id: names, decision: redact, match: {detectors: [named_entity]}}
"""
OURS = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (BIN / "python").exists(), reason="`make names` installs a pipeline"),
]


def test_the_server_runs_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "FORESTALL", BIN / "forestall")
    (tmp_path / "policy.yaml").write_text(POLICY)
    words = ("--policy", str(tmp_path / "policy.yaml"), "--names-model", PACKAGE)
    with serving(tmp_path / "data", *words, env=OURS) as server:
        assert f"names    {PACKAGE}" in server.banner
        body = {"result": {"note": "担当は田中太郎です。"}, "topic": "job.a"}
        reply = server.ask("POST", "/api/v1/output/check", body)
        assert reply.json["verdict"] == "redact"
        assert reply.json["result"] == {"note": "担当は[REDACTED:person_name]です。"}
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("package", "says"),
    [
        ("en_core_web_sm", "no such package is installed here"),
        ("requests", "cannot be used"),
    ],
)
def test_what_is_no_pipeline_stops_the_start(
    package: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "FORESTALL", BIN / "forestall")
    with (
        pytest.raises(StartFailedError) as caught,
        serving(tmp_path / "data", "--names-model", package, env=OURS),
    ):
        pass
    assert caught.value.code != 0
    assert says in caught.value.log
    assert "Traceback" not in caught.value.log
    assert not (tmp_path / "data").exists()
