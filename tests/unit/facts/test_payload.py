"""The payload and its places: every text is read, ignored or unread, wherever it stands."""

from typing import Any

import pytest

from forestall.facts.derive import DEFAULT_DERIVATIONS, Derivation, PayloadKind, derive, reading_of
from forestall.facts.payload import Places, TooMuchToDeriveError, is_name
from forestall.facts.payload_places import DeclaredPlaces, PlaceError, parse_place
from forestall.limits import PAYLOAD_VALUES_MAX, UNREAD_SHOWN_MAX

BY_KIND = {each.kind: reading_of(each) for each in DEFAULT_DERIVATIONS}
SHELL = BY_KIND[PayloadKind.SHELL]


def classes(kind: PayloadKind, **parts: Any) -> set[str]:
    label = {PayloadKind.URL: "url_host_kind", PayloadKind.SHELL: "command_class"}.get(
        kind, f"{kind}_class"
    )
    return {view[label] for view in derive(BY_KIND[kind], parts.items())}


def unread(*fields: str, ignore: tuple[str, ...] = (), **parts: Any) -> tuple[str, ...]:
    places = Places([DeclaredPlaces(fields, ignore)])
    return places.texts_of(parts.items(), of_commands=True).unread


@pytest.mark.parametrize(
    "parts",
    [
        {"args": {"shell": "rm -rf /"}},
        {"args": {"stdin": "x"}},
        {"args": {"env": {"LD_PRELOAD": "/tmp/x.so"}}},
        {"args": {"task": {"command": "ls"}}},
        {"args": [{"command": "ls"}]},
        {"args": [[{"command": "ls"}]]},
        {"args": {"command": {"run": "ls"}}},
        {"args": {"command": 7}},
        {"args": {"\uff43ommand": "ls"}},  # a full-width letter
        {"args": {"c\u043emmand": "ls"}},  # a Cyrillic letter
        {"args": {"note": "\u200b"}},  # an invisible character is not nothing
        {"args": {"$(rm -rf /)": 5}},
        {"args": {"a b": True}},
        {"args": {"": "x"}},
        {"args": {"9": "x"}},
        {"args": {"deep": [[[["rm", "-rf", "/"]]]]}},
        {"action": {"tool": "sh -c 'rm -rf /'"}},
        {"action": {"target_resource": "/etc/passwd"}},
        {"labels": {"note": "rm -rf /"}},
        {"labels": {"rm -rf /": "x"}},
        {"tags": ("a b",)},
        {"capability": "rm -rf /"},
        {"something_else": "ls"},
        {"context": b"rm -rf /"},
        {"context": ["ls", b"rm -rf /"]},
    ],
)
def test_a_text_that_nobody_reads_is_unknown(parts: dict[str, Any]) -> None:
    assert "unknown" in classes(PayloadKind.SHELL, prompt="ls", **parts)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"args": {"amount": 5, "dry_run": True, "limit": None, "note": " \t\n", "x": ""}},
        {"args": {"Command": "ls", "CMD": "ls", "nested": {"n": [1, 2.5]}}},
        {"args": {"command": ["ls", "-la"]}},
        {"args": {"commands": [["ls", "-la"], ["cat", "a"]]}},
        {"args": {"command": "ls", "args": ["-la", "--color"]}},
        {"args": {"command": "ls", "arguments": "-la"}},
        {"args": {"commands": ["ls", "cat a"]}},
        {"action": {"server": "files", "tool": "acme/list", "verb": "read"}},
        {"labels": {"team": "ops", "app.kubernetes.io/name": "shop"}},
        {"tags": ["a", "b-c"], "capability": "infra.read", "actor_id": "ada@example.com"},
    ],
)
def test_what_is_read_is_known_and_what_is_no_text_adds_nothing(parts: dict[str, Any]) -> None:
    assert classes(PayloadKind.SHELL, prompt="ls", **parts) == {"read"}


@pytest.mark.parametrize(
    "args",
    [
        {"command": "rm", "args": ["-rf", "/"]},
        {"program": "rm", "arguments": "-rf /"},
        {"command": "ls", "args": ["rm", "-rf", "/"]},
        {"command": ["rm", "-rf", 5]},
        {"commands": [["ls"], ["rm", "-rf", "/"]]},
        {"commands": ["ls", "rm\t-rf\t/"]},
        ["ls", "rm -rf /"],
        "rm -rf /",
    ],
)
def test_arguments_are_read_as_a_worker_would_run_them(args: Any) -> None:
    assert "destructive" in classes(PayloadKind.SHELL, prompt="ls", args=args)


