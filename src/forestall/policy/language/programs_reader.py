"""Read `programs`: command-line tools of one's own, each an entry as in the built-in program table.

An entry is checked by the schema of the built-in table. What takes several files is settled when
all of a bundle are read: `use_programs` names other files, examples run other own programs. An
example that does not have exactly the classes that it says is an error: nothing of a table counts
that its author has not shown.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from forestall.canonical import canonical_bytes
from forestall.data_tables import DataValueError, Keys, convert, plain_scalar
from forestall.limits import (
    OWN_PROGRAM_CHARS_MAX,
    OWN_PROGRAM_EXAMPLE_CHARS_MAX,
    OWN_PROGRAM_EXAMPLES_MAX,
    OWN_PROGRAMS_MAX,
)
from forestall.policy.language import document
from forestall.policy.language.document import Mapping, Node, Scalar
from forestall.policy.language.reader import Reader
from forestall.policy.own_programs import failed_example, table_of, without_examples
from forestall.policy.problems import Problem, did_you_mean, problem_at
from forestall.policy.rules import Match, OutputRule, OwnProgram, Policy, Rule

_RuleT = TypeVar("_RuleT", Rule, OutputRule)
_SHOWN_CHARS = 80  # of a name or an example that a message shows


def read_programs(reader: Reader, top: Mapping) -> tuple[OwnProgram, ...]:
    """The programs that a file describes, each well-formed by itself."""
    node = reader.child(top, "programs")
    section = reader.mapping(node, "`programs`") if node is not None else None
    if section is None:
        return ()
    if len(section.entries) > OWN_PROGRAMS_MAX:
        message = f"`programs` has {len(section.entries)} entries; {OWN_PROGRAMS_MAX} are allowed"
        reader.problem(node, message, "split them over several files")
        return ()
    # Imported here: few policies describe a program, and the shell room reads tables.
    from forestall.facts.shell.own_programs import name_problem

    found: list[OwnProgram] = []
    for name, (key, value) in section.entries.items():
        why = name_problem(name)
        if why:
            reader.problem(key, f"`{name[:_SHOWN_CHARS]}` is no own program: {why}")
            continue
        reader.note_place(key, "program", name)
        own = _read(reader, name, value)
        if own is not None:
            found.append(own)
    examples = sum(len(own.examples) for own in found)
    if examples > OWN_PROGRAM_EXAMPLES_MAX:
        reader.problem(
            node,
            f"`programs` has {examples} examples; {OWN_PROGRAM_EXAMPLES_MAX} are allowed in a file",
            "split the programs over several files",
        )
    return tuple(found)


def _read(reader: Reader, name: str, node: Node) -> OwnProgram | None:
    from forestall.facts.shell.program_spec import ProgramSpec

    try:
        spec = convert(_table_value(reader, node), ProgramSpec, strict=False)
    except DataValueError as error:
        place = _at(node, error.path)
        path = ".".join(map(str, (name, *error.path)))
        reader.problem(place, f"`{path[:_SHOWN_CHARS]}`: {error.message}")
        return None
    for text in spec.examples:
        if len(text) > OWN_PROGRAM_EXAMPLE_CHARS_MAX:
            reader.problem(
                node,
                f"an example of `{name}` is {len(text)} characters long;"
                f" {OWN_PROGRAM_EXAMPLE_CHARS_MAX} are allowed",
            )
            return None
    described = msgspec.to_builtins(spec, order="sorted")
    del described["examples"]
    entry = canonical_bytes(described).decode()
    if len(entry) > OWN_PROGRAM_CHARS_MAX:
        reader.problem(
            node,
            f"the entry of `{name}` is {len(entry)} characters long as JSON;"
            f" {OWN_PROGRAM_CHARS_MAX} are allowed",
            "leave out what is `unknown` anyway",
        )
        return None
    classes = {
        text: tuple(sorted(kinds)) if isinstance(kinds, list) else (kinds.value,)
        for text, kinds in spec.examples.items()
    }
    return OwnProgram(name=name, entry=entry, examples=tuple(classes.items()))


def _table_value(reader: Reader, node: Node) -> Any:
    """The value of a node, as `data_tables` gives it for a table of the package."""
    if isinstance(node, Mapping):
        return {key: _table_value(reader, value) for key, (_, value) in node.entries.items()}
    if isinstance(node, document.Sequence):
        values = [_table_value(reader, item) for item in node.items]
        words = [value for value in values if isinstance(value, str)]
        if len(set(words)) < len(words):
            twice = next(word for word in words if words.count(word) > 1)
            reader.problem(node, f"`{twice[:_SHOWN_CHARS]}` is written twice in one list")
        return values
    assert isinstance(node, Scalar)
    return plain_scalar(node.text) if node.plain else node.text


def _at(node: Node, path: Keys) -> Node:
    """The node at a path, or the last one on the way there."""
    for step in path:
        if isinstance(node, Mapping) and step in node.entries:
            key, value = node.entries[str(step)]
            at_key = step == path[-1] and not isinstance(value, Scalar)
            node = key if at_key else value
        elif isinstance(node, document.Sequence) and isinstance(step, int):
            node = node.items[step]
    return node


# -- what takes all files of a bundle --


def join_programs(policies: Sequence[Policy]) -> tuple[list[Policy], list[Problem]]:
    """The policies with the programs of the files that each one names under `use_programs`, and
    what is wrong with the programs and their examples."""
    if not any(policy.programs or policy.programs_of for policy in policies):
        return list(policies), []
    by_file = {policy.name: policy.programs for policy in policies if policy.programs}
    joined: list[Policy] = []
    problems: list[Problem] = []
    for policy in policies:
        used: list[OwnProgram] = []
        for file in policy.programs_of:
            if file not in by_file or file == policy.name:
                message = f"no other file named `{file[:_SHOWN_CHARS]}` has `programs`"
                hint = did_you_mean(file, tuple(by_file)) if by_file else ""
                hint = hint or "name the file as its `name` says, and load both files together"
                problems.append(_problem(policy, ("use_programs", file), message, hint))
            used.extend(by_file.get(file, ()))
        whole = replace(policy, used_programs=tuple(used))
        joined.append(_with_named_programs(whole))
        problems.extend(_wrong_programs(whole))
    return joined, problems


def _wrong_programs(policy: Policy) -> Iterator[Problem]:
    """Entries that describe no program, and examples that do not hold."""
    from forestall.facts.shell.own_programs import OwnProgramError

    if len({own.name for own in policy.all_programs}) < len(policy.all_programs):
        return  # two files describe one program: the compiler names both
    try:
        table_of(without_examples(policy.all_programs))
    except OwnProgramError as cause:
        yield _problem(policy, ("program", cause.name), f"the program `{cause.name}`: {cause}")
        return
    for own in policy.programs:
        for text, classes in own.examples:
            wrong = failed_example(own, text, classes, policy.all_programs)
            if wrong:
                yield _problem(
                    policy,
                    ("program", own.name),
                    f"the example `{text[:_SHOWN_CHARS]}` of `{own.name}` does not hold: {wrong}",
                    "correct the entry, or the example; it names all classes of its text",
                )


def _problem(policy: Policy, place: tuple[str, ...], message: str, hint: str = "") -> Problem:
    return problem_at(policy, policy.places.get(place), message, hint)


def _with_named_programs(policy: Policy) -> Policy:
    """The policy, with the own programs that the `commands` of its rules name beside these: which
    words of a pattern are options is for their entries to say."""
    by_name = {own.name: own for own in without_examples(policy.all_programs)}
    if not by_name:
        return policy

    def of_match(match: Match) -> Match:
        names = dict.fromkeys(pattern.split()[0] for pattern in match.commands)
        named = tuple(by_name[name] for name in names if name in by_name)
        return replace(match, own_programs=named) if named else match

    def of_rules(rules: tuple[_RuleT, ...]) -> tuple[_RuleT, ...]:
        return tuple(
            replace(
                rule,
                match=of_match(rule.match),
                unless=of_match(rule.unless) if rule.unless is not None else None,
            )
            for rule in rules
        )

    return replace(
        policy,
        rules=of_rules(policy.rules),
        input_rules=of_rules(policy.input_rules),
        output_rules=of_rules(policy.output_rules),
    )
