"""What each Kubernetes, cloud, git or package-manager command in a text does, and to what.

The shell room says which commands a text could run and what it knows of them; here their words are
read for verb, resource and namespace. Whatever the shell room finds and this module did not read is
reported without a verb. Manifests, plans and charts are not opened: what they hold is `unknown`.
This module refuses to call a command `read` whose verb it could not read.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from forestall.facts.cluster import tools as known
from forestall.facts.cluster.tools import Tool, Words, scan, tool_name
from forestall.facts.shell.arguments import Arg
from forestall.facts.shell.command_classes import (
    DESTRUCTIVE,
    NOTHING,
    PRIVILEGED,
    READ,
    SECRET,
    UNKNOWN,
    WRITE,
    Classes,
)
from forestall.facts.shell.commands import TEXT_BYTES_MAX, Command, CommandDetail, commands_in
from forestall.facts.shell.preprocess import ascii_only, is_dense, variants, without_bodies
from forestall.facts.shell.program_handlers import command_effects
from forestall.facts.shell.program_table import BUILT_IN, ProgramTable
from forestall.facts.shell.secret_commands import shows_secret
from forestall.facts.shell.syntax_tree import parsed_text, word_nodes
from forestall.facts.shell.word_expansion import WordReader

FACTS_MAX: Final = 64  # facts reported; each one costs a decision
DEPTH_MAX: Final = 6  # shell text inside shell text; the shell room follows further than this
CHAIN_MAX: Final = 24  # `env nice env nice ...`: wrappers around one command
STEPS_MAX: Final = 4_000  # commands read for one text
RESOURCES_MAX: Final = 16  # resources of one command


class ClusterClass(StrEnum):
    """The kinds of effect such a command can have; the names are the shell room's."""

    READ = "read"
    SECRET = "secret"  # noqa: S105 - the name of a class
    WRITE = "write"
    BUILD = "build"
    NETWORK = "network"
    PRIVILEGED = "privileged"
    DESTRUCTIVE = "destructive"
    UNKNOWN = "unknown"


class VerbFact(msgspec.Struct, frozen=True, kw_only=True):
    """One command: what is "" is unknown, or has no meaning for this tool.

    `tool` is the program's plain name (`k` is `kubectl`); for a program that is none of these tools
    it is the program itself and `verb` is "". `verb` is in lower case, with its group where it has
    one (`rollout undo`). `namespace` is a Kubernetes namespace ("*" for all), or the project,
    profile or subscription of a cloud tool. READ stands alone, but for PRIVILEGED: reading secrets.
    """

    tool: str
    verb: str
    resource: str
    namespace: str
    classes: frozenset[ClusterClass]


_DANGER: Final = "duspnbwr"
_DRY_VERBS: Final = frozenset(("create", "apply", "delete", "patch", "scale", "label", "annotate"))
_REMOTE: Final = ("git+", "http:", "https:", "file:", "git@", "ssh:", "git:", "github:", ".", "/")


def _fact(
    tool: str, kinds: Classes, verb: str = "", resource: str = "", namespace: str = ""
) -> VerbFact:
    if kinds - (READ | PRIVILEGED):
        kinds -= READ
    return VerbFact(
        tool=tool,
        verb=verb,
        resource=resource,
        namespace=namespace,
        classes=frozenset(ClusterClass(kind.value) for kind in kinds or UNKNOWN),
    )


_UNKNOWN_FACT: Final = _fact("", UNKNOWN)


def verbs_in(text: str, programs: ProgramTable = BUILT_IN) -> tuple[VerbFact, ...]:
    """Every command that `text` could run, without duplicates; never empty."""
    return _verbs(text, programs, commands_in(text, CommandDetail(programs=programs)))


def verbs_with_commands(text: str, detail: CommandDetail) -> Iterator[tuple[VerbFact, Command]]:
    """Each fact about a command of a text, with what the shell room says of it; never empty.

    Several commands of one tool are told apart by neither room alone, so each fact of the tool
    stands beside each of them: the true pairs are among these.
    """
    commands = commands_in(text, detail)
    of_tool: dict[str, list[Command]] = {}
    for command in commands:
        of_tool.setdefault(tool_name(command.program) or command.program, []).append(command)
    for fact in _verbs(text, detail.programs, commands):
        for command in of_tool.get(fact.tool) or (detail.doubtful(),):
            yield fact, command


