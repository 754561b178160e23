"""Kubernetes, cloud, git and package-manager tools: how their words are read.

Where the verb of a tool stands and what it does is data (`data/tools`); what the shell room's own
table knows of a program is added by `commands.py`. This module tells the options of a command from
its words. It refuses to take an option for known that the tool's entry does not name.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from forestall.facts.data_files import EntryTable, WordLists
from forestall.facts.shell.arguments import Arg
from forestall.facts.shell.command_classes import Classes
from forestall.facts.shell.program_spec import ClassesSpec, class_set

VALUES_MAX: Final = 8  # values of one option that are kept
FILES: Final = ("clouds", "containers", "forges", "git", "infrastructure", "kubernetes", "packages")
Grammar = Literal[
    "cloud", "docker", "forge", "git", "helm", "kubectl", "packages", "terraform"
]  # tools whose words `tool_facts.py` reads alike


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool, as the data files describe it: whole, or the same as another."""

    examples: Annotated[dict[str, ClassesSpec], msgspec.Meta(min_length=1)]
    read_as: Grammar | None = None
    same_as: str = ""
    called: str = ""  # the name that facts give it: `k` is kubectl
    verbs: dict[str, ClassesSpec] = {}  # `rollout undo`: two words
    verb_groups: tuple[str, ...] = ()  # first words that need a second to be a verb
    verb_aliases: dict[str, str] = {}
    options: dict[str, ClassesSpec] = {}  # those that change what the command does
    value_options: tuple[str, ...] = ()  # their value is the next word
    plain_options: tuple[str, ...] = ()
    namespace_options: tuple[str, ...] = ()  # they name the namespace, project or profile
    joined_short_options: bool = True  # `-it` is `-i -t`


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """How the words of one tool are read."""

    read_as: Grammar
    verbs: Mapping[str, Classes]
    verb_groups: frozenset[str]
    verb_aliases: Mapping[str, str]
    options: Mapping[str, Classes]
    value_options: frozenset[str]
    plain_options: frozenset[str]
    namespace_options: tuple[str, ...]
    joined_short_options: bool


TOOLS: Final = EntryTable("tools", [f"{file}.yaml" for file in FILES], ToolSpec)


def tool_name(program: str) -> str:
    """The name of the tool that a program is; "" for a program that is none."""
    if program in TOOLS.names():
        spec = TOOLS.get(program)
        return (spec.called if spec is not None else "") or program
    return "pip" if program.startswith("pip") and program[3:].replace(".", "").isdigit() else ""


def tool(program: str) -> Tool:
    """How the words of a tool are read; `pip3.11` is read as `pip`. Raises DataFileError."""
    return _built(program if program in TOOLS.names() else "pip")


@cache  # of the names of the table only
def _built(name: str) -> Tool:
    spec = TOOLS.get(name)
    assert spec is not None
    if spec.same_as:
        base = TOOLS.get(spec.same_as)
        if base is None or base.same_as or spec.read_as:
            raise TOOLS.error(name, f"`{name}.same_as`: `{spec.same_as}` is not a whole entry")
        return _built(spec.same_as)
    if spec.read_as is None:
        raise TOOLS.error(name, f"`{name}` needs `read_as` or `same_as`")
    return Tool(
        read_as=spec.read_as,
        verbs={verb: class_set(kinds) for verb, kinds in spec.verbs.items()},
        verb_groups=frozenset(spec.verb_groups),
        verb_aliases=spec.verb_aliases,
        options={option: class_set(kinds) for option, kinds in spec.options.items()},
        value_options=frozenset(spec.value_options),
        plain_options=frozenset(spec.plain_options),
        namespace_options=spec.namespace_options,
        joined_short_options=spec.joined_short_options,
    )


_WORDS: Final = WordLists("cluster.yaml")
RESOURCES: Final[Mapping[str, str]] = {
    name: plural
    for plural, names in _WORDS.meanings("kubernetes_resources", list[str]).items()
    for name in (*names, plural)
}
GUARDED_RESOURCES: Final = _WORDS.set("guarded_resources")
LOOKING_VERBS: Final = _WORDS.set("looking_verbs")
CHANGING_VERBS: Final = _WORDS.set("changing_verbs")
LOSING_VERBS: Final = _WORDS.set("losing_verbs")
GUARDED_VERBS: Final = _WORDS.set("guarded_verbs")
GUARDED_SERVICES: Final = _WORDS.set("guarded_services")
SECRET_TELLING_VERBS: Final = _WORDS.set("secret_telling_verbs")


class ToolWords(NamedTuple):
    """The words of one command that are no options, and the options with their values."""

    words: list[Arg]
    options: dict[str, list[str]]
    sure_words: int  # how many words stood before the first option that is not known for certain
    open: bool  # whether an expansion may add options


class _NamedOption(NamedTuple):
    name: str
    takes_next: bool = False  # its value is the next word


def tool_words(tool: Tool, args: Sequence[Arg]) -> ToolWords:
    """Tell the options of a command from its words."""
    words: list[Arg] = []
    options: dict[str, list[str]] = {}
    sure_words = len(args) + 1
    at = 0
    while at < len(args):
        arg = args[at]
        at += 1
        if arg.text == "--":
            words.extend(args[at:])
            break
        sure = not arg.ambiguous
        if arg.text.startswith("-") and arg.text != "-":
            name, equals, value = arg.text.partition("=")
            named, known = _options_of_word(tool, name)
            sure = sure and known and arg.literal
            if equals and not _takes_equals(tool, name):
                value = f"={value}"
            elif not equals and named[-1].takes_next and at < len(args):
                value = args[at].text
                sure = sure and not args[at].ambiguous
                at += 1
            for option in named:
                values = options.setdefault(option.name, [])
                if len(values) < VALUES_MAX:
                    values.append(value or _joined_value(name, option.name))
        else:
            words.append(arg)
        if not sure:
            words_before = len(words) - (not arg.text.startswith("-"))
            sure_words = min(sure_words, words_before)
    return ToolWords(words, options, sure_words, any(arg.ambiguous for arg in args))


def _takes_equals(tool: Tool, name: str) -> bool:
    """Whether an `=` divides the option from its value, as in `-n=prod`; in `-abn=prod` the short
    option `-n` has the value `=prod`."""
    return name.startswith("--") or not tool.joined_short_options or len(name) == 2


def _joined_value(word: str, option: str) -> str:
    """The value in `-nprod`."""
    return word[2:] if word != option and word.startswith(option) else ""


def _options_of_word(tool: Tool, word: str) -> tuple[list[_NamedOption], bool]:
    """The options that one word holds, and whether all of them are listed."""
    if word.startswith("--") or not tool.joined_short_options:
        name = word if tool.joined_short_options else "-" + word.lstrip("-")
        if name in tool.value_options:
            return [_NamedOption(name, takes_next=True)], True
        return [_NamedOption(name)], name in tool.plain_options or name in tool.options
    found: list[_NamedOption] = []
    for place, letter in enumerate(word[1:], 1):
        name = f"-{letter}"
        if name in tool.value_options:
            return [*found, _NamedOption(name, takes_next=place == len(word) - 1)], True
        found.append(_NamedOption(name))
        if name not in tool.plain_options:
            return found, False
    return found, True
