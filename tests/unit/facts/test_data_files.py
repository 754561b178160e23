"""The tables of `facts/data`: every entry is read, and does what its own examples say.

The golden file holds the facts of every example, with programs, verbs and tables, so that a change
of an entry shows everything that it changes. After a change that is meant, write it anew with
`FORESTALL_WRITE_GOLDEN=1 pytest tests/unit/facts/test_data_files.py`, and read the difference.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, get_args
from zipfile import ZipFile

import msgspec
import pytest
import yaml
from flit_core.wheel import make_wheel_in  # type: ignore[import-untyped]  # ships no types

import forestall.facts
from forestall.data_tables import DataFileError
from forestall.facts.cluster import tools
from forestall.facts.cluster.commands import verbs_in
from forestall.facts.data_files import EntryTable, WordList, read_text
from forestall.facts.file_paths import paths_in
from forestall.facts.other_languages import programs_in
from forestall.facts.shell import program_table
from forestall.facts.shell.command_classes import CommandClass
from forestall.facts.shell.commands import commands_in
from forestall.facts.shell.program_handlers import HANDLERS
from forestall.facts.shell.program_spec import (
    ExtraWordsSpec,
    Handler,
    ProgramSpec,
    SubcommandSpec,
    WrapperSpec,
    WritesSpec,
)
from forestall.facts.shell.program_table import FAMILIES, PROGRAMS, program, program_of_any_case
from forestall.facts.sql.statements import statements_in
from forestall.facts.urls import urls_in
from forestall.policy import Effect, Request, compile_policy, evaluate, load_policy

DATA = Path(forestall.facts.__path__[0]) / "data"
FILES = sorted(str(path.relative_to(DATA)) for path in DATA.rglob("*.yaml"))
GOLDEN = Path(__file__).parents[2] / "golden" / "facts-of-examples.jsonl"
ROOMS: Mapping[str, Callable[[str], Sequence[msgspec.Struct]]] = {
    "cluster": verbs_in,
    "hosts": urls_in,
    "paths": lambda text: paths_in([text]),
    "python": lambda text: programs_in(text, "python"),
    "shell": commands_in,
    "sql": statements_in,
    "windows": lambda text: programs_in(text, "cmd"),
}
WORDS = {room: EntryTable("words", [f"{room}.yaml"], WordList) for room in ROOMS}


def _examples() -> Iterator[tuple[str, str, str, list[str]]]:
    """Every example: the entry, the room that reads its text, the text, and the classes."""
    tables: list[tuple[str, str, EntryTable[Any]]] = [
        ("programs", "shell", PROGRAMS),
        ("tools", "cluster", tools.TOOLS),
        *((f"words/{room}", room, table) for room, table in WORDS.items()),
    ]
    for folder, room, table in tables:
        for name in table.names():
            entry = table.get(name)
            assert entry is not None
            for text, kinds in entry.examples.items():
                wanted = [kinds] if isinstance(kinds, str) else kinds
                yield f"{folder}: {name}", room, text, sorted(map(str, wanted))


EXAMPLES = list(_examples())


def _plain(fact: msgspec.Struct) -> dict[str, Any]:
    """A fact as JSON, without the fields that are empty."""
    values = {name: getattr(fact, name) for name in fact.__struct_fields__}
    return {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in values.items()
        if value
    }


def _classes(fact: msgspec.Struct) -> set[str]:
    plain = _plain(fact)
    return {str(kind) for kind in plain.get("classes", [plain.get("kind")])}


@pytest.mark.parametrize("file", FILES)
def test_every_entry_is_read_and_says_what_its_examples_do(file: str) -> None:
    folder, _, name = file.partition("/")
    entries = yaml.safe_load((DATA / file).read_text())
    entry_names = {f"{folder}: {entry}" for entry in entries}
    if folder == "words":
        entry_names = {f"words/{name.removesuffix('.yaml')}: {entry}" for entry in entries}
    mine = [example for example in EXAMPLES if example[0] in entry_names]
    assert {entry for entry, *_ in mine} == entry_names
    wrong = {
        f"{entry}: {text}": sorted(found)
        for entry, room, text, wanted in mine
        if (found := {kind for fact in ROOMS[room](text) for kind in _classes(fact)}) != set(wanted)
    }
    assert wrong == {}


def test_the_facts_of_the_examples_are_those_of_the_golden_file() -> None:
    texts = dict.fromkeys((room, text) for _, room, text, _ in EXAMPLES)
    lines = [
        json.dumps(
            {"room": room, "text": text, "facts": [_plain(fact) for fact in ROOMS[room](text)]},
            sort_keys=True,
        )
        for room, text in sorted(texts)
    ]
    if os.environ.get("FORESTALL_WRITE_GOLDEN"):
        GOLDEN.write_text("\n".join(lines) + "\n")
    assert lines == GOLDEN.read_text().splitlines()


@pytest.mark.parametrize("file", FILES)
def test_cutting_a_file_into_entries_agrees_with_yaml(file: str) -> None:
    """Entries are read one by one; read as a whole, the file holds the same ones, in order."""
    table = EntryTable("", [file], dict[str, Any], lambda _: (DATA / file).read_text())
    whole = yaml.safe_load((DATA / file).read_text())
    assert list(table.names()) == list(whole)
    assert {name: table.get(name) for name in table.names()} == whole


def test_every_file_is_of_a_table() -> None:
    used = {f"programs/{family}.yaml" for family in FAMILIES}
    used |= {f"tools/{file}.yaml" for file in tools.FILES}
    assert used | {f"words/{room}.yaml" for room in ROOMS} == set(FILES)


@pytest.mark.parametrize("name", list(PROGRAMS.names()))
def test_every_program_is_found(name: str) -> None:
    spec = PROGRAMS.get(name)
    assert spec is not None
    if not spec.any_case:
        assert program(name) is not None
        return
    for spelling in (name, name.upper(), name.lower()):
        found = program_of_any_case(spelling)
        assert found is not None
        assert found[0] == name


@pytest.mark.parametrize("name", list(tools.TOOLS.names()))
def test_every_tool_is_read(name: str) -> None:
    assert tools.tool(name).read_as


def test_every_handler_is_code_and_some_program_needs_it() -> None:
    specs = [PROGRAMS.get(name) for name in PROGRAMS.names()]
    used = {spec.handler for spec in specs if spec is not None and spec.handler is not None}
    assert set(get_args(Handler)) == set(HANDLERS) == used


def test_effects_that_are_not_plain_have_a_reason() -> None:
    """What is privileged, destructive or unknown by itself says why, or is the same as one that
    does."""
    grave = {CommandClass.PRIVILEGED, CommandClass.DESTRUCTIVE, CommandClass.UNKNOWN}
    silent = [
        name
        for name in PROGRAMS.names()
        if (spec := PROGRAMS.get(name)) is not None
        and not spec.why
        and (entry := program(name)) is not None
        and entry.effect is not None
        and entry.effect.classes & grave
    ]
    assert silent == []


GOOD = "does: read\n  examples: {'a x': read}\n"
BROKEN = [
    (f"a:\n  dose: read\n  {GOOD}", "t.yaml:2: `a.dose`: there is no such field"),
    ("a:\n  does: raed\n  examples: {'a x': read}\n", "t.yaml:2: `a.does`: invalid enum value"),
    ("a:\n  does: []\n  examples: {'a x': read}\n", "t.yaml:2: `a.does`: expected `array` of"),
    ("a:\n  does: read\n", "t.yaml:1: `a`: object missing required field `examples`"),
    ("a:\n  does: read\n  examples: {}\n", "t.yaml:3: `a.examples`: expected `object` of length"),
    (f"a:\n  {GOOD}b:\n  {GOOD}a:\n  {GOOD}", "t.yaml:7: `a` is written twice; first in"),
    (f"a:\n  does: write\n  {GOOD}", "t.yaml:3: `does` is written twice"),
    (f"a:\n  value_options: [-x, -y, -x]\n  {GOOD}", "t.yaml:2: `-x` is written twice in one list"),
    (f"a:\n  options: {{-x: read, -y: wirte}}\n  {GOOD}", "`a.options.-y`: invalid enum value"),
    (
        f"# x\n\na:\n  {GOOD}b:\n  subcommands:\n    c:\n      options: {{-f: deadly}}\n  {GOOD}",
        "t.yaml:9: `b.subcommands.c.options.-f`: invalid enum value",
    ),
    (f"a:\n  value_options:\n    - -x\n    - [y]\n  {GOOD}", "t.yaml:4: `a.value_options.1`: exp"),
    (f"a:\n  value_options: [{{x: y}}]\n  {GOOD}", "t.yaml:2: `a.value_options.0`: expected `str`"),
    (f"a:\n  subcommands: {{b: {{examples: {{}}}}}}\n  {GOOD}", "`a.subcommands.b.examples`: the"),
    (f"a:\n  handler: evil\n  {GOOD}", "t.yaml:2: `a.handler`: invalid enum value 'evil'"),
    (f"a:\n  help: maybe\n  {GOOD}", "t.yaml:2: `a.help`: expected `bool | null`, got `str`"),
    (f"a:\n  extra_words: {{above: one, add: read}}\n  {GOOD}", "`a.extra_words.above`: expected"),
    (f"a: &x\n  {GOOD}", "t.yaml:1: anchors, aliases and tags: not allowed"),
    (f"a: !!map\n  {GOOD}", "t.yaml:1: anchors, aliases and tags: not allowed"),
    ("a:\n  does: *x\n", "t.yaml:2: anchors, aliases and tags: not allowed"),
    ("a:\n  ? [b]\n  : c\n", "t.yaml:2: a key is a word"),
    ("a:\n  does: read\n---\n7\n", "t.yaml:3: a data file holds one document"),
    ("a:\n  does: [read\n", "not YAML: "),
    (f'a:\n  {GOOD}"b":\n  {GOOD}', "t.yaml:1: `a`: something beside the entry begins"),
    (f"- x\na:\n  {GOOD}", "t.yaml:1: a file begins with comments and an entry"),
    ("# nothing\n", "t.yaml:1: a file begins with comments and an entry"),
    (f"a:\n  why: '\x01'\n  {GOOD}", "t.yaml:1: not YAML: a character that YAML does not allow"),
    (f"a:\n  wrapper: {{adds: read, words_before: 99}}\n  {GOOD}", "`a.wrapper.words_before`: exp"),
    ("a: read\n", "t.yaml:1: `a`: expected `object`, got `str`"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_a_broken_entry_is_refused_at_its_place(text: str, message: str) -> None:
    table = EntryTable("", ["t.yaml"], ProgramSpec, lambda _: text)
    with pytest.raises(DataFileError) as caught:
        for name in table.names():
            table.get(name)
    assert message in str(caught.value)


def test_a_missing_file_is_an_error_of_ours() -> None:
    with pytest.raises(DataFileError, match="not part of this installation"):
        read_text("programs/none.yaml")


def test_names_of_agents_are_not_kept() -> None:
    """A text holds any number of names; only those of the table may take memory for good."""
    before = len(PROGRAMS._entries)
    for number in range(100):
        assert program(f"no-such-program-{number}") is None
        assert program_of_any_case(f"no-such-program-{number}") is None
    assert len(PROGRAMS._entries) == before


# -- the page that describes the format --

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "programs.md").read_text()
SPECS = (ProgramSpec, SubcommandSpec, WrapperSpec, WritesSpec, ExtraWordsSpec, tools.ToolSpec)


@pytest.mark.parametrize("spec", [*SPECS, WordList])
def test_the_page_names_every_field(spec: type[msgspec.Struct]) -> None:
    fields = (*spec.__struct_fields__, *CommandClass)
    assert [name for name in fields if f"`{name}`" not in PAGE and f"`{name}:" not in PAGE] == []


@pytest.fixture
def with_the_programs_of_the_page(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[EntryTable[ProgramSpec]]:
    """The program table, and beside it the entries that the page shows."""
    shown = "\n".join(re.findall(r"^```yaml program\n(.*?)^```$", PAGE, re.M | re.S))
    files = [*(f"{family}.yaml" for family in FAMILIES), "page.yaml"]
    table = EntryTable(
        "programs",
        files,
        ProgramSpec,
        lambda name: shown if name.endswith("page.yaml") else read_text(name),
    )
    monkeypatch.setattr(program_table, "PROGRAMS", table)
    for cached in (program_table._built, program_table._by_folded_name):
        cached.cache_clear()
    yield table
    for cached in (program_table._built, program_table._by_folded_name):
        cached.cache_clear()


def test_the_entries_of_the_page_do_what_their_examples_say(
    with_the_programs_of_the_page: EntryTable[ProgramSpec],
) -> None:
    names = [n for n in with_the_programs_of_the_page.names() if n not in PROGRAMS.names()]
    assert names == ["deployctl", "asuser"]
    for name in names:
        entry = with_the_programs_of_the_page.get(name)
        assert entry is not None
        for text, kinds in entry.examples.items():
            wanted = {kinds} if isinstance(kinds, CommandClass) else set(kinds)
            assert {kind for one in commands_in(text) for kind in one.classes} == wanted, text


@pytest.mark.parametrize(
    ("same_as", "message"),
    [
        ("nothing", "is the same as `nothing`, which has no entry"),
        ("docker nothing", "is the same as `docker nothing`, which has no entry"),
        ("docker rm", "is the same as `docker rm`, which has no entry"),
        ("loop", "leads to itself, or through too many"),
    ],
)
def test_an_entry_that_is_the_same_as_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, same_as: str, message: str
) -> None:
    text = f"loop:\n  same_as: '{same_as}'\n  examples: {{loop: read}}\n"
    files = {"programs/a.yaml": text, "programs/b.yaml": read_text("programs/containers.yaml")}
    table = EntryTable("programs", ["a.yaml", "b.yaml"], ProgramSpec, files.__getitem__)
    monkeypatch.setattr(program_table, "PROGRAMS", table)
    program_table._built.cache_clear()
    with pytest.raises(DataFileError, match=re.escape(message)) as caught:
        program("loop")
    assert str(caught.value).startswith("a.yaml:1: ")
    program_table._built.cache_clear()


def test_the_wheel_holds_every_data_file(tmp_path: Path) -> None:
    wheel = make_wheel_in(Path(__file__).parents[3] / "pyproject.toml", tmp_path).file
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("forestall/facts/data/")}
    assert packed == {f"forestall/facts/data/{file}" for file in FILES}


def test_a_damaged_table_denies_and_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    table = EntryTable("programs", ["a.yaml"], ProgramSpec, lambda _: "ls:\n  dose: read\n")
    monkeypatch.setattr(program_table, "PROGRAMS", table)
    program_table._built.cache_clear()
    snapshot = compile_policy(
        load_policy(
            b"version: 1\nrules:\n  - {id: a, decision: allow, "
            b"match: {topics: [job.exec.x], labels: {command_class: read}}}\n"
        )
    )
    request = Request(topic="job.exec.x", payload={"prompt": "ls"})
    decision = evaluate(snapshot, request, now=datetime.fromisoformat("2026-01-01T12:00:00+00:00"))
    assert (decision.decision, decision.code) == (Effect.DENY, "rule_error")
    assert decision.errors == ("a.yaml:2: `ls.dose`: there is no such field",)
    program_table._built.cache_clear()
