"""What a change of own programs can make weaker: commands whose classes get fewer. Pure.

Commands are made from the entries before and after: every example, every subcommand, alone and with
each of its options, and one that no entry lists. A command is reported when it loses a class other
than `read`. `unknown` is such a class: a command that becomes known is one that a rule over
`unknown` no longer meets. An entry that differs, and of which no command shows that it is looser,
is reported as such.
"""

from collections.abc import Iterator, Mapping
from itertools import islice

from forestall.policy.own_programs import table_of, without_examples
from forestall.policy.problems import PolicyWarning, file_warning
from forestall.policy.rules import OwnProgram, Policy
from forestall.policy.snapshot import Snapshot

_COMMANDS_MAX = 500  # that are made from one entry
_SHOWN_MAX = 5  # of one program
_READ = "read"


def weaker_programs(old: Snapshot, new: Snapshot) -> Iterator[PolicyWarning]:
    """The commands that do less, as the rules of a file see it, in the order of files and names."""
    before = {policy.name: policy for policy in old.policies}
    for policy in new.policies:
        was = before.get(policy.name)
        old_programs = without_examples(was.all_programs) if was is not None else ()
        new_programs = without_examples(policy.all_programs)
        if old_programs == new_programs:
            continue
        examples = _examples(was), _examples(policy)
        old_by_name = {own.name: own for own in old_programs}
        new_by_name = {own.name: own for own in new_programs}
        for name in sorted(old_by_name.keys() | new_by_name.keys()):
            if old_by_name.get(name) != new_by_name.get(name):
                texts = dict.fromkeys(text for found in examples for text in found.get(name, ()))
                yield from _about(policy, name, old_programs, new_programs, tuple(texts))


def _examples(policy: Policy | None) -> Mapping[str, tuple[str, ...]]:
    programs = policy.all_programs if policy is not None else ()
    return {own.name: tuple(text for text, _ in own.examples) for own in programs}


def _about(
    policy: Policy,
    name: str,
    old: tuple[OwnProgram, ...],
    new: tuple[OwnProgram, ...],
    examples: tuple[str, ...],
) -> Iterator[PolicyWarning]:
    # Imported here: few policies describe a program, and the shell room reads tables.
    from forestall.facts.shell.own_programs import classes_in, commands_of

    was, now = table_of(old), table_of(new)
    made = (text for table in (was, now) for text in commands_of(name, table))
    texts = dict.fromkeys((*examples, *islice(made, _COMMANDS_MAX)))
    looser: list[str] = []
    for text in texts:
        before, after = classes_in(text, was).classes, classes_in(text, now).classes
        if set(before) - set(after) - {_READ}:
            looser.append(f"`{text}` was {', '.join(before)}, becomes {', '.join(after)}")
    for change in looser[:_SHOWN_MAX]:
        yield _warning(policy, name, change)
    if len(looser) > _SHOWN_MAX:
        more = len(looser) - _SHOWN_MAX
        yield _warning(policy, name, f"{more} more commands of `{name}` lose a class")
    if not looser:
        yield _warning(policy, name, f"the entry of `{name}` differs; no command shows it looser")


def _warning(policy: Policy, name: str, message: str) -> PolicyWarning:
    return file_warning("program_loosened", policy, message, entry=("program", name))
