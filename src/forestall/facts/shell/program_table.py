"""What each known program does: a table from program name to the classes of its effects.

Only data: flags and subcommands that change the answer are listed with it. Whatever is not here
is not known; nothing is looked up elsewhere. Programs that run other programs are in `wrappers`,
those that need more than a table in `odd`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from forestall.facts.shell.program_entry import Entry, classes, entry, names

# Programs that only look, whatever their words.
_PLAIN: Final = {
    "r": """
        cat ls dir vdir head tail grep egrep fgrep zgrep wc tr cut nl od hexdump hd strings tac rev
        fold fmt comm join paste expand unexpand pr base64 base32 basenc md5sum sha1sum sha224sum
        sha256sum sha384sum sha512sum cksum b2sum sum stat readlink realpath basename dirname df du
        free uptime vmstat iostat mpstat lsof lsblk lscpu lspci lsusb lsmod lsattr pstree pgrep ps
        who w whoami id groups users last lastlog tty uname arch nproc getconf locale printenv
        getent zcat bzcat xzcat cmp objdump readelf size addr2line which whereis apropos whatis
        cal bc expr seq factor yes sleep numfmt tsort look jq true false : pwd cd pushd popd dirs
        echo return break continue shift exit logout wait jobs bg fg disown times type help caller
        shopt read printf test [ [[ let getopts local declare typeset readonly export set unset
        history usleep getfacl getfattr pidof tokei tput clear sw_vers ver where
        Get-ChildItem
        Get-Content Get-Item Get-Process Write-Host Write-Output findstr pathchk modinfo dpkg-query
        column diff diff3 colordiff diffstat uuidgen logname hostid namei ipcs acpi sensors
    """,
    "w": """
        cp mv touch mkdir tee rmdir ln install mkfifo mktemp chmod sponge patch csplit gzip
        gunzip bzip2 bunzip2 xz unxz zstd unzstd lz4 unzip 7z ar ranlib strip kill umask ulimit
        suspend stty setterm indent dos2unix unix2dos pandoc convert ffmpeg chgrp unalias
        black isort prettier gofmt rustfmt clang-format autopep8 nano sync logger cpio pax
        New-Item Set-Content Add-Content Copy-Item Move-Item mkdirp skill renice sha1deep touchp
    """,
    "n": """
        telnet ftp sftp tftp lftp dig host nslookup ping ping6 traceroute tracepath
        mtr whois curlie http https xh aria2c axel finger rsh rlogin iperf iperf3 lynx w3m
        links elinks Invoke-WebRequest Invoke-RestMethod iwr irm ssh-keyscan ssh-copy-id mail
        mailx sendmail mutt
    """,
    "wn": "scp rcp",
    "p": """
        chown mount umount insmod rmmod modprobe iptables ip6tables nft ufw firewall-cmd useradd
        adduser usermod groupadd addgroup groupmod passwd chpasswd gpasswd setcap chsh chfn visudo
        vipw vigr sudoedit sysctl swapon swapoff losetup mknod chattr setfacl setfattr loginctl
        update-alternatives dpkg-reconfigure kexec setenforce apparmor_parser auditctl
        newgrp login service rc-service invoke-rc.d update-rc.d chkconfig tc ethtool iwconfig
        nmcli brctl dhclient hwclock ntpdate rfkill depmod dkms grub-install update-grub
        update-initramfs launchctl csrutil spctl dscl netsh sc reg icacls takeown runas schtasks
        net bcdedit Set-ExecutionPolicy tune2fs resize2fs fsck e2fsck quotaon edquota pivot_root
        lvcreate lvextend lvresize vgcreate vgextend pvcreate mdadm cryptsetup dmsetup zramctl
    """,
    "d": """
        rm shred mkfs mkswap wipefs fdisk sfdisk cfdisk gdisk cgdisk ddrescue sgdisk parted unlink
        killall5 shutdown reboot halt poweroff dropdb dropuser userdel deluser groupdel delgroup
        lvremove vgremove pvremove lvreduce blkdiscard srm wipe scrub nwipe badblocks hdparm newfs
        mkdosfs mke2fs trash trash-put rimraf del-cli mkntfs mkexfatfs sdparm secure-delete sfill
        sswap debugfs systemd-repart
    """,
    "u": """
        eval source . make gmake cmake ninja just task rake ant mvn gradle bazel vim vi nvim ex ed
        emacs view rvim rview vimdiff screen tmux expect gdb lldb openssl gpg dc ld ldd m4 fc bind
        at.allow Invoke-Expression iex Start-Process start Invoke-Command icm octave R Rscript
        ghci scala groovy erl elixir julia tclsh wish gcc cc clang g++ go cargo rustc javac java
        pytest tox nox nosetests jest mocha vitest telinit.d cscript wscript mshta rundll32
        certutil bitsadmin
    """,
}

_GIT_VALUED: Final = (
    "-C -c --git-dir --work-tree --namespace --super-prefix --config-env --exec-path --attr-source"
)
_SHOWS: Final = "w:--output;u:--ext-diff --textconv"

_GIT_SUBS: Final = {
    **{name: entry("r", flags=_SHOWS) for name in ("log", "diff", "show", "whatchanged", "blame")},
    "grep": entry("r", flags="u:-O --open-files-in-pager --ext-grep"),
    "diff-tree": entry("r", flags=_SHOWS),
    "format-patch": entry("w"),
    "push": entry(
        "n",
        flags="d:-f --force --force-with-lease --force-if-includes --delete -d --mirror --prune;"
        "u:--receive-pack --exec",
        valued="-o --push-option --repo",
    ),
    **{
        name: entry(kind, flags="u:--upload-pack -u --exec --template --config -c")
        for name, kind in (("clone", "nw"), ("fetch", "nw"), ("ls-remote", "n"))
    },
    "pull": entry("nw", flags="u:--upload-pack;d:-f --force"),
    "reset": entry("w", flags="d:--hard --merge"),
    "rm": entry("d", flags="w:--cached"),
    "restore": entry("d"),
    "clean": entry("d"),
    "prune": entry("d"),
    "filter-branch": entry("du"),
    "filter-repo": entry("du"),
    "gc": entry("w", flags="d:--prune"),
    "reflog": entry("r", many="r:show exists list;d:expire delete drop"),
    "stash": entry("w", many="w:push pop apply save branch create store;r:list show;d:drop clear"),
    "switch": entry("w", flags="d:-f --force --discard-changes -C --force-create", valued="-c"),
    "checkout-index": entry("w", flags="d:-f --force"),
    "read-tree": entry("w", flags="d:--reset -u"),
    "update-ref": entry("w", flags="d:-d --stdin"),
    "tag": entry("w", flags="d:-d --delete -f --force;r:-l --list", valued="-m -F -u"),
    "worktree": entry("r", many="r:list;w:add lock unlock move repair prune;d:remove"),
    "remote": entry("r", many="r:get-url;w:add rename remove rm set-url set-head set-branches;"
                    "n:show update;nw:prune"),
    "notes": entry("r", many="r:list show get-ref;w:add append copy edit merge;d:remove prune"),
    "archive": entry("r", flags="w:-o --output;u:--exec --remote"),
    "bundle": entry("w"),
    "commit": entry("w", valued="-m -F -C -c --message --file --author --date -t"),
    "rebase": entry("w", flags="u:-x --exec"),
    "bisect": entry("w", many="w:start good bad new old skip reset replay terms;r:log view "
                    "visualize;u:run"),
    "difftool": entry("u"),
    "mergetool": entry("u"),
    "submodule": entry("r", many="r:status summary;nw:update add init sync set-branch set-url "
                       "absorbgitdirs;d:deinit;u:foreach"),
    "lfs": entry("r", many="n:fetch pull push;w:track untrack checkout install;r:ls-files status "
                 "env;d:prune"),
    "symbolic-ref": entry("r", flags="d:-d --delete", most=1, over="w"),
    "repo": entry("r"),
}  # fmt: skip

GIT: Final = entry(
    "r",
    flags="u:--exec-path --config-env",
    valued=_GIT_VALUED,
    many="""r:status annotate ls-files ls-tree rev-parse rev-list describe shortlog cat-file
        name-rev merge-base for-each-ref show-ref show-branch version help count-objects cherry var
        check-ignore check-attr verify-commit verify-tag diff-index diff-files range-diff fsck
        merge-tree verify-pack stripspace patch-id;w:add mv merge cherry-pick revert apply am init
        sparse-checkout pack-refs repack update-index write-tree commit-tree hash-object
        mktree mktag replace rerere maintenance commit-graph;n:send-email imap-send request-pull""",
    subs=_GIT_SUBS,
)

_KUBE: Final = entry(
    "r",
    valued="""-n --namespace --context --cluster --kubeconfig --user --token -s --server --as
        --as-group --request-timeout -v --v --cache-dir --certificate-authority --client-key
        --client-certificate --tls-server-name --as-uid --username --password --profile""",
    flags="u:--kubeconfig",  # a kubeconfig may name a program to run
    many="""r:get describe logs top explain api-resources api-versions version cluster-info
        diff wait events options completion;w:create patch edit scale label annotate set
        expose autoscale cordon uncordon taint cp certificate;u:run debug attach plugin exec alpha;
        d:delete drain;n:port-forward proxy""",
    subs={
        "apply": entry("w", flags="d:--prune --force"),
        "replace": entry("w", flags="d:--force"),
        "rollout": entry("w", many="r:status history;w:undo restart pause resume"),
        "config": entry("w", many="r:view get-contexts current-context get-clusters get-users;"
                        "w:set set-context set-cluster set-credentials use-context use unset;"
                        "d:delete-context delete-cluster delete-user"),
        "auth": entry("r", many="r:can-i whoami;w:reconcile"),
    },
)  # fmt: skip

_PRUNES: Final = "r:ls list inspect history;d:rm remove prune delete"
_HOST: Final = """p:--privileged --pid --cap-add --device --ipc --userns --uts --security-opt
    --cgroupns --runtime --volumes-from"""
_RUN: Final = entry("u", flags=_HOST)
_COMPOSE: Final = entry(
    "r",
    valued="-f --file -p --project-name --profile --env-file --project-directory --ansi",
    many="r:ps logs config images ls top port version events;w:stop start restart pause unpause "
    "kill create scale;u:run exec build watch;nw:pull push;d:rm",
    subs={"down": entry("w", flags="d:-v --volumes --rmi"),
          "up": entry("u", flags="d:-V --renew-anon-volumes --force-recreate")},
)  # fmt: skip
_DOCKER: Final = entry(
    "r",
    flags="u:--config",
    valued="-H --host --context -c --config -l --log-level --tlscacert --tlscert --tlskey",
    many="""r:ps images logs inspect version info stats top port history diff events;
        nw:pull push;n:search login logout;w:stop start restart kill pause unpause rename tag
        commit cp save load import export wait update;u:exec build buildx attach plugin;
        d:rm rmi;p:swarm node service stack secret""",
    subs={
        "run": _RUN,
        "create": _RUN,
        "compose": _COMPOSE,
        "container": entry("r", many=_PRUNES + ";r:logs top stats port diff;w:stop start restart "
                           "kill pause unpause cp commit rename update;u:exec attach",
                           subs={"run": _RUN, "create": _RUN}),
        "image": entry("r", many=_PRUNES + ";w:tag save load import;nw:pull push;u:build"),
        "volume": entry("r", many=_PRUNES + ";w:create update"),
        "network": entry("r", many=_PRUNES + ";w:create connect disconnect"),
        "system": entry("r", many="r:df info events;d:prune"),
        "builder": entry("r", many="d:prune;u:build"),
        "context": entry("r", many=_PRUNES + ";r:show;w:create update use import export"),
        "manifest": entry("r", many="r:inspect;nw:create push annotate;d:rm"),
    },
)  # fmt: skip

_PACKAGES: Final = entry(
    "r",
    many="""r:list ls show search info view outdated why audit freeze check policy depends rdepends
        help version root bin config-get deps leaves;u:run exec test start x create dlx run-script
        t pack rebuild init explore shell workspace edit tst restart stop;
        nw:install i ci add update upgrade download fetch publish login logout whoami sync lock
        get link up owner dist-tag deprecate cache config pip tool set bundle tap untap wheel
        python venv self global;w:uninstall remove rm un unlink r prune dedupe clean;
        d:unpublish""",
    valued="-C --prefix --cwd --python --directory --project -t --target",
)
_SYSTEM_PACKAGES: Final = entry(
    "p",
    many="""r:list search show info policy depends rdepends check-update provides repolist changelog
        showpkg madison history;np:install update upgrade dist-upgrade full-upgrade reinstall add
        download source build-dep localinstall groupinstall makecache refresh ref up in;
        pd:purge erase;p:remove autoremove uninstall clean autoclean fix mark edit-sources
        config-manager hold unhold module""",
    valued="-o -c --option --config-file -t --target-release",
)
_INFRA: Final = entry(
    "r",
    flags="u:-chdir",
    many="""r:show output graph version providers validate metadata;u:console test;w:fmt untaint
        taint import get force-unlock login logout;d:destroy;nw:init;u:plan refresh""",
    subs={
        "apply": entry("nw", flags="d:-destroy"),
        "state": entry("r", many="r:list show pull;w:mv replace-provider;d:rm push"),
        "workspace": entry("r", many="r:list show;w:new select;d:delete"),
    },
)
_GITHUB: Final = entry(
    "r",
    many="n:status search browse;u:extension alias codespace",
    subs={
        name: entry("n", many="n:list view status checks diff watch clone download create comment "
                    "edit close reopen merge review ready fork sync rerun run enable disable set "
                    "checkout develop pin unpin lock unlock upload archive rename add login logout "
                    "setup-git refresh token get;d:delete remove delete-asset cancel")
        for name in ("pr", "issue", "repo", "release", "run", "workflow", "secret", "variable",
                     "gist", "label", "auth", "cache", "ssh-key", "gpg-key", "project", "ruleset",
                     "config", "org", "mr", "ci")
    } | {"api": entry("n", flags="u:-X --method -f -F --field --raw-field --input",
                      valued="-H --header -q --jq -t --template --cache --hostname")},
)  # fmt: skip

_DETAILED: Final = {
    "git": GIT,
    "kubectl": _KUBE,
    "oc": _KUBE,
    "k3s": entry("u", subs={"kubectl": _KUBE}),
    "minikube": entry("r", many="r:status ip profile;w:start stop pause;d:delete",
                      subs={"kubectl": _KUBE}),
    "docker": _DOCKER,
    "podman": _DOCKER,
    "nerdctl": _DOCKER,
    "docker-compose": _COMPOSE,
    **dict.fromkeys(("npm", "pnpm", "bun", "pip", "pip3", "pipx", "uv", "poetry", "pipenv",
                     "gem", "conda", "mamba", "brew", "composer"), _PACKAGES),
    **dict.fromkeys(("apt", "apt-get", "aptitude", "apt-cache", "yum", "dnf", "zypper", "apk",
                     "snap", "flatpak", "port", "choco", "winget", "scoop"), _SYSTEM_PACKAGES),
    "yarn": replace(_PACKAGES, classes=classes("nw")),  # alone it installs
    "bundle": replace(_PACKAGES, classes=classes("nw")),
    "npx": entry("nu"),
    "uvx": entry("nu"),
    "bunx": entry("nu"),
    "pacman": entry("p", flags="d:-R --remove;n:-S --sync"),
    "dpkg": entry("p", flags="d:-r --remove -P --purge"),
    "rpm": entry("p", flags="d:-e --erase"),
    "terraform": _INFRA,
    "tofu": _INFRA,
    "terragrunt": _INFRA,
    "pulumi": entry("r", many="d:destroy cancel;nw:up update;r:preview stack config;u:import"),
    "helm": entry("r", valued="-n --namespace --kube-context --kubeconfig",
                  many="r:list ls status history get show template lint search version env verify;"
                  "nw:install upgrade rollback repo pull push dependency registry package create;"
                  "d:uninstall delete del un;u:plugin test"),
    "gh": _GITHUB,
    "glab": _GITHUB,
    "vault": entry("n", many="n:read list status login write;d:delete destroy",
                   subs={"kv": entry("n", many="n:get list put patch;d:delete destroy metadata")}),
    "systemctl": entry("r", flags="n:-H --host", valued="-H --host -M --machine -t --type -p -n -o",
                       many="r:status is-active is-enabled is-failed list-units list-unit-files "
                       "list-timers list-sockets list-jobs list-dependencies show cat help "
                       "get-default show-environment;p:start stop restart reload enable disable "
                       "mask unmask daemon-reload daemon-reexec edit set-property kill isolate "
                       "try-restart reload-or-restart preset reset-failed link revert "
                       "set-default import-environment;pd:poweroff reboot halt kexec rescue "
                       "emergency suspend hibernate soft-reboot default exit"),
    "journalctl": entry("r", flags="d:--vacuum-size --vacuum-time --vacuum-files;w:--rotate "
                        "--flush --setup-keys --update-catalog"),
    "hostnamectl": entry("r", many="r:status;p:set-hostname hostname set-chassis"),
    "timedatectl": entry("r", many="r:status show;p:set-time set-timezone set-ntp"),
    "zfs": entry("r", many="r:list get diff;p:create set mount unmount snapshot clone send receive "
                 "rename inherit promote;pd:destroy rollback"),
    "zpool": entry("r", many="r:list status get history iostat;p:create add import export scrub "
                   "replace;pd:destroy labelclear remove"),
    "btrfs": entry("p", subs={"subvolume": entry("p", many="pd:delete;r:list show;p:create "
                                                 "snapshot"),
                              "filesystem": entry("p", many="r:show df usage")}),
    "nm": entry("r", flags="u:--plugin"),
    "split": entry("w", flags="u:--filter"),
    "zip": entry("w", flags="u:-TT --unzip-command;d:-m --move"),
    **dict.fromkeys(("nc", "ncat", "netcat"),
                    entry("n", flags="u:-e -c --exec --sh-exec --lua-exec")),
    "nmap": entry("n", flags="u:--script -sC -A;w:-oN -oX -oG -oA"),
    "socat": entry("nu"),
    "cloc": entry("r", flags="u:--extract-with --config;w:--out --report-file"),
    "virsh": entry("p", many="r:list dominfo;pd:destroy undefine vol-delete pool-delete vol-wipe"),
    "vagrant": entry("u", many="r:status;w:halt suspend;n:ssh;u:up provision;d:destroy"),
    "lxc": entry("p", many="r:list info;pd:delete;u:exec"),
    "multipass": entry("w", many="r:list info;d:delete purge;u:exec"),
    "diskutil": entry("p", many="r:list info;pd:eraseDisk eraseVolume partitionDisk zeroDisk "
                      "secureErase reformat deleteVolume"),
    "nvme": entry("p", many="r:list id-ctrl;pd:format sanitize write-zeroes"),
    "gio": entry("w", many="r:list info cat;d:trash remove"),
    "sort": entry("r", flags="w:-o --output;u:--compress-program", valued="-k -t -S -T"),
    "uniq": entry("r", valued="-f -s -w", most=1, over="w"),
    "xxd": entry("r", flags="w:-r --revert", valued="-c -g -l -s -o -n", most=1, over="w"),
    "shuf": entry("r", flags="w:-o --output", valued="-n -i"),
    "iconv": entry("r", flags="w:-o --output", valued="-f -t"),
    "tree": entry("r", flags="w:-o", valued="-L -P -I"),
    "sdiff": entry("r", flags="w:-o --output"),
    "file": entry("r", flags="w:-C --compile"),
    "rg": entry("r", flags="u:--pre --hostname-bin", valued="-g -e -t -A -B -C"),
    "ag": entry("r", flags="u:--pager"),
    "bat": entry("r", flags="u:--pager"),
    "yq": entry("r", flags="w:-i --inplace --in-place -s --split-exp"),
    "xmllint": entry("r", flags="w:-o --output;u:--shell"),
    "less": entry("r", flags="w:-o -O --log-file --LOG-FILE;u:-k --lesskey-file --lesskey-src"),
    "more": entry("r"),
    "man": entry("r", flags="u:-P --pager -H --html -C --config-file", valued="-S -s"),
    "info": entry("r", flags="w:-o --output"),
    "top": entry("r"),
    "htop": entry("r"),
    "watchman": entry("u"),
    "dmesg": entry("r", flags="p:-c -C --clear --read-clear -n --console-level -D -E "
                   "--console-on --console-off"),
    "hostname": entry("r", flags="p:-F --file -b --boot", most=0, over="p"),
    "domainname": entry("r", flags="p:-F --file", most=0, over="p"),
    "ifconfig": entry("r", most=1, over="p"),
    "route": entry("r", most=0, over="p"),
    "arp": entry("r", flags="p:-d -s -f"),
    "ss": entry("r", flags="p:-K --kill"),
    "netstat": entry("r"),
    "blkid": entry("r"),
    "pkill": entry("w"),
    "killall": entry("w"),
    "hash": entry("r", flags="u:-p"),
    "enable": entry("u"),
    "complete": entry("w", flags="u:-C -F"),
    "compgen": entry("r", flags="u:-C -F"),
    "mapfile": entry("r", flags="u:-C"),
    "readarray": entry("r", flags="u:-C"),
    "curl": entry("n", flags="w:-o -O --output --remote-name --remote-name-all -c --cookie-jar -D "
                  "--dump-header --trace --trace-ascii --stderr --output-dir --etag-save --libcurl "
                  "--remote-header-name -J --hsts --alt-svc;u:-K --config --engine",
                  valued="-H -X -d -u -A -e -F -b -m -x -w -T -r -y -Y -E -C -Q -t -z -P -U"),
    "wget": entry("nw", flags="u:--use-askpass -e --execute --config", valued="-O -P -o -a -U -i"),
    "rsync": entry("nw", flags="d:--delete --delete-before --delete-during --delete-after "
                   "--delete-excluded --delete-missing-args --delete-delay --del "
                   "--remove-source-files --remove-sent-files;u:-e --rsh --rsync-path",
                   valued="-f -T -B -M --exclude --include --filter --files-from"),
    "rclone": entry("r", many="n:ls lsl lsd lsf size cat about check;nw:copy copyto move moveto "
                    "mkdir touch link serve mount config;d:sync bisync delete deletefile purge "
                    "rmdir rmdirs cleanup dedupe"),
    "tar": entry("w", flags="d:--remove-files --delete;u:--checkpoint-action --to-command "
                 "--use-compress-program -I --info-script --new-volume-script -F --rsh-command "
                 "--rmt-command --index-file", valued="-f -C -T -X -b -g -V -H"),
    "crontab": entry("p", flags="d:-r", valued="-u"),
    "redis-cli": entry("n"),
    "ssh-keygen": entry("w", flags="u:-D"),
    "ssh-add": entry("w", flags="u:-s"),
    "ssh-agent": entry("u"),
    "trap": entry("r"),
    "alias": entry("r"),
    "exec": entry("r"),
    "svn": entry("nw", many="r:status st info log diff cat list blame;nw:commit ci update up "
                 "checkout co add mkdir copy cp merge;d:delete del remove rm revert cleanup"),
    "hg": entry("nw", many="r:status st log diff cat annotate heads parents;nw:commit ci update up "
                "pull push add clone init;d:remove rm purge strip revert rollback"),
}  # fmt: skip

TABLE: Final[Mapping[str, Entry]] = {
    **{
        name: Entry(classes=classes(letters))
        for letters, programs in _PLAIN.items()
        for name in programs.split()
    },
    **_DETAILED,
}

# Windows takes program names in any case; the keys are lower case.
WINDOWS: Final[Mapping[str, Entry]] = {
    **{name.lower(): known for name, known in TABLE.items() if "-" in name and name[0].isupper()},
    **dict.fromkeys(
        names(
            "del erase remove-item ri clear-content clc clear-item cli remove-itemproperty rp "
            "clear-disk format-volume initialize-disk remove-partition stop-computer "
            "restart-computer "
            "diskpart cipher vssadmin wbadmin remove-module remove-aduser deltree"
        ),
        entry("d"),
    ),
}
