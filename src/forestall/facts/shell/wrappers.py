"""Programs whose words need more than the table: those that run other commands, and odd ones.

`judge` says what a program does with its words: its own classes, plus the commands, shell texts
and foreign code it would run. It only describes; `shell` decides how far to follow. It refuses
to call anything `read` whose words it could not follow.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from forestall.facts.shell.program_entry import (
    DESTRUCTIVE,
    NOTHING,
    READ,
    UNKNOWN,
    Arg,
    Classes,
    classes,
    names,
    takes_next,
)
from forestall.facts.shell.write_targets import written

Args = Sequence[Arg]
ANYTHING: Final = Arg("", literal=False, flaggable=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one command does, and what it would run in turn."""

    classes: Classes
    argvs: tuple[tuple[Arg, ...], ...] = ()  # commands, word by word
    texts: tuple[str, ...] = ()  # shell text
    code: tuple[str, ...] = ()  # program text in another language
    suspects: tuple[Arg, ...] = ()  # words among which a command may start anywhere
    runs_data: bool = False  # runs what it reads as shell text
    loss: "re.Pattern[str] | None" = None  # runs what it reads as code; this finds deletion in it
    takes_words: bool = False  # adds what it reads to the words of the commands it runs
    assigned: tuple[str, ...] = ()  # NAME=value words
    defines: tuple[str, ...] = ()  # names it gives a new meaning


@dataclass(frozen=True, slots=True)
class _Prefix:
    """A program that runs the command its words end with."""

    classes: Classes
    valued: frozenset[str]
    plain: frozenset[str]
    skips: int  # positional words before the command
    assigns: bool  # takes NAME=value words first
    text: frozenset[str]  # options whose value is shell text


def _prefix(
    letters: str,
    valued: str = "",
    plain: str = "",
    *,
    skips: int = 0,
    assigns: bool = False,
    text: str = "",
) -> _Prefix:
    return _Prefix(
        classes(letters),
        frozenset(f"{valued} {text}".split()),
        frozenset(plain.split()),
        skips,
        assigns,
        frozenset(text.split()),
    )


