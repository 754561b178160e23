"""The one spelling of a command, and patterns over it: one table by theme, then hostile texts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.facts.shell.command_patterns import (
    CommandPattern,
    CommandPatternError,
    CommandUnresolvedError,
)
from forestall.facts.shell.commands import CommandDetail, commands_in

DETAIL = CommandDetail(words=True)


def matched(pattern: str, text: str) -> str:
    """`?` when it cannot be told whether a command of the text matches, `yes` when one does."""
    answers = set()
    for command in commands_in(text, DETAIL):
        try:
            answers.add("yes" if CommandPattern(pattern).holds(command.words) else "no")
        except CommandUnresolvedError:
            answers.add("?")
    return next(answer for answer in ("?", "yes", "no") if answer in answers)


def words_of(text: str) -> list[str]:
    return [command.words for command in commands_in(text, DETAIL)]


MATCHES = {
    "plain": [
        ("git push *", "git push", "yes"),
        ("git push *", "git push origin main", "yes"),
        ("git push", "git push origin", "no"),
        ("git status", "git status -s", "no"),
        ("git status *", "git status -s", "yes"),
        ("git push *", "git pull", "no"),
        ("kubectl delete *", "kubectl get pods", "no"),
        ("npm run test:*", "npm run test:unit", "yes"),
        ("npm run test:*", "npm run test:unit extra", "no"),
        ("rm *.txt", "rm a.txt", "yes"),
        ("rm *.txt", "rm -rf / a.txt", "no"),
        ("* --force *", "git push --force", "yes"),
        ("*", "anything at all", "yes"),
    ],
    "spellings": [
        ("git push *", "/usr/bin/git push", "yes"),
        ("git push *", "g\"it\" pu'sh'", "yes"),
        ("git push *", "git -C /x push", "yes"),
        ("git push *", "\\git push", "yes"),
        ("git push *", "git \\\n push", "?"),
        ("git push *", "git${IFS}push", "?"),
        ("git push *", "$(echo git) push", "?"),
        ("git push *", "g=push; git $g", "?"),
        ("git push *", "ls; git push & ls", "yes"),
        ("git push *", "echo $(git push)", "yes"),
        ("git commit *", "git commit -m \"a ; b\"", "yes"),
    ],
    "options": [
        ("git push --force *", "git push origin main --force", "yes"),
        ("git push --force *", "git push --force-with-lease", "no"),
        ("git push --force *", "git push origin -- --force", "no"),
        ("git push --force *", "git push -o --force origin", "no"),
        ("git push --force *", "git push --forc", "?"),
        ("rm -rf *", "rm -fr build", "yes"),
        ("rm -rf *", "rm -r -f build", "yes"),
        ("rm -rf *", "rm build -rf", "yes"),
        ("rm -r *", "rm -rf build", "yes"),
        ("rm build", "rm -rf build", "no"),
        ("git -C * push", "git -C x push", "yes"),
        ("python -m pytest *", "python -m pytest -x tests", "yes"),
        ("python x.py *", "python -c x.py", "?"),
        ("python test *", "python run.py test", "no"),
        ("git push *", "git --no-such x push", "?"),
    ],
    "wrappers": [
        ("git push *", "sudo git push", "yes"),
        ("git push *", "env LANG=C timeout 5 nice git push", "yes"),
        ("git push *", "sh -c 'git push'", "yes"),
        ("git push *", "bash -lc \"cd x && git push origin\"", "yes"),
        ("git push *", "echo main | xargs git push origin", "?"),
        ("git push origin", "echo main | xargs git push origin", "?"),
        ("rm *", "find . -name x -exec rm {} +", "yes"),
        ("timeout *", "timeout 5 ls", "yes"),
    ],
    "what cannot be resolved": [
        ("git push *", "git $X", "?"),
        ("git status *", "git $X", "?"),
        ("git *", "git $X", "?"),
        ("*", "git $X", "yes"),
        ("kubectl *", "git $X", "no"),
        ("rm *", "rm $X", "yes"),
        ("rm build *", "rm $X", "?"),
        ("git push *", "$X", "?"),
        ("git push *", "eval \"$X\"", "?"),
        ("git push *", "echo \"$X\"", "no"),
        ("git push *", "cat <<E", "?"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"), [case for cases in MATCHES.values() for case in cases]
)
def test_pattern(pattern: str, text: str, wanted: str) -> None:
    assert matched(pattern, text) == wanted, words_of(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("git -C /x push --force origin", "git push origin -C /x --force"),
        ("rm -rf build", "rm build -r -f"),
        ("git push -- -x", "git push -- \u2010x"),
        ("git commit -m 'a b'", "git commit -m a\u2423b"),
        ("find . -name x", "find . x -name"),
        ("git $X", "\u2026 git \u2026"),
        ("echo ''", "echo ''"),
    ],
)
def test_one_spelling(text: str, words: str) -> None:
    assert words in words_of(text)


def test_a_command_that_only_runs_another_is_named_by_both() -> None:
    assert words_of("timeout 5 git push")[0].endswith("\u21d2 git push") or (
        "timeout 5 git push \u21d2 git push" in words_of("timeout 5 git push")
    )
    assert "sudo git push" in words_of("sudo git push")  # a right more: not the same command


@pytest.mark.parametrize(
    "pattern",
    ["", "  ", "git push; ls", "git 'push'", "$X", "/usr/bin/git push", "-x", "A=b git",
     "git push | cat", "git \u0440ush", "git " + "x" * 600, "git (push)"],
)  # fmt: skip
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(CommandPatternError):
        CommandPattern(pattern)


TOKENS = st.sampled_from(
    ["git", "push", "--force", "-f", "$X", "$(ls)", "*", "'a b'", "--", "-x", "origin", ";", "|",
     "sudo", "xargs", "sh -c", "\u2026", "\u21d2", "\n", "\"", "&&", "cd", "/", "..", ">", "{", "}"]
)  # fmt: skip


@given(st.lists(TOKENS, max_size=12).map(" ".join), st.lists(TOKENS, min_size=1, max_size=4))
@settings(deadline=None, max_examples=200)
def test_any_text_has_an_answer(text: str, words: list[str]) -> None:
    detail = CommandDetail(words=True, places=True)
    for command in commands_in(text, detail):
        assert command.places
        try:
            CommandPattern(" ".join(words)).holds(command.words)
        except (CommandPatternError, CommandUnresolvedError):
            continue


@pytest.mark.parametrize("piece", ["* ", "a* ", "*a*b "])
def test_a_hostile_pattern_and_text_take_little_time(piece: str) -> None:
    pattern = CommandPattern(piece * 60)
    text = "git " + "a" * 20_000 + " aab" * 2_000
    for command in commands_in(text, DETAIL):
        try:
            pattern.holds(command.words)
        except CommandUnresolvedError:
            continue
