"""Hostile and random shell texts: there is always an answer, and disguises do not help."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.facts.shell.command_facts import COMMANDS_MAX
from forestall.facts.shell.commands import CommandClass, commands_in
from forestall.facts.shell.program_table import PROGRAMS


def seen(text: str) -> set[CommandClass]:
    """Every class of every command in the text."""
    return {kind for command in commands_in(text) for kind in command.classes}


@pytest.mark.parametrize(
    "text",
    [
        "$(" * 10_000,
        "echo " + "$(" * 10_000 + "rm x" + ")" * 10_000,
        "(" * 60_000,
        "((" * 30_000,
        "{ " * 30_000,
        "`" * 60_001,
        "'" * 60_001,
        '"' * 60_001,
        '"$(' * 20_000,
        "${x:-" * 12_000,
        "<<E " * 15_000,
        "cat <<E\n" * 8_000,
        "cat <<E\n" + "`x` $(y " * 7_000,
        "\\" * 60_001,
        "\\\n" * 30_000,
        "a;" * 30_000,
        "rm " * 20_000,
        "sh -c " * 10_000,
        "env " * 15_000 + "rm x",
        "xargs " * 10_000,
        "foo rm " * 8_000,
        "X=1;" * 15_000,
        "f(){ f|f& };" * 5_000,
        "a(){ b" * 9_000,
        "[[ " * 20_000,
        "case x in " * 6_000,
        "if " * 20_000,
        "{a,b}" * 12_000,
        "x{" * 30_000,
        "$'\\x72" * 10_000,
        "cat <(" * 10_000,
        "sed '" + "s/a/b/;" * 9_000 + "'",
        "sed '" + "/[" * 30_000 + "'",
        "awk '" + "print " * 10_000 + "'",
        "\ud800" * 20_000,
        "\u202e" * 20_000,
        "a|" * 30_000,
        "a &" * 20_000,
        "$x" * 30_000,
        "x=$x$x;" * 9_000,
        "x+=(y);" * 9_000,
        "v0=aaaaaaaa;" + ";".join(f"v{i + 1}=$v{i}$v{i}" for i in range(500)) + "; $v500",
        "v=" + "a" * 9_000 + ";echo " + "$v" * 3_000,
        "! " * 30_000,
        "eval " * 12_000 + "rm x",
        "sudo -u " * 8_000,
    ],
    ids=range(46),
)
def test_hostile_text_returns(text: str) -> None:
    assert commands_in(text)


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=300)
def test_other_alphabets_do_not_crash_the_grammar(text: str) -> None:
    for opening in ('{*"<', "x|}?*[{", ";)>#{", "<<", "[[ a =~ "):
        assert commands_in(opening + text + opening)


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=300)
def test_any_text_gives_an_answer(text: str) -> None:
    found = commands_in(text)
    assert found
    assert all(one.classes for one in found)
    assert len(found) <= COMMANDS_MAX


SOUP = r"""
    rm ls git find sed -rf / x sudo xargs -c sh ; & && ( ) $( ` ' " { ; } > < $' $x ${x:- (( [[
    case if then | || \ # -exec env awk kubectl aws docker tar curl eval = x= * dd mv kill ssh
    trap alias parallel python3 redis-cli vim man printf echo <<E <<'E' <<- {a,b} ]] )) ;; esac
"""
TOKENS = [*SOUP.split(), "\n", "\nE\n", "\\\n", " ", "\t", "{ ", "; }", "case x in "]


@given(st.lists(st.sampled_from(TOKENS), max_size=14), st.sampled_from(["", " "]))
@settings(deadline=None, max_examples=500)
def test_any_shell_soup_gives_an_answer(tokens: list[str], gap: str) -> None:
    found = commands_in(gap.join(tokens))
    assert found
    assert all(one.classes for one in found)


def _hide(name: str, ways: list[str]) -> str:
    """The same program name, quoted another way; still fully literal."""
    plain = list(name)
    if ways and ways[0] == "ansi":
        return "$'" + "".join(f"\\x{ord(char):02x}" for char in plain) + "'"
    for index, way in enumerate(ways[: len(plain)]):
        char = plain[index]
        forms = {"''": f"''{char}", "\\": f"\\{char}", '"': f'"{char}"', "'": f"'{char}'"}
        plain[index] = forms.get(way, char)
    return "".join(plain)


def _sh(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


WRAPS: dict[str, Callable[[str], str]] = {
    "sh": lambda text: "sh -c " + _sh(text),
    "bash": lambda text: "bash -lc " + _sh(text),
    "eval": lambda text: "eval " + _sh(text),
    "env": lambda text: "env A=1 " + "sh -c " + _sh(text),
    "sudo": lambda text: "sudo -u root " + "sh -c " + _sh(text),
    "timeout": lambda text: "timeout -k 1 5 " + "bash -c " + _sh(text),
    "find": lambda text: "find . -exec " + "sh -c " + _sh(text) + " \\;",
    "xargs": lambda text: "xargs " + "sh -c " + _sh(text),
    "subshell": lambda text: f"( {text} )",
    "group": lambda text: "{ " + text + "; }",
    "substitution": lambda text: f"echo $( {text} )",
    "quoted": lambda text: f'echo "$( {text} )"',
    "assigned": lambda text: f"X=$( {text} )",
    "pipe": lambda text: f"ls | {text}",
    "and": lambda text: f"true && {text}",
    "if": lambda text: f"if ls; then {text}; fi",
    "loop": lambda text: f"for i in 1 2; do {text}; done",
    "function": lambda text: "f() { " + text + "; }; f",
    "case": lambda text: f"case x in x) {text};; esac",
    "lines": lambda text: f"ls # note\n{text}\n",
    "background": lambda text: f"ls & {text}",
    "here": lambda text: f"cat <<EOF\na\nEOF\n{text}",
    "stdin": lambda text: f"bash <<'E{len(text)}'\n{text}\nE{len(text)}\n",
    "trap": lambda text: "trap " + _sh(text) + " EXIT",
}


@given(
    st.lists(st.sampled_from(["", "''", "\\", '"', "'", "ansi"]), max_size=2),
    st.lists(st.sampled_from(sorted(WRAPS)), max_size=3),
    st.sampled_from(["rm", "/bin/rm", "shred", "dd"]),
)
@settings(deadline=None, max_examples=800)
def test_no_literal_disguise_hides_a_destructive_command(
    ways: list[str], wraps: list[str], name: str
) -> None:
    text = _hide(name, ways) + (" of=/dev/sda" if name == "dd" else " -rf /")
    for wrap in wraps:
        text = WRAPS[wrap](text)
    assert CommandClass.DESTRUCTIVE in seen(text), text


@given(
    st.lists(
        st.sampled_from(["$(echo {})", "`printf {}`", "${{X:-{}}}", "{}$Y", "$@{}"]),
        min_size=1,
        max_size=1,
    ),
    st.sampled_from(sorted(WRAPS)),
)
@settings(deadline=None)
def test_an_expanded_name_is_never_taken_for_safe(forms: list[str], wrap: str) -> None:
    text = "rm"
    for form in forms:
        text = form.format(text)
    classes = seen(WRAPS[wrap](f"{text} -rf /"))
    assert classes & {CommandClass.UNKNOWN, CommandClass.DESTRUCTIVE}


@given(st.binary(min_size=1, max_size=40))
def test_base64_into_a_shell_is_never_safe(data: bytes) -> None:
    hidden = base64.b64encode(data).decode()
    assert CommandClass.UNKNOWN in seen(f"echo {hidden} | base64 -d | sh")


NAMES = sorted({*PROGRAMS.names(), "remove-item", "python3.12", "mkfs.ext4"})
WORDS = ["", "-", "--", "-c", "-x", "--x=", "=", "a=b", ":::", "{}", ";", "$x", "rm x", "'", "*"]


@given(st.sampled_from(NAMES), st.lists(st.sampled_from(WORDS), max_size=5))
@settings(deadline=None, max_examples=1000)
def test_every_known_program_takes_any_words(name: str, words: list[str]) -> None:
    quoted = [word if word in ("$x", "*") else _sh(word) for word in words]
    assert commands_in(" ".join([name, *quoted]))
    assert commands_in(" ".join([name, *words]))


@pytest.mark.parametrize("name", NAMES)
def test_every_known_program_may_stand_alone(name: str) -> None:
    assert commands_in(name)
    assert CommandClass.UNKNOWN in seen(f"$x {name}")
