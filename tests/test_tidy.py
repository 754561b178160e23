"""The house style as a test: limits on functions, lines and modules; no dead weight."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
OTHERS = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
EVERY_FILE = SOURCES + sorted(OTHERS)
LINES_PER_MODULE_MAX = 500
LINES_PER_FUNCTION_MAX = 70
COLUMNS_MAX = 100
FORBIDDEN_WORDS = ("TODO", "FIXME", "XXX", "NotImplementedError")
# Names of papers that a reader of this repository does not have: say what they say instead, or
# cite what is public (an RFC, an ADR of ours, the number of a control).
OUTSIDE = re.compile(
    r"\b(?:DESIG[N]|ROADMA[P])\b|\bSTYL[E]\b|\b[Ii]ssue \d|\bwire-ap[i]\b|\bpeer-semantic[s]\b"
    r"|\bclients \d+\.\d|\bshare[d]/|\b(?:doors|guide|clients)\.m[d]\b"
)
TEXTS = [
    *EVERY_FILE,
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *(path for path in ROOT.glob("examples/**/*.*") if path.is_file()),
    *ROOT.glob("conformance/*.*"),
    *(ROOT / name for name in ("Makefile", "pyproject.toml", ".importlinter", "docs/generate.py")),
]
FORBIDDEN_ROOMS = {"utils", "common", "core", "models", "helpers", "infra"}


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 30


@pytest.mark.parametrize("path", EVERY_FILE, ids=_id)
def test_lines_are_short(path: Path) -> None:
    long = [n for n, line in enumerate(path.read_text().splitlines(), 1) if len(line) > COLUMNS_MAX]
    assert not long, f"lines longer than {COLUMNS_MAX}: {long}"


@pytest.mark.parametrize("path", SOURCES, ids=_id)
def test_modules_are_small_and_say_what_they_do(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert text.count("\n") <= LINES_PER_MODULE_MAX
    assert ast.get_docstring(tree), "a file opens by saying what it does"
    assert not [word for word in FORBIDDEN_WORDS if word in text]


@pytest.mark.parametrize("path", SOURCES, ids=_id)
def test_functions_are_short(path: Path) -> None:
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > LINES_PER_FUNCTION_MAX
    ]
    assert not long


@pytest.mark.parametrize("path", SOURCES, ids=_id)
def test_public_things_are_documented(path: Path) -> None:
    """Public classes and functions of the rooms say what they mean."""
    bare = [
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not bare


def test_no_room_is_a_drawer() -> None:
    rooms = {path.name for path in (ROOT / "src" / "forestall").iterdir() if path.is_dir()}
    assert not rooms & FORBIDDEN_ROOMS
    assert not {path.stem for path in SOURCES} & FORBIDDEN_ROOMS


def test_only_the_gate_evaluates() -> None:
    """control/gate.py is the plane's only caller of the evaluator."""
    asking = ("policy.evaluator import", "cache.evaluate(", "policy import evaluate")
    callers = [
        _id(path)
        for path in SOURCES
        if "/policy/" not in _id(path) and any(words in path.read_text() for words in asking)
    ]
    assert callers == ["src/forestall/control/gate.py"]


def test_the_peers_spellings_live_in_one_file() -> None:
    """camelCase and prefixed decision names are added in wire/compat.py and the wire room only."""
    elsewhere = [
        _id(path)
        for path in SOURCES
        if "DECISION_TYPE_" in path.read_text() and path.parent.name != "wire"
    ]
    assert not elsewhere


@pytest.mark.parametrize("path", TEXTS, ids=_id)
def test_nothing_is_explained_outside_the_repository(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [f"{n}: {line.strip()}" for n, line in enumerate(lines, 1) if OUTSIDE.search(line)]
    assert not found


def test_unit_tests_use_no_helper_of_a_ring_outside() -> None:
    """A unit test that needs the server as a process is no unit test (tests/README.md)."""
    outside = ("tests.e2e", "tests.sim", "tests.model")
    users = [
        _id(path)
        for path in (ROOT / "tests" / "unit").rglob("*.py")
        if any(f"from {ring}" in path.read_text() for ring in outside)
    ]
    assert not users
