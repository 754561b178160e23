"""Kubernetes, cloud, git and package-manager tools: where their verb stands, and what it does.

Only data, and the reading of options. What the shell's own table knows of a program is added by
`cluster`; here stands what it has no words for: the verb, the resource, the namespace.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from forestall.facts.shell.program_entry import Arg, Classes, classes, names

VALUES_MAX: Final = 8  # values of one option that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """How the words of one tool are read."""

    name: str
    verbs: Mapping[str, Classes] = field(default_factory=dict)  # "rollout undo": two words
    groups: frozenset[str] = frozenset()  # first words that need a second to be a verb
    valued: frozenset[str] = frozenset()  # options whose value is the next word
    plain: frozenset[str] = frozenset()  # options without a value
    space: tuple[str, ...] = ()  # options that name the namespace, project or profile
    aliases: Mapping[str, str] = field(default_factory=dict)
    # Options that change what the command does, with what they add.
    raises: Mapping[str, Classes] = field(default_factory=dict)
    short_clusters: bool = True  # `-it` is `-i -t`


def _table(spec: str) -> dict[str, Classes]:
    """Read `"r:get list;d:delete"`; `_` joins the two words of a verb."""
    found: dict[str, Classes] = {}
    for part in filter(None, spec.split(";")):
        letters, _, words = part.partition(":")
        for word in words.split():
            found[word.replace("_", " ")] = classes(letters.strip())
    return found


KUBECTL: Final = Tool(
    name="kubectl",
    verbs=_table(
        """r:get describe logs top explain api-resources api-versions version cluster-info diff wait
        events options completion kustomize rollout_status rollout_history config_view
        config_get-contexts config_current-context config_get-clusters config_get-users auth_can-i
        auth_whoami;w:create patch edit scale label annotate expose autoscale cordon uncordon taint
        apply replace rollout_undo rollout_restart rollout_pause rollout_resume set_image set_env
        set_resources set_selector config_set config_set-context config_set-cluster config_use
        config_use-context config_unset config_rename-context;d:delete drain config_delete-context
        config_delete-cluster config_delete-user;p:attach certificate_approve certificate_deny
        auth_reconcile set_serviceaccount set_subject config_set-credentials;pn:port-forward proxy;
        pw:cp;pu:exec debug run;u:plugin alpha"""
    ),
    groups=names("rollout config auth set certificate"),
    valued=names(
        """-n --namespace --context --cluster --kubeconfig --user --token -s --server --as
        --as-group --as-uid --request-timeout -v --v --cache-dir --certificate-authority
        --client-key --username --client-certificate --tls-server-name --password --profile -l
        --selector -f --filename -o --output -c --container --field-selector --replicas --image
        --timeout --grace-period -p --patch --type --template --sort-by --tail --since
        --since-time -L --label-columns -k --kustomize --field-manager --clusterrole --role
        --serviceaccount --group --verb --resource --from-literal --from-file --from-env-file
        --port --target-port --overrides --env --restart --min --max --cpu-percent --revision
        --to-revision --for --address --raw --pod-selector --chunk-size --subresource --duration
        --resource-name --current-replicas --cascade-mode --docker-server --docker-username
        --docker-password --docker-email --cert --key --target --profile-output --log-file
        --vmodule --max-log-requests --limits --requests --schedule"""
    ),
    plain=names(
        """-A --all-namespaces --all --force --now --ignore-not-found -w --watch --watch-only -i -t
        --stdin --tty --rm --show-labels --no-headers --recursive -R --previous --follow
        --timestamps --prune --server-side --overwrite --dry-run --wait --cascade
        --insecure-skip-tls-verify -q --privileged --ignore-daemonsets --delete-emptydir-data
        --delete-local-data --help -h --disable-eviction --show-managed-fields --containers
        --raw-output --minify --flatten --local --save-config --record --validate
        --force-conflicts --all-containers --prefix"""
    ),
    space=("-n", "--namespace"),
    aliases={"log": "logs", "rollout": "rollout"},
    raises={
        **dict.fromkeys(("--as", "--as-group", "--as-uid", "--token", "--username", "--password",
                         "--privileged", "--insecure-skip-tls-verify"), classes("p")),
        **dict.fromkeys(("-f", "--filename", "-k", "--kustomize", "--overrides", "--raw",
                         "--kubeconfig", "--server", "-s"), classes("u")),
        **dict.fromkeys(("--prune", "--force", "--disable-eviction"), classes("d")),
    },
)  # fmt: skip
HELM: Final = Tool(
    name="helm",
    verbs=_table(
        """r:list status history show template lint version env verify completion search
        repo_list plugin_list dependency_list get;nw:install upgrade rollback pull push package
        create repo_add repo_update repo_index dependency_update dependency_build;d:uninstall
        repo_remove;p:registry_login registry_logout;u:plugin_install plugin_update plugin_uninstall
        test"""
    ),
    groups=names("repo plugin dependency registry"),
    valued=names(
        """-n --namespace --kube-context --kubeconfig --kube-as-user --kube-token --kube-apiserver
        --kube-as-group -f --values --set --set-string --set-file --set-json --version --repo
        --timeout --username --password --post-renderer --post-renderer-args --ca-file --cert-file
        --key-file --description --history-max -o --output -l --selector --max --revision
        --registry-config --repository-cache --repository-config --burst-limit --keyring"""
    ),
    plain=names(
        """--install -i --wait --atomic --force --dry-run --create-namespace --reuse-values -A
        --debug --reset-values --all-namespaces -a --all --no-hooks --keep-history
        --cleanup-on-fail -q --dependency-update --devel --verify --skip-crds --generate-name -g
        --replace --help -h"""
    ),
    space=("-n", "--namespace"),
    aliases={"ls": "list", "del": "uninstall", "delete": "uninstall", "un": "uninstall",
             "hist": "history", "dep": "dependency", "dependencies": "dependency",
             "inspect": "show", "fetch": "pull"},
    raises={
        "--force": classes("d"), "--replace": classes("d"), "--kubeconfig": classes("u"),
        **dict.fromkeys(("--post-renderer", "--repo", "--kube-apiserver"), classes("u")),
        **dict.fromkeys(("--kube-as-user", "--kube-token", "--kube-as-group"), classes("p")),
    },
)  # fmt: skip
TERRAFORM: Final = Tool(
    name="terraform",
    verbs=_table(
        """r:show output graph version providers validate metadata state_list state_show fmt
        workspace_list workspace_show;p:state_pull force-unlock login logout;w:taint untaint import
        state_mv state_replace-provider workspace_new workspace_select;d:destroy state_rm state_push
        workspace_delete;nw:apply init get;u:plan refresh console test stack run-all run"""
    ),
    groups=names("state workspace"),
    valued=names("-chdir -var -var-file -target -out -state -parallelism -backend-config -replace"),
    plain=names(
        """-auto-approve -destroy -json -no-color -upgrade -reconfigure -migrate-state -raw -check
        -refresh-only -compact-warnings -force -recursive -diff -lock -input -refresh -help"""
    ),
    raises={"-destroy": classes("d"), "-replace": classes("d"), "-chdir": classes("u"),
            "-migrate-state": classes("d"), "-var-file": classes("u")},
    short_clusters=False,
)  # fmt: skip
_LISTS: Final = "r:ls list inspect"
_MANAGED: Final = {
    "container": "r:ls list ps inspect logs top stats port diff wait;w:stop start restart kill "
    "pause unpause commit rename update create;pw:cp;pu:exec attach run;d:rm prune remove",
    "image": _LISTS + " history;w:tag save load import;nw:pull push;u:build;d:rm prune remove",
    "volume": _LISTS + ";w:create update;d:rm prune remove",
    "network": _LISTS + ";w:create connect disconnect;d:rm prune remove",
    "system": "r:df info events;d:prune",
    "builder": "d:prune;u:build",
    "context": _LISTS + " show;w:create update use import export;d:rm remove",
    "compose": "r:ps logs config images ls top port version events;w:stop start restart pause "
    "unpause kill scale create;nw:pull push;u:build watch up;pu:exec run;d:down rm",
    "swarm": "p:init join leave update unlock;pd:ca",
    "node": "p:ls inspect update promote demote;pd:rm",
    "service": "r:ls inspect logs ps;p:create update scale rollback;pd:rm",
    "stack": "r:ls ps services config;p:deploy up;pd:rm down remove",
    "secret": "p:ls inspect create;pd:rm",
    "config": "r:ls inspect;p:create;pd:rm",
    "plugin": "r:ls inspect;pu:install enable set upgrade;p:disable;pd:rm",
    "manifest": "r:inspect;nw:create push annotate;d:rm",
    "buildx": "r:ls inspect du;u:build bake;d:rm",
}
DOCKER: Final = Tool(
    name="docker",
    verbs={
        **_table(
            """r:ps images logs inspect version info stats top port history diff events;nw:pull
            push; n:search;p:login logout;w:stop start restart kill pause unpause rename tag
            commit save load import export wait update create;pw:cp;pu:exec attach
            run;u:build;d:rm rmi"""
        ),
        **{
            f"{group} {verb}": kinds
            for group, spec in _MANAGED.items()
            for verb, kinds in _table(spec).items()
        },
    },
    groups=frozenset(_MANAGED),
    valued=names(
        """-H --host --context -c --config -l --log-level --tlscacert --tlscert --tlskey -f --file
        -p --project-name --profile --env-file -e --env -v --volume --mount --name -u --user -w
        --workdir --network --net --pid --ipc --uts --userns --cap-add --cap-drop --device
        --security-opt --entrypoint -h --hostname --restart -m --memory --cpus --label --publish
        --add-host --dns --volumes-from --runtime --gpus --ulimit --tmpfs --platform --pull
        --log-driver --log-opt --filter --format --since --tail -n --until -t --tag --build-arg
        --target --secret --ssh --cgroupns --group-add --ip --link --shm-size --stop-signal
        --sysctl --cgroup-parent"""
    ),
    plain=names(
        """-d --detach -i --interactive --tty --rm --privileged --init -a --all --force --volumes
        --no-cache --quiet -q --read-only -P --publish-all --follow --remove-orphans -V --no-trunc
        --build --no-deps --debug -D --tls --tlsverify --help --digests --size -s"""
    ),
    space=("--context", "-c"),
    aliases={"rmi": "rmi"},
    raises={
        **dict.fromkeys(("--privileged", "--cap-add", "--pid", "--ipc", "--uts", "--userns",
                         "--device", "--security-opt", "--volumes-from", "--runtime", "-v",
                         "--volume", "--mount", "--cgroupns", "--group-add", "--sysctl",
                         "--cgroup-parent"), classes("p")),
        **dict.fromkeys(("-H", "--host", "--config"), classes("u")),
    },
)  # fmt: skip
GIT: Final = Tool(
    name="git",
    verbs=_table(
        """r:status log diff show blame grep ls-files ls-tree rev-parse rev-list describe shortlog
        cat-file reflog whatchanged version help count-objects name-rev merge-base for-each-ref
        show-ref var check-ignore fsck annotate cherry stash_list stash_show worktree_list
        remote_get-url notes_show notes_list submodule_status submodule_summary bisect_log;
        w:add commit mv merge cherry-pick revert rebase apply am init switch branch tag checkout
        stash stash_push stash_pop stash_apply stash_save stash_branch reset config gc repack
        pack-refs notes_add notes_append remote_add remote_rename remote_set-url remote_remove
        remote_rm worktree_add worktree_move worktree_prune sparse-checkout update-index update-ref
        symbolic-ref maintenance rerere format-patch bundle archive replace hash-object read-tree
        write-tree commit-tree bisect notes submodule_init submodule_deinit;
        n:push fetch ls-remote send-email request-pull remote_show remote_update;nw:pull clone
        submodule_update submodule_add submodule_sync;d:clean rm restore prune filter-branch
        filter-repo stash_drop stash_clear worktree_remove reflog_expire reflog_delete;
        u:submodule_foreach bisect_run difftool mergetool lfs;r:remote worktree submodule"""
    ),
    groups=names("stash remote worktree notes submodule reflog bisect"),
    valued=names(
        """-C -c --git-dir --work-tree --namespace --super-prefix --config-env --exec-path -m -b -o
        --push-option --repo --message --author --date --depth --branch --origin --exec
        --upload-pack --receive-pack --template --format --pretty --since --until"""
    ),
    plain=names(
        """-p --paginate --no-pager -P --bare --no-replace-objects --literal-pathspecs -f --force
        --force-with-lease --force-if-includes --mirror --delete -d -D --all --tags --prune
        --hard --soft --mixed -a -q -v --amend --no-verify --dry-run --set-upstream --oneline
        --cached -u -n -x --follow-tags --atomic --progress --signed --thin --porcelain"""
    ),
    raises={
        **dict.fromkeys(("--mirror", "--prune", "--delete"), classes("d")),
        **dict.fromkeys(("-c", "--config-env", "--exec-path", "--upload-pack", "--receive-pack",
                         "--template"), classes("u")),
    },
)  # fmt: skip
_PACKAGE_VERBS: Final = _table(
    """r:list show search info view outdated why audit freeze check help version root bin deps
    leaves explain fund doctor policy depends tree inspect config-list;u:run exec test start
    create dlx run-script pack rebuild init explore shell link build tool x python
    venv;nw:install add update upgrade download fetch ci sync lock get dedupe wheel set self
    cache config pip;p:login logout adduser whoami token owner access profile team org dist-tag
    hook deprecate publisher trusted yank star;np:publish;w:uninstall remove prune
    clean;d:unpublish purge autoremove erase"""
)
PACKAGES: Final = Tool(
    name="",
    verbs=_PACKAGE_VERBS,
    valued=names(
        """-C --prefix --cwd --python --directory --project -t --target -i --index-url --registry
        --extra-index-url -r --requirement -c --constraint -e --editable -f --find-links --proxy
        --index --default-index --trusted-host --tag --otp --access -w --workspace --userconfig
        --cert --client-cert --cache-dir --root --src --config-settings -n --name --source -o
        --platform --log --timeout --retries --channel"""
    ),
    plain=names(
        """-g --global -D --save-dev --save -S -E --save-exact -O --save-optional -y --yes --user -U
        --upgrade --force --no-deps --pre -q --quiet -v --verbose --dry-run --frozen-lockfile
        --ignore-scripts --no-save --production --prod --omit --legacy-peer-deps --dev --all
        --no-cache-dir --require-hashes --locked --frozen --break-system-packages --help -h --json
        --only-binary --no-binary --no-index --pre --user --no-input --isolated"""
    ),
    aliases={"i": "install", "in": "install", "isntall": "install", "a": "add", "rm": "remove",
             "un": "uninstall", "unlink": "uninstall", "r": "uninstall", "ls": "list", "la": "list",
             "ll": "list", "up": "update", "t": "test", "tst": "test", "s": "search", "v": "view",
             "c": "config", "clean-install": "ci", "dist-tags": "dist-tag", "udpate": "update",
             "author": "owner", "add-user": "adduser", "push": "publish", "upload": "publish"},
    raises={
        **dict.fromkeys(("-i", "--index-url", "--registry", "--extra-index-url", "--index",
                         "--default-index", "-f", "--find-links", "--proxy", "--trusted-host",
                         "-e", "--editable", "-r", "--requirement", "--userconfig", "--source",
                         "--channel"), classes("u")),
        "--break-system-packages": classes("p"), "--force": classes("w"),
    },
)  # fmt: skip
GITHUB: Final = Tool(
    name="gh",
    groups=names(
        """pr issue repo release run workflow secret variable gist label auth cache ssh-key gpg-key
        project ruleset config org extension alias codespace mr ci"""
    ),
    valued=names("-R --repo --hostname"),
    space=("-R", "--repo"),
)
CLOUD: Final = Tool(
    name="",
    valued=names(
        """--region --profile --output --endpoint-url --query --color --ca-bundle --project
        --account --zone --format --configuration --subscription --resource-group -g -o -n
        --name --filter --cli-read-timeout --cli-connect-timeout --cli-binary-format --verbosity
        --compartment-id --impersonate-service-account --billing-project --access-token-file
        --flags-file -c -t --context --access-token --config --auth --cluster -f --filename
        --app -a --org --location"""
    ),
    plain=names(
        """--debug --no-verify-ssl --no-paginate --no-sign-request --quiet -q --verbose --yes -y
        --only-show-errors --no-cli-pager --force --recursive --dryrun --delete --help -h --no-wait
        -m --async --dry-run --all --json"""
    ),
    space=("--project", "--profile", "--subscription", "--account", "--app", "-a"),
    raises={
        **dict.fromkeys(("--delete", "--delete-unmatched-destination-objects"), classes("d")),
        **dict.fromkeys(("--endpoint-url", "--flags-file", "--cli-input-json", "--cli-input-yaml",
                         "--config", "-f", "--filename"), classes("u")),
        **dict.fromkeys(("--impersonate-service-account", "--no-verify-ssl", "--access-token"),
                        classes("p")),
    },
)  # fmt: skip

TOOLS: Final[Mapping[str, Tool]] = {
    **dict.fromkeys(("kubectl", "k", "kubecolor", "oc", "kc"), KUBECTL),
    **dict.fromkeys(("helm", "helm3"), HELM),
    **dict.fromkeys(("terraform", "tf", "tofu", "terragrunt"), TERRAFORM),
    **dict.fromkeys(("docker", "podman", "nerdctl"), DOCKER),
    **dict.fromkeys(("git", "g"), GIT),
    **dict.fromkeys(("npm", "pnpm", "yarn", "bun", "pip", "pip3", "pipx", "uv", "poetry", "pipenv",
                     "gem", "conda", "mamba", "brew", "composer", "bundle", "cargo", "twine", "apt",
                     "apt-get", "yum", "dnf", "apk", "snap"), PACKAGES),
    **dict.fromkeys(("gh", "glab"), GITHUB),
    **dict.fromkeys(("aws", "gcloud", "az", "gsutil", "bq", "eksctl", "doctl", "oci", "ibmcloud",
                     "aliyun", "flyctl", "fly", "heroku", "vercel", "netlify", "wrangler", "linode",
                     "linode-cli", "hcloud", "scw", "openstack", "kops", "minikube", "kind", "k3d",
                     "azcopy", "s3cmd", "railway", "firebase", "argocd", "flux", "istioctl",
                     "velero", "pulumi", "consul", "nomad", "rancher", "talosctl"), CLOUD),
}  # fmt: skip
NAMES: Final[Mapping[str, str]] = {
    "k": "kubectl", "kubecolor": "kubectl", "kc": "kubectl", "helm3": "helm", "tf": "terraform",
    "g": "git", "pip3": "pip", "fly": "flyctl", "linode": "linode-cli",
}  # fmt: skip

# -- Kubernetes resources --

RESOURCES: Final[Mapping[str, str]] = {
    short: full
    for full, shorts in {
        "pods": "po pod", "namespaces": "ns namespace", "deployments": "deploy deployment",
        "services": "svc service", "persistentvolumeclaims": "pvc persistentvolumeclaim",
        "persistentvolumes": "pv persistentvolume", "nodes": "no node", "secrets": "secret",
        "configmaps": "cm configmap", "replicasets": "rs replicaset", "ingresses": "ing ingress",
        "daemonsets": "ds daemonset", "statefulsets": "sts statefulset", "events": "ev event",
        "serviceaccounts": "sa serviceaccount", "cronjobs": "cj cronjob", "jobs": "job",
        "customresourcedefinitions": "crd crds customresourcedefinition", "roles": "role",
        "clusterroles": "clusterrole", "rolebindings": "rolebinding", "endpoints": "ep",
        "clusterrolebindings": "clusterrolebinding", "networkpolicies": "netpol networkpolicy",
        "replicationcontrollers": "rc replicationcontroller", "storageclasses": "sc storageclass",
        "horizontalpodautoscalers": "hpa horizontalpodautoscaler", "resourcequotas": "quota",
        "poddisruptionbudgets": "pdb poddisruptionbudget", "limitranges": "limits limitrange",
        "certificatesigningrequests": "csr certificatesigningrequest", "tokens": "token",
        "priorityclasses": "pc priorityclass", "componentstatuses": "cs componentstatus",
        "mutatingwebhookconfigurations": "mutatingwebhookconfiguration",
        "validatingwebhookconfigurations": "validatingwebhookconfiguration",
    }.items()
    for short in (*shorts.split(), full)
}  # fmt: skip
GUARDED: Final = names(
    """secrets roles clusterroles rolebindings clusterrolebindings serviceaccounts tokens
    certificatesigningrequests mutatingwebhookconfigurations validatingwebhookconfigurations
    customresourcedefinitions networkpolicies priorityclasses"""
)

# -- cloud verbs: the beginning of a verb, up to a hyphen --

LOOKING: Final = names(
    """describe list get ls show head lookup view search query info version print check validate
    wait help cat du stat count preview estimate filter history status logs whoami ps top events
    explain diff"""
)
CHANGING: Final = names(
    """create update put set add modify start stop restart reboot run register tag untag enable mb
    cp mv sync copy move rsync upload import export resize scale apply deploy launch attach
    associate allocate clone promote rollback publish send submit request enable transact
    replace insert edit patch restore rename configure use select upgrade install push pull init
    new"""
)
LOSING: Final = names(
    """delete terminate remove rm rb purge destroy deregister drop del reset wipe erase empty
    disassociate release abandon undeploy deprovision cancel detach disable uninstall unpublish
    rollback-all flush expunge nuke prune teardown down unset"""
)
GUARDED_VERBS: Final = names(
    """assume authorize revoke attach-role-policy attach-user-policy ssh scp execute invoke exec
    login logout auth sign grant presign decrypt rotate impersonate port-forward proxy tunnel
    console run-command send-command start-session rest call signurl"""
)
GUARDED_SERVICES: Final = names(
    """iam sts kms secretsmanager ssm organizations sso sso-admin identitystore cognito-idp acm-pca
    keyvault ad role secrets service-accounts kms-keys auth policy policies iap secret tokens
    token access-analyzer cloudtrail guardduty identity acl configure config keys user users"""
)
TOLD_VERBS: Final = names(
    """get-secret-value get-parameter get-parameters get-parameters-by-path get-session-token
    get-federation-token get-login-password get-authorization-token get-credentials
    get-access-credentials get-password-data print-access-token print-identity-token list-keys
    generate-db-auth-token get-console-output get-bucket-policy get-access-token show-connection
    list-credentials get-random-password"""
)


class Words(NamedTuple):
    """The words of one command that are no options, and the options with their values."""

    words: list[Arg]
    options: dict[str, list[str]]
    odd_at: int  # how many words stood before the first option that is not known for certain
    open: bool  # whether an expansion may add options


def scan(tool: Tool, args: Sequence[Arg]) -> Words:
    """Tell the options of a command from its words."""
    words: list[Arg] = []
    options: dict[str, list[str]] = {}
    odd_at = len(args) + 1
    at = 0
    while at < len(args):
        arg = args[at]
        at += 1
        sure = not arg.flaggable
        if arg.text == "--":
            words.extend(args[at:])
            break
        if arg.text.startswith("-") and len(arg.text) > 1:
            name, equals, value = arg.text.partition("=")
            found, known = _option(tool, name)
            sure = sure and known and arg.literal
            if equals and not _takes_equals(tool, name):
                value = f"={value}"
            elif not equals and found[-1][1] and at < len(args):
                value = args[at].text
                sure = sure and not args[at].flaggable
                at += 1
            for one, _ in found:
                options.setdefault(one, [])
                if len(options[one]) < VALUES_MAX:
                    options[one].append(value or _glued(name, one))
        else:
            words.append(arg)
        if not sure:
            odd_at = min(odd_at, max(0, len(words) - (arg.text[:1] != "-")))
    return Words(words, options, odd_at, any(arg.flaggable for arg in args))


def _takes_equals(tool: Tool, name: str) -> bool:
    return name.startswith("--") or not tool.short_clusters or len(name) == 2


def _glued(name: str, one: str) -> str:
    """The value in `-nprod`."""
    return name[2:] if name != one and name.startswith(one) else ""


def _option(tool: Tool, name: str) -> tuple[list[tuple[str, bool]], bool]:
    """The options that one word holds, whether each takes a value, and whether it is known."""
    if name.startswith("--") or not tool.short_clusters:
        bare = name if tool.short_clusters else "-" + name.lstrip("-")
        if bare in tool.valued:
            return [(bare, True)], True
        return [(bare, False)], bare in tool.plain or bare in tool.raises
    found: list[tuple[str, bool]] = []
    for place, letter in enumerate(name[1:], 1):
        one = f"-{letter}"
        if one in tool.valued:
            return [*found, (one, place == len(name) - 1)], True
        found.append((one, False))
        if one not in tool.plain:
            return found, False
    return found, True
