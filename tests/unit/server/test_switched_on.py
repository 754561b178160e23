"""The class `named_entity`, which a setting switches on: what is refused, judged and removed.

The reader is a fake; that of spaCy is tested by tests/unit/output/test_names.py.
"""

import importlib.util
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from forestall.cli.main import cli
from forestall.control.publish import compile_files, publish
from forestall.output.detectors.named import PERSON, named_entity
from forestall.output.findings import Detector, Sighting
from forestall.policy.output_verdict import detectors_for, missing_classes
from forestall.policy.problems import PolicyError
from forestall.ports.output import OutputMeans
from forestall.server.keyring import load_keyring
from forestall.server.names import load_names, reader_of
from forestall.server.settings import SettingsError, parse_names_model, read_settings
from forestall.server.thread_pools import ScanThreads
from tests.asgi import POLICY, Door
from tests.workers_under_test import Worker, submit

CHECK = "/api/v1/output/check"
RULES = """
output_rules:
  - id: names-go
    decision: redact
    match: {topics: ["job.demo.*"], detectors: [named_entity]}
"""


def _read(text: str) -> Iterable[Sighting]:
    if "stumble" in text:
        raise RuntimeError(text)
    return [Sighting(PERSON, *found.span(), 0.6) for found in re.finditer("Zora|Kim", text)]


NAMES = (named_entity(_read),)


def _door(switched_on: tuple[Detector, ...], folder: Path, policy: str = POLICY) -> Door:
    door = Door(policy="")
    door.plane.output = OutputMeans(ScanThreads(), load_keyring(folder), switched_on=switched_on)
    door.run(publish(door.plane, [("wire.yaml", policy.encode())], actor="test"))
    return door


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    door = _door(NAMES, tmp_path, POLICY + RULES)
    yield door
    door.runner.close()


def _answered(door: Door, result: Any, topic: str = "job.demo.read") -> Any:
    submit(door, topic=topic)
    worker = Worker(door, topics=["*"])
    (given,) = worker.lease()
    assert worker.answer(given, result=result).status == 200
    return door.ask("GET", f"/api/v1/jobs/{given['job_id']}").json


def test_a_policy_that_names_what_is_off_is_refused() -> None:
    with pytest.raises(PolicyError) as caught:
        compile_files([("p.yaml", (POLICY + RULES).encode())])
    (problem,) = caught.value.problems
    assert problem.message == "no detector here finds `named_entity`"
    assert "`names_model`" in problem.hint


def test_it_is_taken_where_it_is_on() -> None:
    files = [("p.yaml", (POLICY + RULES).encode())]
    snapshot = compile_files(files, switched_on=["named_entity"])
    assert missing_classes(snapshot) == ("named_entity",)
    assert missing_classes(snapshot, ["named_entity"]) == ()
    detectors = detectors_for(snapshot, "", NAMES)
    assert detectors is detectors_for(compile_files(files, switched_on=["named_entity"]), "", NAMES)
    assert NAMES[0] in detectors
    assert NAMES[0] not in detectors_for(compile_files([("p.yaml", POLICY.encode())]), "", NAMES)


def test_input_rules_do_not_have_it() -> None:
    rule = "input_rules:\n  - {id: in, decision: deny, match: {detectors: [named_entity]}}\n"
    with pytest.raises(PolicyError, match="unknown detector `named_entity`"):
        compile_files([("p.yaml", (POLICY + rule).encode())], switched_on=["named_entity"])


def test_names_are_removed_from_results(door: Door) -> None:
    job = _answered(door, {"by": "Zora", "text": "met Kim\nin May"})
    assert job["result"] == {
        "by": "[REDACTED:person_name]",
        "text": "met [REDACTED:person_name]\nin May",
    }
    job = _answered(door, "nobody was there")
    assert job["result"] == "nobody was there"