_SUDO: Final = _prefix(
    "p",
    "-u -g -h -p -C -r -t -T -U -D -R --user --group --host --prompt --chdir --chroot --role --type"
    " --close-from --other-user --command-timeout",
    "-E -n -H -S -k -K -b -i -s -A -P -B -l -v -V --login --shell --preserve-env --stdin "
    "--non-interactive --set-home --background --list",
    assigns=True,
)
_PREFIXES: Final = {
    "sudo": _SUDO,
    "doas": _prefix("p", "-u -C -a", "-n -s -L"),
    "pkexec": _prefix("p", "--user", "--disable-internal-agent"),
    "run0": _prefix("p", "-u --user -g -D --setenv --unit", ""),
    "env": _prefix("r", "-u -C -a --unset --chdir --argv0", "-i -0 -v - --null --debug "
                   "--ignore-environment", assigns=True, text="-S --split-string"),
    "nohup": _prefix("r"),
    "setsid": _prefix("r", "", "-c -f -w --ctty --fork --wait"),
    "nice": _prefix("r", "-n --adjustment"),
    "ionice": _prefix("r", "-c -n -p -P -u --class --classdata", "-t --ignore"),
    "time": _prefix("r", "-f -o --format --output", "-p -a -v -q --verbose"),
    "timeout": _prefix("r", "-s -k --signal --kill-after", "-v --foreground --preserve-status "
                       "--verbose", skips=1),
    "gtimeout": _prefix("r", "-s -k", "-v", skips=1),
    "stdbuf": _prefix("r", "-i -o -e --input --output --error"),
    "chrt": _prefix("p", "-T -P -D -p", "-f -r -o -b -i -a", skips=1),
    "taskset": _prefix("r", "", "-a -c -p", skips=1),
    "unshare": _prefix("p", "-S -G -R -w -l --setuid --setgid --root --wd --propagation --setgroups"
                       " --map-user --map-group", "-m -u -i -n -p -U -C -T -f -r -c --fork"),
    "nsenter": _prefix("p", "-t -S -G --target --setuid --setgid", "-a -m -u -i -n -p -C -U -F"),
    "chroot": _prefix("p", "", "", skips=1),
    "setpriv": _prefix("p", "--reuid --regid --groups --inh-caps --bounding-set --ambient-caps"),
    "flock": _prefix("w", "-w -E --timeout --conflict-exit-code", "-s -x -e -n -u -o -F",
                     skips=1, text="-c --command"),
    "strace": _prefix("r", "-e -p -s -u -E -a -P -I -b -X -S", "-f -ff -c -C -t -tt -r -v -q -y"),
    "ltrace": _prefix("r", "-e -p -s -u -a -l -n -o", "-f -c -S -t"),
    "command": _prefix("r", "", "-p"),
    "builtin": _prefix("r"),
    "exec": _prefix("r", "-a", "-c -l"),
    "coproc": _prefix("r"),
    "nocorrect": _prefix("r"),
    "noglob": _prefix("r"),
    "caffeinate": _prefix("r", "-t -w", "-d -i -m -s -u"),
    "unbuffer": _prefix("r", "", "-p"),
    "fakeroot": _prefix("r", "-l -s -i -b --lib --faked", "-u"),
    "proxychains": _prefix("n", "-f", "-q"),
    "proxychains4": _prefix("n", "-f", "-q"),
    "torsocks": _prefix("n", "-a -u -p -P"),
    "systemd-run": _prefix("p", "-p -u -M -H -E --unit --property --slice --uid --gid --setenv",
                           "-t -P -q -G -d -r --user --scope --pty --wait --collect"),
    "systemd-inhibit": _prefix("r"),
    "dbus-run-session": _prefix("r", "", "--"),
    "setarch": _prefix("r", "", "-R", skips=1),
    "linux32": _prefix("r"),
    "linux64": _prefix("r"),
    "numactl": _prefix("r", "-N -m -C -i -p"),
    "prlimit": _prefix("r", "-p -o"),
    "busybox": _prefix("r"),
    "toybox": _prefix("r"),
    "su-exec": _prefix("p", skips=1),
    "gosu": _prefix("p", skips=1),
    "entr": _prefix("u", "", "-c -d -n -p -r -s -z -a"),
    "parallel": _prefix("u", "-j -I -a -S -N -n -L -C -P --jobs --arg-file --sshlogin --colsep",
                        "-k -u -0 -X -m --bar --dry-run --keep-order"),
    "script": _prefix("w", "-I -O -B -T -o -E -m --log-io", "-a -e -f -q", text="-c --command"),
    "su": _prefix("p", "-s -g -G -w --shell --group", "- -l -m -p -P", skips=99,
                  text="-c --command --session-command"),
    "runuser": _prefix("p", "-u -g -G -s --user", "- -l -m -p", text="-c --command"),
    "sg": _prefix("p", skips=1, text="-c"),
    "capsh": _prefix("p", text="-c"),
    "start-stop-daemon": _prefix("p", "-x -a -p -n -u -c -s -d --exec --startas --pidfile"),
}  # fmt: skip

SHELLS: Final = names(
    "sh bash dash zsh ksh mksh ash fish rbash csh tcsh pdksh yash oil osh elvish nu xonsh"
)
_INTERPRETERS: Final = names(
    "python perl ruby node nodejs php lua luajit deno tclsh osascript pypy pypy3 ipython jshell "
    "ts-node tsx groovy Rscript julia expect bpython irb gawk-ext awk-ext swift runghc"
)
_SQL: Final = names(
    "mysql mariadb psql sqlite3 sqlite sqlcmd mongosh mongo cqlsh clickhouse-client duckdb "
    "isql sqlplus influx snowsql presto trino hive beeline cockroach mysqladmin etcdctl"
)
_SQL_LOSS: Final = re.compile(
    r"\b(?:drop|truncate|delete|dropdatabase|deletemany|deleteone|remove|del|flushall|flushdb)\b",
    re.IGNORECASE,
)
_CODE_LOSS: Final = re.compile(
    r"os\.remove|rmtree|unlink|os\.rmdir|removedirs|rmSync|rmdirSync|fs\.rm\b|rimraf|rm_rf|rm_r\b"
    r"|FileUtils\.rm|File\.delete|Dir\.rmdir|Remove-Item|remove_tree|os\.truncate|deleteTree"
    r"|Deno\.remove|emptyDir|fs\.promises\.rm|remove_dir_all|delete_file|rmdir"
)


def join(args: Args) -> str:
    """The words as one text, as a shell that is handed them would read it."""
    return " ".join(arg.text for arg in args)


