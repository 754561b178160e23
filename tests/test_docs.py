"""The documentation as a test: what it names exists, what it shows is what comes out.

A fenced block says by its info string what is checked:
`yaml policy` loads; the `yaml cases` after it hold under it; `yaml broken` is refused with the
`text` block that follows; `console offline` is run, and prints what stands below each command.
"""

import importlib.util
import itertools
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import yaml
from click.testing import CliRunner

from forestall.cli import output
from forestall.cli.main import cli
from forestall.identity.roles import PERMISSIONS, Permission, Role
from forestall.policy import PolicyError, Snapshot, compile_policy, evaluate, load_policy
from forestall.policy.output_cases import judge_case
from forestall.policy.testing import load_cases, run_tests
from forestall.server.settings import BOOTSTRAP_KEY_VARIABLE, DEFAULTS
from tests.asking import asked, instant

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
STARTER = ROOT / "src" / "forestall" / "server" / "starter-policy.yaml"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
ADR_LINES_MAX = 60
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
_MACHINE = re.compile(r"(?<![\w.])/(?:work|home|root|Users|tmp|var|opt|mnt)/|\b[A-Z]:\\|file://")
_REGISTRY = re.compile(r"pypi|pythonhosted|npmjs|crates\.io", re.IGNORECASE)
_ROOMS = "|".join(
    path.name
    for folder in (ROOT, ROOT / "src" / "forestall")
    for path in folder.iterdir()
    if path.is_dir() and path.name[0] not in "._"
)
_FILE = re.compile(rf"(?<![\w/.-])((?:{_ROOMS})/[\w/.-]*\w)(?![\w*])")
_ELISION = "…"


def _load_generator() -> Any:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = _load_generator()


class Block(NamedTuple):
    """One fenced block: where it stands, its info string and its text."""

    place: str
    info: str
    text: str


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _blocks(path: Path) -> list[Block]:
    text = _read(path)
    return [
        Block(f"{_id(path)}:{text.count(chr(10), 0, found.start()) + 1}", found[1], found[2])
        for found in _FENCE.finditer(text)
    ]


def _prose(path: Path) -> str:
    return _FENCE.sub("", _read(path))


def _headings(path: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", _prose(path), re.MULTILINE)


def _anchors(path: Path) -> set[str]:
    """The anchors of a page, as the usual renderers make them."""
    bare = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _headings(path))
    return {heading.strip().replace(" ", "-") for heading in bare}


# -- every page --


def test_there_are_pages() -> None:
    assert len(PAGES) > 20


