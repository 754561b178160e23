"""Programs whose words decide in ways of their own: sed, awk, dd, chmod, the cloud tools...

`judge` is the one door to what is known of a program. It refuses to call a program `read` when
a word that matters is not literal.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from forestall.facts.shell.git import git
from forestall.facts.shell.program_entry import (
    DESTRUCTIVE,
    NOTHING,
    READ,
    UNKNOWN,
    Arg,
    Classes,
    CommandClass,
    Entry,
    classes,
    effect,
    names,
    takes_next,
)
from forestall.facts.shell.program_table import TABLE, WINDOWS
from forestall.facts.shell.wrappers import (
    RUNNERS,
    VERSIONED,
    Finding,
    doubt,
    join,
    options,
    positionals,
    unsure,
)
from forestall.facts.shell.write_targets import is_system_root, written

Args = Sequence[Arg]
WRITE: Final = classes("w")
NETWORK: Final = classes("n")
PRIVILEGED: Final = classes("p")


# --- text tools with a language of their own ---


_SED_ADDRESS: Final = r"(?:\d+(?:~\d+)?|\$|/(?:[^/\\\n]|\\.)*/[IM]*)"
_SED_STEP: Final = re.compile(
    rf"[\s;{{}}]*(?:{_SED_ADDRESS}(?:\s*,\s*(?:{_SED_ADDRESS}|[+~]\d+))?)?\s*!?\s*"
    r"(?:[{}]|[dDgGhHlnNpPqQxzF=]\s*\d*(?=[\s;}]|$)|#[^\n]*|:\s*[\w-]+|[btT]\s*[\w-]*"
    r"|[aic](?:\\\n|\s)(?:[^\\\n]|\\.|\\\n)*|[rR]\s*[^\n]*"
    r"|(?P<kind>[sy])(?P<mark>[^\w\s\\;])(?:(?!(?P=mark))[^\\\n]|\\(?:.|\n))*(?P=mark)"
    r"(?:(?!(?P=mark))[^\\\n]|\\(?:.|\n))*(?P=mark)[gpiIM0-9]*(?=[\s;}]|$))[\s;}]*"
)


def _sed_script(text: str) -> bool:
    """Whether the script only edits what passes through: no `w`, no `e`, nothing unread."""
    at = 0
    while at < len(text):
        step = _SED_STEP.match(text, at)
        if step is None or step.end() == at:
            return False
        at = step.end()
    return True


def _sed(_: str, args: Args) -> Finding:
    own: Classes = NOTHING
    scripts: list[Arg] = []
    found = options(args)
    valued = frozenset(("-e", "-f", "--expression", "--file", "-l", "--line-length"))
    for index, arg in enumerate(args):
        if takes_next(valued, arg.text) and "e" in arg.text and arg.text.startswith("-"):
            scripts.extend(args[index + 1 : index + 2])
        elif arg.text.startswith(("--expression=", "-e")):
            scripts.append(Arg(arg.text.partition("=")[2] or arg.text[2:], arg.literal))
    if not scripts:
        at = positionals(args, "-l --line-length -f --file")
        scripts = [args[index] for index in at[:1]]
    if any(option.startswith(("--in", "-i")) for option in found):
        own |= WRITE.union(*(written(arg.text) for arg in args if not arg.text.startswith("-")))
    if found & {"-f"} or any(option.startswith("--fi") for option in found):
        own |= UNKNOWN
    unread = [arg for arg in scripts if not arg.literal or not _sed_script(arg.text)]
    own |= doubt(args)
    if unread:
        own |= UNKNOWN | WRITE
    return Finding(classes=own or READ, code=tuple(arg.text for arg in unread), suspects=())


_AWK_RUNS: Final = re.compile(r"system|getline|@|\bclose\b")
_AWK_WRITES: Final = re.compile(r"print[^;}]*>")
_AWK_LITERAL: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"|(?P<before>(?:^|[;{}(!~&|,\n])\s*)/(?:[^/\\\n]|\\.)+/'
)


def _awk(_: str, args: Args) -> Finding:
    at = positionals(args, "-F -v --field-separator --assign")
    found = options(args)
    script = args[at[0]] if at else Arg("", literal=False)
    text = script.text.replace("||", " ")
    own = unsure([script]) | doubt(args[: at[0] if at else len(args)])
    named = {option for option in found if option not in ("-F", "-v") and not _awk_value(args)}
    if named & {
        "-f",
        "-i",
        "-l",
        "-E",
        "-e",
        "--file",
        "--include",
        "--load",
        "--exec",
        "--source",
        "--inplace",
    }:
        own |= UNKNOWN
    bare = _AWK_LITERAL.sub(lambda found: (found["before"] or "") + '""', text)
    blurred = any(char in bare for char in "/#\\") and any(char in text for char in "|>")
    if blurred or "|" in bare or _AWK_RUNS.search(text):
        own |= UNKNOWN
    if _AWK_WRITES.search(bare):
        own |= WRITE | UNKNOWN
    return Finding(classes=own or READ, code=(script.text,) if own else ())


def _awk_value(args: Args) -> bool:
    """Whether every option word is -F or -v, so that cluster letters mean nothing."""
    words = [arg.text for arg in args if arg.text.startswith("-") and len(arg.text) > 1]
    return all(word.startswith(("-F", "-v")) for word in words)


# --- files and devices ---


def _dd(_: str, args: Args) -> Finding:
    outs = [arg for arg in args if arg.text.startswith("of=")]
    own = unsure(args) if any(not arg.literal and "=" not in arg.text for arg in args) else NOTHING
    for out in outs:
        own |= DESTRUCTIVE if written(out.text[3:]) or not out.literal else NOTHING
    return Finding(classes=own or READ)


def _truncate(_: str, args: Args) -> Finding:
    words = [arg.text for arg in args]
    grows = any(word.lstrip("-sizem=").startswith("+") for word in words)
    return Finding(classes=WRITE if grows else DESTRUCTIVE)


def _modes(program: str, args: Args) -> Finding:
    """chmod, chown, chgrp: ordinary on a file, ruin on a system directory."""
    own = PRIVILEGED if program == "chown" else WRITE
    words = [args[index].text for index in positionals(args, "--reference --from")]
    recursive = options(args) & {"-R", "--recursive", "--recurs", "--rec", "--r"}
    severe = any(is_system_root(word) for word in words[1:] or words)
    if severe and (recursive or program == "chmod"):
        own |= DESTRUCTIVE
    setuid = re.compile(r"[ugoa]*\+[rwxX]*s|[2467][0-7]{3}|0[2467][0-7]{3}")
    if program == "chmod" and words and setuid.match(words[0]):
        own |= PRIVILEGED
    if any(CommandClass.DESTRUCTIVE in written(word) for word in words[1:]):
        own |= PRIVILEGED
    return Finding(classes=own | (doubt(args[:1]) if program == "chmod" else NOTHING))


_LAST_IS_TARGET: Final = frozenset(("cp", "mv", "install", "ln", "scp", "rsync"))


def _writes(program: str, args: Args) -> Finding:
    """Programs that write to paths they are given."""
    known = TABLE.get(program)
    base = _tabled(known, args) if known else Finding(classes=UNKNOWN)
    own = base.classes
    at = positionals(args, "-m -o -g -S" if program == "install" else "")
    words = [args[index].text for index in at]
    if program in _LAST_IS_TARGET:
        named = [arg.text.partition("=")[2] or arg.text for arg in args if "-t" in arg.text]
        sources, words = words[:-1], words[-1:] + named
        if program == "mv":
            gone = words[:1] == ["/dev/null"] or any(is_system_root(word) for word in sources)
            own |= DESTRUCTIVE if gone else NOTHING
    words += [arg.text[2:] for arg in args if arg.text.startswith(("-t", "-o", "-O"))]
    words += [arg.text.partition("=")[2] for arg in args if arg.text.startswith("--")]
    for word in words:
        kind = written(word) if word.startswith(("/", "~")) or ".ssh/" in word else NOTHING
        own |= kind - WRITE - NETWORK
    return replace(base, classes=own)


def _kill(_: str, args: Args) -> Finding:
    last = args[-1].text if args else ""
    everyone = last in ("-1", "1") and (len(args) > 1 or last == "-1")
    lists = bool(args) and args[0].text in ("-l", "-L") and len(args) < 3
    return Finding(classes=DESTRUCTIVE if everyone else READ if lists else WRITE)


def _init(_: str, args: Args) -> Finding:
    ends = any(arg.text in ("0", "6") for arg in args)
    return Finding(classes=PRIVILEGED | (DESTRUCTIVE if ends else unsure(args)))


def _date(_: str, args: Args) -> Finding:
    sets = any(option.startswith(("-s", "--s")) for option in options(args))
    at = positionals(args, "-d -f -r -s -v --date --file --reference")
    sets = sets or any(not args[index].text.startswith("+") for index in at)
    return Finding(classes=(PRIVILEGED if sets else NOTHING) | doubt(args) or READ)


_IP_CHANGES: Final = names(
    "set add del delete flush change replace append prepend up down d a restore save attach"
)


def _ip(_: str, args: Args) -> Finding:
    words = [arg.text for arg in args]
    own = doubt(args)
    if set(words[1:]) & _IP_CHANGES:
        own |= PRIVILEGED
    if options(args) & {"-b", "-batch", "--batch"} or "-B" in words:
        own |= UNKNOWN
    if "exec" in words and any(word.startswith("net") or word == "vrf" for word in words):
        start = words.index("exec") + 2
        return Finding(classes=own | PRIVILEGED, argvs=(tuple(args[start:]),))
    return Finding(classes=own or READ)


def _crontab(_: str, args: Args) -> Finding:
    found = options(args)
    if found == {"-l"}:
        return Finding(classes=READ)
    lost = DESTRUCTIVE if "-r" in found else NOTHING
    return Finding(classes=PRIVILEGED | lost, runs_data=True)


def _tar(_: str, args: Args) -> Finding:
    if args and args[0].literal and not args[0].text.startswith("-"):
        args = [Arg(f"-{args[0].text}"), *args[1:]]
    own = effect(TABLE["tar"], args)
    found = options(args)
    texts = (
        tuple(
            arg.text.partition("=")[2].removeprefix("exec=") for arg in args if arg.text[:2] == "--"
        )
        if CommandClass.UNKNOWN in own
        else ()
    )
    if CommandClass.UNKNOWN in own:
        texts += tuple(arg.text for arg in args if " " in arg.text and arg.text[:2] != "--")
    if own == WRITE and found & {"-t", "--list"} and not found & {"-x", "-c", "-r", "-u"}:
        own = READ
    return Finding(classes=own, texts=tuple(filter(None, texts)))


# --- tools with verbs ---


_LOSES: Final = (
    "delete", "terminate", "remove", "rm", "rb", "purge", "destroy", "deregister", "drop", "del",
    "reset", "wipe", "erase", "force-delete", "schedule-key-deletion", "batch-delete", "empty",
    "disassociate", "revoke", "release-address", "abandon", "undeploy", "deprovision",
)  # fmt: skip
_LOOKS: Final = (
    "describe", "list", "get", "ls", "show", "head", "help", "wait", "lookup", "view", "search",
    "scan", "query", "info", "version", "print", "check", "validate", "test-connectivity",
)  # fmt: skip
_CLOUD_VALUED: Final = (
    "--region --profile --output --endpoint-url --query --color --ca-bundle --project --account "
    "--zone --format --configuration --subscription --resource-group -g -o -n --name --filter "
    "--cli-read-timeout --cli-connect-timeout --cli-binary-format --verbosity"
)


def _cloud(program: str, args: Args) -> Finding:
    """aws, gcloud, az...: the verb is among the first words that are not options."""
    at = positionals(args, _CLOUD_VALUED)[:6]
    depth = 2 if program == "aws" else 6
    words = [args[index].text for index in at[:depth]]
    joined = program in ("aws", "aliyun", "oci")  # their verbs are `delete-table` and such
    lost = any(
        word.rpartition(":")[2] == verb or (word.startswith(f"{verb}-") and joined)
        for word in words
        for verb in _LOSES
    )
    looks = any(word in _LOOKS or word.startswith(tuple(f"{v}-" for v in _LOOKS)) for word in words)
    own = doubt(args[: at[-1] + 1] if at else args)
    if any(arg.text in ("--delete", "--delete-unmatched-destination-objects") for arg in args):
        lost = True
    if words[:2] == ["s3api", "get-object"] or not looks or "set" in words:
        own |= classes("nw")
    if any(word in ("ssh", "run-command", "send-command", "execute", "invoke") for word in words):
        return Finding(classes=own | UNKNOWN, suspects=tuple(args), runs_data=True)
    if lost:
        own = own - READ | DESTRUCTIVE
    if not words:
        own = own | (READ if all(arg.literal for arg in args) else UNKNOWN) - classes("nw")
    return Finding(classes=own or READ)


def _hadoop(_: str, args: Args) -> Finding:
    lost = {"-rm", "-rmr", "-rmdir", "-expunge", "-delete"} & {arg.text for arg in args}
    return Finding(classes=classes("nu") | (DESTRUCTIVE if lost else NOTHING))


def _container(program: str, args: Args) -> Finding:
    """docker, kubectl: `exec` and `run` hold a command."""
    known = TABLE[program]
    own = effect(known, args)
    at = positionals(args, " ".join(known.valued))
    subs = [args[index].text for index in at[:2]]
    sub = next((name for name in subs if name in ("exec", "run", "debug", "create")), "")
    if not sub:
        return Finding(classes=own)
    rest = args[[arg.text for arg in args].index(sub) + 1 :]
    if program in ("kubectl", "oc"):
        end = next((i for i, arg in enumerate(rest) if arg.text == "--"), None)
        if sub == "exec" and end is not None and not doubt(rest[:end]):
            return Finding(classes=NETWORK, argvs=(tuple(rest[end + 1 :]),))
        return Finding(classes=own | UNKNOWN, suspects=tuple(rest))
    if sub == "exec":
        inner = positionals(
            rest, "-e -u -w --env --user --workdir --env-file --detach-keys --index"
        )
        raised = PRIVILEGED if "--privileged" in options(rest) else NOTHING
        if len(inner) > 1 and not doubt(rest[: inner[1]]):
            return Finding(classes=WRITE | raised, argvs=(tuple(rest[inner[1] :]),))
        return Finding(classes=UNKNOWN | raised, suspects=tuple(rest), runs_data=True)
    mounts = any(arg.text.lstrip("-volume=").startswith("/:") for arg in rest)
    return Finding(
        classes=own | UNKNOWN | (PRIVILEGED if mounts else NOTHING),
        suspects=tuple(rest),
        runs_data=True,
    )


def _windows(program: str, args: Args) -> Finding:
    """cmd, powershell: what follows is text for another shell."""
    at = [i for i, arg in enumerate(args) if arg.text[:1] in ("/", "-")]
    rest = args[at[-1] + 1 :] if program != "cmd" and at else args
    for index, arg in enumerate(args):
        if arg.text.lower() in ("/c", "/k", "/r", "-command", "-c", "-com", "-comm"):
            rest = args[index + 1 :]
            break
    text = join(rest).replace("^", "").strip("& {}")
    return Finding(classes=UNKNOWN, texts=(text,) if text else (), suspects=tuple(rest))


def _format(_: str, args: Args) -> Finding:
    drive = any(arg.text[:1].isalpha() and arg.text[1:2] == ":" for arg in args)
    return Finding(classes=UNKNOWN | (DESTRUCTIVE if drive else NOTHING))


def _rmdir(_: str, args: Args) -> Finding:
    tree = any(arg.text.lower().startswith(("/s", "-r")) for arg in args)
    return Finding(classes=DESTRUCTIVE if tree else WRITE)


def _editor(_: str, args: Args) -> Finding:
    """vim, ex, ed: may run anything; a `!` in the words is a command."""
    texts = tuple(arg.text.partition("!")[2] for arg in args if "!" in arg.text)
    return Finding(classes=UNKNOWN, texts=texts, code=tuple(arg.text for arg in args))


def _pager(program: str, args: Args) -> Finding:
    starts = [arg for arg in args if arg.text.startswith("+")]
    texts = tuple(arg.text.partition("!")[2] for arg in starts if "!" in arg.text)
    own = effect(TABLE[program], args)
    if program == "man" and CommandClass.UNKNOWN in own:
        texts += tuple(arg.text.partition("=")[2] or arg.text for arg in args)
    return Finding(classes=own | (UNKNOWN if starts else NOTHING), texts=texts)


def _history(_: str, args: Args) -> Finding:
    changes = options(args) & {"-c", "-d", "-a", "-n", "-r", "-w", "-s"}
    return Finding(classes=WRITE if changes else READ)


def _at(_: str, args: Args) -> Finding:
    return Finding(classes=UNKNOWN, runs_data=True)


_ODD: Final[Mapping[str, Callable[[str, Args], Finding]]] = {
    "git": git, "sed": _sed, "gsed": _sed, "dd": _dd, "truncate": _truncate, "kill": _kill,
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk"), _awk),
    **dict.fromkeys(("chmod", "chown", "chgrp"), _modes),
    **dict.fromkeys(("cp", "mv", "install", "ln", "tee", "sponge", "curl", "wget", "scp", "rsync",
                     "touch", "sort", "shuf", "unzip", "patch"), _writes),
    **dict.fromkeys(("init", "telinit"), _init), "date": _date, "ip": _ip, "tar": _tar,
    "bsdtar": _tar, "crontab": _crontab,
    **dict.fromkeys(("aws", "gcloud", "az", "gsutil", "doctl", "oci", "aliyun", "ibmcloud",
                     "heroku", "flyctl", "fly", "vercel", "netlify", "wrangler", "firebase",
                     "eksctl", "linode-cli", "hcloud", "scw", "s3cmd", "mc", "railway",
                     "bq", "b2"), _cloud),
    **dict.fromkeys(("hdfs", "hadoop"), _hadoop),
    **dict.fromkeys(("docker", "podman", "nerdctl", "kubectl", "oc", "docker-compose"),
                    _container),
    "format": _format, **dict.fromkeys(("dcfldd", "dc3dd"), _dd), "rmdir": _rmdir, "rd": _rmdir,
    **dict.fromkeys(("cmd", "powershell", "pwsh"), _windows),
    **dict.fromkeys(("vim", "vi", "nvim", "ex", "ed", "view", "emacs", "rvim"), _editor),
    **dict.fromkeys(("less", "more", "man"), _pager), "history": _history,
    **dict.fromkeys(("at", "batch"), _at),
}  # fmt: skip
_ANY_CASE: Final = frozenset(("cmd", "powershell", "pwsh", "format", "rd"))


def _tabled(known: Entry, args: Args) -> Finding:
    """What the table says; an option that runs something may name it in any word."""
    found = effect(known, args)
    if CommandClass.UNKNOWN not in found:
        return Finding(classes=found)
    code = tuple(arg.text.partition("=")[2] or arg.text for arg in args)
    return Finding(
        classes=found,
        suspects=tuple(args),
        code=tuple(text for text in code if " " in text),
        runs_data=CommandClass.UNKNOWN in known.classes,
    )


def judge(program: str, args: Args) -> Finding | None:
    """What this program does with these words; None when the program is not known."""
    handler = RUNNERS.get(program) or _ODD.get(program)
    known = TABLE.get(program)
    if handler is None and known is None:
        plain = program.rstrip("0123456789.-")  # python3.11, bash5
        handler = RUNNERS.get(plain) if plain in VERSIONED else None
    if known is not None and CommandClass.UNKNOWN not in known.classes and len(args) == 1:
        asks = args[0].literal and args[0].text in ("--help", "--version")
        if asks and program not in ("echo", "killall5"):
            return Finding(classes=READ)
    if handler is not None:
        return handler(program, args)
    if known is None and program.startswith(("mkfs.", "fsck.", "mount.")):
        known = TABLE[program.partition(".")[0]]
    if known is not None:
        return _tabled(known, args)
    lowered = program.lower()
    if lowered in _ANY_CASE:
        return _ODD[lowered](lowered, args)
    wanted = WINDOWS.get(lowered)
    return Finding(classes=wanted.classes) if wanted else None
