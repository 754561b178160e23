"""One word for one idea, one class for one name (tests/words.yaml is the data)."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "forestall"
CORE = ("policy", "facts", "identity", "audit", "output", "jobs", "ports", "projections", "control")
WORDS = yaml.safe_load((ROOT / "tests" / "words.yaml").read_text())
_PARTICIPLE = re.compile(r"_?[A-Z][a-z]*(ed|en|ing|ld|id|st|ought|wn)")


def classes(rooms: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Every class of the source, or of some rooms, and the files that define it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE)
        if rooms and place.parts[0] not in rooms:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(str(place))
    return found


CLASSES = classes()


def test_no_class_name_stands_twice() -> None:
    """A leading underscore makes no other word of it."""
    by_word: dict[str, list[str]] = defaultdict(list)
    for name, files in CLASSES.items():
        by_word[name.lstrip("_")] += files
    twice = {name: files for name, files in by_word.items() if len(files) > 1}
    assert not twice, (
        "two things of one name: give the one that is not the field's own a longer one"
    )


def test_no_class_is_a_bare_participle() -> None:
    known = set(WORDS["nouns_that_look_like_participles"])
    bare = {name: files for name, files in CLASSES.items() if _PARTICIPLE.fullmatch(name)}
    assert not {name: bare[name] for name in bare.keys() - known}
    assert known <= bare.keys(), "a noun that is not there any more leaves the list"


@pytest.mark.parametrize("name", WORDS["given_up"])
def test_a_name_that_was_given_up_does_not_come_back(name: str) -> None:
    back = [files for word in (name, f"_{name}") for files in CLASSES.get(word, [])]
    assert not back, f"`{name}` is {WORDS['given_up'][name]} now"


@pytest.mark.parametrize("idea", WORDS["ideas"])
def test_an_idea_has_one_word_in_the_core(idea: str) -> None:
    other = WORDS["ideas"][idea]
    words = [part for word in other["not"] for part in (word,)]
    users = {
        name: files
        for name, files in classes(CORE).items()
        if name not in WORDS["other_meanings"]
        and any(re.search(rf"(?:^|_|(?<=[a-z])){word}(?![a-z])", name) for word in words)
    }
    assert not users, f"{idea} is called `{other['word']}`"


@pytest.mark.parametrize("idea", WORDS["ideas"])
def test_the_glossary_defines_the_word(idea: str) -> None:
    glossary = (ROOT / "docs" / "reference" / "glossary.md").read_text().lower()
    assert f"**{WORDS['ideas'][idea]['word']}" in glossary
