"""The registry: each kind's payloads become views, whole or not at all."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

import forestall.facts
from forestall.facts.derive import (
    DEFAULT_DERIVATIONS,
    FIELDS_OF_KIND,
    LABELS_OF_KIND,
    LANGUAGES,
    SHELL_TOPICS,
    Derivation,
    PayloadKind,
    derive,
    reading_of,
)
from forestall.facts.payload import TooMuchToDeriveError
from forestall.policy import Effect, Request, compile_policy, evaluate, load_policy

DATA = Path(forestall.facts.__path__[0]) / "data" / "words"
PYTHON_NAMES = yaml.safe_load((DATA / "python.yaml").read_text())["python_names"]["words"]
# Each begins with a program of the built-in tables; the destructive ones are told in any language.
SUSPECTS = "\n".join(
    f"{name} -rf /x"
    for path in sorted((DATA.parent / "programs").glob("*.yaml"))
    for name in yaml.safe_load(path.read_text())
)
MANY: dict[PayloadKind, str] = {
    PayloadKind.SHELL: "; ".join(f"p{n}" for n in range(200)),
    PayloadKind.SQL: "; ".join(f"select * from t{n}" for n in range(200)),
    PayloadKind.URL: " ".join(f"http://h{n}.example/" for n in range(200)),
    PayloadKind.PATH: "",
    PayloadKind.CLUSTER: "; ".join(f"kubectl get r{n}" for n in range(200)),
    PayloadKind.PYTHON: "\n".join([*PYTHON_NAMES, SUSPECTS]),
    PayloadKind.POWERSHELL: SUSPECTS,
    PayloadKind.CMD: SUSPECTS,
    PayloadKind.CODE: "",  # nothing is recognised in it
}


def views(kind: PayloadKind, payload: Any, workspace: str = "/workspace") -> list[dict[str, str]]:
    derivation = Derivation(
        kind=kind, topics=("*",), fields=FIELDS_OF_KIND[kind], workspace=workspace
    )
    return [dict(view) for view in derive(reading_of(derivation), payload.items())]


@pytest.mark.parametrize("kind", list(PayloadKind))
@pytest.mark.parametrize(
    "payload", [{}, {"prompt": " "}, {"prompt": 1}, {"context": []}, {"context": 7}]
)
def test_nothing_to_read_is_unknown(kind: PayloadKind, payload: Any) -> None:
    (view,) = views(kind, payload)
    assert set(view) == set(LABELS_OF_KIND[kind])
    assert "unknown" in view.values()


@pytest.mark.parametrize("kind", list(PayloadKind))
def test_every_view_has_every_label_of_its_kind(kind: PayloadKind) -> None:
    for view in views(kind, {"prompt": "rm x; drop table y; http://z/ ../w"}):
        assert set(view) == set(LABELS_OF_KIND[kind])


@pytest.mark.parametrize("kind", [kind for kind in PayloadKind if MANY[kind]])
def test_too_much_is_an_error_and_never_cut_short(kind: PayloadKind) -> None:
    with pytest.raises(TooMuchToDeriveError):
        views(kind, {"prompt": MANY[kind]})
    with pytest.raises(TooMuchToDeriveError):
        views(PayloadKind.PATH, {"context": {"paths": [f"/a/{n}" for n in range(200)]}})


def test_each_kind_reads_its_own_fields() -> None:
    sql = views(PayloadKind.SQL, {"context": {"query": "drop table a.b"}})
    assert {"sql_class": "destructive", "sql_statement": "drop", "sql_table": "a.b"} in sql
    url = views(PayloadKind.URL, {"context": {"url": "http://169.254.169.254/x"}})
    assert url[0]["url_host_kind"] == "metadata"
    path = views(PayloadKind.PATH, {"context": {"paths": ["a.txt", "../../etc/passwd"]}})
    assert {view["path_class"] for view in path} == {"workspace", "system"}
    cluster = views(PayloadKind.CLUSTER, {"prompt": "kubectl -n prod delete ns x"})
    assert (cluster[0]["cluster_verb"], cluster[0]["cluster_namespace"]) == ("delete", "prod")


def test_the_workspace_is_the_bundles() -> None:
    payload = {"context": {"path": "/srv/app/a.txt"}}
    assert views(PayloadKind.PATH, payload)[0]["path_class"] != "workspace"
    inside = views(PayloadKind.PATH, payload, workspace="/srv/app")
    assert inside[0]["path_class"] == "workspace"


def test_the_defaults_are_those_of_the_design() -> None:
    assert {(each.kind.value, *each.topics) for each in DEFAULT_DERIVATIONS} == {
        ("shell", "job.exec.*"),
        ("code", "job.exec.*"),
        ("python", "job.exec.python", "job.exec.python3", "job.exec.py", "job.exec.ipython"),
        ("powershell", "job.exec.powershell", "job.exec.pwsh", "job.exec.ps1"),
        ("cmd", "job.exec.cmd", "job.exec.bat", "job.exec.batch"),
        ("sql", "job.sql.*"),
        ("url", "job.http.*"),
        ("path", "job.file.*"),
        ("cluster", "job.k8s.*"),
    }


READING = compile_policy(
    load_policy(
        b"version: 1\nrules: [{id: read, decision: allow, match: {labels: {command_class: read}}}]"
    )
)


def may_run(topic: str, text: str) -> bool:
    """Whether a policy that allows only reading lets a text run on a topic."""
    noon = datetime.fromisoformat("2026-11-28T12:00:00+00:00")
    decision = evaluate(READING, Request(topic=topic, payload={"prompt": text}), now=noon)
    return decision.decision is Effect.ALLOW


def test_only_the_topics_of_shells_are_read_as_nothing_but_shell() -> None:
    assert all(may_run(topic, "ls -la") for topic in SHELL_TOPICS)
    others = [
        "python",
        "pwsh",
        "cmd",
        "bat",
        "node",
        "perl",
        "ruby",
        "Shell",
        "shell.ps1",
        "SH",
        "a",
    ]
    assert not [name for name in others if may_run(f"job.exec.{name}", "ls -la")]
    assert not may_run("job.exec.", "ls -la")


@pytest.mark.parametrize("kind", LANGUAGES)
@pytest.mark.parametrize("text", ["ls", "print(1)", "dir", "Get-Item a", "pass", "", "x" * 70_000])
def test_no_program_in_another_language_is_read(kind: PayloadKind, text: str) -> None:
    kinds = {view["command_class"] for view in views(kind, {"prompt": text})}
    assert "unknown" in kinds
    assert "read" not in kinds


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("python", "import shutil as s\nshutil . rmtree('/srv')", "destructive"),
        ("python", "import subprocess; subprocess.run(['rm', '-rf', '/'])", "destructive"),
        ("python", "import os; os.system('rm -rf /')", "destructive"),
        ("python", "from os import remove\nos.remove('a')", "destructive"),
        ("python", "import requests; requests.post('https://a.example')", "network"),
        ("python", "urllib.request.urlopen(u)", "network"),
        ("python", "Path('a').write_text('b')", "write"),
        ("python", "os.setuid(0)", "privileged"),
        ("powershell", "Get-Item a; REMOVE-ITEM -Recurse b", "destructive"),
        ("powershell", "ls | % { Stop-Computer -Force }", "destructive"),
        ("powershell", "(iwr https://a.example).Content", "network"),
        ("powershell", "Set-ExecutionPolicy Bypass", "privileged"),
        ("powershell", "'a' | Out-File b", "write"),
        ("cmd", "dir & DEL /s /q C:\\*", "destructive"),
        ("cmd", "if exist a (rd /s /q b)", "destructive"),
        ("cmd", "dir\r\n@del /q a", "destructive"),
        ("cmd", 'cmd /c "format c: /y"', "destructive"),
        ("cmd", "net user a b /add", "privileged"),
    ],
)
def test_what_is_recognised_is_worse_than_unknown(kind: str, text: str, wanted: str) -> None:
    kinds = {view["command_class"] for view in views(PayloadKind(kind), {"prompt": text})}
    assert kinds >= {"unknown", wanted}


def test_each_of_many_names_is_told_by_its_name() -> None:
    """Else a rule that names one program would be dodged by naming many."""
    found = views(PayloadKind.PYTHON, {"prompt": " ".join(PYTHON_NAMES)})
    assert {view["command_program"] for view in found} >= set(PYTHON_NAMES)
