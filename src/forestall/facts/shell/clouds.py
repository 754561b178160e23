"""What the command lines of clouds do: aws, gcloud and az, whose parameters no entry can list.

Groups come first, then a verb, then options that are parameters of a request. This module refuses
to call a command `read` whose verb it does not find in a list of verbs that look.
"""

from collections.abc import Sequence
from typing import Final

from forestall.facts.shell.program_entry import (
    DESTRUCTIVE,
    READ,
    UNKNOWN,
    Arg,
    classes,
    classes_of,
    names,
)
from forestall.facts.shell.program_table import effect_of
from forestall.facts.shell.words import WORDS
from forestall.facts.shell.wrappers import ProgramEffects, doubt, positionals, unsure

Args = Sequence[Arg]

_LOSES: Final = tuple(WORDS.words("cloud_losing_verbs"))
_LOOKS: Final = tuple(WORDS.words("cloud_looking_verbs"))
_LOOKS_JOINED: Final = tuple(f"{verb}-" for verb in _LOOKS)
_DOES_MORE: Final = WORDS.set("cloud_verbs_that_do_more")
_RUNS: Final = WORDS.set("cloud_running_verbs")
_S3_TRANSFERS: Final = names("cp mv rm sync")
_GCLOUD_GROUPS: Final = WORDS.set("gcloud_groups")
_GCLOUD_FIRST_GROUPS: Final = WORDS.set("gcloud_first_groups")


def cloud(program: str, args: Args) -> ProgramEffects:
    """aws, gcloud, az: groups, then a verb; options that the entry does not name are parameters."""
    entry = effect_of(program)
    if args and args[-1].text == "--help" and _are_words(args[:-1]):
        return ProgramEffects(classes=READ)
    at = positionals(args, entry.value_options)[:6]
    words = [args[index].text for index in at]
    verb = _cloud_verb(program, args, at)
    lost = any(
        word == losing or (word.startswith(f"{losing}-") and program == "aws")
        for word in words[: 2 if program == "aws" else 6]
        for losing in _LOSES
    )
    own = doubt(args[: at[-1] + 1] if at else args)
    own |= classes_of(entry, args) - READ
    if unsure(args):
        own |= classes("n")  # the name of a bucket of theirs carries what was read here
    tries = program == "aws" and words[:1] == ["s3"] and verb in _S3_TRANSFERS
    if verb == "help" or (tries and _is_dry(args)):
        return ProgramEffects(classes=own or READ)
    if any(arg.text in ("--delete", "--delete-unmatched-destination-objects") for arg in args):
        lost = True
    looks = verb in _LOOKS or verb.startswith(_LOOKS_JOINED)
    if program == "az" and "secret" in words and verb in ("show", "download"):
        own |= UNKNOWN
    if not looks or verb in _DOES_MORE:
        own |= classes("nw")
    if any(word in _RUNS for word in words):
        return ProgramEffects(classes=own | UNKNOWN, suspects=tuple(args), runs_data=True)
    if lost:
        own = own - READ | DESTRUCTIVE
    if not words:
        own = own | (READ if all(arg.literal for arg in args) else UNKNOWN) - classes("nw")
    return ProgramEffects(classes=own or READ)


def _is_dry(args: Args) -> bool:
    """Whether a transfer is only shown: `--dryrun` takes no value, and nothing takes it back."""
    texts = [arg.text for arg in args]
    return "--dryrun" in texts and "--" not in texts and not unsure(args)


def _are_words(args: Args) -> bool:
    """Whether these are groups and a verb, and nothing else."""
    return all(arg.literal and arg.text[:1].isalpha() for arg in args)


def _cloud_verb(program: str, args: Args, at: Sequence[int]) -> str:
    """The word that says what is done. Without certainty it is no verb that looks."""
    words = [args[index].text for index in at]
    if program == "gcloud":
        words = words[1:] if words[:1] in (["alpha"], ["beta"]) else words
        first = next((n for n in (2, 1) if " ".join(words[:n]) in _GCLOUD_FIRST_GROUPS), 0)
        return next((word for word in words[first:] if word not in _GCLOUD_GROUPS), "")
    if program == "aws":
        asks = words[-1:] == ["help"] and len(args) == len(words) < 4
        return "help" if asks else "".join(words[1:2])
    # az takes no words but options after its verb, save for the name of a setting.
    leading = [args[index].text for count, index in enumerate(at) if index - at[0] == count]
    return "get" if leading[:2] == ["config", "get"] else "".join(leading[-1:])
