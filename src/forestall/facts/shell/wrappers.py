"""Programs that run the command their words end with: sudo, env, timeout, nice.

How the words of a wrapper are read is data (`WrapperSpec`). This module refuses to say where the
inner command starts behind an option that the wrapper's entry does not list: it is `unknown`.
"""

from typing import Final, Literal, NamedTuple

from forestall.facts.shell.arguments import Args, joined, unknown_unless_literal
from forestall.facts.shell.command_classes import NOTHING, READ, UNKNOWN, Classes
from forestall.facts.shell.command_effects import CommandEffects
from forestall.facts.shell.program_spec import WrapperSpec, class_set

_ANY_WORDS: Final = 99  # the bound of `words_before: any`; honest commands have five
_MANY_WORDS: Final = 9  # a wrapper that takes more words before its command takes any number


class _WrapperOption(NamedTuple):
    """One option of a wrapper: its kind, and the shell text that is part of the same word."""

    kind: Literal["shell_text", "with_value", "plain", "unlisted"]
    text: str = ""


def wrapped(program: str, wrapper: WrapperSpec, args: Args) -> CommandEffects:
    """What a wrapper does, the command that it runs, and the shell texts that options name."""
    if program == "command" and args and args[0].text in ("-v", "-V"):
        return CommandEffects(classes=READ)
    own = _own_words(wrapper, args)
    command = tuple(args[own.end :])
    texts = own.texts
    if command and texts and program == "env":
        texts = [f"{texts[-1]} {joined(command)}"]  # -S puts its words before the others
    starts_shell = wrapper.starts_shell and not command and not texts
    classes = own.classes
    if own.has_unlisted_option or (starts_shell and program != "setpriv"):
        classes |= UNKNOWN
    return CommandEffects(
        classes=classes,
        argvs=(command,) if command else (),
        texts=tuple(texts),
        suspects=tuple(args) if own.has_unlisted_option else (),
        assignments=tuple(own.assignments),
        runs_input=starts_shell,
    )


class _WrapperWords(NamedTuple):
    """The words of a wrapper itself, before the command that it runs."""

    end: int  # the index of the first word of that command
    classes: Classes
    texts: list[str]
    assignments: list[str]
    has_unlisted_option: bool


def _own_words(wrapper: WrapperSpec, args: Args) -> _WrapperWords:
    texts: list[str] = []
    assignments: list[str] = []
    classes = class_set(wrapper.adds)
    words_left = _ANY_WORDS if wrapper.words_before == "any" else wrapper.words_before
    has_unlisted_option = False
    at = 0
    while at < len(args):
        word = args[at].text
        if word == "--" and not wrapper.words_before:
            at += 1
        elif word in wrapper.plain_options or (word.startswith("-") and len(word) > 1):
            option = _option(wrapper, word)
            classes |= _classes_of_option(wrapper, word)
            has_unlisted_option = has_unlisted_option or option.kind == "unlisted"
            value_is_next = option.kind == "with_value"
            if option.kind == "shell_text":
                value_is_next = not option.text
                source = args[at + 1 : at + 2] if value_is_next else args[at : at + 1]
                texts.append(option.text or joined(source))
                classes |= unknown_unless_literal(source)
            at += 2 if value_is_next else 1
        elif wrapper.assignments and "=" in word and word.partition("=")[0].isidentifier():
            assignments.append(word)
            at += 1
        elif words_left and not (args[at].ambiguous and words_left < _MANY_WORDS):
            words_left -= 1
            at += 1
        else:
            break
    return _WrapperWords(at, classes, texts, assignments, has_unlisted_option)


def _classes_of_option(wrapper: WrapperSpec, word: str) -> Classes:
    """The classes that an option of the wrapper itself adds; one in a cluster counts, too."""
    added = NOTHING
    name = word.partition("=")[0]
    is_cluster = not word.startswith("--")
    for option, classes in wrapper.options.items():
        in_cluster = is_cluster and not option.startswith("--") and option[1:] in word
        if name == option or in_cluster:
            added |= class_set(classes)
    return added


def _option(wrapper: WrapperSpec, word: str) -> _WrapperOption:
    name, equals, value = word.partition("=")
    if not word.startswith("--"):
        for at, letter in enumerate(word[1:], 1):
            rest = word[at + 1 :]
            if f"-{letter}" in wrapper.shell_text_options:
                return _WrapperOption("shell_text", rest)
            if f"-{letter}" in wrapper.value_options:
                return _WrapperOption("plain" if rest else "with_value")
            if f"-{letter}" not in wrapper.plain_options:
                break
        else:
            return _WrapperOption("plain")
    if name in wrapper.shell_text_options:
        return _WrapperOption("shell_text", value)
    if name in wrapper.value_options:
        return _WrapperOption("plain" if equals else "with_value")
    return _WrapperOption("plain" if name in wrapper.plain_options else "unlisted")