@pytest.mark.parametrize("path", PAGES, ids=_id)
def test_relative_links_resolve(path: Path) -> None:
    broken = []
    for target in _LINK.findall(_prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        if not page.exists() or (anchor and anchor not in _anchors(page)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("path", PAGES, ids=_id)
def test_no_page_names_a_machine_or_a_registry(path: Path) -> None:
    text = _read(path)
    assert not _MACHINE.findall(text)
    assert not _REGISTRY.findall(text)


@pytest.mark.parametrize("path", PAGES, ids=_id)
def test_files_of_the_tree_that_a_page_names_are_there(path: Path) -> None:
    """Also in a decision record: where the code went is no part of what was decided."""
    rooms = (ROOT, ROOT / "src" / "forestall")
    # Fenced blocks hold files of other people, but for the drawings of the architecture.
    text = _read(path) if path.name == "ARCHITECTURE.md" else _prose(path)
    gone = [
        name
        for name in _FILE.findall(text)
        if not any((room / place).exists() for room in rooms for place in (name, f"{name}.py"))
    ]
    assert not gone


@pytest.mark.parametrize("path", PAGES, ids=_id)
def test_generated_parts_are_current(path: Path) -> None:
    text = _read(path)
    assert GENERATE.regenerated(text) == text, "run `python docs/generate.py`"


def test_every_generated_part_has_a_place() -> None:
    text = "".join(map(_read, PAGES))
    missing = [name for name in GENERATE.PARTS if f"<!-- generated: {name} -->" not in text]
    assert not missing


@pytest.mark.parametrize("path", sorted((DOCS / "adr").glob("*.md")), ids=_id)
def test_a_decision_record_is_short_and_whole(path: Path) -> None:
    text = _read(path)
    assert text.count("\n") <= ADR_LINES_MAX
    for part in ("Context", "Decision", "Consequences", "Alternatives"):
        assert f"## {part}\n" in text


# -- the reference --


def test_every_error_code_has_a_section() -> None:
    headings = re.findall(r"^### `(\w+)`$", _read(REFERENCE / "errors.md"), re.MULTILINE)
    assert sorted(headings) == sorted(GENERATE.error_classes())


def test_every_metric_is_documented() -> None:
    text = _read(REFERENCE / "metrics.md")
    for metric in GENERATE.all_metrics().registry.collect():
        assert f"`{metric.name}" in text


def test_every_setting_is_documented() -> None:
    text = _read(REFERENCE / "settings.md")
    assert BOOTSTRAP_KEY_VARIABLE in text
    for name in DEFAULTS:
        assert f"`--{name.replace('_', '-')}`" in text
        assert f"`FORESTALL_{name.upper()}`" in text
    flags = {option for param in _command("serve").params for option in param.opts}
    assert {f"--{name.replace('_', '-')}" for name in DEFAULTS} <= flags


def test_every_permission_and_role_is_documented() -> None:
    text = _read(REFERENCE / "api.md")
    assert set(PERMISSIONS) == set(Role)
    for word in (*Permission, *Role):
        assert f"`{word}`" in text


def test_every_exit_code_is_documented() -> None:
    text = _read(REFERENCE / "cli.md")
    codes = [value for name, value in vars(output).items() if name.startswith("EXIT_")]
    assert len(codes) >= 6
    for code in codes:
        assert f"| {code} | " in text


# -- the policy language --


def _known_keys(text: str) -> list[str]:
    """The keys that the reader lists when it meets one that it does not know."""
    with pytest.raises(PolicyError) as caught:
        load_policy(text.encode())
    hints = [problem.hint for problem in caught.value.problems if "`§`" in problem.message]
    assert len(hints) == 1
    return hints[0].removeprefix("known here: ").split(", ")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("rules: []\n§: 1\n", "top level"),
        ("rules:\n  - {id: a, decision: deny, match: {topics: [a]}, §: 1}\n", "a rule"),
        ("rules:\n  - {id: a, decision: deny, match: {topics: [a], §: 1}}\n", "a match"),
    ],
    ids=["top", "rule", "match"],
)
def test_every_key_of_the_language_has_a_section(text: str, what: str) -> None:
    sections = re.split(r"^## ", _read(REFERENCE / "policy.md"), flags=re.MULTILINE)
    section = next(part for part in sections if part.lower().startswith(what))
    headings = re.findall(r"^### `(\w+)`", section, re.MULTILINE)
    assert sorted(headings) == _known_keys(text)


@pytest.mark.parametrize(
    "text",
    [
        "rules:\n  - {id: a, decision: allow, match: {topics: [a]}, constraints: {§: 1}}\n",
        "rules:\n  - {id: a, decision: deny, match: {topics: [a]}, remediations: [{§: 1}]}\n",
        "rules: []\nderive: [{kind: shell, topics: [a], §: 1}]\n",
        "rules: []\ntests: [{request: {topic: a, §: 1}, want: {decision: deny}}]\n",
        "rules: []\ntests: [{request: {topic: a}, want: {decision: deny, §: 1}}]\n",
    ],
    ids=["constraints", "remediations", "derive", "request", "want"],
)
def test_every_inner_key_of_the_language_is_named(text: str) -> None:
    page = _read(REFERENCE / "policy.md")
    for key in _known_keys(text):
        assert re.search(rf"[`{{ ]{key}[`:]", page), f"{key} is not on the page"


