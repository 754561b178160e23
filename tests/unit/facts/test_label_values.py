"""The table of closed value sets and the enums of the derivers agree."""

from enum import StrEnum

import pytest

from forestall.facts.derive import DERIVED_LABELS
from forestall.facts.hosts import HostKind
from forestall.facts.label_values import CLOSED_VALUES
from forestall.facts.path_classes import PathClass
from forestall.facts.shell.command_classes import CommandClass
from forestall.facts.shell.places import CommandScope
from forestall.facts.sql.statements import SqlClass

ENUMS = {
    "command_class": CommandClass,
    "command_scope": CommandScope,
    "sql_class": SqlClass,
    "url_host_kind": HostKind,
    "path_class": PathClass,
    "cluster_class": CommandClass,
}


@pytest.mark.parametrize(("label", "enum"), ENUMS.items(), ids=ENUMS)
def test_the_values_are_those_of_the_deriver(label: str, enum: type[StrEnum]) -> None:
    assert set(CLOSED_VALUES[label]) == {one.value for one in enum}


def test_every_closed_label_is_derived_and_compared() -> None:
    assert CLOSED_VALUES.keys() <= DERIVED_LABELS
    assert CLOSED_VALUES.keys() == ENUMS.keys()
    closed = {name for name in DERIVED_LABELS if name.endswith(("_class", "_kind", "_scope"))}
    assert closed <= CLOSED_VALUES.keys()
