"""The registry: each kind's payloads become views, whole or not at all."""

from typing import Any

import pytest

from forestall.facts.derive import (
    DEFAULT_DERIVATIONS,
    FIELDS_OF_KIND,
    LABELS_OF_KIND,
    Derivation,
    PayloadKind,
    derive,
    reading_of,
)
from forestall.facts.payload import TooMuchToDeriveError

MANY: dict[PayloadKind, str] = {
    PayloadKind.SHELL: "; ".join(f"p{n}" for n in range(200)),
    PayloadKind.SQL: "; ".join(f"select * from t{n}" for n in range(200)),
    PayloadKind.URL: " ".join(f"http://h{n}.example/" for n in range(200)),
    PayloadKind.PATH: "",
    PayloadKind.CLUSTER: "; ".join(f"kubectl get r{n}" for n in range(200)),
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
        ("sql", "job.sql.*"),
        ("url", "job.http.*"),
        ("path", "job.file.*"),
        ("cluster", "job.k8s.*"),
    }
