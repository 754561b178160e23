"""What a command does: by its entry in the program table, or by code where the words need it.

`program_effects` is the only question that others ask. Here stand the handlers of programs whose
words decide in ways of their own: sed, awk, dd, chmod, the cloud tools. This module refuses to call
a program `read` when a word that matters is not literal.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from forestall.facts.shell import database_clients, wrappers
from forestall.facts.shell.git import git
from forestall.facts.shell.program_entry import (
    DESTRUCTIVE,
    NOTHING,
    READ,
    UNKNOWN,
    Arg,
    CommandClass,
    ProgramEffect,
    ProgramEntry,
    WritesSpec,
    classes,
    classes_of,
    is_option,
    only_looks,
    takes_next,
)
from forestall.facts.shell.program_table import (
    BUILT_IN,
    ProgramTable,
    effect_of,
    program,
    program_of_any_case,
)
from forestall.facts.shell.words import WORDS
from forestall.facts.shell.wrappers import (
    ProgramEffects,
    doubt,
    join,
    options,
    positionals,
    unsure,
    wrapped,
)
from forestall.facts.shell.write_targets import is_system_root, written

Args = Sequence[Arg]
WRITE: Final = classes("w")
NETWORK: Final = classes("n")
PRIVILEGED: Final = classes("p")


# --- text tools with a language of their own ---


_SED_ADDRESS: Final = r"(?:\d+(?:~\d+)?|\$|/(?:[^/\\\n]|\\.)*/[IM]*)"
_SED_STEP: Final = re.compile(
    rf"[\s;{{}}]*(?:{_SED_ADDRESS}(?:\s*,\s*(?:{_SED_ADDRESS}|[+~]\d+))?)?\s*!?\s*"
    r"(?:[{}]|[dDgGhHlnNpPqQxzF=]\s*\d*(?=[\s;}]|$)|#[^\n]*|:\s*[\w-]+|[btT]\s*[\w-]*"
    r"|[aic](?:\\\n|\s)(?:[^\\\n]|\\.|\\\n)*|[rR]\s*[^\n]*"
    r"|(?P<kind>[sy])(?P<mark>[^\w\s\\;])(?:(?!(?P=mark))[^\\\n]|\\(?:.|\n))*(?P=mark)"
    r"(?:(?!(?P=mark))[^\\\n]|\\(?:.|\n))*(?P=mark)[gpiIM0-9]*(?=[\s;}]|$))[\s;}]*"
)


def _sed_script(text: str) -> bool:
    """Whether the script only edits what passes through: no `w`, no `e`, nothing unread."""
    at = 0
    while at < len(text):
        step = _SED_STEP.match(text, at)
        if step is None or step.end() == at:
            return False
        at = step.end()
    return True


def _sed(_: str, args: Args) -> ProgramEffects:
    own = classes_of(effect_of("sed"), args) - READ
    scripts: list[Arg] = []
    found = options(args)
    valued = frozenset(("-e", "-f", "--expression", "--file", "-l", "--line-length"))
    for index, arg in enumerate(args):
        if takes_next(valued, arg.text) and "e" in arg.text and arg.text.startswith("-"):
            scripts.extend(args[index + 1 : index + 2])
        elif arg.text.startswith(("--expression=", "-e")):
            scripts.append(Arg(arg.text.partition("=")[2] or arg.text[2:], arg.literal))
    if not scripts:
        at = positionals(args, "-l --line-length -f --file")
        scripts = [args[index] for index in at[:1]]
    if any(option.startswith(("--i", "-i")) for option in found):
        own |= WRITE.union(*(written(arg.text) for arg in args if not arg.text.startswith("-")))
    if found & {"-f"} or any(option.startswith("--fi") for option in found):
        own |= UNKNOWN
    unread = [arg for arg in scripts if not arg.literal or not _sed_script(arg.text)]
    own |= doubt(args)
    if unread:
        own |= UNKNOWN | WRITE
    return ProgramEffects(classes=own or READ, code=tuple(arg.text for arg in unread), suspects=())


_AWK_RUNS: Final = re.compile(r"system|getline|@|\bclose\b")
_AWK_WRITES: Final = re.compile(r"print[^;}]*>")
# After an operand awk takes `/` for a division, so no text can begin there that hides a `>`.
_AWK_DIVISION: Final = re.compile(
    r"((?<![\w$])(?!(?:print|printf|return|in|getline|exit|delete|do|else|case|next)\b)"
    r"\$?\w+|\])[ \t]*/"
)
_AWK_LITERAL: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"|(?P<before>(?:^|[;{}(!~&|,\n])\s*)/(?:[^/\\\n]|\\.)+/'
)


def _awk(_: str, args: Args) -> ProgramEffects:
    entry = effect_of("awk")
    at = positionals(args, entry.value_options)
    script = args[at[0]] if at else Arg("", literal=False)
    text = script.text.replace("||", " ")
    before = args[: at[0] if at else len(args)]
    own = unsure([script]) | doubt(before) | (classes_of(entry, before) - READ)
    bare = _AWK_LITERAL.sub(lambda found: (found["before"] or "") + '""', text)
    undivided = _AWK_DIVISION.sub(r"\1 ", bare)
    blurred = any(char in undivided for char in "/#\\") and any(char in text for char in "|>")
    if blurred or "|" in bare or _AWK_RUNS.search(text):
        own |= UNKNOWN
    if _AWK_WRITES.search(bare):
        own |= WRITE | UNKNOWN
    return ProgramEffects(classes=own or READ, code=(script.text,) if own else ())


# --- files and devices ---


def _dd(_: str, args: Args) -> ProgramEffects:
    outs = [arg for arg in args if arg.text.startswith("of=")]
    own = unsure(args) if any(not arg.literal and "=" not in arg.text for arg in args) else NOTHING
    for out in outs:
        own |= DESTRUCTIVE if written(out.text[3:]) or not out.literal else NOTHING
    return ProgramEffects(classes=own or READ)


def _truncate(_: str, args: Args) -> ProgramEffects:
    words = [arg.text for arg in args]
    grows = any(word.lstrip("-sizem=").startswith("+") for word in words)
    return ProgramEffects(classes=WRITE if grows else DESTRUCTIVE)


def _modes(program: str, args: Args) -> ProgramEffects:
    """chmod, chown, chgrp: ordinary on a file, ruin on a system directory."""
    own = PRIVILEGED if program == "chown" else WRITE
    words = [args[index].text for index in positionals(args, "--reference --from")]
    recursive = options(args) & {"-R", "--recursive", "--recurs", "--rec", "--r"}
    severe = any(is_system_root(word) for word in words[1:] or words)
    if severe and (recursive or program == "chmod"):
        own |= DESTRUCTIVE
    setuid = re.compile(r"[ugoa]*\+[rwxX]*s|[2467][0-7]{3}|0[2467][0-7]{3}")
    if program == "chmod" and words and setuid.match(words[0]):
        own |= PRIVILEGED
    if any(CommandClass.DESTRUCTIVE in written(word) for word in words[1:]):
        own |= PRIVILEGED
    return ProgramEffects(classes=own | (doubt(args[:1]) if program == "chmod" else NOTHING))


def _writes(writes: WritesSpec, effect: ProgramEffect | None, args: Args) -> ProgramEffects:
    """Programs that write to paths they are given."""
    base = _by_table(effect, args) if effect else ProgramEffects(classes=UNKNOWN)
    own = base.classes
    at = positionals(args, frozenset(writes.not_after))
    words = [args[index].text for index in at]
    if writes.to == "last_word":
        named = [arg.text.partition("=")[2] or arg.text for arg in args if "-t" in arg.text]
        sources, words = words[:-1], words[-1:] + named
        if writes.moves:
            gone = words[:1] == ["/dev/null"] or any(is_system_root(word) for word in sources)
            own |= DESTRUCTIVE if gone else NOTHING
    words += [arg.text[2:] for arg in args if arg.text.startswith(("-t", "-o", "-O"))]
    words += [arg.text.partition("=")[2] for arg in args if arg.text.startswith("--")]
    for word in words:
        kind = written(word) if word.startswith(("/", "~")) or ".ssh/" in word else NOTHING
        own |= kind - WRITE - NETWORK
    return msgspec.structs.replace(base, classes=own)


def _kill(_: str, args: Args) -> ProgramEffects:
    last = args[-1].text if args else ""
    everyone = last in ("-1", "1") and (len(args) > 1 or last == "-1")
    lists = bool(args) and args[0].text in ("-l", "-L") and len(args) < 3
    return ProgramEffects(classes=DESTRUCTIVE if everyone else READ if lists else WRITE)


def _init(_: str, args: Args) -> ProgramEffects:
    ends = any(arg.text in ("0", "6") for arg in args)
    return ProgramEffects(classes=PRIVILEGED | (DESTRUCTIVE if ends else unsure(args)))


def _date(_: str, args: Args) -> ProgramEffects:
    entry = effect_of("date")
    at = positionals(args, entry.value_options)
    sets = any(not args[index].text.startswith("+") for index in at)
    own = classes_of(entry, [arg for arg in args if not arg.text.startswith("+")]) - READ
    return ProgramEffects(classes=(PRIVILEGED if sets else NOTHING) | own | doubt(args) or READ)


_IP_CHANGES: Final = WORDS.set("ip_changing_verbs")
_IP_LOOKS: Final = WORDS.words("ip_looking_verbs")


def _ip(_: str, args: Args) -> ProgramEffects:
    """ip OBJECT VERB: both may be shortened, so a verb that is not known to look is `unknown`."""
    entry = effect_of("ip")
    at = positionals(args, entry.value_options)
    words = [args[index].text for index in at]
    own = doubt(args) | (classes_of(entry, args) - READ)
    if set(words[1:]) & _IP_CHANGES:
        own |= PRIVILEGED
    elif len(words) > 1 and not any(verb.startswith(words[1]) for verb in _IP_LOOKS):
        own |= PRIVILEGED | UNKNOWN
    inside = words[:1] and (words[0].startswith("net") or words[0] == "vrf")
    if inside and len(words) > 3 and "exec".startswith(words[1]):
        return ProgramEffects(classes=own | PRIVILEGED, argvs=(tuple(args[at[3] :]),))
    return ProgramEffects(classes=own or READ, suspects=tuple(args) if own else ())


def _crontab(_: str, args: Args) -> ProgramEffects:
    found = options(args)
    if found == {"-l"} and len(args) == 1:
        return ProgramEffects(classes=READ)
    lost = DESTRUCTIVE if "-r" in found else NOTHING
    return ProgramEffects(classes=PRIVILEGED | lost, runs_data=True)


def _tar(_: str, args: Args) -> ProgramEffects:
    if args and args[0].literal and not args[0].text.startswith("-"):
        args = [Arg(f"-{args[0].text}"), *args[1:]]
    own = classes_of(effect_of("tar"), args)
    found = options(args)
    texts = (
        tuple(
            arg.text.partition("=")[2].removeprefix("exec=") for arg in args if arg.text[:2] == "--"
        )
        if CommandClass.UNKNOWN in own
        else ()
    )
    if CommandClass.UNKNOWN in own:
        texts += tuple(arg.text for arg in args if " " in arg.text and arg.text[:2] != "--")
    if own == WRITE and found & {"-t", "--list"} and not found & {"-x", "-c", "-r", "-u", "-A"}:
        # A name with a colon is a file of another machine.
        own = NETWORK if any(":" in arg.text for arg in args) else READ
        own |= classes_of(only_looks(effect_of("tar")), args) - READ
    return ProgramEffects(classes=own, texts=tuple(filter(None, texts)))


# --- tools with verbs ---


def _cloud(program: str, args: Args) -> ProgramEffects:
    from forestall.facts.shell.clouds import cloud  # its word lists are long, and rarely needed

    return cloud(program, args)


def _hadoop(_: str, args: Args) -> ProgramEffects:
    lost = {"-rm", "-rmr", "-rmdir", "-expunge", "-delete"} & {arg.text for arg in args}
    return ProgramEffects(classes=classes("nu") | (DESTRUCTIVE if lost else NOTHING))


def _container(program: str, args: Args) -> ProgramEffects:
    """docker, kubectl: `exec` and `run` hold a command."""
    known = effect_of(program)
    own = classes_of(known, args)
    at = positionals(args, known.value_options)
    subs = [args[index].text for index in at[:2]]
    running = (
        {"exec", "run", "debug"} if program in ("kubectl", "oc") else {"exec", "run", "create"}
    )
    sub = next((name for name in subs if name in running), "")
    if not sub or own == READ:
        return ProgramEffects(classes=own)
    rest = args[[arg.text for arg in args].index(sub) + 1 :]
    if program in ("kubectl", "oc"):
        end = next((i for i, arg in enumerate(rest) if arg.text == "--"), None)
        if sub == "exec" and end is not None and not doubt(rest[:end]):
            return ProgramEffects(classes=NETWORK, argvs=(tuple(rest[end + 1 :]),))
        return ProgramEffects(classes=own | UNKNOWN, suspects=tuple(rest))
    if sub == "exec":
        inner = positionals(
            rest, "-e -u -w --env --user --workdir --env-file --detach-keys --index"
        )
        raised = PRIVILEGED if "--privileged" in options(rest) else NOTHING
        if len(inner) > 1 and not doubt(rest[: inner[1]]):
            return ProgramEffects(classes=WRITE | raised, argvs=(tuple(rest[inner[1] :]),))
        return ProgramEffects(classes=UNKNOWN | raised, suspects=tuple(rest), runs_data=True)
    mounts = any(arg.text.lstrip("-volume=").startswith("/:") for arg in rest)
    return ProgramEffects(
        classes=own | UNKNOWN | (PRIVILEGED if mounts else NOTHING),
        suspects=tuple(rest),
        runs_data=True,
    )


def _windows(program: str, args: Args) -> ProgramEffects:
    """cmd, powershell: what follows is text for another shell."""
    at = [i for i, arg in enumerate(args) if arg.text[:1] in ("/", "-")]
    rest = args[at[-1] + 1 :] if program != "cmd" and at else args
    for index, arg in enumerate(args):
        if arg.text.lower() in ("/c", "/k", "/r", "-command", "-c", "-com", "-comm"):
            rest = args[index + 1 :]
            break
    text = join(rest).replace("^", "").strip("& {}")
    return ProgramEffects(classes=UNKNOWN, texts=(text,) if text else (), suspects=tuple(rest))


def _format(_: str, args: Args) -> ProgramEffects:
    drive = any(arg.text[:1].isalpha() and arg.text[1:2] == ":" for arg in args)
    return ProgramEffects(classes=UNKNOWN | (DESTRUCTIVE if drive else NOTHING))


def _rmdir(_: str, args: Args) -> ProgramEffects:
    tree = any(arg.text.lower().startswith(("/s", "-r")) for arg in args)
    return ProgramEffects(classes=DESTRUCTIVE if tree else WRITE)


def _editor(_: str, args: Args) -> ProgramEffects:
    """vim, ex, ed: may run anything; a `!` in the words is a command."""
    texts = tuple(arg.text.partition("!")[2] for arg in args if "!" in arg.text)
    return ProgramEffects(classes=UNKNOWN, texts=texts, code=tuple(arg.text for arg in args))


_PAGER_PLACE: Final = re.compile(r"\+(?:[FGg]|\d+)")  # where to begin


def _pager(program: str, args: Args) -> ProgramEffects:
    starts = [arg for arg in args if arg.text[:1] == "+" and not _PAGER_PLACE.fullmatch(arg.text)]
    texts = tuple(arg.text.partition("!")[2] for arg in starts if "!" in arg.text)
    own = classes_of(effect_of(program), args)
    if program == "man" and CommandClass.UNKNOWN in own:
        texts += tuple(arg.text.partition("=")[2] or arg.text for arg in args)
    return ProgramEffects(classes=own | (UNKNOWN if starts else NOTHING), texts=texts)


def _at(_: str, args: Args) -> ProgramEffects:
    return ProgramEffects(classes=UNKNOWN, runs_data=True)


# By the `handler` of a program's entry; those of `wrappers` run other commands.
HANDLERS: Final[Mapping[str, Callable[[str, Args], ProgramEffects]]] = {
    "at": _at,
    "awk": _awk,
    "cloud": _cloud,
    "container": _container,
    "crontab": _crontab,
    "database": database_clients.database,
    "date": _date,
    "dd": _dd,
    "editor": _editor,
    "format": _format,
    "git": git,
    "hadoop": _hadoop,
    "init": _init,
    "ip": _ip,
    "kill": _kill,
    "modes": _modes,
    "pager": _pager,
    "redis": database_clients.redis,
    "rmdir": _rmdir,
    "sed": _sed,
    "tar": _tar,
    "truncate": _truncate,
    "windows_shell": _windows,
    **wrappers.HANDLERS,
}


def _by_table(effect: ProgramEffect, args: Args) -> ProgramEffects:
    """What the table says; an option that runs something may name it in any word."""
    found = classes_of(effect, args)
    if CommandClass.UNKNOWN not in found:
        return ProgramEffects(classes=found)
    code = tuple(arg.text.partition("=")[2] or arg.text for arg in args)
    return ProgramEffects(
        classes=found,
        suspects=tuple(args),
        code=tuple(text for text in code if " " in text),
        runs_data=CommandClass.UNKNOWN in effect.classes,
    )


def may_run(name: str, programs: ProgramTable = BUILT_IN) -> bool:
    """Whether a word of text whose shape is not known may be a command that is worth a look.

    Programs that only code knows are left out, unless they run other commands.
    """
    entry = programs.entry(name)
    if entry is None:
        return False
    return (
        entry.effect is not None or entry.wrapper is not None or entry.handler in wrappers.HANDLERS
    )


def program_effects(
    name: str, args: Args, programs: ProgramTable = BUILT_IN
) -> ProgramEffects | None:
    """What this program does with these words; None when the program is not known."""
    entry = programs.entry(name)
    if entry is None:
        return _of_another_name(name, args)
    found = _effects_of(name, entry, args)
    if name in programs.own:
        suspects = _words_that_may_run(entry, args, found)
        values = (word.text.partition("=")[2] for word in suspects if is_option(word.text))
        return msgspec.structs.replace(
            found,
            suspects=(*found.suspects, *suspects),
            code=(*found.code, *(value for value in values if " " in value)),
        )
    return found


def _words_that_may_run(entry: ProgramEntry, args: Args, found: ProgramEffects) -> Args:
    """The words of an own program that its entry does not name: nobody here knows that the program
    does not run them, so a destructive command among them counts, as for a program that is not
    known."""
    if found.argvs:
        return args[: len(args) - len(found.argvs[0])]
    effect = entry.effect
    rest: list[Arg] = []
    for arg in args:
        chosen = effect.subcommands.get(arg.text) if effect is not None else None
        if chosen is None:
            rest.append(arg)
        else:
            effect = chosen
    return rest


def _effects_of(name: str, entry: ProgramEntry, args: Args) -> ProgramEffects:
    """What a program with an entry does with these words."""
    effect = entry.effect
    if _asks_for_help(entry, args):
        return ProgramEffects(classes=READ)
    if entry.handler:
        return HANDLERS[entry.handler](name, args)
    if entry.wrapper is not None:
        return wrapped(name, entry.wrapper, args)
    if entry.writes is not None:
        return _writes(entry.writes, effect, args)
    assert effect is not None, "an entry without `does` has a handler or a wrapper"
    return _by_table(effect, args)


def _asks_for_help(entry: ProgramEntry, args: Args) -> bool:
    """Whether the words only ask the program, or one of its subcommands, what it is."""
    effect = entry.effect
    words = [arg.text for arg in args if arg.literal]
    if not words or len(words) < len(args) or not entry.help:
        return False
    if words[0] == "help" and effect is not None and effect.subcommands:
        return not any(is_option(word) for word in words)
    if words == ["--version"]:
        return True
    if words[-1] != "--help" and (words[-1] != "-h" or not entry.short_help):
        return False
    for word in words[:-1]:
        effect = effect.subcommands.get(word) if effect is not None else None
        if effect is None:
            return False
    return True


def _of_another_name(name: str, args: Args) -> ProgramEffects | None:
    """`python3.11`, `mkfs.ext4`, `Remove-Item` in any case: names that lead to another entry."""
    plain = name.rstrip("0123456789.-")
    entry = program(plain)
    if entry is not None and entry.handler in ("shell", "interpreter"):
        return HANDLERS[entry.handler](name, args)
    entry = program(name.partition(".")[0])
    if entry is not None and entry.dotted_names and "." in name:
        return _by_table(effect_of(name.partition(".")[0]), args)
    found = program_of_any_case(name)
    if found is None:
        return None
    spelling, entry = found
    if entry.handler:
        return HANDLERS[entry.handler](spelling, args)
    return ProgramEffects(classes=entry.effect.classes) if entry.effect is not None else None
