"""Globs against a slow, obvious matcher."""

from collections.abc import Callable
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.policy import globs as globs_module
from forestall.policy.globs import GlobError, GlobSet, compile_globs, glob_pattern
from tests.oracle import glob_matches as naive

PIECES = st.sampled_from(["a", "b", ".", "*", "?", "[ab]", "[!a]", "[a-c]", "[]]", "[*]", "\n"])


@given(st.lists(PIECES, min_size=1, max_size=8), st.text("ab.c]*\n", max_size=10))
def test_agrees_with_the_definition(pieces: list[str], value: str) -> None:
    glob = "".join(pieces)
    assert compile_globs((glob,))(value) == naive(glob, value)


GLOBS = st.lists(PIECES, min_size=1, max_size=6).map("".join)


@pytest.mark.parametrize("crowded", [32, 0])
@given(globs=st.sets(GLOBS, max_size=8), value=st.text("ab.c]*\n", max_size=8))
def test_a_set_finds_exactly_the_globs_that_match(
    crowded: int, globs: set[str], value: str
) -> None:
    wanted = sorted(glob for glob in globs if naive(glob, value))
    with mock.patch.object(globs_module, "_GROUP_GLOBS_MAX", crowded):
        assert sorted(GlobSet(globs).matching(value)) == wanted


def test_a_crowd_of_globs_with_equal_ends_is_not_tried_one_by_one() -> None:
    """Whoever sends a new value each time shall not cost a walk through all globs."""
    tried = []
    real = globs_module._matcher

    def counted(glob: str) -> Callable[[str], bool]:
        matches = real(glob)

        def matcher(value: str) -> bool:
            tried.append(glob)
            return matches(value)

        return matcher

    with mock.patch.object(globs_module, "_matcher", counted):
        crowd = GlobSet(f"job.*.s{number % 7}?.{number}*.run" for number in range(5_000))
    assert crowd.matching("job.x.s6a.4024.run") == ["job.*.s6?.4024*.run"]
    assert len(tried) < 50


@pytest.mark.parametrize(
    ("glob", "value", "wanted"),
    [
        ("job.exec.*", "job.exec.shell", True),
        ("job.exec.*", "job.exec.", True),
        ("job.exec.*", "job.exec", False),
        ("job.*", "job.a.b.c", True),
        ("job.exec.*", "xjob.exec.a", False),
        ("job", "Job", False),
        ("*", "", True),
        ("prod", "prod\n", False),
        ("a+b", "aab", False),
        ("a+b", "a+b", True),
        ("[[]x", "[x", True),
    ],
)
def test_cases(glob: str, value: str, wanted: bool) -> None:
    assert compile_globs((glob,))(value) is wanted


@pytest.mark.parametrize("glob", ["", "[", "[a", "[]", "[!]", "[z-a]", "a" * 600])
def test_malformed_globs_are_errors(glob: str) -> None:
    with pytest.raises(GlobError):
        glob_pattern(glob)


def test_many_stars_do_not_explode() -> None:
    """Fails by never returning, were matching exponential or of high degree."""
    matches = compile_globs(("*a" * 200 + "b",))
    assert matches("a" * 4_000) is False
