"""The table of record kinds names what the source writes: no kind more and none less."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import forestall
from forestall.audit.kinds import GROUPS, KINDS
from forestall.jobs.lifecycle import Event

SOURCE = Path(forestall.__file__).parent
RECORDS = SOURCE / "control" / "records.py"
REGISTRY = SOURCE / "control" / "registry_entries.py"
WEBHOOKS = SOURCE / "control" / "webhooks.py"
DELIVERY = SOURCE / "server" / "deliver.py"
_REGISTRY_KINDS = ("topic", "pool", "schema")


def _calls(path: Path, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def _texts(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


def _kind(call: ast.Call) -> ast.expr:
    return next(keyword.value for keyword in call.keywords if keyword.arg == "kind")


def _job_and_plain_kinds() -> set[str]:
    """Of records.py: texts as they stand, and `job.<event>` for each event."""
    kinds = [_kind(call) for call in _calls(RECORDS, "Record")]
    plain = {str(kind.value) for kind in kinds if isinstance(kind, ast.Constant)}
    computed = [ast.unparse(kind) for kind in kinds if not isinstance(kind, ast.Constant)]
    assert computed == ["f'job.{event.value}'"]
    return plain | {f"job.{event}" for event in Event}


def _registry_kinds() -> set[str]:
    (call,) = _calls(REGISTRY, "Record")
    assert ast.unparse(_kind(call)) == "f'{entry.kind}.{what}'"
    whats = {"created", "changed", "removed"}
    assert whats <= _texts(REGISTRY)
    return {f"{kind}.{what}" for kind in _REGISTRY_KINDS for what in whats}


def _webhook_kinds() -> set[str]:
    (call,) = _calls(WEBHOOKS, "Record")
    assert ast.unparse(_kind(call)) == "kind"
    named = {text for text in _texts(WEBHOOKS) if re.fullmatch(r"(?:webhook|link)\.[a-z_]+", text)}
    noted = _texts(DELIVERY) & {"advanced", "delivered", "dead_lettered"}
    return named | {f"webhook.{what}" for what in noted}


def test_records_are_made_in_three_files() -> None:
    """Another place that makes records is one more for this test to know."""
    makers = [path for path in SOURCE.rglob("*.py") if any(_calls(path, "Record"))]
    assert sorted(makers) == sorted([RECORDS, REGISTRY, WEBHOOKS])


def test_the_table_holds_every_kind_and_no_other() -> None:
    written = _job_and_plain_kinds() | _registry_kinds() | _webhook_kinds()
    assert written == set(KINDS)


def test_every_field_of_the_table_is_one_that_the_source_names() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    source = source.replace((SOURCE / "audit" / "kinds.py").read_text(encoding="utf-8"), "")
    fields = {field for kind in KINDS.values() for field in kind.fields}
    assert not [field for field in sorted(fields) if not re.search(rf"\b{field}\b", source)]


def test_every_group_is_used() -> None:
    assert {group for kind in KINDS.values() for group in kind.groups} == set(GROUPS)