def doubt(args: Args) -> Classes:
    """`unknown` when a word may turn out to be an option, a subcommand or several words."""
    return UNKNOWN if any(arg.flaggable for arg in args) else NOTHING


def unsure(args: Args) -> Classes:
    """`unknown` unless every word is literal."""
    return NOTHING if all(arg.literal for arg in args) else UNKNOWN


def positionals(args: Args, valued: str = "") -> list[int]:
    """Where the words are that are neither options nor their values."""
    found: list[int] = []
    skip = ended = False
    with_value = names(valued)
    for index, arg in enumerate(args):
        if skip:
            skip = False
        elif arg.text == "--" and not ended:
            ended = True
        elif arg.text.startswith("-") and len(arg.text) > 1 and not ended:
            skip = takes_next(with_value, arg.text)
        else:
            found.append(index)
    return found


def options(args: Args) -> set[str]:
    """Every option, by name; a cluster counts once for each letter, too."""
    found: set[str] = set()
    for arg in args:
        if arg.text == "--":
            break
        if arg.text.startswith("-"):
            found.add(arg.text.partition("=")[0])
            if not arg.text.startswith("--"):
                found.update(f"-{letter}" for letter in arg.text[1:])
    return found


def _option_kind(spec: _Prefix, word: str) -> tuple[str, str]:
    """(`text`, its start), (`valued`, ""), (`plain`, "") or (`odd`, "")."""
    name, equals, value = word.partition("=")
    if not word.startswith("--"):
        for at, letter in enumerate(word[1:], 1):
            if f"-{letter}" in spec.text:
                return "text", word[at + 1 :]
            if f"-{letter}" in spec.valued:
                return ("plain", "") if word[at + 1 :] else ("valued", "")
            if f"-{letter}" not in spec.plain:
                break
        else:
            return "plain", ""
    if name in spec.text:
        return "text", value
    if name in spec.valued:
        return ("plain", "") if equals else ("valued", "")
    return ("plain", "") if name in spec.plain else ("odd", "")


_STARTS_A_SHELL: Final = names(
    "sudo doas su runuser chroot unshare nsenter script sg capsh setpriv"
)


def _prefixed(program: str, args: Args) -> Finding:
    """A program that runs the command its words end with: sudo, env, timeout..."""
    spec = _PREFIXES[program]
    if program == "command" and args and args[0].text in ("-v", "-V"):
        return Finding(classes=READ)
    texts: list[str] = []
    assigned: list[str] = []
    added: Classes = spec.classes
    skips, at, odd = spec.skips, 0, False
    while at < len(args):
        word = args[at].text
        if word == "--" and not spec.skips:
            at += 1
        elif word in spec.plain or (word.startswith("-") and len(word) > 1):
            kind, value = _option_kind(spec, word)
            odd = odd or kind == "odd"
            if kind == "text":
                taken = args[at : at + 1] if value else args[at + 1 : at + 2]
                texts.append(value or join(taken))
                added |= unsure(taken)
            at += 2 if kind == "valued" or (kind == "text" and not value) else 1
        elif spec.assigns and word.partition("=")[0].isidentifier() and "=" in word:
            assigned.append(word)
            at += 1
        elif skips and not (args[at].flaggable and skips < 9):
            skips -= 1
            at += 1
        else:
            break
    rest = tuple(args[at:])
    if rest and texts and program == "env":
        texts = [f"{texts[-1]} {join(rest)}"]  # -S puts its words before the others
    idle = not rest and not texts and program in _STARTS_A_SHELL
    if idle and program != "setpriv":
        added |= UNKNOWN
    return Finding(
        classes=added | (UNKNOWN if odd else NOTHING),
        argvs=(rest,) if rest else (),
        texts=tuple(texts),
        suspects=tuple(args) if odd else (),
        assigned=tuple(assigned),
        runs_data=idle,
    )