def test_what_cannot_be_read_is_withheld(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        job = _answered(door, "Zora stumbled")
    assert job["state"] == "OUTPUT_QUARANTINED"
    assert "Zora" not in caplog.text
    assert "reader_failed" in str(job)
    assert "stumble" not in str(job)


def test_a_check_for_a_caller_finds_names(door: Door) -> None:
    reply = door.ask("POST", CHECK, {"content": "I met Zora", "topic": "job.demo.read"})
    assert reply.json["verdict"] == "redact"
    assert [each["kind"] for each in reply.json["findings"]] == ["person_name"]
    assert "Zora" not in reply.body.decode()


def test_a_strict_level_removes_names_where_they_are_on(tmp_path: Path) -> None:
    """The policy names nothing; the constraint of the dispatch does."""
    for switched_on, want in ((NAMES, "by [REDACTED:person_name]"), ((), "by Zora")):
        door = _door(switched_on, tmp_path)
        assert _answered(door, "by Zora", "job.limited.x")["result"] == want
        assert _answered(door, "by Zora", "job.demo.x")["result"] == "by Zora"
        door.runner.close()


# -- the setting --


def test_the_setting_names_a_package(tmp_path: Path) -> None:
    assert read_settings({}, {}, tmp_path).names_model == ""
    given = read_settings({}, {"FORESTALL_NAMES_MODEL": "en_core_web_sm"}, tmp_path)
    assert given.names_model == "en_core_web_sm"


@pytest.mark.parametrize("text", ["./pipeline", "/srv/model", "models/en", "C:\\\\models"])
def test_a_directory_is_taken(text: str) -> None:
    assert parse_names_model(text) == text


@pytest.mark.parametrize("path", ["missing", "."])
def test_a_directory_without_a_pipeline_stops_the_start(path: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"holds no `config\.cfg`"):
        load_names(f"{tmp_path}/{path}")


@pytest.mark.parametrize("text", ["a b", "a-b", "a.b", "_x", "é", "/srv/\n", "/srv/\x1b[2J"])
def test_what_is_no_package_and_no_directory_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="installed package"):
        parse_names_model(text)


class Pipeline:
    """As much of a pipeline as the adapter asks of one."""

    def __init__(self, *labels: str, finder: str = "ner") -> None:
        self.assigns = {"tok2vec": ["doc.tensor"], "parser": ["token.dep"], "ner": ["doc.ents"]}
        self.enabled: list[str] | None = None
        self.labels = labels
        self.pipe_names = ["tok2vec", "parser", "ner"]
        self.finder = finder

    def get_pipe_meta(self, name: str) -> Any:
        factory = self.finder if name == "ner" else name
        return SimpleNamespace(factory=factory, assigns=self.assigns[name])

    def get_pipe(self, name: str) -> Any:
        return SimpleNamespace(labels=self.labels if name == "ner" else ("nsubj", "LOC"))

    def select_pipes(self, *, enable: list[str]) -> None:
        self.enabled = enable

    def memory_zone(self) -> AbstractContextManager[None]:
        return nullcontext()

    def __call__(self, text: str) -> Any:
        entities = [
            SimpleNamespace(start_char=2 * n, end_char=2 * n + 1, label_=label)
            for n, label in enumerate(self.labels)
        ]
        return SimpleNamespace(ents=entities)


def test_labels_become_kinds_and_others_are_left_out() -> None:
    pipeline = Pipeline("PER", "GPE", "ORG", "DATE", "persName", "N_Person", "Company")
    seen = [(each.kind, each.start) for each in reader_of(pipeline)("any")]
    assert seen == [
        ("person_name", 0),
        ("place_name", 2),
        ("organisation_name", 4),
        ("person_name", 8),
        ("organisation_name", 12),
    ]


def test_only_what_finding_names_needs_is_run() -> None:
    pipeline = Pipeline("PER")
    reader_of(pipeline)
    assert pipeline.enabled == ["tok2vec", "ner"]
    by_rules = Pipeline("PER", finder="entity_ruler")  # rules may ask for what the parser says
    reader_of(by_rules)
    assert by_rules.enabled is None


def test_a_pipeline_that_finds_no_names_is_refused() -> None:
    with pytest.raises(ValueError, match="no component of it finds"):
        reader_of(Pipeline("DATE", "MONEY"))


def test_off_imports_nothing() -> None:
    assert load_names("") == ()


@pytest.mark.skipif(
    importlib.util.find_spec("spacy") is not None, reason="spaCy is installed beside the tests"
)
def test_without_spacy_the_start_says_what_to_install() -> None:
    with pytest.raises(SettingsError, match=r"pip install 'forestall\[names\]'") as caught:
        load_names("en_core_web_sm")
    assert caught.value.code == "settings_invalid"
    done = CliRunner().invoke(cli, ["scan", "--names-model", "en_core_web_sm", "-"], input="Zora")
    assert isinstance(done.exception, SettingsError)


def test_the_command_line_knows_the_class_only_where_it_is_on() -> None:
    done = CliRunner().invoke(cli, ["scan", "--detector", "named_entity", "-"], input="Zora")
    assert done.exit_code == 2
    assert "--names-model" in done.output
