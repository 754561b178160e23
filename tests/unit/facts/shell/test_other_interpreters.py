"""Texts that only read in bash and act in cmd, PowerShell or Python, and honest texts beside."""

import pytest

from forestall.facts.shell.commands import CommandClass, commands_in
from forestall.facts.shell.other_interpreters import WORDS_MAX, other_readings

READ = {CommandClass.READ}

# What another interpreter would do, and the text.
ACTIVE_ELSEWHERE = {
    "cmd knows no such comment": "dir # & del /s /q C:\\*",
    "cmd: a pipe in a comment": "ls # | more",
    "cmd: a redirection in a comment": "echo hi # > C:\\Windows\\System32\\drivers\\etc\\hosts",
    "cmd: a caret in a comment": "ls # ^",
    "cmd: a comment in the second line": "ls\necho a # && shutdown /s",
    "cmd: single quotes are no quotes": "echo '& del /s /q C:\\*'",
    "cmd: a pipe in single quotes": "grep 'x | del /q y' a",
    "cmd: a line in quotes is a line": "echo 'a\ndel /q b\n'",
    "cmd: a variable may hold a separator": "echo %CMDCMDLINE:~-1%del /q x",
    "cmd: a variable in lower case": "echo '%comspec%'",
    "cmd: an argument of the script": "echo %~dp0",
    "cmd: a backslash escapes nothing": "echo \\& del x",
    "cmd: an escaped pipe": "echo a \\| del /q b",
    "cmd: an escaped redirection": "echo a \\> C:x",
    "cmd: a line is not continued": "echo a \\\ndel /q b",
    "cmd: quotes end at an escaped quote": 'echo "\\" & del /q x & \\""',
    "cmd: a switch that writes": "sort a.txt /O b.txt",
    "a path of Windows": "type C:\\x",
    "a path of another machine": "ls \\\\evil.example\\share",
    "PowerShell: an escaped subexpression": "echo \\$(Remove-Item x)",
    "PowerShell: an escaped bracket": "echo \\(Restart-Computer\\)",
    "PowerShell: an escaped semicolon": "echo a \\; Restart-Computer",
    "PowerShell: arithmetic runs a command": "echo $((Restart-Computer))",
    "PowerShell: arithmetic with blanks": "echo $(( Stop-Computer ))",
    "PowerShell: brackets of a pattern": "ls @(calc)",
    "PowerShell: brackets of a list": "a=(calc)",
    "PowerShell: brackets of a test": "[[ ( calc ) ]]",
    "PowerShell: brackets of a case": "case a in (calc) ls;; esac",
    "PowerShell: quotes of a printer": "echo 'it\u2019s; Remove-Item x #'",
    "PowerShell: quotes end at an escaped quote": 'echo "\\"; Remove-Item x #"',
    "PowerShell: an escaped single quote": "echo \\' '; Remove-Item x; ' \\'",
    "PowerShell: raw words": "echo --% '| calc'",
    "PowerShell: a comment that bash reads on": "echo '<#'",
    "PowerShell: a text over lines": "echo @'\n' ; ls '\n'@",
    "Python: a text that holds a call": 'id and f\'{__import__("os").system("ls")}\'',
    "Python: a text over lines": "''':'\nls\n'''",
}


@pytest.mark.parametrize("text", ACTIVE_ELSEWHERE.values(), ids=list(ACTIVE_ELSEWHERE))
def test_what_acts_in_another_interpreter_is_never_only_read(text: str) -> None:
    found = {kind for one in commands_in(text) for kind in one.classes}
    assert found > READ or CommandClass.UNKNOWN in found, found


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("dir # & del /s /q C:\\*", "del"),
        ("ls # x & RD /s /q y", "rd"),
        ("echo 'a\nformat c: /y\n'", "format"),
        ('echo "a\n  @Remove-Item b\n"', "remove-item"),
    ],
)
def test_a_command_of_windows_is_named(text: str, program: str) -> None:
    found = {one.program.lower(): one.classes for one in commands_in(text)}
    assert found[program] == {CommandClass.DESTRUCTIVE}


@pytest.mark.parametrize(
    "text",
    [
        "ls -la | wc -l",
        "grep -E 'foo|bar' a.txt # a note; and more",
        "grep 'a|b' a > /dev/null",
        "awk '{print $1; print $2}' a",
        "awk -F: '$3 > 100 {print $1}' a",
        "jq '.items[] | select(.a > 5) | length' a.json",
        "find . -name '*.py' -exec ls {} \\;",
        "find . \\( -name a -o -name b \\) -print",
        "git -C /x log --oneline -5",
        "git log --format='%Cred%h%Creset %s'",
        'for f in *.py; do wc -l "$f"; done',
        "date +%Y-%m-%d",
        "echo 'it'\\''s'",
        "echo $((i + 1))",
        'echo "a; b & c"',
        "docker ps \\\n  --format x",
        "sort /opt/a.txt",
        "cat a\\ b.txt",
        "grep 'C:' a",
        "#!/bin/sh\nls",
    ],
)
def test_honest_texts_stay_read(text: str) -> None:
    assert {kind for one in commands_in(text) for kind in one.classes} == READ


def test_more_words_than_are_looked_up_are_unknown() -> None:
    found = list(other_readings("echo '" + ";a b" * (WORDS_MAX + 2) + "'"))
    assert ("", frozenset({CommandClass.UNKNOWN})) in found
