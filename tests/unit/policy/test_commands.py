"""`commands` in rules: what matches, what may match and thus denies, and what does not load."""

from datetime import UTC, datetime

import pytest

from forestall.policy import Decision, Effect, Request, compile_policy, evaluate, load_policy
from forestall.policy.problems import PolicyError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AGENT = """
rules:
  - id: force
    decision: require_approval
    match: {topics: ["job.exec.*"], commands: ["git push --force *", "git push -f *"]}
  - id: free
    decision: allow
    match: {topics: ["job.exec.*"], commands: ["git status *", "git push *"]}
  - id: inside
    decision: require_approval
    match: {topics: ["job.exec.*"], labels: {command_class: destructive, command_scope: workspace}}
  - id: read
    decision: allow
    match: {topics: ["job.exec.*"], labels: {command_class: read}}
"""


def decide(text: str, policy: str = AGENT) -> Decision:
    request = Request(topic="job.exec.shell", payload={"prompt": text, "context": None})
    return evaluate(compile_policy(load_policy(policy)), request, now=NOW)


@pytest.mark.parametrize(
    ("text", "effect", "rule"),
    [
        ("git status", Effect.ALLOW, "free"),
        ("/usr/bin/git 'status' -s", Effect.ALLOW, "free"),
        ("timeout 5 git status", Effect.ALLOW, "free"),
        ("git push origin", Effect.ALLOW, "free"),
        ("git push origin --force", Effect.REQUIRE_APPROVAL, "force"),
        ("git -C sub push -f", Effect.REQUIRE_APPROVAL, "force"),
        ("git status && git push -f", Effect.REQUIRE_APPROVAL, "force"),
        ("rm -rf build", Effect.REQUIRE_APPROVAL, "inside"),
        ("cd src && rm -rf build", Effect.REQUIRE_APPROVAL, "inside"),
        ("rm " + " ".join(f"f{n}" for n in range(60)), Effect.REQUIRE_APPROVAL, "inside"),
        ("ls *.py", Effect.ALLOW, "read"),
        ("rm -rf /", Effect.DENY, ""),
        ("cd /; rm -rf build", Effect.DENY, ""),
        ("rm -rf $X", Effect.DENY, ""),
        ("rm a.txt /tmp/b.txt", Effect.DENY, ""),
        ("git status; rm -rf ~", Effect.DENY, ""),
        ("sudo git status", Effect.DENY, ""),
        ("cat .env", Effect.DENY, ""),
        ("git status > .git/hooks/pre-commit", Effect.DENY, ""),
        ("git status >> a.txt", Effect.DENY, ""),
        ("git status < ~/.ssh/id_rsa", Effect.DENY, ""),
        ("git status 2>/dev/null", Effect.ALLOW, "free"),
        ("git push -f > log", Effect.DENY, ""),
        ("PATH=/tmp git status", Effect.DENY, ""),
        ("./git status", Effect.DENY, ""),
        ("/tmp/git status", Effect.DENY, ""),
        ("xargs ./git status", Effect.DENY, ""),
        ("bash -c './git status'", Effect.DENY, ""),
        ("~/bin/git status", Effect.DENY, ""),
        ("/usr/bin/../../tmp/git status", Effect.DENY, ""),
        ("./git push --force", Effect.DENY, ""),
    ],
)
def test_a_coding_agent(text: str, effect: Effect, rule: str) -> None:
    decision = decide(text)
    assert (decision.decision, decision.rule_id) == (effect, rule)


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("./gradlew build", Effect.ALLOW),
        ("timeout 9 ./gradlew build --info", Effect.ALLOW),
        ("gradlew build", Effect.ALLOW),
        ("/tmp/gradlew build", Effect.DENY),
        ("./sub/../gradlew build", Effect.DENY),
        ("./gradlew\\ build x", Effect.DENY),
        ("./gr\u0430dlew build", Effect.DENY),
        ("./" + "a/../" * 60 + "gradlew build", Effect.DENY),
        ("$X/gradlew build", Effect.DENY),
        ("./gradl?w build", Effect.DENY),
    ],
)
def test_a_program_behind_a_path_is_allowed_by_name_and_by_path(text: str, effect: Effect) -> None:
    allowed = """
rules:
  - id: build
    decision: allow
    match: {topics: ["job.exec.*"], commands: ["gradlew build *", "./gradlew build *"]}
"""
    assert decide(text, allowed).decision is effect
    by_path_alone = allowed.replace('"gradlew build *", ', "")
    assert decide(text, by_path_alone).decision is Effect.DENY


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("make all", Effect.ALLOW),
        ("./make all", Effect.DENY),
        ("/opt/x/make all", Effect.DENY),
        ("/usr/bin/make all", Effect.ALLOW),
        ("./m\u0430ke all", Effect.DENY),
        ("./configure all", Effect.ALLOW),
        ("./sub/configure all", Effect.DENY),
    ],
)
def test_a_rule_by_program_takes_no_path_for_a_name(text: str, effect: Effect) -> None:
    policy = """
rules:
  - id: build
    decision: allow
    match: {topics: ["job.exec.*"], labels: {command_program: [make, configure, ./configure]}}
"""
    assert decide(text, policy).decision is effect