def _shell(program: str, args: Args) -> Finding:
    """sh and its family, with -c, a script, or standard input."""
    if len(args) == 1 and args[0].text in ("--version", "--help") and args[0].literal:
        return Finding(classes=READ)
    own = NOTHING if program in ("sh", "bash", "dash", "zsh", "ksh", "mksh", "ash") else UNKNOWN
    takes_text, at = False, 0
    while at < len(args) and args[at].text[:1] in ("-", "+") and args[at].text:
        word = args[at].text
        if word in ("--", "-"):
            at += 1
            break
        if word in ("--rcfile", "--init-file"):
            own |= UNKNOWN
        short = word[1:] if not word.startswith("--") else ""
        takes_text = takes_text or "c" in short or word.startswith("--c")
        own |= UNKNOWN if "i" in short or "s" in short or not args[at].literal else NOTHING
        valued = short[-1:] in ("o", "O") or word in ("--rcfile", "--init-file")
        at += 2 if valued else 1
    rest = tuple(args[at:])
    if takes_text and rest:
        own |= UNKNOWN if not rest[0].literal or doubt(rest[:1]) else NOTHING
        return Finding(classes=own or READ, texts=(rest[0].text,), suspects=rest[1:])
    return Finding(classes=own | UNKNOWN, runs_data=True, suspects=rest)


def _evaluated(_: str, args: Args) -> Finding:
    """eval, watch: the words joined are shell text."""
    at = positionals(args, "-n --interval")
    words = args[at[0] :] if at else ()
    return Finding(classes=unsure(words) or READ, texts=(join(words),) if words else ())


def _trap(_: str, args: Args) -> Finding:
    at = positionals(args)
    words = [args[index] for index in at[:1]]
    if len(at) < 2 or join(words) in ("", "-"):
        return Finding(classes=unsure(words) or READ)
    return Finding(classes=unsure(words) or classes("w"), texts=(join(words),))


def _alias(_: str, args: Args) -> Finding:
    pairs = [arg.text.partition("=") for arg in args if "=" in arg.text]
    return Finding(
        classes=unsure(args) or (classes("w") if pairs else READ),
        texts=tuple(value for _, _, value in pairs),
        defines=tuple(name for name, _, _ in pairs),
    )


def _find(program: str, args: Args) -> Finding:
    """find, fd: run commands, delete, and write lists."""
    added: Classes = NOTHING
    argvs: list[tuple[Arg, ...]] = []
    at = 0
    while at < len(args):
        word = args[at].text
        at += 1
        if word in ("-exec", "-execdir", "-ok", "-okdir", "-x", "-X", "--exec", "--exec-batch"):
            if word.lower() in ("-x", "--exec", "--exec-batch") and program == "find":
                continue
            end = next((i for i in range(at, len(args)) if args[i].text in (";", "+")), len(args))
            argvs.append(tuple(_filled(arg, "{") for arg in args[at:end]))
            at = end + 1
        elif word == "-delete":
            added |= DESTRUCTIVE
        elif word.startswith("-f") and word[1:] in ("fprint", "fprintf", "fprint0", "fls"):
            added |= written(join(args[at : at + 1])) or READ
        elif args[at - 1].flaggable:
            added |= UNKNOWN
    return Finding(classes=added or READ, argvs=tuple(argvs))


def _filled(arg: Arg, mark: str) -> Arg:
    """A template word whose mark will be replaced by something that is not known."""
    if mark not in arg.text:
        return arg
    return replace(arg, literal=False, flaggable=mark != "{" and arg.text.startswith(mark))


def _xargs(_: str, args: Args) -> Finding:
    at, mark = 0, ""
    added: Classes = NOTHING
    valued = names(
        "-I -n -L -P -s -d -E -a -J -R -S --max-args --max-procs --delimiter "
        "--arg-file --max-chars --max-lines --eof --process-slot-var"
    )
    plain = "0rtpxoie"
    while at < len(args) and args[at].text.startswith("-"):
        word = args[at].text
        if word.startswith(("-I", "-J", "-i", "--replace")):
            value = word.partition("=")[2] if word.startswith("--") else word[2:]
            follows = join(args[at + 1 : at + 2]) if word in ("-I", "-J") else "{}"
            mark = value or follows
        elif not takes_next(valued, word) and not word.startswith("--"):
            known = word[:2] in valued or all(letter in plain for letter in word[1:])
            added |= NOTHING if known else UNKNOWN
        at += 2 if takes_next(valued, word) else 1
        if word == "--":
            break
    words = args[at:] or [Arg("echo")]
    command = tuple(_filled(arg, mark) for arg in words) if mark else (*words, ANYTHING)
    hidden = not command[0].literal or any(" " in arg.text and not arg.literal for arg in command)
    return Finding(
        classes=added | (UNKNOWN if hidden else NOTHING) or READ,
        argvs=(command,),
        suspects=tuple(args) if added else (),
        takes_words=not mark,
        runs_data=hidden or command[0].text in SHELLS,
    )


