"""Hard cases for where a path leads: one table by theme, then hostile and random paths."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.facts.file_paths import PATHS_MAX, PathFact, paths_in
from forestall.facts.path_classes import PathClass

LETTERS = {"w": PathClass.WORKSPACE, "o": PathClass.OUTSIDE, "y": PathClass.SYSTEM,
           "s": PathClass.SECRET, "r": PathClass.RUNS_LATER, "u": PathClass.UNKNOWN}  # fmt: skip


def classes_in(*values: str, workspace: str = "/workspace") -> set[PathClass]:
    return {kind for fact in paths_in(values, workspace=workspace) for kind in fact.classes}


# "=w" is exactly these classes; "+y" is at least these; "-w" is none of these.
CASES: dict[str, list[tuple[str, str]]] = {
    "inside": [
        ("a.txt", "=w"),
        ("src/app/main.py", "=w"),
        ("./a", "=w"),
        (".", "=w"),
        ("a/../b", "=w"),
        ("a//b", "=w"),
        ("a b.txt", "=w"),
        ("/workspace", "=w"),
        ("/workspace/", "=w"),
        ("/workspace/src", "=w"),
        ("../workspace/a", "=w"),
        ("file:///workspace/a", "=w"),
        ("na\u00efve.txt", "=w"),
        ("\u65e5\u672c/a.txt", "=w"),
        ("100%.txt", "=w"),
        (".github/workflow/x.yml", "=w"),
        ("id_rsa.pub", "=w"),
        ("environ.py", "=w"),
        (".venv/bin/python", "=w"),
    ],
    "outside": [
        ("../a", "=o"),
        ("/tmp/x", "=o"),
        ("/home/u/x", "=o"),
        ("/workspace2/a", "=o"),
        ("/workspaces", "=o"),
        ("/WORKSPACE/a", "=o"),
        ("/opt/app/x", "=o"),
        ("/dev/null", "=o"),
        ("~/x", "+o-w"),
        ("$HOME/x", "+ou-w"),
        ("${HOME}/x", "+ou-w"),
        ("~alice/x", "=o"),
        ("a/../../b", "=o"),
        ("/workspace/../x", "=o"),
        ("D:\\data\\x", "+o-w"),
        ("d:/data/x", "=o"),
        ("c:x", "+u-w"),
        ("\\\\host\\share\\x", "+u-w"),
        ("//host/share", "+o-w"),
        ("//workspace/$X", "+u-w"),
        ("http://host/workspace/x", "+u-w"),
        ("file://host/workspace/x", "+u-w"),
    ],
    "system": [
        ("/etc/passwd", "=y"),
        ("/", "=y"),
        ("..", "=y"),
        ("//etc//passwd", "=y"),
        ("/ETC/passwd", "=y"),
        ("/usr/bin/x", "=y"),
        ("/bin/sh", "=y"),
        ("/lib64/x", "=y"),
        ("/boot/x", "=y"),
        ("/dev/sda", "=y"),
        ("/sys/x", "=y"),
        ("/root/x", "=y"),
        ("~root/x", "=y"),
        ("/var/lib/x", "=y"),
        ("/var/run/x", "=y"),
        ("/var/spool/cron/x", "=yr"),
        ("/private/etc/hosts", "=y"),
        ("C:\\Windows\\System32\\x", "=y"),
        ("c:/windows/x", "=y"),
        ("\\\\?\\C:\\Windows\\x", "=y"),
        ("C:\\Program Files\\x", "=y"),
        ("../../../../../etc/passwd", "=y"),
        ("/workspace/../etc/passwd", "=y"),
        ("src/../../etc/passwd", "=y"),
        ("/proc/1/status", "=y"),
    ],
    "secret": [
        ("/home/u/.ssh/id_rsa", "+s"),
        ("~/.ssh/config", "+s"),
        ("~/.aws/credentials", "+s"),
        ("~/.kube/config", "+s"),
        (".env", "=ws"),
        (".env.production", "=ws"),
        ("a/.ENV", "=ws"),
        ("certs/server.PEM", "=ws"),
        ("server.key", "=ws"),
        ("x.p12", "=ws"),
        ("x.pfx", "=ws"),
        (".netrc", "=ws"),
        (".npmrc", "=wsr"),
        (".pypirc", "=ws"),
        (".git-credentials", "=ws"),
        (".docker/config.json", "=ws"),
        ("/etc/shadow", "=ys"),
        ("/etc/shadow-", "=ys"),
        ("/run/secrets/db", "=ys"),
        ("/var/run/secrets/kubernetes.io/serviceaccount/token", "=ys"),
        ("~/.config/gcloud/application_default_credentials.json", "+s"),
        ("terraform.tfstate", "=ws"),
        ("terraform.tfstate.backup", "=ws"),
        ("prod.tfvars", "=ws"),
        ("x.kdbx", "=ws"),
        ("~/.bash_history", "+s"),
        ("~/.vault-token", "+s"),
        ("id_ed25519", "=ws"),
        ("id_rsa.bak", "=ws"),
        (".env~", "+s"),
        ("/proc/self/environ", "=ys"),
        ("/proc/1/fd/3", "+ys"),
        ("/proc/self/task/7/environ", "+ys"),
        ("/Users/u/Library/Keychains/login.keychain-db", "+s"),
        ("C:\\Users\\u\\.env:x", "+su-w"),
        ("C:\\Users\\u\\.aws\\credentials", "+s"),
        ("/home/u/.mozilla/firefox/x/logins.json", "+s"),
        (".env::$DATA", "+su-w"),
        (".env. ", "+s"),
        ("%2eenv", "+s"),
        ("\uff0eenv", "+su"),
        (".e\u200bnv", "+su"),
    ],
    "secret names": [
        ("credentials.yaml", "=ws"),
        ("config/credentials.prod.yml", "=ws"),
        ("creds.json", "=ws"),
        ("db-creds.json", "=ws"),
        (".vault_pass", "=ws"),
        (".vault_pass.txt", "=ws"),
        ("ansible/vault-password", "=w"),
        ("service-account-prod.json", "=ws"),
        ("serviceAccountKey.json", "=ws"),
        ("x-firebase-adminsdk-1a2b.json", "=ws"),
        ("client_secret_123.apps.googleusercontent.com.json", "=ws"),
        ("~/.claude/.credentials.json", "+s"),
        ("secrets.prod.yaml", "=ws"),
        ("passwords.csv", "=ws"),
        ("prod.env", "=ws"),
        ("api_keys.txt", "=ws"),
        (".dev.vars", "=ws"),
        ("kubeconfig.yaml", "=ws"),
        (".pgpass", "=ws"),
        (".env.local", "=ws"),
        (".env.example.bak", "=ws"),
        (".env.example~", "=ws"),
        (".env.example.local", "=ws"),
        (".env.pub", "=ws"),
        ("secrets/.env.example", "=ws"),
        ("private.pem", "=ws"),
        ("publican.pem", "=ws"),
    ],
    "names that say they are no secrets": [
        (".env.example", "=w"),
        (".ENV.EXAMPLE", "=w"),
        ("config/.env.template", "=w"),
        (".env.sample", "=w"),
        (".env.production.example", "=w"),
        ("credentials.example.json", "=w"),
        ("secrets.sample.yaml", "=w"),
        ("terraform.tfvars.example", "=w"),
        ("public.pem", "=w"),
        ("keys/public_key.pem", "=w"),
        ("jwt-public.key", "=w"),
        ("id_ed25519.pub", "=w"),
        ("src/credentials.py", "=w"),
        ("docs/secrets.md", "=w"),
        ("src/password.tsx", "=w"),
        ("locales/reset-password.json", "=w"),
        ("tokens.json", "=w"),
    ],
    "real names with marks": [
        ("pages/[slug]/x.tsx", "=w"),
        ("app/[...slug]/page.tsx", "=w"),
        ("app/[[...slug]]/page.tsx", "=w"),
        ("pages/[id].tsx", "=w"),
        ("src/routes/$id.tsx", "=w"),
        ("src/routes/$lang/about.tsx", "=w"),
        ("app/(group)/@modal/page.tsx", "=w"),
        ("R&D/plan.md", "=w"),
        ("Outer$Inner.class", "=w"),
        ("{{cookiecutter.name}}/a.py", "=w"),
        ("src/*/../../etc/passwd", "+u-w"),
        ("pages/[slug]/../../x", "+u-w"),
        ("src/$id/../../x", "+u-w"),
        ("$dir/x", "+u-w"),
        ("a/$HOME/x", "+u-w"),
        (".e[n]v", "+u-w"),
        ("[c]reds.json", "+u-w"),
        ("[.]env", "+u-w"),
        ("a;b", "+u-w"),
    ],
    "files that run later": [
        ("package.json", "=wr"),
        ("packages/a/PACKAGE.JSON", "=wr"),
        ("Makefile", "=wr"),
        ("sub/GNUmakefile", "=wr"),
        ("rules.mk", "=wr"),
        (".github/workflows/ci.yml", "=wr"),
        ("sub/.github/workflows/ci.yml", "=wr"),
        (".envrc", "=wsr"),
        (".gitlab-ci.yml", "=wr"),
        ("Jenkinsfile", "=wr"),
        (".pre-commit-config.yaml", "=wr"),
        ("tests/conftest.py", "=wr"),
        (".vscode/tasks.json", "=wr"),
        (".bazelrc", "=wr"),
        (".husky/pre-commit", "=wr"),
        (".claude/settings.json", "=wr"),
        ("vite.config.ts", "=wr"),
        ("BUILD", "=wr"),
        ("build", "=w"),
        ("workspace/a", "=w"),
        (".git/hooks/pre-commit", "=yr"),
        ("vendor/sub/.git/hooks/pre-commit", "=yr"),
        (".git/config", "=yr"),
        (".git/modules/sub/hooks/post-checkout", "=yr"),
        (".git/modules/sub/config", "=yr"),
        (".GIT/Hooks/pre-commit", "=yr"),
        (".git", "=yr"),
        (".git/HEAD", "=w"),
        (".gitignore", "=w"),
        ("~/.bashrc", "+r-w"),
        ("/home/u/.config/systemd/user/a.service", "=or"),
        ("/etc/cron.d/x", "=yr"),
        ("/etc/profile", "=yr"),
        ("/etc/systemd/system/a.service", "=yr"),
        ("/Users/u/Library/LaunchAgents/a.plist", "=or"),
    ],
    "readers that differ": [
        ("src/%2e%2e/%2e%2e/etc/passwd", "+y"),
        ("src/%252e%252e/%252e%252e/etc/passwd", "+y"),
        ("..%2f..%2fetc%2fpasswd", "+y"),
        ("%2fetc%2fpasswd", "+y"),
        ("a%25252e", "+u-w"),
        ("..%c0%afetc/passwd", "+u-w"),
        ("..%u2215etc", "+u-w"),
        ("a\\..\\..\\etc\\passwd", "+yu-w"),
        ("..\\x", "+u-w"),
        ("a\0.txt", "+u-w"),
        ("/etc/passwd\0.txt", "+y"),
        ("/workspace/../etc/passwd%00.txt", "+y"),
        ("\uff0fetc\uff0fpasswd", "+yu"),
        ("\u2024\u2024/\u2024\u2024/etc/passwd", "+yu"),
        ("\u2025/\u2025/etc/passwd", "+u-w"),
        (" /etc/passwd", "+y"),
        ("/etc/passwd ", "+y"),
        (".. /.. /etc/passwd", "+w"),
        ("/proc/self/root/etc/shadow", "+su-w"),
        ("/proc/1/root/workspace/a", "+u-w"),
        ("/proc/self/cwd/../x", "+y"),
        ("/proc/self/cwd/../../../workspace/a", "+u-w"),
        ("/usr/../workspace/a", "+u-w"),
        ("/bin/../workspace/a", "+u-w"),
        ("/dev/fd/3", "+u-w"),
        ("/dev/stdin", "+u-w"),
        ("/dev/tcp/evil.com/80", "+u-w"),
        ("file:///etc/passwd", "=y"),
        ("FILE:///etc/passwd", "=y"),
        ("file:/etc/passwd", "=y"),
        ("file://localhost/etc/passwd", "=y"),
        ("${X}/a", "+u-w"),
        ("$X", "+u-w"),
        ("`id`/a", "+u-w"),
        ("$(pwd)/a", "+u-w"),
        ("%USERPROFILE%\\x", "+u-w"),
        ("*.py", "+u-w"),
        ("{a,/etc}/x", "+u-w"),
        ("GIT~1/config", "+u-w"),
        ("a\u202etxt.exe", "+u-w"),
        ("a\nb", "+u-w"),
        ("a\nb/.git/hooks/pre-commit", "+yr"),
        ("a\nb-creds.json", "+s"),
        ("", "=u"),
        ("x" * 10_000, "=u"),
        ("../" * 2_000, "=u"),
    ],
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [case for cases in CASES.values() for case in cases],
    ids=[f"{theme}-{at}" for theme, cases in CASES.items() for at in range(len(cases))],
)
def test_case(text: str, wanted: str) -> None:
    found = classes_in(text)
    some, _, none = wanted[1:].partition("-")
    assert found >= {LETTERS[letter] for letter in some}, found
    assert wanted.startswith("+") or found == {LETTERS[letter] for letter in some}, found
    assert not found & {LETTERS[letter] for letter in none}, found


def test_paths_are_normalised() -> None:
    assert paths_in(["./a/../b"]) == (
        PathFact(path="/workspace/b", classes=frozenset({PathClass.WORKSPACE})),
    )


def test_the_workspace_may_stand_inside_the_system() -> None:
    assert classes_in("a", workspace="/var/lib/agent/") == {PathClass.WORKSPACE}
    assert classes_in("../x", workspace="/var/lib/agent") == {PathClass.SYSTEM}


@pytest.mark.parametrize("workspace", ["", "/", "relative", "C:\\work"])
def test_without_a_workspace_nothing_is_inside(workspace: str) -> None:
    assert classes_in("a", "/etc/passwd", workspace=workspace) == {PathClass.UNKNOWN}


def test_none_or_too_many() -> None:
    assert classes_in() == {PathClass.UNKNOWN}
    found = paths_in([f"f{n}" for n in range(1_000)] + [".env"])
    assert len(found) <= PATHS_MAX
    assert PathClass.UNKNOWN in {kind for fact in found for kind in fact.classes}


@pytest.mark.parametrize(
    "piece", ["../", "a/", "%25", "%2e", "~", "$", "\\", "C:", "\uff0e", ". ", "\0", ":", "/ ", "*"]
)
def test_hostile_paths_return(piece: str) -> None:
    assert paths_in([(piece * 8_000)[:8_000]] * 50)


@given(st.lists(st.text(max_size=60), max_size=5), st.text(max_size=10))
@settings(deadline=None, max_examples=300)
def test_any_paths_give_an_answer(values: list[str], workspace: str) -> None:
    found = paths_in(values, workspace=workspace)
    assert found
    assert all(fact.classes for fact in found)
    for fact in found:
        if PathClass.WORKSPACE in fact.classes:
            assert fact.classes <= {PathClass.WORKSPACE, PathClass.SECRET, PathClass.RUNS_LATER}
            assert ".." not in fact.path.split("/")


STEPS = st.sampled_from(
    ["..", ".", "a", "etc", "workspace", "%2e%2e", "%2f", "", "~", "proc", "self", "root", "\\",
     "..\\", ".. ", "$X", "\uff0e\uff0e", "usr", "b"]
)  # fmt: skip


@given(st.lists(STEPS, max_size=8), st.sampled_from(["", "/", "/workspace/", "file:///"]))
@settings(deadline=None, max_examples=500)
def test_no_way_of_climbing_is_called_inside_alone(steps: list[str], start: str) -> None:
    """A plain walk of the decoded path decides whether it may be called inside."""
    text = start + "/".join(steps)
    if classes_in(text) != {PathClass.WORKSPACE}:
        return
    plain = text.removeprefix("file://").replace("%2e", ".").replace("%2f", "/").strip()
    parts = [] if plain.startswith("/") else ["workspace"]
    for part in plain.split("/"):
        if part.strip(" ") == "..":
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    assert parts[:1] == ["workspace"], text
    assert not set("\\\uff0e") & set(text)
    assert "$X" not in text


@given(
    st.sampled_from([".env", "id_rsa", ".aws/credentials", "server.pem", ".netrc"]),
    st.sampled_from(["{}", "./{}", "a/../{}", "%2e/{}", "/etc/../tmp/{}", "~/{}", "{}.bak", "{} ",
                     "\\{}", "C:\\u\\{}", "file:///x/{}", "/workspace/{}", "{}\0.txt", "{}."]),
    st.booleans(),
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_no_spelling_hides_a_secret(name: str, place: str, upper: bool) -> None:
    assert PathClass.SECRET in classes_in(place.format(name.upper() if upper else name))
