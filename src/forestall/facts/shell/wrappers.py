"""Programs that run other commands: wrappers such as sudo, shells, xargs, interpreters.

A handler says what a program does with its words: its own classes, plus the commands, shell texts
and foreign code it would run. It only describes; `commands` decides how far to follow. The handler
of a program, and the options of a wrapper, stand in `data/programs`. This module refuses to call
anything `read` whose words it could not follow.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from forestall.facts.shell.program_entry import (
    DESTRUCTIVE,
    NOTHING,
    READ,
    UNKNOWN,
    Arg,
    Classes,
    WrapperSpec,
    class_set,
    classes,
    classes_of,
    is_option,
    names,
    option_effect,
    takes_next,
)
from forestall.facts.shell.program_table import effect_of
from forestall.facts.shell.program_table import program as program_entry
from forestall.facts.shell.words import WORDS
from forestall.facts.shell.write_targets import written

Args = Sequence[Arg]
ANYTHING: Final = Arg("", literal=False, flaggable=True)
ANY_WORDS: Final = 99  # the bound of `words_before: any`; honest commands have five
_MANY_WORDS: Final = 9  # a wrapper that takes more words before its command takes any number
_FOLLOWED_SHELLS: Final = WORDS.set("followed_shells")


class ProgramEffects(msgspec.Struct, frozen=True, kw_only=True):
    """What one command does, and what it would run in turn."""

    classes: Classes
    argvs: tuple[tuple[Arg, ...], ...] = ()  # commands, word by word
    texts: tuple[str, ...] = ()  # shell text
    code: tuple[str, ...] = ()  # program text in another language
    suspects: tuple[Arg, ...] = ()  # words among which a command may start anywhere
    runs_data: bool = False  # runs what it reads as shell text
    loss: "re.Pattern[str] | None" = None  # runs what it reads as code; this finds deletion in it
    takes_words: bool = False  # adds what it reads to the words of the commands it runs
    assigned: tuple[str, ...] = ()  # NAME=value words
    defines: tuple[str, ...] = ()  # names it gives a new meaning


_CODE_LOSS: Final = re.compile(
    r"os\.remove|rmtree|unlink|os\.rmdir|removedirs|rmSync|rmdirSync|fs\.rm\b|rimraf|rm_rf|rm_r\b"
    r"|FileUtils\.rm|File\.delete|Dir\.rmdir|Remove-Item|remove_tree|os\.truncate|deleteTree"
    r"|Deno\.remove|emptyDir|fs\.promises\.rm|remove_dir_all|delete_file|rmdir"
)


def join(args: Args) -> str:
    """The words as one text, as a shell that is handed them would read it."""
    return " ".join(arg.text for arg in args)


def doubt(args: Args) -> Classes:
    """`unknown` when a word may turn out to be an option, a subcommand or several words."""
    return UNKNOWN if any(arg.flaggable for arg in args) else NOTHING


def unsure(args: Args) -> Classes:
    """`unknown` unless every word is literal."""
    return NOTHING if all(arg.literal for arg in args) else UNKNOWN


def positionals(args: Args, value_options: str | frozenset[str] = "") -> list[int]:
    """Where the words are that are neither options nor their values."""
    found: list[int] = []
    skip = ended = False
    if isinstance(value_options, str):
        value_options = names(value_options)
    for index, arg in enumerate(args):
        if skip:
            skip = False
        elif arg.text == "--" and not ended:
            ended = True
        elif arg.text.startswith("-") and len(arg.text) > 1 and not ended:
            skip = takes_next(value_options, arg.text)
        else:
            found.append(index)
    return found


def options(args: Args) -> set[str]:
    """Every option, by name; a cluster counts once for each letter, too."""
    found: set[str] = set()
    for arg in args:
        if arg.text == "--":
            break
        if arg.text.startswith("-"):
            found.add(arg.text.partition("=")[0])
            if not arg.text.startswith("--"):
                found.update(f"-{letter}" for letter in arg.text[1:])
    return found


def _own_classes(wrapper: WrapperSpec, word: str) -> Classes:
    """The classes that an option of the wrapper itself adds; one in a cluster counts, too."""
    added = NOTHING
    for option, kinds in wrapper.options.items():
        inside = option[1:] in word and not option.startswith("--")
        if word.partition("=")[0] == option or (word[:2] != "--" and inside):
            added |= class_set(kinds)
    return added


def _option_kind(wrapper: WrapperSpec, word: str) -> tuple[str, str]:
    """(`text`, its start), (`valued`, ""), (`plain`, "") or (`unknown`, "")."""
    name, equals, value = word.partition("=")
    if not word.startswith("--"):
        for at, letter in enumerate(word[1:], 1):
            if f"-{letter}" in wrapper.shell_text_options:
                return "text", word[at + 1 :]
            if f"-{letter}" in wrapper.value_options:
                return ("plain", "") if word[at + 1 :] else ("valued", "")
            if f"-{letter}" not in wrapper.plain_options:
                break
        else:
            return "plain", ""
    if name in wrapper.shell_text_options:
        return "text", value
    if name in wrapper.value_options:
        return ("plain", "") if equals else ("valued", "")
    return ("plain", "") if name in wrapper.plain_options else ("unknown", "")


def wrapped(program: str, wrapper: WrapperSpec, args: Args) -> ProgramEffects:
    """A program that runs the command its words end with: sudo, env, timeout..."""
    if program == "command" and args and args[0].text in ("-v", "-V"):
        return ProgramEffects(classes=READ)
    texts: list[str] = []
    assigned: list[str] = []
    added = class_set(wrapper.adds)
    before = ANY_WORDS if wrapper.words_before == "any" else wrapper.words_before
    at, unsure_option = 0, False
    while at < len(args):
        word = args[at].text
        if word == "--" and not wrapper.words_before:
            at += 1
        elif word in wrapper.plain_options or (word.startswith("-") and len(word) > 1):
            kind, value = _option_kind(wrapper, word)
            added |= _own_classes(wrapper, word)
            unsure_option = unsure_option or kind == "unknown"
            if kind == "text":
                taken = args[at : at + 1] if value else args[at + 1 : at + 2]
                texts.append(value or join(taken))
                added |= unsure(taken)
            at += 2 if kind == "valued" or (kind == "text" and not value) else 1
        elif wrapper.assignments and word.partition("=")[0].isidentifier() and "=" in word:
            assigned.append(word)
            at += 1
        elif before and not (args[at].flaggable and before < _MANY_WORDS):
            before -= 1
            at += 1
        else:
            break
    rest = tuple(args[at:])
    if rest and texts and program == "env":
        texts = [f"{texts[-1]} {join(rest)}"]  # -S puts its words before the others
    idle = not rest and not texts and wrapper.starts_shell
    if idle and program != "setpriv":
        added |= UNKNOWN
    return ProgramEffects(
        classes=added | (UNKNOWN if unsure_option else NOTHING),
        argvs=(rest,) if rest else (),
        texts=tuple(texts),
        suspects=tuple(args) if unsure_option else (),
        assigned=tuple(assigned),
        runs_data=idle,
    )


_SHELL_OPTIONS: Final = frozenset(
    ("--norc", "--noprofile", "--posix", "--login", "--verbose", "--noediting")
)


def _shell(program: str, args: Args) -> ProgramEffects:
    """sh and its family, with -c, a script, or standard input."""
    if len(args) == 1 and args[0].text in ("--version", "--help") and args[0].literal:
        return ProgramEffects(classes=READ)
    own = NOTHING if program in _FOLLOWED_SHELLS else UNKNOWN
    takes_text, at = False, 0
    while at < len(args) and args[at].text[:1] in ("-", "+") and args[at].text:
        word = args[at].text
        if word in ("--", "-"):
            at += 1
            break
        if word.startswith("--") and word not in _SHELL_OPTIONS:
            own |= UNKNOWN
        short = word[1:] if not word.startswith("--") else ""
        takes_text = takes_text or "c" in short or word.startswith("--c")
        own |= UNKNOWN if "i" in short or "s" in short or not args[at].literal else NOTHING
        valued = short[-1:] in ("o", "O") or word in ("--rcfile", "--init-file")
        at += 2 if valued else 1
    rest = tuple(args[at:])
    if takes_text and rest:
        own |= UNKNOWN if not rest[0].literal or doubt(rest[:1]) else NOTHING
        return ProgramEffects(classes=own or READ, texts=(rest[0].text,), suspects=rest[1:])
    return ProgramEffects(classes=own | UNKNOWN, runs_data=True, suspects=rest)


def _evaluated(program: str, args: Args) -> ProgramEffects:
    """eval, watch: the words joined are shell text."""
    entry = effect_of(program)
    at = positionals(args, entry.value_options)
    start = at[0] if at else len(args)
    own = classes_of(entry, args[:start]) - READ if entry.closed else NOTHING
    words = args[start:]
    own |= unsure(words)
    return ProgramEffects(classes=own or READ, texts=(join(words),) if words else ())


def _trap(program: str, args: Args) -> ProgramEffects:
    at = positionals(args)
    words = [args[index] for index in at[:1]]
    if len(at) < 2 or join(words) in ("", "-"):
        return ProgramEffects(classes=unsure(words) or classes_of(effect_of(program), args))
    return ProgramEffects(classes=unsure(words) or classes("w"), texts=(join(words),))


def _alias(program: str, args: Args) -> ProgramEffects:
    pairs = [arg.text.partition("=") for arg in args if "=" in arg.text]
    return ProgramEffects(
        classes=unsure(args) or (classes("w") if pairs else classes_of(effect_of(program), args)),
        texts=tuple(value for _, _, value in pairs),
        defines=tuple(name for name, _, _ in pairs),
    )


_EXEC: Final = frozenset(("-exec", "-execdir", "-ok", "-okdir"))
_FD_EXEC: Final = re.compile(r"--exec(?:-batch)?(?:=.*)?|-[A-Za-z0-9]*[xX]", re.DOTALL)


def _find(program: str, args: Args) -> ProgramEffects:
    """find, fd: run commands, delete, and write lists."""
    if program.startswith("fd"):
        return _fd(program, args)
    entry = effect_of(program)
    added: Classes = NOTHING
    argvs: list[tuple[Arg, ...]] = []
    at = 0
    while at < len(args):
        arg, word = args[at], args[at].text
        first = at == 0  # where to look: `find $DIR -name x`
        at += 1
        if word in _EXEC:
            end = next((i for i in range(at, len(args)) if args[i].text in (";", "+")), len(args))
            argvs.append(tuple(_filled(arg, "{") for arg in args[at:end]))
            at = end + 1
        elif word == "-delete":
            added |= DESTRUCTIVE
        elif word in ("-fprint", "-fprintf", "-fprint0", "-fls"):
            added |= written(join(args[at : at + 1])) or READ
            at += 2 if word == "-fprintf" else 1
        elif arg.flaggable and not (first and arg.environment):
            added |= UNKNOWN
        elif is_option(word):
            found = option_effect((entry,), word)
            added |= found.classes
            if found.takes_next:
                added |= UNKNOWN if args[at : at + 1] and args[at].splits else NOTHING
                at += 1
    return ProgramEffects(classes=(added - READ) or READ, argvs=tuple(argvs))


def _fd(program: str, args: Args) -> ProgramEffects:
    """fd: an option that runs something takes the rest of the words for its command."""
    entry = effect_of(program)
    skip = False
    for at, arg in enumerate(args):
        if not skip and _FD_EXEC.fullmatch(arg.text):
            value = arg.text.partition("=")[2]
            command = ((Arg(value),) if value else ()) + tuple(args[at + 1 :])
            return ProgramEffects(
                classes=(classes_of(entry, args[: at + 1]) - READ) or READ,
                argvs=(tuple(_filled(word, "{") for word in command),),
            )
        skip = not skip and is_option(arg.text) and option_effect((entry,), arg.text).takes_next
    return ProgramEffects(classes=classes_of(entry, args))


def _filled(arg: Arg, mark: str) -> Arg:
    """A template word whose mark will be replaced by something that is not known."""
    if mark not in arg.text:
        return arg
    flaggable = mark != "{" and arg.text.startswith(mark)
    return Arg(arg.text, literal=False, flaggable=flaggable)


def _xargs(_: str, args: Args) -> ProgramEffects:
    entry = effect_of("xargs")
    at, mark = 0, ""
    while at < len(args) and args[at].text.startswith("-"):
        word = args[at].text
        if word.startswith(("-I", "-J", "-i", "--replace")):
            value = word.partition("=")[2] if word.startswith("--") else word[2:]
            follows = join(args[at + 1 : at + 2]) if word in ("-I", "-J") else "{}"
            mark = value or follows
        at += 2 if is_option(word) and option_effect((entry,), word).takes_next else 1
        if word == "--":
            break
    added = classes_of(entry, args[:at]) - READ
    words = args[at:] or [Arg("echo")]
    command = tuple(_filled(arg, mark) for arg in words) if mark else (*words, ANYTHING)
    hidden = not command[0].literal or any(" " in arg.text and not arg.literal for arg in command)
    return ProgramEffects(
        classes=added | (UNKNOWN if hidden else NOTHING) or READ,
        argvs=(command,),
        suspects=tuple(args) if added else (),
        takes_words=not mark,
        runs_data=hidden or is_shell(command[0].text),
    )


def _parallel(program: str, args: Args) -> ProgramEffects:
    """GNU parallel: a template, then `:::` and the values."""
    marks = [i for i, arg in enumerate(args) if arg.text.startswith(":::")]
    end = marks[0] if marks else len(args)
    entry = program_entry(program)
    assert entry is not None
    assert entry.wrapper is not None, "an entry with this handler has a wrapper"
    template = wrapped(program, entry.wrapper, args[:end])
    texts = tuple(join(words) for words in template.argvs)
    values = args[end + 1 :] if marks else ()
    return ProgramEffects(
        classes=UNKNOWN,
        texts=texts or tuple(arg.text for arg in values),
        suspects=tuple(args),
        runs_data=not texts,
    )


def _sourced(_: str, args: Args) -> ProgramEffects:
    """source: the file is not read, but what the same text wrote may be in it."""
    return ProgramEffects(classes=UNKNOWN, runs_data=True, suspects=tuple(args[1:]))


def _ssh(_: str, args: Args) -> ProgramEffects:
    valued = "-b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w -B"
    at = positionals(args, valued)
    own = classes("n") | doubt(args[: at[0]] if at else args)
    local = [arg for arg in args[: at[0] if at else len(args)] if "command" in arg.text.lower()]
    texts = [arg.text.partition("=")[2] for arg in local]
    command = args[at[0] + 1 :] if at else ()
    # ssh reads options after the host, too.
    while command and command[0].text.startswith("-"):
        command = command[2 if takes_next(frozenset(valued.split()), command[0].text) else 1 :]
    if command:
        return ProgramEffects(classes=own | unsure(command), texts=(*texts, join(command)))
    return ProgramEffects(classes=own | UNKNOWN, texts=tuple(texts), runs_data=True)


def _interpreter(program: str, args: Args) -> ProgramEffects:
    """python -c, perl -e...: code in a language that is not followed."""
    words = [arg.text for arg in args]
    # `python -v` reads a program from its input.
    asks = ("--version", "-V", "--help", "-h", *(() if "py" in program else ("-v",)))
    if len(args) == 1 and words[0] in asks:
        return ProgramEffects(classes=READ if args[0].literal else UNKNOWN)
    return ProgramEffects(classes=UNKNOWN, code=tuple(words), loss=_CODE_LOSS, runs_data=True)


def is_shell(program: str) -> bool:
    """Whether the program is a shell, by the program table."""
    entry = program_entry(program)
    return entry is not None and entry.handler == "shell"


# By the `handler` of a program's entry.
HANDLERS: Final[Mapping[str, Callable[[str, Args], ProgramEffects]]] = {
    "alias": _alias,
    "eval": _evaluated,
    "find": _find,
    "interpreter": _interpreter,
    "parallel": _parallel,
    "shell": _shell,
    "source": _sourced,
    "ssh": _ssh,
    "trap": _trap,
    "xargs": _xargs,
}
