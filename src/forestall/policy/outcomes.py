"""Reading what a rule hands out besides its effect: constraints and remediations."""

from typing import Any

from forestall.limits import (
    INTEGER_MAX,
    LABEL_VALUE_CHARS_MAX,
    REASON_CHARS_MAX,
    REMEDIATIONS_PER_RULE_MAX,
)
from forestall.policy.document import Mapping
from forestall.policy.reader import Reader
from forestall.policy.rules import (
    REDACTION_LEVELS,
    Budgets,
    Constraints,
    DiffLimits,
    Remediation,
    Sandbox,
    Toolchain,
)

_CONSTRAINT_KEYS = ("budgets", "sandbox", "toolchain", "diff", "redaction_level")
_BUDGET_KEYS = ("max_runtime_ms", "max_retries", "max_artifact_bytes", "max_concurrent_jobs")
_SANDBOX_LISTS = ("network_allowlist", "fs_read_only", "fs_read_write")
_TOOLCHAIN_LISTS = ("allowed_tools", "allowed_commands")
_DIFF_NUMBERS = ("max_files", "max_lines")
_REMEDIATION_KEYS = (
    "id",
    "title",
    "summary",
    "replacement_topic",
    "replacement_capability",
    "add_labels",
    "remove_labels",
)


def read_constraints(reader: Reader, entry: Mapping) -> Constraints | None:
    """`constraints` of a rule; None when there are none. An empty block is a problem."""
    node = reader.child(entry, "constraints")
    block = reader.mapping(node, "`constraints`") if node is not None else None
    if block is None:
        return None
    reader.known_keys(block, _CONSTRAINT_KEYS, "`constraints`")
    budgets = _numbers(reader, block, "budgets", _BUDGET_KEYS)
    sandbox = _section(reader, block, "sandbox", (*_SANDBOX_LISTS, "isolated"))
    toolchain = _section(reader, block, "toolchain", _TOOLCHAIN_LISTS)
    diff = _section(reader, block, "diff", (*_DIFF_NUMBERS, "deny_path_globs"))
    diff_values: dict[str, Any] = {}
    if diff is not None:
        diff_values.update(_integers(reader, diff, _DIFF_NUMBERS))
        if "deny_path_globs" in diff.entries:
            diff_values["deny_path_globs"] = reader.globs(diff, "deny_path_globs")
    sandbox_values = _lists(reader, sandbox, _SANDBOX_LISTS)
    if sandbox is not None and "isolated" in sandbox.entries:
        sandbox_values["isolated"] = reader.boolean(sandbox, "isolated")
    constraints = Constraints(
        budgets=Budgets(**budgets),
        sandbox=Sandbox(**sandbox_values),
        toolchain=Toolchain(**_lists(reader, toolchain, _TOOLCHAIN_LISTS)),
        diff=DiffLimits(**diff_values),
        redaction_level=reader.word(block, "redaction_level", REDACTION_LEVELS) or "",
    )
    if constraints == Constraints():
        reader.problem(node, "`constraints` sets no bound", "leave it out")
    return constraints


def _numbers(
    reader: Reader, block: Mapping, key: str, names: tuple[str, ...]
) -> dict[str, int | None]:
    section = _section(reader, block, key, names)
    return _integers(reader, section, names) if section is not None else {}


def _section(reader: Reader, block: Mapping, key: str, known: tuple[str, ...]) -> Mapping | None:
    node = reader.child(block, key)
    section = reader.mapping(node, f"`{key}`") if node is not None else None
    if section is not None:
        reader.known_keys(section, known, f"`{key}`")
    return section


def _integers(reader: Reader, section: Mapping, names: tuple[str, ...]) -> dict[str, int | None]:
    return {name: reader.integer(section, name, minimum=0, maximum=INTEGER_MAX) for name in names}


def _lists(reader: Reader, section: Mapping | None, names: tuple[str, ...]) -> dict[str, Any]:
    """Lists that bound a run. An empty one is meant: nothing at all is allowed."""
    if section is None:
        return {}
    return {
        name: reader.words(section, name, empty_allowed=True)
        for name in names
        if name in section.entries
    }


def read_remediations(reader: Reader, entry: Mapping) -> tuple[Remediation, ...]:
    """`remediations` of a rule: offered rewrites, each of which changes something."""
    node = reader.child(entry, "remediations")
    if node is None:
        return ()
    remediations: list[Remediation] = []
    for item in reader.mappings(node, "`remediations`", most=REMEDIATIONS_PER_RULE_MAX):
        reader.known_keys(item, _REMEDIATION_KEYS, "a remediation")
        remediation_id = reader.identifier(item, "id", "a remediation")
        remediation = Remediation(
            id=remediation_id or "",
            title=reader.text(item, "title") or "",
            summary=reader.text(item, "summary", most=REASON_CHARS_MAX) or "",
            replacement_topic=reader.text(item, "replacement_topic") or "",
            replacement_capability=reader.text(item, "replacement_capability") or "",
            add_labels=reader.text_map(item, "add_labels"),
            remove_labels=reader.words(item, "remove_labels"),
        )
        changes = (
            remediation.replacement_topic
            or remediation.replacement_capability
            or remediation.add_labels
            or remediation.remove_labels
        )
        if not changes:
            reader.problem(
                item, "the remediation changes nothing", "name a topic, capability or labels"
            )
        if any(len(value) > LABEL_VALUE_CHARS_MAX for value in remediation.add_labels.values()):
            reader.problem(
                item, f"a label value is at most {LABEL_VALUE_CHARS_MAX} characters long"
            )
        if any(other.id == remediation.id for other in remediations):
            reader.problem(item, f"the remediation id `{remediation.id}` is used twice")
        remediations.append(remediation)
    return tuple(remediations)
