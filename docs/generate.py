"""Rewrite the generated parts of the reference from the code: `python docs/generate.py`.

A generated part stands between two comments, `<!-- generated: NAME -->` and `<!-- end -->`; what
is outside them is written by hand and left alone. tests/test_docs.py checks that nothing is stale.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import click
import msgspec
import yaml
from prometheus_client.metrics_core import Metric

import forestall
from forestall import limits
from forestall.audit.kinds import GROUPS, KINDS
from forestall.cli.main import cli
from forestall.errors import ForestallError, all_errors
from forestall.identity.roles import (
    PERMISSIONS,
    PLATFORM_TENANT,
    Permission,
    Role,
    permissions_of,
)
from forestall.jobs.job import Stage
from forestall.jobs.lifecycle import MOVES, Event, diagram
from forestall.output.detectors import DETECTORS
from forestall.policy.cache import DecisionCache
from forestall.policy.rules import Effect, Match
from forestall.ports.log_entry import VISIBILITIES, visibility_of
from forestall.server.api import ENDPOINTS
from forestall.server.endpoints import Endpoint
from forestall.server.metrics import OUR_CODES, Metrics
from forestall.server.settings import BOOTSTRAP_KEY_VARIABLE, DEFAULTS
from forestall.wire.errors import ErrorObject

DOCS = Path(__file__).parent
HELP_COLUMNS = 92
_PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def load_everything() -> None:
    """Import every module of the package, so that every error code is registered."""
    for module in pkgutil.walk_packages(forestall.__path__, "forestall."):
        importlib.import_module(module.name)


def error_classes() -> dict[str, type[ForestallError]]:
    """Every error of the package by code."""
    load_everything()
    return {
        code: error
        for code, error in all_errors().items()
        if error.__module__.startswith("forestall.")
    }


def all_metrics() -> Metrics:
    """The registry as a server has it, its decision cache included."""
    metrics = Metrics()
    metrics.watch(DecisionCache(entries_max=1, ttl_ms=1), (), (), (), ())
    return metrics


# -- tables --


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _code(text: object) -> str:
    return f"`{text}`"


def _first_sentence(text: str | None) -> str:
    paragraph = " ".join((text or "").strip().split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".") + "."


# -- the API --


def _endpoints() -> str:
    rows = []
    for endpoint in ENDPOINTS:
        permission = _code(endpoint.permission) if endpoint.permission else "none"
        rows.append(
            (_code(endpoint.method), _code(endpoint.path), permission, endpoint.summary),
        )
    return _table(("method", "path", "permission", "what it does"), rows)


def _roles() -> str:
    head = ("permission", *(_code(role) for role in Role))
    rows = [
        (_code(permission), *(_may(role, permission) for role in Role)) for permission in Permission
    ]
    return _table(head, rows)


def _may(role: Role, permission: Permission) -> str:
    if permission in PERMISSIONS[role]:
        return "yes"
    platform = permission in permissions_of(role, PLATFORM_TENANT)
    return f"in {_code(PLATFORM_TENANT)}" if platform else ""


def _requests() -> str:
    """The fields of every request body: one section a Struct, nested Structs after it."""
    paths: dict[type[msgspec.Struct], list[Endpoint]] = {}
    for endpoint in ENDPOINTS:
        if endpoint.request is not None:
            paths.setdefault(endpoint.request, []).append(endpoint)
    parts = []
    for struct, endpoints in paths.items():
        used = ", ".join(_code(f"{each.method} {each.path}") for each in endpoints)
        parts.append(f"### Body of {used}\n\n{_fields(struct)}")
        for name, nested in _nested(struct):
            parts.append(f"Fields of `{name}`:\n\n{_fields(nested)}")
    return "\n".join(parts)


def _fields(struct: type[msgspec.Struct]) -> str:
    rows = [
        (_code(field.encode_name), _type_name(field.type))
        for field in msgspec.structs.fields(struct)
    ]
    return _table(("field", "type"), rows)


def _nested(struct: type[msgspec.Struct]) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    for field in msgspec.structs.fields(struct):
        for part in (field.type, *get_args(field.type)):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                yield field.encode_name, part


def _type_name(kind: Any) -> str:
    """A type in JSON's words; `None` is left out, since null reads as absent."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(arg) for arg in args if arg is not type(None))
    if origin is list:
        return f"list of {_type_name(args[0])}s"
    if origin is dict:
        return f"object of {_type_name(args[1])}s"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return "object"
    return {str: "string", int: "integer", bool: "boolean", Any: "any JSON value"}[kind]