def _verbs(text: str, programs: ProgramTable, commands: Sequence[Command]) -> tuple[VerbFact, ...]:
    if len(text) > TEXT_BYTES_MAX or len(text.encode("utf-8", "replace")) > TEXT_BYTES_MAX:
        return (_UNKNOWN_FACT,)
    reader = _ClusterReader(programs)
    reader.read(text, 0)
    found = dict.fromkeys(reader.facts)
    for command in commands:
        program, kinds = command.program, command.classes
        tool = tool_name(program)
        missing = kinds - reader.seen.get(program, NOTHING) - READ
        if tool and program in reader.seen:
            if missing:
                found.setdefault(_fact(tool, missing))
        elif tool:
            found.setdefault(_fact(tool, kinds | UNKNOWN))
        else:
            found.setdefault(_fact(program, kinds))
    facts = tuple(found) or (_UNKNOWN_FACT,)
    if len(facts) <= FACTS_MAX:
        return facts
    ranked = sorted(
        facts, key=lambda one: min(_DANGER.index(kind.value[0]) for kind in one.classes)
    )
    return (*(one for one in ranked[: FACTS_MAX - 1] if one != _UNKNOWN_FACT), _UNKNOWN_FACT)


class _ClusterReader:
    """Reads the words of every command whose words stand in the text."""

    def __init__(self, programs: ProgramTable) -> None:
        self._programs = programs
        self.facts: list[VerbFact] = []
        self.seen: dict[str, Classes] = {}  # what the shell room says of the commands read here
        self._values: dict[str, list[str]] = {}
        self._steps = 0

    def read(self, text: str, depth: int) -> None:
        """Read one shell text; what is too deep or too dense is left to the shell room."""
        if depth > DEPTH_MAX:
            return
        for variant in dict.fromkeys(variants(ascii_only(text.replace("\0", "")))):
            short, _ = without_bodies(variant)
            if is_dense(short) or self._steps > STEPS_MAX:
                continue
            source = short.encode("utf-8", "replace")
            words = WordReader(source, self._values)
            for item in parsed_text(source).nodes:
                if item.kind != "command":
                    continue
                groups, _ = word_nodes(item.node)
                line = [words.word(*group) for group in groups]
                tries = {
                    tuple(arg for word in line for arg in word.args(pick))
                    for pick in range(max((len(word.guesses) for word in line), default=0))
                }
                for args in sorted(tries, key=str):
                    self._run(args, depth, 0)

    def _run(self, args: Sequence[Arg], depth: int, chain: int) -> None:
        self._steps += 1
        if not args or not args[0].literal or chain > CHAIN_MAX or self._steps > STEPS_MAX:
            return
        program = args[0].text.rpartition("/")[2]
        rest = args[1:]
        effects = command_effects(program, rest, self._programs)
        tool = tool_name(program)
        if tool:
            own = effects.classes if effects is not None else NOTHING
            own |= SECRET if shows_secret(program, rest, own) else NOTHING
            kinds = own if effects is not None else UNKNOWN
            self.seen[program] = self.seen.get(program, NOTHING) | kinds
            self.facts.extend(_read_tool(tool, known.tool(program), rest, own))
        elif program.startswith("python") and [arg.text for arg in rest[:2]] == ["-m", "pip"]:
            of_pip = command_effects("pip", rest[2:])
            own = of_pip.classes if of_pip is not None else UNKNOWN
            self.facts.extend(_read_tool("pip", known.tool("pip"), rest[2:], own))
        if effects is not None:
            for text in effects.texts:
                self.read(text, depth + 1)
            for argv in effects.argvs:
                self._run(argv, depth, chain + 1)