@pytest.mark.parametrize("text", ["git $X", "$X push", "git --no-such x push", "git push --forc"])
def test_what_may_match_denies_and_says_why(text: str) -> None:
    decision = decide(text)
    assert (decision.decision, decision.code) == (Effect.DENY, "rule_error")
    assert "`commands`" in decision.errors[0]


def test_an_exception_by_words_is_no_way_around() -> None:
    policy = """
default_decision: allow
rules:
  - id: no-push
    decision: deny
    match: {topics: ["job.exec.*"], commands: ["git *"]}
    unless: {commands: ["git status *"]}
"""
    assert decide("git status", policy).decision is Effect.ALLOW
    assert decide("git push", policy).decision is Effect.DENY
    assert decide("git $X", policy).decision is Effect.DENY


@pytest.mark.parametrize(
    "pattern", ["git push; ls", "/usr/bin/git push", "git 'push'", "$X", "-x", "A=b git push"]
)
def test_what_is_no_pattern_does_not_load(pattern: str) -> None:
    with pytest.raises(PolicyError) as error:
        load_policy(f'rules: [{{id: a, decision: deny, match: {{commands: ["{pattern}"]}}}}]')
    assert error.value.problems


def test_commands_on_a_topic_whose_payloads_are_no_commands() -> None:
    policy = load_policy(
        'rules: [{id: a, decision: deny, match: {topics: ["job.mail.*"], commands: ["git push"]}}]'
    )
    with pytest.raises(PolicyError, match="command_words"):
        compile_policy(policy)


CLUSTER = """
rules:
  - id: gone
    decision: deny
    match: {topics: ["job.k8s.*"], labels: {cluster_class: destructive}}
  - id: outside
    decision: deny
    match: {topics: ["job.k8s.*"], labels: {command_scope: [system, root]}}
  - id: look
    decision: allow
    match: {topics: ["job.k8s.*"], commands: ["kubectl get *"], labels: {cluster_namespace: web}}
  - id: read
    decision: allow
    match: {topics: ["job.k8s.*"], commands: ["ls *"], labels: {cluster_class: read}}
"""


@pytest.mark.parametrize(
    ("text", "effect", "rule"),
    [
        ("kubectl get pods -n web", Effect.ALLOW, "look"),
        ("kubectl -n web get pods", Effect.ALLOW, "look"),
        ("kubectl get pods -n other", Effect.DENY, ""),
        ("kubectl get pods -n web; kubectl get pods -n other", Effect.DENY, ""),
        ("kubectl delete pod x -n web", Effect.DENY, "gone"),
        ("kubectl get pods -n web; kubectl delete pod x -n web", Effect.DENY, "gone"),
        ("kubectl get pods -n web > /etc/x", Effect.DENY, "outside"),
        ("cat /etc/hosts", Effect.DENY, "outside"),
        ("ls", Effect.ALLOW, "read"),
        ("kubectl get pods -n web | rm x", Effect.DENY, "gone"),
        ("kubectl get secrets -n web -o yaml; $X", Effect.DENY, ""),
        ("notatool", Effect.DENY, ""),
    ],
)
def test_cluster_topics_give_the_labels_of_commands(text: str, effect: Effect, rule: str) -> None:
    request = Request(topic="job.k8s.a", payload={"prompt": text})
    snapshot = compile_policy(load_policy(CLUSTER))
    decision = evaluate(snapshot, request, now=NOW)
    assert (decision.decision, decision.rule_id) == (effect, rule)


def test_a_rule_over_commands_needs_a_topic_whose_texts_are_commands() -> None:
    rule = "rules: [{id: a, decision: allow, match: {topics: [TOPIC], commands: ['ls *']}}]\n"
    for topic in ("job.sql.a", "job.http.a", "job.file.a", "job.tool.a"):
        with pytest.raises(PolicyError, match="nothing derives"):
            compile_policy(load_policy(rule.replace("TOPIC", topic)))
    for kind in ("shell", "cluster"):
        entry = f"derive: [{{kind: {kind}, topics: [job.tool.a], fields: [args.run]}}]\n"
        snapshot = compile_policy(load_policy(entry + rule.replace("TOPIC", "job.tool.a")))
        for run, effect in (("ls -l", Effect.ALLOW), ("ls; rm x", Effect.DENY)):
            request = Request(topic="job.tool.a", args={"run": run})
            assert evaluate(snapshot, request, now=NOW).decision is effect, (kind, run)