SPLIT = [
    ("cat", ["x"]),
    ("git", ["status"]),
    ("sh", ["-c", "ls"]),
    ("timeout", ["5", "ls"]),
    ("/usr/bin/grep", ["a b", "notes; x"]),
    ("kubectl", ["get", "pods"]),
    ("ls", []),
]


@pytest.mark.parametrize(("program", "words"), SPLIT)
def test_a_program_and_its_list_of_words_are_one_command_line(
    program: str, words: list[str]
) -> None:
    whole = {"read"} if program != "kubectl" else {"network", "read"}
    for names in (("command", "args"), ("cmd", "argv"), ("Executable", "arguments")):
        args = dict(zip(names, (program, words), strict=True))
        for parts in ({"args": args}, {"context": args}, {"args": {"note": 1, **args}}):
            assert classes(PayloadKind.SHELL, **parts) <= whole, (names, parts)


@pytest.mark.parametrize(
    "parts",
    [
        {"args": {"command": "cat", "args": "x"}},
        {"args": {"command": "cat", "args": ["x", 5]}},
        {"args": {"command": "cat", "args": ["x", ["y"]]}},
        {"args": {"command": "cat", "args": ["x", {"y": "z"}]}},
        {"args": {"command": "cat -n", "args": ["x"]}},
        {"args": {"command": "cat;", "args": ["x"]}},
        {"args": {"command": "$X", "args": ["x"]}},
        {"args": {"command": ["cat"], "args": ["x"]}},
        {"args": {"command": "cat", "args": ["x"], "argv": ["y"]}},
        {"args": {"command": "cat", "Command": "ls", "args": ["x"]}},
        {"args": {"command": "cat", "program": "ls", "args": ["x"]}},
        {"args": {"command": "cat", "args": ["x"], "stdin": "y"}},
        {"args": {"command": "cat", "args": ["x"]}, "context": {"args": ["y"]}},
        {"args": {"command": "cat", "args": ["x"]}, "context": {"command": "ls"}},
        {"args": {"command": "cat"}, "context": {"args": ["x"]}},
        {"prompt": "cat", "args": {"args": ["x"]}},
        {"prompt": "cat", "args": ["x"]},
        {"args": {"command": "notaprogram", "args": ["x"]}},
        {"args": {"command": "bash", "args": ["x"]}},
        {"args": {"command": "cat", "args": ["$X"]}, "context": ["x"]},
    ],
)
def test_a_split_command_line_in_a_doubtful_shape_is_unknown(parts: dict[str, Any]) -> None:
    assert "unknown" in classes(PayloadKind.SHELL, **parts)


def test_a_split_command_line_is_never_looser_than_each_half() -> None:
    programs = [
        "cat",
        "rm",
        "sudo",
        "bash",
        "git",
        "curl",
        "kill",
        "tar",
        "crontab",
        "python3",
        "x",
    ]
    lists = [["x"], ["rm", "-rf", "/"], ["sudo", "ls"], ["curl", "e.example"], ["a", "rm -rf /"],
             ["--force"], ["ls"], ["-c", "rm x"], ["cat", ".env"]]  # fmt: skip
    for program in programs:
        for words in lists:
            both = classes(PayloadKind.SHELL, args={"command": program, "args": words})
            halves = classes(PayloadKind.SHELL, args={"command": program})
            if not words[0].startswith("-"):
                halves |= classes(PayloadKind.SHELL, args={"args": words})
            line = " ".join(f"'{word}'" for word in (program, *words))
            whole = classes(PayloadKind.SHELL, prompt=line)
            assert both >= (halves - {"unknown", "read"}) | (whole - {"read"}), (program, words)


def test_each_kind_reads_the_arguments() -> None:
    assert classes(PayloadKind.SQL, args={"query": "SELECT 1"}) == {"read"}
    assert "destructive" in classes(PayloadKind.SQL, args={"sql": "DROP TABLE t"})
    assert classes(PayloadKind.URL, args={"url": "https://example.com"}) == {"public"}
    assert "metadata" in classes(PayloadKind.URL, args={"Host": "169.254.169.254"})
    assert "unknown" in classes(PayloadKind.URL, args={"host": 2852039166})
    assert classes(PayloadKind.PATH, args={"filePath": "src/a.py"}) == {"workspace"}
    resource = {"target_resource": "/etc/shadow"}
    assert "workspace" not in classes(PayloadKind.PATH, action=resource)
    assert classes(PayloadKind.CLUSTER, args={"command": "kubectl get pods"}) == {"read"}


