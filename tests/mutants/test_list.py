"""The list of mutants cannot rot: each one applies, compiles, and names tests that are there.

Whether those tests notice it is a matter of `make mutants`, which takes long.
"""

import ast
from collections import Counter

import pytest

from tests.mutants.mutant import PACKAGE, ROOT, Mutant, every_mutant

MUTANTS = every_mutant()
MUTANTS_MIN = 150
_COLUMNS_MAX = 100


def _id(mutant: Mutant) -> str:
    return f"{mutant.room}: {mutant.name}"


def test_there_are_enough() -> None:
    assert len(MUTANTS) >= MUTANTS_MIN


def test_no_two_have_one_name_or_one_effect() -> None:
    names = Counter(map(_id, MUTANTS))
    effects = Counter((mutant.path, mutant.old, mutant.new) for mutant in MUTANTS)
    assert not [each for counts in (names, effects) for each, count in counts.items() if count > 1]


@pytest.mark.parametrize("mutant", MUTANTS, ids=_id)
def test_it_applies(mutant: Mutant) -> None:
    text = (PACKAGE / mutant.path).read_text(encoding="utf-8")
    changed = mutant.applied(text)
    assert changed != text
    if mutant.path.endswith(".py"):
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text))


@pytest.mark.parametrize("mutant", MUTANTS, ids=_id)
def test_it_says_why_in_one_line_and_names_tests(mutant: Mutant) -> None:
    assert mutant.why.strip()
    assert "\n" not in mutant.why
    assert len(mutant.why) <= _COLUMNS_MAX
    assert mutant.tests
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).exists(), path
        assert not name or f"def {name.partition('[')[0]}(" in (ROOT / path).read_text()