class Example(NamedTuple):
    """A policy of the documentation with the cases that follow it."""

    policy: Block
    cases: Block


def _examples() -> Iterator[Example]:
    for path in PAGES:
        policy: Block | None = None
        for block in _blocks(path):
            if block.info == "yaml policy":
                policy = block
            elif block.info == "yaml cases":
                assert policy is not None, f"{block.place}: cases without a policy"
                yield Example(policy, block)


def _policies() -> list[Block]:
    return [block for path in PAGES for block in _blocks(path) if block.info == "yaml policy"]


def test_there_are_examples() -> None:
    assert len(list(_examples())) > 20


@pytest.mark.parametrize("block", _policies(), ids=lambda block: block.place)
def test_policy_examples_load(block: Block) -> None:
    compile_policy(load_policy(block.text.encode(), source=block.place))


@pytest.mark.parametrize("example", list(_examples()), ids=lambda one: one.cases.place)
def test_policy_examples_decide_as_shown(example: Example) -> None:
    policy = load_policy(example.policy.text.encode(), source=example.policy.place)
    snapshot = compile_policy(policy)
    outcomes = run_tests(snapshot, judge=judge_case)
    assert not [outcome for outcome in outcomes if not outcome.passed]
    cases = yaml.safe_load(example.cases.text)
    assert len(cases) >= 1
    for case in cases:
        if "result" in case:
            _require_verdict(snapshot, case)
        else:
            _require_decision(snapshot, case)


def _require_verdict(snapshot: Snapshot, case: dict[str, Any]) -> None:
    """One case about a result, as in `tests`."""
    assert case.keys() <= {"name", "request", "result", "want"}
    cases = load_cases(json.dumps({"tests": [case]}).encode(), source="page")
    (outcome,) = run_tests(
        compile_policy([]), [cases], judge=lambda _, one: judge_case(snapshot, one)
    )
    assert outcome.passed, (case, outcome.got)


def _require_decision(snapshot: Snapshot, case: dict[str, Any]) -> None:
    """One case of the page: as in `tests`, and `now`, `lifted` and every field of a request."""
    assert case.keys() <= {"name", "request", "now", "lifted", "want"}
    assert case["want"].keys() <= {"decision", "rule_id", "code"}
    payload = {"prompt": "", "context": None}
    payload |= {key: case["request"].pop(key) for key in payload if key in case["request"]}
    decision = evaluate(
        snapshot,
        asked({**case["request"], "payload": payload}),
        now=instant(case),
        lifted=frozenset(case.get("lifted", ())),
    )
    given = {key: getattr(decision, key) for key in case["want"]}
    assert given == case["want"], case


def _broken() -> list[tuple[Block, Block]]:
    pairs = []
    for path in PAGES:
        blocks = _blocks(path)
        for block, following in itertools.pairwise(blocks):
            if block.info == "yaml broken":
                pairs.append((block, following))
    return pairs


@pytest.mark.parametrize(("block", "shown"), _broken(), ids=lambda block: block.place)
def test_mistakes_are_reported_as_shown(block: Block, shown: Block) -> None:
    assert shown.info == "text"
    with pytest.raises(PolicyError) as caught:
        compile_policy(load_policy(block.text.encode(), source="policy.yaml"))
    assert caught.value.render() == shown.text


def test_the_starter_policy_passes_its_own_tests() -> None:
    outcomes = run_tests(compile_policy(load_policy(STARTER)), judge=judge_case)
    assert outcomes
    assert not [outcome for outcome in outcomes if not outcome.passed]


# -- the command lines shown --


class Shown(NamedTuple):
    """One command of a console block, and what the page says it prints."""

    place: str
    line: str
    prints: str


