"""Policy text → Policy. Whatever is not understood is an error at its place; nothing is skipped.

The reader continues after a mistake, so that one run shows all of them. `_TOP_KEYS` and the like
list the keys that are allowed; any other key is an error with the closest known key.
"""

from collections.abc import Sequence
from pathlib import Path

from forestall.facts.derive import FIELDS_OF_KIND, Derivation, PayloadKind
from forestall.facts.origin import ORIGIN_BY_NAME, Origin
from forestall.facts.payload_places import PlaceError, parse_place
from forestall.policy.language.cordum_hints import PEER_TOP_KEYS
from forestall.policy.language.detectors_reader import read_own_detectors
from forestall.policy.language.document import (
    Mapping,
    Node,
    no_collection,
    parse_document,
)
from forestall.policy.language.named_lists import require_read, shared_lists
from forestall.policy.language.output_reader import read_detect
from forestall.policy.language.programs_reader import join_programs, read_programs
from forestall.policy.language.reader import Reader
from forestall.policy.language.rule_reader import RuleReader
from forestall.policy.language.tests_reader import read_tests
from forestall.policy.problems import PolicyError
from forestall.policy.rules import Effect, OutputTest, Policy, PolicyTest

_TOP_KEYS = (
    "version",
    "name",
    "layer",
    "priority",
    "default_decision",
    "labels",
    "derive",
    "danger_no_default_derivations",
    "topics",
    "lists",
    "rules",
    "input_rules",
    "output_rules",
    "detect",
    "detectors",
    "programs",
    "use_programs",
    "tests",
)
_SAYS_SOMETHING = {"rules", "input_rules", "output_rules", "default_decision"}
_NAMES = {"lists", "programs"}
_ONLY_NAMES = {"version", "name", "tests", *_NAMES}  # keys of a file that is no layer
_DERIVE_KEYS = ("kind", "topics", "fields", "ignore", "dialect", "workspace")


def load_policy(text_or_path: str | bytes | Path, *, source: str = "") -> Policy:
    """Read one policy: from a path, or from the text itself (`bytes`, or a `str` that looks like a
    text).

    Raises PolicyError with every mistake found (file, line, column, and what was probably meant),
    and FileNotFoundError and the like when a path cannot be read.
    """
    if isinstance(text_or_path, str) and not _is_text(text_or_path):
        text_or_path = Path(text_or_path)
    if isinstance(text_or_path, Path):
        return load_policy(text_or_path.read_bytes(), source=source or str(text_or_path))
    data = text_or_path.encode() if isinstance(text_or_path, str) else text_or_path
    [policy] = load_policies([(source or "<policy>", data)])
    return policy


def load_policies(files: Sequence[tuple[str, bytes]]) -> list[Policy]:
    """Read the (source, text) pairs of one bundle; a named list of one file counts in all.

    Raises PolicyError with every mistake found in any of them.
    """
    policies: list[Policy] = []
    with no_collection():
        lists, problems = shared_lists(files)
        for source, data in files:
            try:
                root, lines = parse_document(data, source)
                reader = Reader(source, lines)
                reader.lists = lists
                policy = _read_policy(reader, root)
                reader.raise_problems()
            except PolicyError as error:
                problems.extend(error.problems)
            else:
                assert policy is not None
                policies.append(policy)
        if not problems:
            policies, problems = join_programs(policies)
    if problems:
        raise PolicyError(problems)
    return policies


def _is_text(text: str) -> bool:
    """Whether a `str` is the policy itself and no path: it has a line break, or is a mapping."""
    return not text or "\n" in text or ": " in text or text.endswith(":") or text[0] == "{"


def _read_policy(reader: Reader, root: Node | None) -> Policy | None:
    if root is None:
        reader.problem(None, "the file is empty", "a policy has at least a list of `rules`")
        return None
    top = reader.mapping(root, "a policy file")
    if top is None:
        return None
    reader.known_keys(top, _TOP_KEYS, "a policy file", PEER_TOP_KEYS)
    layer = reader.text(top, "layer") or ""
    if layer and layer != "invariants" and _is_nearly(layer, "invariants"):
        hint = "did you mean `invariants`?"
        reader.problem(top.value_of("layer"), f"unknown layer `{layer}`", hint)
    name = reader.text(top, "name") or layer or Path(reader.source).stem
    require_read(reader, top)
    only_names = bool(_NAMES & top.entries.keys()) and top.entries.keys() <= _ONLY_NAMES
    if not only_names and not _SAYS_SOMETHING & top.entries.keys():
        reader.problem(top, "there are no `rules`", "an empty policy denies everything: say so")
    detectors = read_own_detectors(reader, top)
    reader.own_detectors = {own.name: own for own in detectors}
    rules = RuleReader(reader, top)
    tests = read_tests(reader, top)
    return Policy(
        name=name,
        source=reader.source,
        invariants=layer == "invariants",
        priority=reader.integer(top, "priority", minimum=-1_000_000, maximum=1_000_000) or 0,
        default_decision=_read_default(reader, top),
        only_names=only_names,
        label_trust=_read_label_trust(reader, top),
        derivations=_read_derivations(reader, top),
        danger_no_default_derivations=reader.boolean(top, "danger_no_default_derivations") or False,
        caller_topics=_read_caller_topics(reader, top),
        rules=rules.rules(),
        input_rules=rules.input_rules(),
        output_rules=rules.output_rules(),
        detect=read_detect(reader, top),
        detectors=detectors,
        programs=read_programs(reader, top),
        programs_of=_read_used(reader, top),
        tests=tuple(test for test in tests if isinstance(test, PolicyTest)),
        output_tests=tuple(test for test in tests if isinstance(test, OutputTest)),
        places=reader.places,
    )