def _read_tool(tool: str, spec: Tool, args: Sequence[Arg], own: Classes) -> Iterator[VerbFact]:
    """The facts of one command; `own` is what the shell room says of it."""
    read = scan(spec, args)
    words, options = read.words, read.options
    spaces = [value for name in spec.namespace_options for value in options.get(name, ())]
    namespace = spaces[-1] if spaces else ""
    kinds = own
    strange = read.sure_words <= len(args) and spec.read_as in ("kubectl", "helm", "terraform")
    if read.open or strange or len(set(spaces)) > 1 or any("$" in space for space in spaces):
        kinds |= UNKNOWN
    for name, added in spec.options.items():
        if name in options or any(_shortens(spec, option, name) for option in options):
            kinds |= added
    if not words or not words[0].literal or not read.sure_words:
        asks = not args or all(arg.text in ("--version", "--help", "-h") for arg in args)
        looks = own == READ and not words and all(arg.literal for arg in args)
        harmless = looks or (asks and not own - READ)
        yield _fact(tool, READ if harmless else kinds | UNKNOWN, namespace=namespace)
    elif own == READ and args[-1].text in ("--help", "-h"):
        yield _fact(tool, kinds, namespace=namespace)
    elif spec.read_as == "kubectl":
        yield from _kubectl(spec, read, kinds, looks=own == READ)
    elif spec.read_as in ("cloud", "forge"):
        yield _cloud(tool, read, kinds, namespace, looks=own == READ)
    else:
        yield _plain(tool, spec, read, kinds, namespace, looks=own == READ)


def _shortens(spec: Tool, option: str, name: str) -> bool:
    """Whether a long option may be an abbreviation of another; one that is listed is none."""
    long = option.startswith("--") and len(option) > 3 and name.startswith(option)
    return long and option not in spec.value_options | spec.plain_options | spec.options.keys()


def _verb(spec: Tool, words: Sequence[Arg]) -> tuple[str, int]:
    """The verb with its group, and how many words it takes; "" if it is not known."""
    first = spec.verb_aliases.get(words[0].text, words[0].text)
    if first in spec.verb_groups:
        if len(words) > 1 and words[1].literal:
            both = f"{first} {words[1].text}"
            if both in spec.verbs:
                return both, 2
        return (first, 1) if first in spec.verbs else ("", 1)
    return (first, 1) if first in spec.verbs else ("", 0)


def _plain(
    tool: str, spec: Tool, read: Words, kinds: Classes, namespace: str, *, looks: bool
) -> VerbFact:
    """helm, terraform, docker, git, package managers. `looks`: the shell room, which knows more
    subcommands and all options, is sure that the command only reads; the verb is then a name."""
    words = read.words
    verb, taken = _verb(spec, words)
    if not verb or read.sure_words < taken:
        sure = looks and read.sure_words >= taken
        return _fact(tool, kinds if sure else kinds | UNKNOWN, namespace=namespace)
    own = READ if looks else spec.verbs[verb]
    rest = [word.text for word in words[taken:]]
    kinds = (kinds - READ) | own if kinds - READ else own
    if spec.read_as == "packages" and any(
        text.startswith(_REMOTE) or "://" in text for text in rest
    ):
        kinds |= UNKNOWN
    if spec.read_as == "git" and verb == "push":
        kinds |= DESTRUCTIVE if any(ref.startswith(("+", ":")) for ref in rest) else NOTHING
        kinds |= UNKNOWN if read.sure_words <= len(words) else NOTHING
    if spec.read_as == "helm" and any("://" in text for text in rest):
        kinds |= UNKNOWN
    resource = verb.rpartition(" ")[0] if spec.read_as == "docker" else ""
    if spec.read_as == "git" and verb in ("push", "fetch", "pull") and rest:
        resource = rest[0] if rest[0].replace("-", "").replace("_", "").isalnum() else ""
    return _fact(tool, kinds, verb, resource, namespace)


