"""Every verb that commits shows its four beats: load, decide, commit, announce (ARCHITECTURE.md).

A verb is a public coroutine of a file in control/. A commit is a call that leads to the store: of
`plane.commit` itself or of a function of control/ that makes one. `Plane.commit` takes up what is
durable and wakes whoever waits, so `announce` marks what is left after it, or says that nothing is.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CONTROL = Path(__file__).parents[1] / "src" / "forestall" / "control"
BEATS = ("load", "decide", "commit", "announce")
# What verbs share: they commit what a verb hands them, and decide nothing.
SHARED = {"plane.py", "moves.py", "registry_entries.py"}
FILES = sorted(path for path in CONTROL.glob("*.py") if path.name not in SHARED)
COMMITTING = {"commit_move", "put_entry", "drop_entry"}  # the shared functions, and `plane.commit`
# They only pass on to another verb, which shows the beats.
PASSING_ON = {"publish.py": {"publish"}, "topics.py": {"route_topic"}, "dispatch.py": {"dispatch"}}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> dict[str, Function]:
    tree = ast.parse(path.read_text())
    return {node.name: node for node in tree.body if isinstance(node, Function)}


def called(node: ast.AST) -> Iterator[str]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call):
            if isinstance(call.func, ast.Name):
                yield call.func.id
            elif isinstance(call.func, ast.Attribute) and call.func.attr == "commit":
                yield "plane.commit"


def reached(name: str, of_file: dict[str, Function]) -> set[str]:
    """The functions of the file that a function leads to, itself included."""
    found, todo = {name}, [name]
    while todo:
        for other in called(of_file[todo.pop()]):
            if other in of_file and other not in found:
                found.add(other)
                todo.append(other)
    return found


def commits(names: set[str], of_file: dict[str, Function]) -> bool:
    calls = {each for name in names for each in called(of_file[name])}
    return bool(calls & {*COMMITTING, "plane.commit"})


def beats(path: Path, node: Function) -> list[str]:
    """The beats that stand in a function, in order."""
    lines = path.read_text().splitlines()[node.lineno - 1 : node.end_lineno]
    comments = [line.strip() for line in lines if line.strip().startswith("# ")]
    found = []
    for comment in comments:
        head = re.split(r"[:;]", comment.removeprefix("# "))[0]
        found += [word for word in re.findall(r"[a-z]+", head) if word in BEATS]
    return found


def verbs() -> list[tuple[Path, str]]:
    found = []
    for path in FILES:
        of_file = functions(path)
        for name, node in of_file.items():
            is_public = isinstance(node, ast.AsyncFunctionDef) and not name.startswith("_")
            if not is_public or name in PASSING_ON.get(path.name, ()):
                continue
            if commits(reached(name, of_file), of_file):
                found.append((path, name))
    return found


VERBS = verbs()


def test_there_are_verbs() -> None:
    assert len(VERBS) >= 30


@pytest.mark.parametrize(("path", "name"), VERBS, ids=lambda part: getattr(part, "stem", part))
def test_a_verb_that_commits_shows_its_four_beats(path: Path, name: str) -> None:
    of_file = functions(path)
    shown = {beat for each in reached(name, of_file) for beat in beats(path, of_file[each])}
    missing = [beat for beat in BEATS if beat not in shown]
    assert not missing, f"`{name}` in {path.name} does not show: {', '.join(missing)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_beats_of_a_function_stand_in_their_order(path: Path) -> None:
    """A second way out begins anew, so a beat may come again, but none comes before its turn."""
    for name, node in functions(path).items():
        order = [BEATS.index(beat) for beat in beats(path, node)]
        first = list(dict.fromkeys(order))
        assert first == sorted(first), f"{name} in {path.name}: {beats(path, node)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_commit_is_marked(path: Path) -> None:
    """Whoever looks for the line after which something is durable finds it by one word."""
    for name, node in functions(path).items():
        if commits({name}, {name: node}):
            assert "commit" in beats(path, node), f"{name} in {path.name} commits without saying so"
