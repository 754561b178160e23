"""The table of record kinds names what the source writes: no kind more and none less."""

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import forestall
from forestall.audit.kinds import GROUPS, KINDS
from forestall.jobs.lifecycle import Event

SOURCE = Path(forestall.__file__).parent
CONTROL = SOURCE / "control"
DELIVERY = SOURCE / "server" / "deliver.py"
# The functions that take the kind of a record, and which argument it is.
TAKES_A_KIND = {"record_of": 1, "_decision_for": 1, "commit_entries": 1, "commit_refusal": 2}
_REGISTRY_KINDS = ("topic", "pool", "schema")
_COMPUTED = {  # the kinds that are no text where the record is made
    "f'job.{move.event.value}'": {f"job.{event}" for event in Event},
    "f'{entry.kind}.removed'": {f"{kind}.removed" for kind in _REGISTRY_KINDS},
    "f'{kind}.{what}'": {
        f"{kind}.{what}" for kind in _REGISTRY_KINDS for what in ("created", "changed")
    },
    "'webhook.created' if current is None else 'webhook.changed'": {
        "webhook.created",
        "webhook.changed",
    },
    "f'tenant.{what}'": {f"tenant.{what}" for what in ("created", "suspended", "resumed")},
    "_STATUS_RECORDS[after.status]": {"agent.suspended", "agent.resumed", "agent.revoked"},
    "f'webhook.{outcome}'": {
        f"webhook.{outcome}" for outcome in ("advanced", "delivered", "dead_lettered")
    },
}


def _calls(path: Path, names: Collection[str]) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node


def _kinds(path: Path) -> Iterator[ast.expr]:
    """The kinds that a file names; not the parameter that one such function hands to another."""
    for call in _calls(path, TAKES_A_KIND):
        kind = call.args[TAKES_A_KIND[call.func.id]]  # type: ignore[attr-defined]  # is a Name
        if not (isinstance(kind, ast.Name) and kind.id == "kind"):
            yield kind


def _written() -> set[str]:
    kinds: set[str] = set()
    for kind in (kind for path in CONTROL.glob("*.py") for kind in _kinds(path)):
        if isinstance(kind, ast.Constant):
            kinds.add(str(kind.value))
        else:
            kinds |= _COMPUTED[ast.unparse(kind)]
    return kinds


def test_records_are_made_in_one_place() -> None:
    """Another place that makes records is one more for this test to know."""
    makers = [path for path in SOURCE.rglob("*.py") if any(_calls(path, ("Record",)))]
    assert makers == [CONTROL / "records.py"]


def test_a_delivery_notes_these_events() -> None:
    tree = ast.parse(DELIVERY.read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert {"advanced", "delivered", "dead_lettered"} <= texts


def test_the_table_holds_every_kind_and_no_other() -> None:
    assert _written() == set(KINDS)


def test_every_field_of_the_table_is_one_that_the_source_names() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    source = source.replace((SOURCE / "audit" / "kinds.py").read_text(encoding="utf-8"), "")
    fields = {field for kind in KINDS.values() for field in kind.fields}
    assert not [field for field in sorted(fields) if not re.search(rf"\b{field}\b", source)]


def test_every_group_is_used() -> None:
    assert {group for kind in KINDS.values() for group in kind.groups} == set(GROUPS)