def _kubectl(spec: Tool, read: Words, kinds: Classes, *, looks: bool) -> Iterator[VerbFact]:
    tool, words, options = "kubectl", read.words, read.options
    verb, taken = _verb(spec, words)
    spaces = [value for name in ("-n", "--namespace") for value in options.get(name, ())]
    namespace = "*" if {"-A", "--all-namespaces"} & set(options) else (spaces or [""])[-1]
    if not verb or read.sure_words < taken:
        sure = looks and read.sure_words >= taken
        yield _fact(tool, kinds if sure else kinds | UNKNOWN, namespace=namespace)
        return
    sure = read.sure_words > len(words) and not read.open and "-f" not in options
    sure = sure and not {"--filename", "-k", "--kustomize", "--kubeconfig", "-s"} & set(options)
    dry = options.get("--dry-run") in (["client"], ["server"])
    if dry and verb in _DRY_VERBS and not kinds & (PRIVILEGED | UNKNOWN):
        kinds = own = READ
    else:
        own = spec.verbs[verb]
        if verb == "create" and sure:
            kinds -= UNKNOWN  # the shell room takes it for `docker create`
        if verb == "scale" and "0" in options.get("--replicas", ()):
            own |= DESTRUCTIVE
    kinds = (kinds - READ) | own
    target = words[taken] if len(words) > taken else None
    if target is None or verb in ("logs", "exec", "attach", "cp", "run", "debug", "port-forward"):
        yield _fact(tool, kinds, verb, "", namespace)
        return
    if not target.literal or read.sure_words <= taken:
        yield _fact(tool, kinds | UNKNOWN, verb, "", namespace)
        return
    named = target.text.split(",")
    # `delete pod/a secret/b` names a resource in each word.
    named += [word.text for word in words[taken + 1 :] if "/" in word.text]
    if len(named) > RESOURCES_MAX:
        yield _fact(tool, kinds | UNKNOWN, verb, "", namespace)
    for name in named[:RESOURCES_MAX]:
        short = name.partition("/")[0].partition(".")[0].lower()
        resource = known.RESOURCES.get(short, name.partition("/")[0].lower())
        guarded = resource in known.GUARDED_RESOURCES or (verb == "create" and resource == "token")
        whole = resource in ("all", "*") or not resource
        extra = (PRIVILEGED if guarded else NOTHING) | (UNKNOWN if whole else NOTHING)
        yield _fact(tool, kinds | extra, verb, resource, namespace)


def _cloud(tool: str, read: Words, kinds: Classes, namespace: str, *, looks: bool) -> VerbFact:
    """aws, gcloud, az...: the verb is the first word that does something. `looks`: the shell room
    is sure that the command only reads."""
    texts = [word.text.lower() if word.literal else "" for word in read.words[:7]]
    if tool == "aws":
        place = 1 if len(texts) > 1 else None
    else:
        place = next((at for at, text in enumerate(texts) if _doing(text)), None)
    if place is None or "" in texts[: place + 1] or read.sure_words <= place:
        sure = looks and place is None and "" not in texts
        return _fact(tool, kinds if sure else kinds | UNKNOWN, namespace=namespace)
    verb = texts[place]
    resource = " ".join(text for text in texts[:place] if text not in ("alpha", "beta"))
    if not place:
        resource = texts[1] if len(texts) > 1 and read.sure_words > 1 else ""
    own = READ if looks else _doing(verb) or UNKNOWN
    if set(texts[: place + 1]) & known.GUARDED_SERVICES or verb in known.SECRET_TELLING_VERBS:
        own |= PRIVILEGED
    if any(part in verb for part in ("policy", "password", "credential", "token", "acl", "secret")):
        own |= PRIVILEGED
    kinds = (kinds - READ) | own if kinds - READ else own
    return _fact(tool, kinds, verb, resource, namespace)


def _doing(word: str) -> Classes:
    """What a cloud verb does, by its first part (`delete-bucket`, `delete`)."""
    word = word.removeprefix("batch-").removeprefix("bulk-").removeprefix("admin-")
    stem = word.partition("-")[0]
    if word in known.GUARDED_VERBS or stem in known.GUARDED_VERBS:
        runs = ("execute", "invoke", "exec", "rest", "call", "run", "send", "ssh", "start")
        return PRIVILEGED | UNKNOWN if stem in runs else PRIVILEGED
    if stem in known.LOSING_VERBS or (stem in ("force", "schedule") and "delet" in word):
        return DESTRUCTIVE
    if stem in known.CHANGING_VERBS:
        return WRITE
    return READ if stem in known.LOOKING_VERBS else NOTHING