def _parallel(program: str, args: Args) -> Finding:
    """GNU parallel: a template, then `:::` and the values."""
    marks = [i for i, arg in enumerate(args) if arg.text.startswith(":::")]
    end = marks[0] if marks else len(args)
    template = _prefixed(program, args[:end])
    texts = tuple(join(words) for words in template.argvs)
    values = args[end + 1 :] if marks else ()
    return Finding(
        classes=UNKNOWN,
        texts=texts or tuple(arg.text for arg in values),
        suspects=tuple(args),
        runs_data=not texts,
    )


def _sourced(_: str, args: Args) -> Finding:
    """source: the file is not read, but what the same text wrote may be in it."""
    return Finding(classes=UNKNOWN, runs_data=True, suspects=tuple(args[1:]))


def _ssh(_: str, args: Args) -> Finding:
    valued = "-b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w -B"
    at = positionals(args, valued)
    own = classes("n") | doubt(args[: at[0]] if at else args)
    local = [arg for arg in args[: at[0] if at else len(args)] if "command" in arg.text.lower()]
    texts = [arg.text.partition("=")[2] for arg in local]
    command = args[at[0] + 1 :] if at else ()
    # ssh reads options after the host, too.
    while command and command[0].text.startswith("-"):
        command = command[2 if takes_next(frozenset(valued.split()), command[0].text) else 1 :]
    if command:
        return Finding(classes=own | unsure(command), texts=(*texts, join(command)))
    return Finding(classes=own | UNKNOWN, texts=tuple(texts), runs_data=True)


def _interpreter(program: str, args: Args) -> Finding:
    """python -c, perl -e...: code in a language that is not followed."""
    words = [arg.text for arg in args]
    if len(args) == 1 and words[0] in ("--version", "-V", "-v", "--help", "-h"):
        return Finding(classes=READ if args[0].literal else UNKNOWN)
    return Finding(classes=UNKNOWN, code=tuple(words), loss=_CODE_LOSS, runs_data=True)


def _sql(program: str, args: Args) -> Finding:
    text = join(args)
    ends = program == "mysqladmin" and "shutdown" in text
    return Finding(classes=UNKNOWN | DESTRUCTIVE if ends else UNKNOWN, code=(text,), loss=_SQL_LOSS)


def _redis(_: str, args: Args) -> Finding:
    at = positionals(args, "-h -p -s -a -u -n -r -i --user --pass -x -d")
    verb = args[at[0]].text.upper() if at else ""
    words = {arg.text.upper() for arg in args}
    own = classes("n") | doubt(args[: at[0] + 1] if at else args)
    if words & {"FLUSHALL", "FLUSHDB", "SHUTDOWN"} or verb in ("DEL", "UNLINK"):
        own |= DESTRUCTIVE
    reads = "GET MGET KEYS SCAN INFO PING TTL EXISTS TYPE LLEN LRANGE HGET HGETALL SMEMBERS DBSIZE"
    if verb not in reads.split():
        known = ("SET", "INCR", "HSET", "LPUSH", "RPUSH", "SADD", "ZADD", "EXPIRE", *words)
        own |= classes("w") if verb and verb in known else UNKNOWN
    return Finding(classes=own, loss=None if verb else _SQL_LOSS)


VERSIONED: Final = SHELLS | _INTERPRETERS
RUNNERS: Final[Mapping[str, Callable[[str, Args], Finding]]] = {
    **dict.fromkeys(_PREFIXES, _prefixed),
    **dict.fromkeys(SHELLS, _shell),
    **dict.fromkeys(_INTERPRETERS, _interpreter),
    **dict.fromkeys(_SQL, _sql),
    **dict.fromkeys(("eval", "watch"), _evaluated),
    **dict.fromkeys(("source", "."), _sourced),
    **dict.fromkeys(("find", "fd", "fdfind", "gfind", "bfs"), _find),
    "trap": _trap,
    "alias": _alias,
    "xargs": _xargs,
    "parallel": _parallel,
    "ssh": _ssh,
    "mosh": _ssh,
    "redis-cli": _redis,
}