def test_places_of_unread_texts_are_named_and_bounded() -> None:
    steps = [{"run": "a"}, {"run": "b"}]
    context = {"env": {"A": "x"}, "steps": steps, "a b": "x"}
    assert unread("prompt", context=context) == ("context.env.A", "context.steps[*].run", "context")
    many = {f"n{number}": "x" for number in range(500)}
    assert len(unread("prompt", context=many)) == UNREAD_SHOWN_MAX


def test_ignore_is_exact_and_covers_what_is_inside() -> None:
    note = {"a b": ["x", {"y": "z"}]}
    context = {"note": note, "Note": "x", "steps": [{"id": "1"}]}
    ignore = ("context.note", "context.steps[*].id")
    assert unread("prompt", ignore=ignore, context=context) == ("context.Note",)
    inner = unread(
        "prompt", ignore=("context['Note']", "context.*.id", "context.note"), context=context
    )
    assert inner == ("context.steps[*].id",)
    assert unread("prompt", ignore=("context",), context=context) == ()
    assert unread(ignore=("labels.note",), labels={"note": "a b", "x": "c d"}) == ("labels.x",)


def test_a_place_is_read_inside_an_ignored_one() -> None:
    places = Places([DeclaredPlaces(("context.task.command",), ("context",))])
    parts = {"context": {"task": {"command": "rm x", "title": "a b"}, "more": ["c d"]}}
    found = places.texts_of(parts.items(), of_commands=True)
    assert (found.texts, found.unread) == (("rm x",), ())


def test_each_file_must_declare_a_text() -> None:
    one, other = DeclaredPlaces(("args.a",)), DeclaredPlaces(("args.b",), ("args.a",))
    both = Places([one, other])
    assert both.texts_of({"args": {"a": "x"}}.items(), of_commands=True).unread == ()
    assert both.texts_of({"args": {"b": "x"}}.items(), of_commands=True).unread == ("args.b",)
    assert both.texts_of({"args": {"b": "x"}}.items(), of_commands=True).texts == ("x",)


def test_a_payload_is_bounded() -> None:
    with pytest.raises(TooMuchToDeriveError):
        SHELL.texts_of({"context": {f"n{n}": n for n in range(PAYLOAD_VALUES_MAX)}}.items())
    with pytest.raises(TooMuchToDeriveError):
        SHELL.texts_of({"context": [1] * (PAYLOAD_VALUES_MAX + 1)}.items())
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    with pytest.raises(TooMuchToDeriveError):
        SHELL.texts_of({"context": deep}.items())


@pytest.mark.parametrize(
    "place",
    [
        "contxt.command",
        "prompt.x",
        "payload.command",
        "$.args.command",
        "args..x",
        "args.",
        "args[0]",
        "args['x",
        "action.command",
        "action.tool.x",
        "labels.team",
        "args.x y",
        "",
        "args" + ".x" * 500,
    ],
)
def test_a_field_that_cannot_be_is_refused(place: str) -> None:
    with pytest.raises(PlaceError):
        parse_place(place)


@pytest.mark.parametrize(
    "place", ["args.*", "context.a.*", "labels.a.b", "labels[*]", "tags.x", "capability.x"]
)
def test_an_ignored_place_that_cannot_be_is_refused(place: str) -> None:
    with pytest.raises(PlaceError):
        parse_place(place, of_ignore=True)


def test_two_spellings_of_one_place() -> None:
    assert parse_place("action.args.x") == parse_place("args.x") == parse_place("args['x']")
    assert parse_place("args['a\\'b']") == ("args", "a'b")


@pytest.mark.parametrize(
    "text", ["rm -rf /", "/etc/passwd", "http://x", "..", "-rf", "a;b", "$X", ""]
)
def test_only_one_plain_word_is_a_name(text: str) -> None:
    assert not is_name(text)
    assert is_name("a.b-c_d:e/f@g")


def test_a_derivation_that_cannot_be_is_refused() -> None:
    with pytest.raises(PlaceError):
        reading_of(Derivation(kind=PayloadKind.SHELL, topics=("*",), fields=("nowhere",)))
