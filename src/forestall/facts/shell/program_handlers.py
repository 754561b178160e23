"""What a command does, by what the program table knows of its program.

`command_effects` is the only question that others ask. The program's entry answers, or the code
that the entry names as its handler. This module refuses to look at a program that is not known.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from forestall.facts.shell import command_runners, database_clients, special_programs, text_tools
from forestall.facts.shell.arguments import Args, is_option, positional_texts
from forestall.facts.shell.command_classes import (
    DESTRUCTIVE,
    NETWORK,
    READ,
    UNKNOWN,
    WRITE,
    CommandClass,
)
from forestall.facts.shell.command_effects import CommandEffects
from forestall.facts.shell.git import git
from forestall.facts.shell.program_entry import ProgramEffect, ProgramEntry, classes_of
from forestall.facts.shell.program_spec import WritesSpec
from forestall.facts.shell.program_table import (
    BUILT_IN,
    ProgramTable,
    dotted_entry,
    interpreter_entry,
    program_of_any_case,
)
from forestall.facts.shell.wrappers import wrapped
from forestall.facts.shell.write_targets import is_system_root, write_classes


def _cloud(program: str, args: Args) -> CommandEffects:
    from forestall.facts.shell.clouds import cloud  # its word lists are long, and rarely needed

    return cloud(program, args)


# By the `handler` of a program's entry.
HANDLERS: Final[Mapping[str, Callable[[str, Args], CommandEffects]]] = {
    "awk": text_tools.awk,
    "cloud": _cloud,
    "database": database_clients.database,
    "git": git,
    "redis": database_clients.redis,
    "sed": text_tools.sed,
    **command_runners.HANDLERS,
    **special_programs.HANDLERS,
}


def may_run(name: str, programs: ProgramTable = BUILT_IN) -> bool:
    """Whether a word of text whose shape is not known may be a command that is worth a look.

    Programs that only code knows are left out, unless they run other commands.
    """
    entry = programs.entry(name)
    return entry is not None and (
        entry.effect is not None
        or entry.wrapper is not None
        or entry.handler in command_runners.HANDLERS
    )


def command_effects(
    name: str, args: Args, programs: ProgramTable = BUILT_IN
) -> CommandEffects | None:
    """What the program `name` does with these words; None when the program is not known."""
    entry = programs.entry(name)
    if entry is None:
        return _effects_by_variant(name, args)
    effects = _effects_by_entry(name, entry, args)
    if name not in programs.own:
        return effects
    suspects = _unnamed_words(entry, args, effects)
    values = (word.text.partition("=")[2] for word in suspects if is_option(word.text))
    return msgspec.structs.replace(
        effects,
        suspects=(*effects.suspects, *suspects),
        code=(*effects.code, *(value for value in values if " " in value)),
    )


def _unnamed_words(entry: ProgramEntry, args: Args, effects: CommandEffects) -> Args:
    """The words of an own program that its entry does not name.

    Nobody here knows that the program does not run them, so a destructive command among them
    counts, as for a program that is not known.
    """
    if effects.argvs:
        return args[: len(args) - len(effects.argvs[0])]
    effect = entry.effect
    unnamed = []
    for arg in args:
        subcommand = effect.subcommands.get(arg.text) if effect is not None else None
        if subcommand is None:
            unnamed.append(arg)
        else:
            effect = subcommand
    return unnamed


def _effects_by_entry(name: str, entry: ProgramEntry, args: Args) -> CommandEffects:
    if _asks_for_help(entry, args):
        return CommandEffects(classes=READ)
    if entry.handler:
        return HANDLERS[entry.handler](name, args)
    if entry.wrapper is not None:
        return wrapped(name, entry.wrapper, args)
    if entry.writes is not None:
        return _effects_of_writes(entry.writes, entry.effect, args)
    assert entry.effect is not None, "an entry without `does` has a handler or a wrapper"
    return _effects_by_table(entry.effect, args)


def _asks_for_help(entry: ProgramEntry, args: Args) -> bool:
    """Whether the words only ask the program, or one of its subcommands, what it is."""
    effect = entry.effect
    if not args or not entry.help or not all(arg.literal for arg in args):
        return False
    words = [arg.text for arg in args]
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


def _effects_by_table(effect: ProgramEffect, args: Args) -> CommandEffects:
    """What the table says; an option that runs something may name it in any word."""
    classes = classes_of(effect, args)
    if CommandClass.UNKNOWN not in classes:
        return CommandEffects(classes=classes)
    code = tuple(arg.text.partition("=")[2] or arg.text for arg in args)
    return CommandEffects(
        classes=classes,
        suspects=tuple(args),
        code=tuple(text for text in code if " " in text),
        runs_input=CommandClass.UNKNOWN in effect.classes,
    )


def _effects_of_writes(
    writes: WritesSpec, effect: ProgramEffect | None, args: Args
) -> CommandEffects:
    """What a program does that writes to paths which it is given."""
    by_table = _effects_by_table(effect, args) if effect else CommandEffects(classes=UNKNOWN)
    classes = by_table.classes
    paths = positional_texts(args, writes.not_after)
    if writes.to == "last_word":
        sources, paths = paths[:-1], paths[-1:]
        paths += [arg.text.partition("=")[2] or arg.text for arg in args if "-t" in arg.text]
        if writes.moves and (paths[:1] == ["/dev/null"] or any(map(is_system_root, sources))):
            classes |= DESTRUCTIVE
    paths += [arg.text[2:] for arg in args if arg.text.startswith(("-t", "-o", "-O"))]
    paths += [arg.text.partition("=")[2] for arg in args if arg.text.startswith("--")]
    for path in paths:
        if path.startswith(("/", "~")) or ".ssh/" in path:
            classes |= write_classes(path) - WRITE - NETWORK
    return msgspec.structs.replace(by_table, classes=classes)


def _effects_by_variant(name: str, args: Args) -> CommandEffects | None:
    """`python3.11`, `mkfs.ext4`, `Remove-Item` in any case: names that lead to another entry."""
    interpreter = interpreter_entry(name)
    if interpreter is not None and interpreter.handler:
        return HANDLERS[interpreter.handler](name, args)
    dotted = dotted_entry(name)
    if dotted is not None and dotted.effect is not None:
        return _effects_by_table(dotted.effect, args)
    of_any_case = program_of_any_case(name)
    if of_any_case is None:
        return None
    spelling, entry = of_any_case
    if entry.handler:
        return HANDLERS[entry.handler](spelling, args)
    return CommandEffects(classes=entry.effect.classes) if entry.effect is not None else None
