"""Hard cases for cluster, cloud, git and package commands: tables by theme, then random texts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.facts.cluster.commands import paired, verbs_and_commands_in, verbs_in
from forestall.facts.cluster.tool_facts import VerbFact
from forestall.facts.cluster.tools import TOOLS, tool_name
from forestall.facts.shell.command_classes import CommandClass
from forestall.facts.shell.command_facts import COMMANDS_MAX, CommandDetail
from forestall.facts.shell.commands import TEXT_BYTES_MAX

LETTERS = {kind.value[0]: kind for kind in CommandClass}


def classes_in(text: str) -> set[CommandClass]:
    """Every class of every command in the text."""
    return {kind for fact in verbs_in(text) for kind in fact.classes}


def as_text(fact: VerbFact) -> str:
    return "|".join((fact.tool, fact.verb, fact.resource, fact.namespace))


# "=r" is exactly these classes; "+d" is at least these; "-r" is none of these. Before it, the facts
# that must be among those found: tool|verb|resource|namespace.
CASES: dict[str, list[tuple[str, str, str]]] = {
    "kubernetes reads": [
        ("kubectl get pods", "kubectl|get|pods|", "=r"),
        ("kubectl get po,svc -A", "kubectl|get|pods|* kubectl|get|services|*", "=r"),
        ("k -n prod logs web-0", "kubectl|logs||prod", "=r"),
        ("kubectl --context x get deploy web -o yaml", "kubectl|get|deployments|", "=r"),
        ("kubectl get -nprod pods", "kubectl|get|pods|prod", "=r"),
        ("kubectl --namespace=a get cm", "kubectl|get|configmaps|a", "=r"),
        ("kubectl describe ns/prod", "kubectl|describe|namespaces|", "=r"),
        ("kubectl rollout status deploy/x", "kubectl|rollout status|deployments|", "=r"),
        ("kubectl auth can-i create pods", "kubectl|auth can-i|create|", "=r"),
        ("kubectl get pods -l app=x --watch", "kubectl|get|pods|", "=r"),
        ("kubectl delete pod x --dry-run=client", "kubectl|delete|pods|", "=r"),
        ("kubectl get secret s", "kubectl|get|secrets|", "=rp"),
        ("kubectl get pods,secrets", "kubectl|get|secrets|", "=rp"),
        ("kubectl get pods | grep x | wc -l", "kubectl|get|pods| grep||| wc|||", "=r"),
        ("helm list -A", "helm|list||", "=r"),
        ("helm -n x status y", "helm|status||x", "=r"),
    ],
    "kubernetes changes": [
        ("kubectl scale deploy x --replicas=3", "kubectl|scale|deployments|", "=w"),
        ("kubectl scale deploy x --replicas=0", "kubectl|scale|deployments|", "+d"),
        ("kubectl rollout undo deploy/x", "kubectl|rollout undo|deployments|", "=w"),
        ("kubectl apply -f x.yaml", "kubectl|apply||", "+wu-r"),
        ("cat x | kubectl apply -f -", "kubectl|apply||", "+wu"),
        ("kubectl apply --prune -f x.yaml", "kubectl|apply||", "+d"),
        ("kubectl replace --force -f x", "kubectl|replace||", "+d"),
        ("kubectl create ns x", "kubectl|create|namespaces|", "=w"),
        ("kubectl exec -it p -- ls", "kubectl|exec||", "+p"),
        ("kubectl port-forward svc/x 80:80", "kubectl|port-forward||", "+p-r"),
        ("kubectl cp p:/x /y", "kubectl|cp||", "+p"),
        ("kubectl create clusterrolebinding x", "kubectl|create|clusterrolebindings|", "+p"),
        ("kubectl create token sa", "kubectl|create|tokens|", "+p"),
        ("kubectl --as admin get pods", "kubectl|get|pods|", "+p"),
        ("kubectl run x --image=y --privileged", "kubectl|run||", "+pu"),
        ("kubectl get --raw /api/v1/secrets", "kubectl|get||", "+u-r"),
        ("helm upgrade --install a b -n c", "helm|upgrade||c", "+w"),
        ("helm install a b --post-renderer ./x", "helm|install||", "+u"),
    ],
    "kubernetes losses": [
        ("kubectl delete ns prod", "kubectl|delete|namespaces|", "=d"),
        ("kubectl --context x -n y delete ns z", "kubectl|delete|namespaces|y", "=d"),
        ("k delete pvc --all -n a", "kubectl|delete|persistentvolumeclaims|a", "=d"),
        ("kubectl delete pods,secrets --all", "kubectl|delete|secrets|", "+d"),
        ("kubectl delete pod/a secret/b", "kubectl|delete|secrets|", "+d"),
        ("kubectl delete deployments.v1.apps/x", "kubectl|delete|deployments|", "=d"),
        ("kubectl delete -f x.yaml", "kubectl|delete||", "+d"),
        ("kubectl delete pod x --dry-run", "kubectl|delete|pods|", "=d"),
        ("kubectl delete pod x --dry-run=none", "kubectl|delete|pods|", "=d"),
        ("kubectl delete pod x --dry-run=client --dry-run=none", "kubectl|delete|pods|", "+d"),
        ("kubectl delete pod x --dry-run=$X", "kubectl|delete|pods|", "+d"),
        ("kubectl drain n1", "kubectl|drain|n1|", "+d"),
        ("helm uninstall a", "helm|uninstall||", "=d"),
        ("helm del a", "helm|uninstall||", "=d"),
    ],
    "infrastructure": [
        ("terraform show", "terraform|show||", "=b"),
        ("terraform plan", "terraform|plan||", "+u"),
        ("terraform apply -auto-approve", "terraform|apply||", "=nw"),
        ("terraform -chdir=x destroy", "terraform|destroy||", "+d"),
        ("tf apply -destroy", "terraform|apply||", "+d"),
        ("terraform apply --destroy", "terraform|apply||", "+d"),
        ("terraform state rm x", "terraform|state rm||", "+d"),
        ("tofu destroy", "tofu|destroy||", "+d"),
        ("docker ps -a", "docker|ps||", "=r"),
        ("docker run --privileged alpine", "docker|run||", "+p"),
        ("docker run -v /:/host alpine", "docker|run||", "+p"),
        ("docker run --pid=host alpine", "docker|run||", "+p"),
        ("docker system prune -af", "docker|system prune|system|", "=d"),
        ("docker compose -f x down -v", "docker|compose down|compose|", "+d"),
        ("docker -H tcp://x ps", "docker|ps||", "+u"),
        ("podman rmi -f x", "podman|rmi||", "=d"),
    ],
    "clouds": [
        ("aws ec2 describe-instances --filters X", "aws|describe-instances|ec2|", "=r"),
        ("aws --profile p s3 ls", "aws|ls|s3|p", "=r"),
        ("aws --profile p --region r s3 rb --force s3://x", "aws|rb|s3|p", "+d"),
        ("aws ec2 terminate-instances --instance-ids i", "aws|terminate-instances|ec2|", "+d"),
        ("aws s3 sync a s3://b --delete", "aws|sync|s3|", "+d"),
        ("aws secretsmanager get-secret-value", "aws|get-secret-value|secretsmanager|", "+p"),
        ("aws iam attach-user-policy --x", "aws|attach-user-policy|iam|", "+p-r"),
        ("aws dynamodb batch-get-item", "aws|batch-get-item|dynamodb|", "-d"),
        ("aws lambda invoke --function-name f o", "aws|invoke|lambda|", "+pu"),
        ("aws ec2 frobnicate", "aws|frobnicate|ec2|", "+u-r"),
        ("aws --endpoint-url http://x s3 ls", "aws|ls|s3|", "+u"),
        ("gcloud compute instances list", "gcloud|list|compute instances|", "=r"),
        (
            "gcloud --project x compute instances delete y",
            "gcloud|delete|compute instances|x",
            "+d-r",
        ),
        ("gcloud beta compute ssh x", "gcloud|ssh|compute|", "+p"),
        (
            "gcloud projects add-iam-policy-binding x",
            "gcloud|add-iam-policy-binding|projects|",
            "+p",
        ),
        ("az vm list", "az|list|vm|", "=r"),
        ("az group delete -n x", "az|delete|group|", "+d"),
        ("az keyvault secret show --name x", "az|show|keyvault secret|", "+p"),
        ("az rest --method delete", "az|rest||", "+pu"),
        ("gsutil rm gs://x", "gsutil|rm|gs://x|", "+d"),
        ("eksctl delete cluster x", "eksctl|delete|cluster|", "+d"),
        ("gh repo delete x", "gh|delete|repo|", "+d"),
    ],
    "git": [
        ("git status", "git|status||", "=r"),
        ("git log --oneline -5", "git|log||", "=r"),
        ("git push origin main", "git|push|origin|", "=n"),
        ("git -C d push --force", "git|push||", "+d"),
        ("git -c a=b -C d push --force", "git|push||", "+du"),
        ("git push --forc", "git|push||", "+d"),
        ("git push origin :branch", "git|push|origin|", "+d"),
        ("git push origin +main", "git|push|origin|", "+d"),
        ("git push --mirror", "git|push||", "+d"),
        ("git push --delete origin x", "git|push|origin|", "+d"),
        ("git reset --hard", "git|reset||", "+d"),
        ("git clean -fdx", "git|clean||", "+d"),
        ("git push -u origin main", "git|push|origin|", "=n"),
        ("git push --frob origin", "git|push|", "+u"),
        ("git frob", "git|||", "=u"),
    ],
    "packages": [
        ("npm ls", "npm|list||", "=r"),
        ("npm install lodash", "npm|install||", "=nw"),
        ("npm i lodash", "npm|install||", "=nw"),
        ("npm publish", "npm|publish||", "+np"),
        ("npm unpublish x", "npm|unpublish||", "+d"),
        ("npm install git+ssh://x", "npm|install||", "+u"),
        ("npm --registry http://x install y", "npm|install||", "+u"),
        ("npm run x", "npm|run||", "+u"),
        ("pip install requests", "pip|install||", "=nw"),
        ("pip install git+https://x/y", "pip|install||", "+u"),
        ("pip install --index-url http://x y", "pip|install||", "+u"),
        ("pip install -r x.txt", "pip|install||", "+u"),
        ("pip3.11 install x", "pip|install||", "+nw"),
        ("python3 -m pip install x", "pip|install||", "+nw"),
        ("twine upload dist/x", "twine|publish||", "+p"),
        ("cargo publish", "cargo|publish||", "+p"),
    ],
    "disguises": [
        ("'kubectl' \"delete\" ns x", "kubectl|delete|namespaces|", "=d"),
        ("kube\"ctl\" del''ete ns x", "kubectl|delete|namespaces|", "=d"),
        ("kubectl\\\n delete ns x", "kubectl|delete|namespaces|", "+d"),
        ("$'\\x6bubectl' delete ns x", "kubectl|delete|namespaces|", "=d"),
        ("/usr/bin/kubectl delete ns x", "kubectl|delete|namespaces|", "=d"),
        ("kubectl get pods; kubectl delete ns x", "kubectl|delete|namespaces|", "=rd"),
        ("kubectl get pods\nkubectl delete ns x", "kubectl|delete|namespaces|", "=rd"),
        ("echo $(kubectl delete ns x)", "kubectl|delete|namespaces|", "+d"),
        ("sh -c 'kubectl delete ns x'", "kubectl|delete|namespaces|", "+d"),
        ("sudo kubectl delete ns x", "kubectl|delete|namespaces|", "+dp"),
        ("env A=1 timeout 5 kubectl delete ns x", "kubectl|delete|namespaces|", "+d"),
        ("xargs kubectl delete pod", "kubectl|delete|pods|", "+d"),
        ("bash <<E\nkubectl delete ns x\nE", "", "+d"),
        ("K='kubectl delete'; $K ns x", "", "+du"),
        ("kubectl $V ns x", "kubectl|||", "+u-r"),
        ("kubectl get $X", "kubectl|get||", "+u-r"),
        ("kubectl get pods $X", "kubectl|get|pods|", "+u"),
        ("kubectl {delete,ns,x}", "", "+u-r"),
        ("kubectl get pods > /etc/passwd", "", "+d"),
        ("/tmp/kubectl get pods", "", "+u"),
        ("kubectl(){ rm -rf /; }; kubectl get pods", "", "+d"),
        ("alias k='rm -rf /'; k get pods", "", "+d"),
        ("kubectl del pod x", "kubectl|||", "=u"),
        ("kubectl DELETE ns x", "kubectl|||", "=u"),
        ("KUBECTL delete ns x", "", "+u-r"),
        ("kubectl delete\u00a0ns x", "", "+u-r"),
        ("\uff4bubectl delete ns x", "", "+u-r"),
        ("kubect\u200bl delete ns x", "", "+u-r"),
        ("kubectl --unknown get delete ns", "kubectl|||", "+u-r"),
        ("kubectl krew get pods", "kubectl|||", "=u"),
        ("kubectl get pods -n a -n b", "kubectl|get|pods|b", "+u"),
    ],
    "not commands": [
        ("", "", "=u"),
        ("   ", "", "=u"),
        ("apiVersion: v1\nkind: Pod", "", "=u"),
        ('{"kind": "Pod"}', "", "+u-r"),
        ("kubectl 'unterminated", "", "+u"),
        ("kubectl", "kubectl|||", "=r"),
        ("kubectl --version", "kubectl|||", "=r"),
        ("rm -rf /", "rm|||", "=d"),
    ],
}


@pytest.mark.parametrize(
    ("text", "facts", "wanted"),
    [case for cases in CASES.values() for case in cases],
    ids=[f"{theme}-{at}" for theme, cases in CASES.items() for at in range(len(cases))],
)
def test_case(text: str, facts: str, wanted: str) -> None:
    found = classes_in(text)
    some, _, none = wanted.lstrip("=+").partition("-")
    assert found >= {LETTERS[letter] for letter in some}, found
    assert not wanted.startswith("=") or found == {LETTERS[letter] for letter in some}, found
    assert not found & {LETTERS[letter] for letter in none}, found
    shown = {as_text(fact) for fact in verbs_in(text)}
    for fact in filter(None, facts.replace(" ", "\0").split("\0")) if "|" in facts else ():
        assert any(fact in one.replace(" ", "\0").split("\0") or fact in one for one in shown), (
            shown
        )


@pytest.mark.parametrize("program", sorted(TOOLS.names()))
def test_a_fact_names_the_tool_by_which_its_command_is_found(program: str) -> None:
    """Else the command labels beside the fact would say `unknown`, of no program."""
    for text in (f"{program} delete pod x", f"{program} get x"):
        facts, commands = verbs_and_commands_in(text)
        assert {fact.tool for fact in facts} <= {tool_name(program)}
        assert [command.program for _, command in paired(facts, commands, CommandDetail())] == [
            program
        ] * len(facts)


def test_text_that_crashes_the_grammar_never_reaches_it() -> None:
    """The scanner hands these code points to C functions that take bytes."""
    for place in ("{\U000def9f5", "9R\U0003b558O{\U000771a8k:", "n{\U0010d136\n"):
        assert CommandClass.UNKNOWN in classes_in(f"kubectl delete ns x; {place}")


def test_too_long_or_too_many() -> None:
    assert classes_in("kubectl get pods" + " " * TEXT_BYTES_MAX) == {CommandClass.UNKNOWN}
    text = "; ".join(f"kubectl get pods -n a{n}" for n in range(200)) + "; kubectl delete ns x"
    found = verbs_in(text)
    assert len(found) <= COMMANDS_MAX
    assert {CommandClass.UNKNOWN, CommandClass.DESTRUCTIVE} & classes_in(text)


@pytest.mark.parametrize(
    "piece",
    ["kubectl get ", "kubectl get pods;", "sh -c ", "k ", "$(", "aws a b ", "--x ", "-nx ", "'",
     "env ", "x=kubectl; $x ", "{a,b}", "\0", "\ud800", "git push + "],
)  # fmt: skip
def test_hostile_text_returns(piece: str) -> None:
    assert verbs_in((piece * 30_000)[:30_000])


SOUP = """
    kubectl k get delete pods ns -n prod --all -A --dry-run=client -f - helm uninstall terraform
    destroy aws s3 rm git push --force -c a=b docker run --privileged npm i ; | && $( ) ' " $x \\ #
    sudo env sh -c > < { } gcloud list az -- = * pip install git+x
