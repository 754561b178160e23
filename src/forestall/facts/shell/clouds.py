"""What the command lines of clouds do: aws, gcloud and az, whose parameters no entry can list.

Groups come first, then a verb, then options that are parameters of a request. This module refuses
to call a command `read` whose verb it does not find in a list of verbs that look.
"""

from collections.abc import Sequence
from typing import Final

from forestall.facts.shell.arguments import (
    Args,
    positional_indices,
    unknown_if_ambiguous,
)
from forestall.facts.shell.command_classes import DESTRUCTIVE, NETWORK, READ, UNKNOWN, WRITE
from forestall.facts.shell.command_effects import CommandEffects
from forestall.facts.shell.program_entry import classes_of
from forestall.facts.shell.program_table import effect_of
from forestall.facts.shell.word_lists import SHELL_WORDS

_WORDS_MAX: Final = 6  # groups, the verb, and words of the request, which are looked at
_LOSES: Final = tuple(SHELL_WORDS.words("cloud_losing_verbs"))
_LOSES_JOINED: Final = tuple(f"{verb}-" for verb in _LOSES)
_LOOKS: Final = tuple(SHELL_WORDS.words("cloud_looking_verbs"))
_LOOKS_JOINED: Final = tuple(f"{verb}-" for verb in _LOOKS)
_DOES_MORE: Final = SHELL_WORDS.set("cloud_verbs_that_do_more")
_RUNS: Final = SHELL_WORDS.set("cloud_running_verbs")
_S3_TRANSFERS: Final = frozenset(("cp", "mv", "rm", "sync"))
_DELETING_OPTIONS: Final = ("--delete", "--delete-unmatched-destination-objects")
_GCLOUD_GROUPS: Final = SHELL_WORDS.set("gcloud_groups")
_GCLOUD_FIRST_GROUPS: Final = SHELL_WORDS.set("gcloud_first_groups")


def cloud(program: str, args: Args) -> CommandEffects:
    """aws, gcloud, az: groups, then a verb; options that the entry does not name are parameters."""
    if args and args[-1].text == "--help" and _are_words(args[:-1]):
        return CommandEffects(classes=READ)
    effect = effect_of(program)
    indices = positional_indices(args, effect.value_options)[:_WORDS_MAX]
    words = [args[index].text for index in indices]
    verb = _verb(program, args, indices)
    classes = unknown_if_ambiguous(args[: indices[-1] + 1] if indices else args)
    classes |= classes_of(effect, args) - READ
    if not all(arg.literal for arg in args):
        classes |= NETWORK  # the name of somebody else's bucket may carry what was read here
    is_transfer = program == "aws" and words[:1] == ["s3"] and verb in _S3_TRANSFERS
    if verb == "help" or (is_transfer and _is_dry_run(args)):
        return CommandEffects(classes=classes or READ)
    if program == "az" and "secret" in words and verb in ("show", "download"):
        classes |= UNKNOWN
    looks = verb in _LOOKS or verb.startswith(_LOOKS_JOINED)
    if not looks or verb in _DOES_MORE:
        classes |= NETWORK | WRITE
    if not _RUNS.isdisjoint(words):
        return CommandEffects(classes=classes | UNKNOWN, suspects=tuple(args), runs_input=True)
    if _loses(program, words) or any(arg.text in _DELETING_OPTIONS for arg in args):
        classes = classes - READ | DESTRUCTIVE
    if not words:
        without_verb = READ if all(arg.literal for arg in args) else UNKNOWN
        classes |= without_verb
    return CommandEffects(classes=classes or READ)


def _loses(program: str, words: Sequence[str]) -> bool:
    """Whether a verb that loses something stands among the words: aws joins it to its object."""
    if program == "aws":
        return any(word in _LOSES or word.startswith(_LOSES_JOINED) for word in words[:2])
    return any(word in _LOSES for word in words)


def _is_dry_run(args: Args) -> bool:
    """Whether a transfer is only shown: `--dryrun` takes no value, and nothing takes it back."""
    texts = [arg.text for arg in args]
    return "--dryrun" in texts and "--" not in texts and all(arg.literal for arg in args)


def _are_words(args: Args) -> bool:
    """Whether these are groups and a verb, and nothing else."""
    return all(arg.literal and arg.text[:1].isalpha() for arg in args)


def _verb(program: str, args: Args, indices: Sequence[int]) -> str:
    """The word that says what is done. Without certainty it is no verb that looks."""
    words = [args[index].text for index in indices]
    if program == "gcloud":
        words = words[1:] if words[:1] in (["alpha"], ["beta"]) else words
        groups = next((n for n in (2, 1) if " ".join(words[:n]) in _GCLOUD_FIRST_GROUPS), 0)
        return next((word for word in words[groups:] if word not in _GCLOUD_GROUPS), "")
    if program == "aws":
        only_words = len(args) == len(words) < 4
        return "help" if only_words and words[-1:] == ["help"] else "".join(words[1:2])
    # az takes no words but options after its verb, save for the name of a setting.
    leading = [
        args[index].text for count, index in enumerate(indices) if index - indices[0] == count
    ]
    return "get" if leading[:2] == ["config", "get"] else "".join(leading[-1:])