def _read_used(reader: Reader, top: Mapping) -> tuple[str, ...]:
    """The names of the files whose programs count for this one, too."""

    def note(node: Node, file: str) -> None:
        reader.note_place(node, "use_programs", file)

    return tuple(dict.fromkeys(reader.words(top, "use_programs", require=note)))


def _is_nearly(text: str, word: str) -> bool:
    from difflib import get_close_matches  # imported here: few files have a wrong layer name

    return bool(get_close_matches(text.lower(), [word], cutoff=0.8))


def _read_default(reader: Reader, top: Mapping) -> Effect | None:
    word = reader.word(top, "default_decision", ("allow", "deny"))
    return None if word is None else Effect(word)


def _read_label_trust(reader: Reader, top: Mapping) -> dict[str, Origin]:
    trust: dict[str, Origin] = {}
    labels = reader.section(top, "labels")
    for label, (key, value) in labels.entries.items() if labels is not None else ():
        entry = reader.mapping(value, f"the trust of label `{label}`")
        if entry is None:
            continue
        reader.note_place(key, "label", label)
        reader.known_keys(entry, ("trust",), f"label `{label}`")
        word = reader.word(entry, "trust", tuple(ORIGIN_BY_NAME))
        if word is not None:
            trust[label] = ORIGIN_BY_NAME[word]
        elif "trust" not in entry.entries:
            reader.problem(key, f"label `{label}` says no `trust`")
    return trust


def _read_caller_topics(reader: Reader, top: Mapping) -> tuple[str, ...]:
    found: list[str] = []
    topics = reader.section(top, "topics")
    for topic, (key, value) in topics.entries.items() if topics is not None else ():
        reader.require_glob(key, topic)
        entry = reader.mapping(value, f"what is known of topic `{topic}`")
        if entry is None:
            continue
        reader.known_keys(entry, ("run_by",), f"topic `{topic}`")
        if reader.word(entry, "run_by", ("caller", "worker")) == "caller":
            found.append(topic)
    return tuple(found)


def _read_derivations(reader: Reader, top: Mapping) -> tuple[Derivation, ...]:
    derivations: list[Derivation] = []
    for entry in reader.mappings(top, "derive"):
        reader.known_keys(entry, _DERIVE_KEYS, "a `derive` entry")
        word = reader.word(entry, "kind", tuple(PayloadKind))
        kind = PayloadKind(word) if word is not None else None
        topics = reader.globs(entry, "topics")
        fields = _read_places(reader, entry, "fields")
        ignore = _read_places(reader, entry, "ignore")
        for place in set(fields) & set(ignore):
            reader.problem(entry.key_of("ignore"), f"`{place}` is under `fields` too")
        workspace = reader.text(entry, "workspace") or "/workspace"
        for key, owner in (("dialect", PayloadKind.SQL), ("workspace", PayloadKind.PATH)):
            if key in entry.entries and kind not in (None, owner):
                reader.problem(entry.key_of(key), f"`{key}` belongs to the kind `{owner}`")
        if kind is None and "kind" not in entry.entries:
            reader.problem(entry, "a `derive` entry needs a `kind`")
        if not topics:
            reader.problem(entry, "a `derive` entry needs `topics`")
        if kind is not None and topics:
            reader.note_place(entry.value_of("kind"), "derive", str(len(derivations)))
            derivations.append(
                Derivation(
                    kind=kind,
                    topics=topics,
                    fields=fields or FIELDS_OF_KIND[kind],
                    ignore=ignore,
                    dialect=reader.text(entry, "dialect") or "",
                    workspace=workspace,
                )
            )
    return tuple(derivations)


def _read_places(reader: Reader, entry: Mapping, key: str) -> tuple[str, ...]:
    """The places of a payload under `fields` or `ignore` that can be."""

    def require(node: Node, place: str) -> None:
        try:
            parse_place(place, of_ignore=key == "ignore")
        except PlaceError as error:
            reader.problem(node, f"`{place[:80]}` in `{key}` names no place: {error}")

    return reader.words(entry, key, require=require)