"""


@given(st.text(max_size=120))
@settings(deadline=None, max_examples=150)
def test_any_text_gives_an_answer(text: str) -> None:
    found = verbs_in(text)
    assert found
    assert all(fact.classes for fact in found)


@given(st.lists(st.sampled_from([*SOUP.split(), "\n"]), max_size=12))
@settings(deadline=None, max_examples=400)
def test_any_soup_gives_an_answer(tokens: list[str]) -> None:
    found = verbs_in(" ".join(tokens))
    assert found
    assert len(set(found)) == len(found) <= COMMANDS_MAX
    for fact in found:
        assert CommandClass.READ not in fact.classes or fact.classes <= {
            CommandClass.READ,
            CommandClass.PRIVILEGED,
        }


LOSSES = [
    "kubectl delete ns x",
    "helm uninstall x",
    "terraform destroy",
    "aws s3 rb s3://x",
    "gcloud compute instances delete x",
    "az group delete",
    "docker system prune",
    "git push --force",
    "npm unpublish x",
]
BAD = {CommandClass.DESTRUCTIVE, CommandClass.UNKNOWN}


@given(
    st.sampled_from(LOSSES),
    st.integers(0, 20),
    st.sampled_from(["'", '"', "\\", "$", "`", ";", "\0", "\u200b", "''", "$x", "{", "*", "\t", "-",
                     "\n", "(", "#"]),
)  # fmt: skip
@settings(deadline=None, max_examples=500)
def test_junk_in_a_destructive_command_does_not_make_it_safe(
    loss: str, place: int, junk: str
) -> None:
    text = loss[:place] + junk + loss[place:]
    if junk in ("#", "\n", ";", "\t") or (
        junk in ("-", "{") and text[place - 1 : place] in (" ", "")
    ):
        return  # may well make it another command, a comment or an option
    assert classes_in(text) & BAD, text


WRAPS = ["sudo {}", "env A=1 {}", "sh -c '{}'", "ls; {}", "$({})", "if true; then {}; fi",
         "timeout 5 {}", "( {} )", "{} > /dev/null", "ls && {} || true", "{} &"]  # fmt: skip


@given(st.sampled_from(LOSSES), st.lists(st.sampled_from(WRAPS), min_size=1, max_size=3))
@settings(deadline=None, max_examples=200)
def test_wrapping_does_not_make_it_safe(loss: str, wraps: list[str]) -> None:
    text = loss
    for wrap in wraps:
        text = wrap.format(text.replace("'", "'\\''"))
    assert classes_in(text) & BAD, text


@given(
    st.sampled_from(["kubectl -n {} delete ns x", "kubectl delete -l {} ns x"]),
    st.sampled_from(["get", "'get'", "--dry-run=client", "pods", "-o", "''"]),
)
@settings(deadline=None)
def test_a_value_is_not_taken_for_a_verb(form: str, value: str) -> None:
    assert CommandClass.DESTRUCTIVE in classes_in(form.format(value))