def _answers() -> str:
    """The fields of every answer, by the Struct that it is declared as; then those of an error."""
    used: dict[str, list[str]] = {}
    for endpoint in ENDPOINTS:
        for status, kind in endpoint.responses.items():
            if kind is not None:
                name = f"{_code(f'{endpoint.method} {endpoint.path}')} {status}"
                used.setdefault(_answer_fields(kind), []).append(name)
    rows = [(", ".join(names), fields) for fields, names in used.items()]
    rows.append(("every error", _answer_fields(ErrorObject)))
    return _table(("answer", "fields"), rows)


def _answer_fields(kind: Any) -> str:
    """The names of the fields; a field that is not always there has a question mark."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is list:
        return f"a list, each with {_answer_fields(args[0])}"
    names = ", ".join(
        _code(field.encode_name) + ("" if field.required else "?")
        for field in msgspec.structs.fields(kind)
    )
    return f"{names}; each item with {_answer_fields(args[0])}" if args else names


# -- the command line --


def _commands() -> str:
    return "\n".join(
        f"## `{path}`\n\n```text\n{_help(path, command)}\n```\n"
        for path, command in walk_commands("forestall", cli)
    )


def walk_commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Every command and group, depth first, in the order in which the help lists them."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from walk_commands(f"{path} {name}", child)


def _help(path: str, command: click.Command) -> str:
    context = click.Context(
        command,
        info_name=path,
        terminal_width=HELP_COLUMNS,
        max_content_width=HELP_COLUMNS,
        # As the real command line has it: click keeps the help option that it made first.
        help_option_names=["-h", "--help"],
    )
    return command.get_help(context)


# -- settings, metrics, limits, errors, the policy language --


def _settings() -> str:
    defaults = {"policy": "`policy.yaml` in the data directory", "names_model": "none: off"}
    rows = [
        (
            _code("--" + name.replace("_", "-")),
            _code(f"FORESTALL_{name.upper()}"),
            _code(name),
            defaults.get(name, _code(default)),
        )
        for name, default in DEFAULTS.items()
    ]
    rows.append(("none", _code(BOOTSTRAP_KEY_VARIABLE), "none", "none: a key is generated"))
    return _table(("flag", "environment variable", "key in `forestall.toml`", "default"), rows)


def _metrics() -> str:
    rows = []
    for name, (metric, labels) in all_families().items():
        rows.append(
            (_code(name), metric.type, ", ".join(map(_code, labels)), metric.documentation + ".")
        )
    return _table(("name", "type", "labels", "what it counts"), sorted(rows))


def all_families() -> dict[str, tuple[Metric, tuple[str, ...]]]:
    """Every metric but those of the process, by its name on the wire, with its label names."""
    registry = all_metrics().registry
    families: dict[str, tuple[Metric, tuple[str, ...]]] = {}
    # The library says only here which labels a family has that has counted nothing so far.
    for collector in registry._collector_to_names:
        labels = tuple(getattr(collector, "_labelnames", ()))
        for metric in collector.collect():
            if metric.name.startswith("process_"):
                continue  # these depend on the operating system; the page names them in prose
            name = metric.name + ("_total" if metric.type == "counter" else "")
            families[name] = (metric, labels)
    return families


def _metric_labels() -> str:
    """Each label, and the values that it can have where these are few and ours."""
    effects = (effect.value for effect in Effect)
    values: dict[str, str] = {
        "stage": ", ".join(_code(stage.value) for stage in Stage),
        "decision": ", ".join(map(_code, effects)),
        "code": (
            "of a decision `rule`, `default` or `rule_error`, for an agent also"
            " `agent_right_missing`, `agent_suspended`, `agent_expired` or `agent_revoked`, and at"
            " dispatch also `approved`, `submitter_revoked`, `submitter_expired` or `job_changed`;"
            " of an"
            " event of a job why it ended: "
            + ", ".join(map(_code, sorted(OUR_CODES)))
            + ", `other` for a worker's own code; of a refusal or a failed commit the"
            " [error code](errors.md)"
        ),
        "topic": "the glob of the rule that names the topic, or `other`: a client makes no series",
        "event": ", ".join(_code(event.value) for event in Event),
        "what": "the verb that was refused, such as `approve`; `submit` for a blind retry",
        "method": "of the request",
        "route": "the pattern of the path, never the path",
        "status": "of the answer",
    }
    for _, labels in all_families().values():
        for label in labels:
            values.setdefault(label, "")
    for metric, _ in all_families().values():
        for sample in metric.samples:
            for label, value in sample.labels.items():
                if label in ("scope", "outcome") and _code(value) not in values[label]:
                    values[label] += (", " if values[label] else "") + _code(value)
    assert all(values.values()), "say here what the values of a new label are"
    return _table(("label", "values"), [(_code(name), text) for name, text in values.items()])


def _limits() -> str:
    source = Path(limits.__file__).read_text(encoding="utf-8")
    lines = source.splitlines()
    parts: list[str] = []
    rows: list[tuple[str, ...]] = []
    heading = ""
    for number, line in enumerate(lines):
        if line.startswith("# -- "):
            parts += _limit_section(heading, rows)
            heading, rows = line.strip("# -"), []
        assigned = re.match(r"([A-Z][A-Z0-9_]*) = ", line)
        if assigned:
            _, _, reason = lines[number].partition("  # ")
            value = getattr(limits, assigned[1])
            rows.append((_code(assigned[1]), f"{value:,}", reason))
    parts += _limit_section(heading, rows)
    return "\n".join(parts)


def _limit_section(heading: str, rows: list[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    return [f"## {heading.capitalize()}\n\n{_table(('name', 'value', 'reason'), rows)}"]


def _errors() -> str:
    rows = []
    for code, error in sorted(error_classes().items(), key=lambda item: item[0].lower()):
        # The root stands for what nobody foresaw; its docstring speaks of the whole tree.
        unforeseen = error is ForestallError
        text = "Something failed that nobody foresaw" if unforeseen else error.__doc__
        rows.append((f"[`{code}`](#{code.lower()})", str(error.http_status), _first_sentence(text)))
    return _table(("code", "status", "what it means"), rows)


def _match_fields() -> str:
    names = [field.name for field in msgspec.structs.fields(Match)]
    names.remove("tests")  # they are written in the other fields
    return ", ".join(map(_code, names)) + ".\n"


def _decisions() -> str:
    rows = [(_code(effect.value), str(effect.strictness)) for effect in Effect]
    return _table(("decision", "strictness"), rows)


def _lifecycle() -> str:
    return f"```mermaid\n{diagram()}\n```\n"


def _moves() -> str:
    rows = [
        (_code(before), _code(event), _code(state), _code(f"job.{event}"))
        for (before, event), state in MOVES.items()
    ]
    return _table(("from", "event", "to", "record"), rows)


def _record_kinds() -> str:
    """Every kind of record, its fields, and the permission with which a stream shows it."""
    groups = [(f"*{name}*", ", ".join(map(_code, fields))) for name, fields in GROUPS.items()]
    kinds = [
        (
            _code(name),
            kind.meaning,
            ", ".join((*(f"*{group}*" for group in kind.groups), *map(_code, kind.own))),
            _code(visibility_of(name).permission),
        )
        for name, kind in KINDS.items()
    ]
    return (
        _table(("kind", "what happened", "`data`", "shown to"), kinds)
        + "\nFields that several kinds share:\n\n"
        + _table(("group", "fields"), groups)
    )


def _stream_events() -> str:
    """Which records a stream shows, under which name, and to whom."""
    rows = [
        (
            (_code(kind if "." in kind else f"{kind}.…") if kind else "every other kind"),
            _code(shown.event),
            _code(shown.permission),
        )
        for kind, shown in VISIBILITIES.items()
    ]
    return _table(("record", "event", "permission"), rows)


def _detectors() -> str:
    rows = [(_code(name), f"{len(detector.kinds):,}") for name, detector in DETECTORS.items()]
    return _table(("detector", "kinds"), rows)


def controls() -> list[dict[str, Any]]:
    """The rows of docs/controls.yaml."""
    rows: list[dict[str, Any]] = yaml.safe_load(
        (DOCS / "controls.yaml").read_text(encoding="utf-8")
    )["controls"]
    return rows


def _controls_short() -> str:
    rows = [
        (
            str(row["number"]),
            row["control"],
            f"{row['today']}: {row['short']}" if row["short"] else row["today"],
        )
        for row in controls()
    ]
    return _table(("#", "control", "today"), rows)


def _controls() -> str:
    """One section a control: what there is, what is missing, and what proves both."""
    parts = []
    for row in controls():
        lines = [f"## {row['number']}. {row['control'].capitalize()}: {row['today']}\n"]
        if row["short"]:
            lines.append(f"{row['short'][0].upper()}{row['short'][1:]}.\n")
        lines.append("Proved by:\n")
        lines += [f"- {_code(proof)}" for proof in row["proved_by"]]
        if row.get("missing"):
            lines.append("\nNot there:\n")
            lines += [f"- {_missing(entry)}" for entry in row["missing"]]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _missing(entry: Mapping[str, Any]) -> str:
    shown = [_code(test) for test in entry.get("shown_by", ())]
    for kind, patterns in entry.get("absent", {}).items():
        shown.append(f"no {kind} matches " + ", ".join(map(_code, patterns)))
    return f"{entry['what']} ({'; '.join(shown)})"


EXAMPLE_POLICIES = tuple(sorted((DOCS.parent / "examples" / "policies").glob("*.yaml")))


def _example_policy(path: Path) -> str:
    """A file that the reader copies, without its tests: a page shows what these print."""
    rules, _, _ = path.read_text(encoding="utf-8").partition("\ntests:\n")
    return f"```yaml policy\n{rules.rstrip()}\n```\n"


PARTS: Mapping[str, Callable[[], str]] = {
    "lifecycle": _lifecycle,
    "moves": _moves,
    "endpoints": _endpoints,
    "roles": _roles,
    "requests": _requests,
    "answers": _answers,
    "commands": _commands,
    "settings": _settings,
    "metrics": _metrics,
    "metric-labels": _metric_labels,
    "limits": _limits,
    "errors": _errors,
    "match-fields": _match_fields,
    "decisions": _decisions,
    "stream-events": _stream_events,
    "record-kinds": _record_kinds,
    "detectors": _detectors,
    "controls-short": _controls_short,
    "controls": _controls,
    **{f"example-{path.stem}": partial(_example_policy, path) for path in EXAMPLE_POLICIES},
}


def regenerated(text: str) -> str:
    """A page with its generated parts made anew. Raises KeyError for a part nobody makes."""

    def part(found: re.Match[str]) -> str:
        return f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}"

    return _PART.sub(part, text)


def pages() -> list[Path]:
    """Every page that holds a generated part."""
    return [
        path
        for path in (*sorted(DOCS.parent.glob("*.md")), *sorted(DOCS.rglob("*.md")))
        if "<!-- generated: " in path.read_text(encoding="utf-8")
    ]


def main() -> None:
    """Rewrite the pages in place and say which changed."""
    for path in pages():
        before = path.read_text(encoding="utf-8")
        after = regenerated(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"rewrote {path.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