def _shown(info: str) -> list[Shown]:
    found = []
    for path in PAGES:
        for block in _blocks(path):
            if block.info == info:
                # A command goes on where its line ends in a backslash.
                text = block.text.replace("\\\n", " ")
                for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                    line, _, prints = part.partition("\n")
                    found.append(Shown(block.place, line, prints))
    return found


def _command(path: str) -> click.Command:
    command: click.Command = cli
    for name in path.split():
        assert isinstance(command, click.Group)
        child = command.get_command(click.Context(command), name)
        assert child is not None, f"there is no command `{path}`"
        command = child
    return command


def _calls(line: str) -> Iterator[list[str]]:
    """The words of every `forestall …` in a shell line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] | None = None
    for word in lexer:
        if set(word) <= set("|&;()<>"):
            if words is not None:
                yield words
            words = None
        elif words is None and (word == "forestall" or word.endswith("/forestall")):
            words = []
        elif words is not None:
            words.append(word)
    if words is not None:
        yield words


def _require_known(words: list[str]) -> None:
    command: click.Command = cli
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        child = command.get_command(click.Context(command), rest[0])
        assert child is not None, f"there is no command `forestall {' '.join(words)}`"
        command = child
        rest.pop(0)
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    options = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    assert options <= known | {"--help", "-h"}, f"forestall {' '.join(words)}"


@pytest.mark.parametrize(
    "shown", _shown("console") + _shown("console offline"), ids=lambda shown: shown.place
)
def test_commands_in_the_documentation_exist(shown: Shown) -> None:
    for words in _calls(shown.line):
        _require_known(words)


@pytest.mark.parametrize("shown", _shown("console offline"), ids=lambda shown: shown.place)
def test_offline_commands_print_what_is_shown(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run beside the starter policy and the examples, where the README's reader has them."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "forestall-data").mkdir()
    (tmp_path / "forestall-data" / "policy.yaml").write_bytes(STARTER.read_bytes())
    monkeypatch.chdir(tmp_path)
    call, _, rest = shown.line.partition(" ; ")
    (words,) = _calls(call)
    result = CliRunner().invoke(cli, words)
    printed = result.output
    if rest == "echo $?":
        printed += f"{result.exit_code}\n"
    wanted = re.escape(shown.prints.rstrip()).replace(_ELISION, ".*")
    assert re.fullmatch(wanted, printed.rstrip(), re.DOTALL), printed


def test_there_are_commands() -> None:
    assert len(_shown("console")) > 10
    assert len(_shown("console offline")) > 3


def _glossary() -> dict[str, str]:
    text = _read(REFERENCE / "glossary.md")
    entries = re.findall(r"^\*\*([a-z ]+)\*\*: (.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    return {word: " ".join(meaning.split()) for word, meaning in entries}


def _is_one_sentence(text: str) -> bool:
    return text.endswith(".") and ". " not in text


def test_the_glossary_is_sorted_and_gives_each_word_one_sentence() -> None:
    words = _glossary()
    assert len(words) > 90
    assert list(words) == sorted(words)
    assert not [word for word, meaning in words.items() if not _is_one_sentence(meaning)]


def test_the_glossary_defines_what_the_code_speaks_of() -> None:
    """Where one word meant several things, and where a stranger could not guess."""
    demanded = (
        "attempt, awaiting approval, change, decoding, doubt, lane, label view, lease, leased,"
        " move, parked, payload field, precondition, program entry, projection, put, receipt,"
        " sweep, throttled, ticket"
    )
    assert not set(demanded.split(", ")) - _glossary().keys()


def test_every_word_of_the_glossary_is_one_that_the_code_uses() -> None:
    """A word is spelled with a space, an underscore, or capitals inside."""
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "src").rglob("*.sql")]
    source = "\n".join(map(_read, files)).lower()
    unused = [
        word
        for word in _glossary()
        if not re.search("[ _.]?".join(map(re.escape, word.split())), source)
    ]
    assert not unused
