"""Verb, resource and namespace of one command of a tool, and the classes that its words add.

The tools are read in three ways: kubectl names resources behind its verb, a cloud's command line
has its verb behind the service, and all others have subcommands from a list. The shell room's
classes are the start: it knows more subcommands and all options, and where it is sure that a
command only looks, the words here give names and no more. This module refuses to call a command
`read` whose verb it could not read.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from forestall.facts.cluster import tools
from forestall.facts.cluster.tools import Tool, ToolWords, tool_words
from forestall.facts.shell.arguments import Arg
from forestall.facts.shell.command_classes import (
    DESTRUCTIVE,
    NOTHING,
    PRIVILEGED,
    READ,
    UNKNOWN,
    WRITE,
    Classes,
    CommandClass,
)

RESOURCES_MAX: Final = 16  # resources of one command
CLOUD_WORDS_MAX: Final = 7  # words among which the verb of a cloud command stands

_DRY_VERBS: Final = frozenset(("create", "apply", "delete", "patch", "scale", "label", "annotate"))
_VERBS_OF_PODS: Final = ("logs", "exec", "attach", "cp", "run", "debug", "port-forward")
_KUBECTL_INPUT_OPTIONS: Final = frozenset(
    ("-f", "--filename", "-k", "--kustomize", "--kubeconfig", "-s")
)
_HELP_OPTIONS: Final = ("--help", "-h")
# A package that is named so comes from an address or a directory, and not from the registry.
_NOT_IN_REGISTRY: Final = (
    "git+", "http:", "https:", "file:", "git@", "ssh:", "git:", "github:", ".", "/",
)  # fmt: skip
_RIGHTS_IN_VERB: Final = ("policy", "password", "credential", "token", "acl", "secret")
_RUNS_ELSEWHERE: Final = frozenset(
    ("execute", "invoke", "exec", "rest", "call", "run", "send", "ssh", "start")
)


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
    classes: frozenset[CommandClass]


def verb_fact(
    tool: str, kinds: Classes, verb: str = "", resource: str = "", namespace: str = ""
) -> VerbFact:
    """A fact with these classes, without READ where another class says more."""
    if kinds - READ - PRIVILEGED:
        kinds -= READ
    return VerbFact(
        tool=tool, verb=verb, resource=resource, namespace=namespace, classes=kinds or UNKNOWN
    )


class _ToolCommand(NamedTuple):
    """One command of a tool, as far as it is read before its verb."""

    tool: str
    spec: Tool
    read: ToolWords
    classes: Classes  # of the shell room, and of the options
    namespace: str
    only_looks: bool  # the shell room is sure of it

    def fact(self, kinds: Classes, verb: str = "", resource: str = "") -> VerbFact:
        """A fact about this command."""
        return verb_fact(self.tool, kinds, verb, resource, self.namespace)

    def without_verb(self, *, is_sure: bool) -> VerbFact:
        """The fact of a verb that is not listed; `is_sure`: the command only looks all the same."""
        return self.fact(self.classes if is_sure else self.classes | UNKNOWN)

    def classes_with(self, own: Classes) -> Classes:
        """The classes with those of the verb: READ only if nothing else is known."""
        return (self.classes - READ) | own if self.classes - READ else own


def facts_of_tool(
    tool: str, spec: Tool, args: Sequence[Arg], shell_classes: Classes
) -> Iterator[VerbFact]:
    """The facts of one command; `shell_classes` is what the shell room says of it."""
    read = tool_words(spec, args)
    words, options = read.words, read.options
    spaces = [value for name in spec.namespace_options for value in options.get(name, ())]
    command = _ToolCommand(
        tool=tool,
        spec=spec,
        read=read,
        classes=shell_classes | _classes_of_options(spec, args, read, spaces),
        namespace=spaces[-1] if spaces else "",
        only_looks=shell_classes == READ,
    )
    if not words or not words[0].literal or not read.sure_words:
        asks_about_tool = all(arg.text in ("--version", *_HELP_OPTIONS) for arg in args)
        looks = command.only_looks and not words and all(arg.literal for arg in args)
        harmless = looks or (asks_about_tool and not shell_classes - READ)
        yield command.fact(READ if harmless else command.classes | UNKNOWN)
    elif command.only_looks and args[-1].text in _HELP_OPTIONS:
        yield command.fact(command.classes)
    elif spec.read_as == "kubectl":
        yield from _kubectl_facts(command)
    elif spec.read_as in ("cloud", "forge"):
        yield _cloud_fact(command)
    else:
        yield _subcommand_fact(command)


def _classes_of_options(
    spec: Tool, args: Sequence[Arg], read: ToolWords, namespaces: Sequence[str]
) -> Classes:
    """What the options of a command add, whatever its verb is."""
    is_closed = spec.read_as in ("kubectl", "helm", "terraform")  # all their options are listed
    added = NOTHING
    if read.open or (is_closed and read.sure_words <= len(args)):
        added |= UNKNOWN
    if len(set(namespaces)) > 1 or any("$" in namespace for namespace in namespaces):
        added |= UNKNOWN
    for name, kinds in spec.options.items():
        if name in read.options or any(_abbreviates(spec, option, name) for option in read.options):
            added |= kinds
    return added


def _abbreviates(spec: Tool, option: str, name: str) -> bool:
    """Whether a long option may be an abbreviation of another; one that is listed is none."""
    if not option.startswith("--") or len(option) <= len("--x") or not name.startswith(option):
        return False
    return option not in spec.value_options | spec.plain_options | spec.options.keys()


def _verb(spec: Tool, words: Sequence[Arg]) -> tuple[str, int]:
    """The verb with its group, and how many words it takes; "" if it is not known."""
    first = spec.verb_aliases.get(words[0].text, words[0].text)
    in_group = first in spec.verb_groups
    if in_group and len(words) > 1 and words[1].literal:
        both = f"{first} {words[1].text}"
        if both in spec.verbs:
            return both, 2
    if first in spec.verbs:
        return first, 1
    return "", 1 if in_group else 0


def _subcommand_fact(command: _ToolCommand) -> VerbFact:
    """helm, terraform, docker, git, package managers."""
    spec, read = command.spec, command.read
    verb, taken = _verb(spec, read.words)
    if not verb or read.sure_words < taken:
        return command.without_verb(is_sure=command.only_looks and read.sure_words >= taken)
    operands = [word.text for word in read.words[taken:]]
    kinds = command.classes_with(READ if command.only_looks else spec.verbs[verb])
    resource = ""
    if spec.read_as == "packages":
        if any(text.startswith(_NOT_IN_REGISTRY) or "://" in text for text in operands):
            kinds |= UNKNOWN
    elif spec.read_as == "helm":
        if any("://" in text for text in operands):
            kinds |= UNKNOWN
    elif spec.read_as == "docker":
        resource = verb.rpartition(" ")[0]
    elif spec.read_as == "git":
        if verb == "push":
            kinds |= _classes_of_push(operands)
            kinds |= UNKNOWN if read.sure_words <= len(read.words) else NOTHING
        if verb in ("push", "fetch", "pull") and operands:
            is_name = operands[0].replace("-", "").replace("_", "").isalnum()
            resource = operands[0] if is_name else ""
    return command.fact(kinds, verb, resource)


def _classes_of_push(operands: Sequence[str]) -> Classes:
    """`git push origin +main` overwrites a branch, and `:main` deletes it."""
    return DESTRUCTIVE if any(ref.startswith(("+", ":")) for ref in operands) else NOTHING


def _kubectl_facts(command: _ToolCommand) -> Iterator[VerbFact]:
    """A fact for each resource that the command names."""
    words, sure_words = command.read.words, command.read.sure_words
    if not {"-A", "--all-namespaces"}.isdisjoint(command.read.options):
        command = command._replace(namespace="*")
    verb, taken = _verb(command.spec, words)
    if not verb or sure_words < taken:
        yield command.without_verb(is_sure=command.only_looks and sure_words >= taken)
        return
    kinds = _kubectl_classes(command, verb)
    target = words[taken] if len(words) > taken else None
    if target is None or verb in _VERBS_OF_PODS:
        yield command.fact(kinds, verb)
        return
    if not target.literal or sure_words <= taken:
        yield command.fact(kinds | UNKNOWN, verb)
        return
    # `get pods,secrets`, and `delete pod/a secret/b`, which names a resource in each word
    resources = target.text.split(",")
    resources += [word.text for word in words[taken + 1 :] if "/" in word.text]
    if len(resources) > RESOURCES_MAX:
        yield command.fact(kinds | UNKNOWN, verb)
    for written in resources[:RESOURCES_MAX]:
        resource = _kubernetes_resource(written)
        added = NOTHING
        if resource in tools.GUARDED_RESOURCES or (verb == "create" and resource == "token"):
            added |= PRIVILEGED
        if resource in ("all", "*", ""):
            added |= UNKNOWN
        yield command.fact(kinds | added, verb, resource)


def _kubectl_classes(command: _ToolCommand, verb: str) -> Classes:
    """The classes of a kubectl command by its verb and options, without those of its resources."""
    read, kinds = command.read, command.classes
    is_dry_run = read.options.get("--dry-run") in (["client"], ["server"])
    if is_dry_run and verb in _DRY_VERBS and not kinds & (PRIVILEGED | UNKNOWN):
        return READ
    added = command.spec.verbs[verb]
    all_words_sure = read.sure_words > len(read.words) and not read.open
    if verb == "create" and all_words_sure and _KUBECTL_INPUT_OPTIONS.isdisjoint(read.options):
        kinds -= UNKNOWN  # the shell room takes it for `docker create`
    if verb == "scale" and "0" in read.options.get("--replicas", ()):
        added |= DESTRUCTIVE
    return (kinds - READ) | added


def _kubernetes_resource(written: str) -> str:
    """The plural of a resource: `deploy/web`, `deployments.v1.apps` and `deploy` are one."""
    name = written.partition("/")[0].lower()
    return tools.RESOURCES.get(name.partition(".")[0], name)


def _cloud_fact(command: _ToolCommand) -> VerbFact:
    """aws, gcloud, az...: the verb is the first word that does something."""
    read = command.read
    texts = [word.text.lower() if word.literal else "" for word in read.words[:CLOUD_WORDS_MAX]]
    if command.tool == "aws":
        place = 1 if len(texts) > 1 else None
    else:
        place = next((at for at, text in enumerate(texts) if _classes_of_cloud_verb(text)), None)
    if place is None:
        return command.without_verb(is_sure=command.only_looks and "" not in texts)
    until_verb = texts[: place + 1]
    if "" in until_verb or read.sure_words <= place:
        return command.without_verb(is_sure=False)
    verb = texts[place]
    if place:
        resource = " ".join(text for text in texts[:place] if text not in ("alpha", "beta"))
    else:
        resource = texts[1] if len(texts) > 1 and read.sure_words > 1 else ""
    own = READ if command.only_looks else _classes_of_cloud_verb(verb) or UNKNOWN
    if (
        not tools.GUARDED_SERVICES.isdisjoint(until_verb)
        or verb in tools.SECRET_TELLING_VERBS
        or any(part in verb for part in _RIGHTS_IN_VERB)
    ):
        own |= PRIVILEGED
    return command.fact(command.classes_with(own), verb, resource)


def _classes_of_cloud_verb(word: str) -> Classes:
    """What a cloud verb does, by its first part (`delete-bucket`, `delete`); empty if not known."""
    word = word.removeprefix("batch-").removeprefix("bulk-").removeprefix("admin-")
    stem = word.partition("-")[0]
    if word in tools.GUARDED_VERBS or stem in tools.GUARDED_VERBS:
        return PRIVILEGED | UNKNOWN if stem in _RUNS_ELSEWHERE else PRIVILEGED
    if stem in tools.LOSING_VERBS or (stem in ("force", "schedule") and "delet" in word):
        return DESTRUCTIVE
    if stem in tools.CHANGING_VERBS:
        return WRITE
    return READ if stem in tools.LOOKING_VERBS else NOTHING
