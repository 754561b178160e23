"""Hard cases for what a shell text could run: one table by theme."""

import pytest

from forestall.facts.shell import (
    COMMANDS_MAX,
    TEXT_BYTES_MAX,
    Command,
    CommandClass,
    commands_in,
)

LETTERS = {kind.value[0]: kind for kind in CommandClass}


def seen(text: str) -> set[CommandClass]:
    """Every class of every command in the text."""
    return {kind for command in commands_in(text) for kind in command.classes}


def of_program(text: str, program: str) -> set[CommandClass]:
    return {k for one in commands_in(text) if one.program == program for k in one.classes}


# "=rw" is exactly these classes; "+d" is at least these; "-d" is none of these.
CASES: dict[str, list[tuple[str, str]]] = {
    "reads": [
        ("ls -la", "=r"),
        ("cat a b", "=r"),
        ("cat $FILE", "=r"),
        ("grep -rn 'rm -rf' src", "=r"),
        ("head -n 3 x | tail -1 | sort | uniq -c", "=r"),
        ("ps aux | grep python", "=r"),
        ("git status", "=r"),
        ("git -C /x log --oneline -5", "=r"),
        ("git --no-pager diff HEAD~1", "=r"),
        ("git show HEAD:a.txt", "=r"),
        ("git branch -a", "=r"),
        ("git stash list", "=r"),
        ("git clean -n", "=r"),
        ("git config --get user.name", "=r"),
        ("kubectl get pods -n prod", "=r"),
        ("kubectl -n prod logs web-0", "=r"),
        ("docker ps -a", "=r"),
        ("terraform show", "=r"),
        ("helm -n x list", "=r"),
        ("aws --region eu-west-1 ec2 describe-instances", "=r"),
        ("gcloud compute instances list", "=r"),
        ("systemctl status nginx", "=r"),
        ("find . -name x.py", "=r"),
        ("sed -n 1,5p x", "=r"),
        ("sed 's/a/b/g' x", "=r"),
        ("sed -e 's/a/b/' -e '/x/d' f", "=r"),
        ("awk '{print $1}' x", "=r"),
        ("awk '$3 > 100 {print $1}' x", "=r"),
        ("awk -F: '{print $1}' /etc/passwd", "=r"),
        ("echo hello", "=r"),
        ("echo 'use rm -rf / with care'", "=r"),
        ("echo \"rm -rf /\"", "=r"),
        ("printf '%s\\n' a", "=r"),
        ("cd /tmp && pwd", "=r"),
        ("[ -f x ] && echo yes", "=r"),
        ("[[ -d x ]] || true", "=r"),
        ("export A=b; echo $A", "=r"),
        ("date +%s", "=r"),
        ("hostname", "=r"),
        ("ip addr show", "=r"),
        ("env", "=r"),
        ("rm --help", "=r"),
        ("rm --version", "=r"),
        ("python3 --version", "=r"),
        ("tar -tf x.tar", "=r"),
        ("crontab -l", "=r"),
        ("ls # rm -rf /", "=r"),
        ("ls 2>&1", "=r"),
        ("ls > /dev/null 2>&1", "=r"),
        ("ls 2>/dev/stderr", "=r"),
        ("ls &>/dev/null", "=r"),
        ("nice -n 5 ls", "=r"),
        ("timeout 5 cat x", "=r"),
        ("xargs grep x", "=r"),
        ("find . -type f -exec grep x {} +", "=r"),
        ("diff <(ls a) <(ls b)", "=r"),
        ("cat <<EOF\nrm -rf /\nEOF", "=r"),
        ("for f in *.py; do wc -l \"$f\"; done", "=r"),
        ("if true; then ls; else cat x; fi", "=r"),
        ("/bin/ls", "=r"),
        ("/usr/bin/cat x", "=r"),
        ("PAGER=cat git log", "=r"),
        ("FOO=1 ls", "=r"),
        ("command -v rm", "=r"),
        ("docker compose -f x.yml ps", "=r"),
    ],
    "writes": [
        ("cp a b", "=w"),
        ("touch x", "=w"),
        ("mkdir -p a/b", "=w"),
        ("rmdir x", "=w"),
        ("tee out.txt", "=w"),
        ("sed -i s/a/b/ x", "=w"),
        ("git commit -m 'rm old'", "=w"),
        ("git add -A", "=w"),
        ("git checkout -b x", "=w"),
        ("git checkout main", "=w"),
        ("git rm --cached x", "=w"),
        ("git restore --staged x", "=w"),
        ("echo hi > f", "=w"),
        ("echo hi >> f", "=w"),
        ("ls > /tmp/x", "=w"),
        ("> f", "=w"),
        ("chmod 644 x", "=w"),
        ("tar xf a.tar", "=w"),
        ("xxd -r a b", "=w"),
        ("sort -o x y", "=w"),
        ("sort --outp=x y", "=w"),
        ("uniq a b", "=w"),
        ("kill 123", "=w"),
        ("kill -9 123", "=w"),
        ("history -c", "=w"),
        ("umask 022", "=w"),
        ("kubectl apply -f x.yaml", "=w"),
        ("curl -o x https://a", "=nw"),
        ("awk '{print > \"f\"}' x", "+w"),
        ("sed -n 'w out' x", "+uw"),
        ("truncate -s +1G x", "=w"),
    ],
    "network": [
        ("curl https://a", "=n"),
        ("wget https://a", "+n"),
        ("ssh host ls", "+n"),
        ("scp a host:b", "+n"),
        ("nc a 80", "=n"),
        ("dig a", "=n"),
        ("git push", "=n"),
        ("git fetch origin", "+n"),
        ("git clone https://a", "+n"),
        ("pip install x", "+n"),
        ("npm install", "+n"),
        ("cat < /dev/tcp/1.2.3.4/80", "+n"),
        ("echo x > /dev/tcp/1.2.3.4/80", "+n"),
        ("exec 3<>/dev/tcp/a/80", "+n"),
    ],
    "privileged": [
        ("sudo ls", "=pr"),
        ("sudo -u bob ls", "=pr"),
        ("su -c 'ls' root", "+p"),
        ("doas cat /etc/shadow", "+p"),
        ("pkexec ls", "+p"),
        ("chown bob x", "=p"),
        ("systemctl restart nginx", "=p"),
        ("mount /dev/sdb1 /mnt", "=p"),
        ("insmod x.ko", "=p"),
        ("iptables -F", "=p"),
        ("useradd x", "=p"),
        ("passwd bob", "=p"),
        ("crontab -e", "+p"),
        ("setcap cap_x+ep f", "=p"),
        ("date -s 2020-01-01", "=p"),
        ("hostname x", "=p"),
        ("ip link set eth0 down", "=p"),
        ("dmesg -c", "=p"),
        ("nsenter -t 1 -m sh", "+pu"),
        ("docker run --privileged x", "+pu"),
        ("docker run -v /:/host x", "+pu"),
        ("chmod u+s x", "+p"),
        ("echo x >> /etc/hosts", "+p"),
    ],
    "destructive": [
        ("rm x", "=d"),
        ("rm -rf /", "=d"),
        ("rm --preserve-root=all x", "=d"),
        ("shred -u x", "=d"),
        ("dd if=/dev/zero of=/dev/sda", "=d"),
        ("dd if=a of=b", "=d"),
        ("mkfs.ext4 /dev/sda1", "=d"),
        ("mkfs -t ext4 /dev/sda1", "=d"),
        ("wipefs -a /dev/sda", "=d"),
        ("sgdisk -Z /dev/sda", "=d"),
        ("truncate -s 0 x", "=d"),
        ("find . -delete", "=d"),
        ("find / -name x -exec rm {} \\;", "+d"),
        ("find / -execdir /bin/rm -f {} +", "+d"),
        ("find / -exec sh -c 'rm \"$1\"' _ {} \\;", "+d"),
        ("fd -x rm", "+d"),
        ("git push --force", "+d"),
        ("git push -f origin main", "+d"),
        ("git push --force-with-lease", "+d"),
        ("git push --forc", "+d"),
        ("git push origin +main", "+d"),
        ("git push origin :main", "+d"),
        ("git push origin --delete main", "+d"),
        ("git -C dir push -f", "+d"),
        ("git reset --hard HEAD~1", "+d"),
        ("git --git-dir=x --work-tree y clean -fdx", "+d"),
        ("git clean -f", "=d"),
        ("git branch -D x", "=d"),
        ("git branch -d -f x", "=d"),
        ("git stash drop", "+d"),
        ("git stash clear", "+d"),
        ("git checkout -- .", "=d"),
        ("git checkout .", "=d"),
        ("git checkout HEAD x.py", "=d"),
        ("git restore .", "=d"),
        ("git rm x", "=d"),
        ("git reflog expire --all", "=d"),
        ("git worktree remove x", "=d"),
        ("unlink x", "=d"),
        ("kill -9 -1", "=d"),
        ("kill -1", "=d"),
        ("killall5", "=d"),
        ("shutdown -h now", "=d"),
        ("reboot", "=d"),
        ("systemctl poweroff", "+d"),
        ("init 0", "+d"),
        ("telinit 6", "+d"),
        ("docker system prune -af", "=d"),
        ("docker rm -f x", "=d"),
        ("docker rmi x", "=d"),
        ("docker volume rm x", "=d"),
        ("docker compose -f a.yml down -v", "+d"),
        ("kubectl delete ns x", "=d"),
        ("kubectl -n prod delete ns x", "=d"),
        ("kubectl --context=c drain n1", "=d"),
        ("helm uninstall x", "=d"),
        ("terraform destroy", "=d"),
        ("terraform -chdir=x destroy", "+d"),
        ("terraform apply -destroy", "+d"),
        ("aws s3 rb --force s3://b", "+d"),
        ("aws --region x s3 rm s3://b --recursive", "+d"),
        ("aws ec2 terminate-instances --instance-ids i", "+d"),
        ("aws --profile p rds delete-db-instance x", "+d"),
        ("aws s3 sync a s3://b --delete", "+d"),
        ("gcloud compute instances delete x", "+d"),
        ("gcloud --project p sql instances delete x", "+d"),
        ("az group delete -n x", "+d"),
        ("dropdb x", "=d"),
        ("redis-cli -h x FLUSHALL", "+d"),
        ("redis-cli flushdb", "+d"),
        ("crontab -r", "+d"),
        ("userdel x", "=d"),
        ("lvremove x", "=d"),
        ("zfs destroy x", "+d"),
        ("zpool destroy x", "+d"),
        ("btrfs subvolume delete x", "+d"),
        ("psql -c 'drop table x'", "+d"),
        ("mysql -e 'DELETE FROM x'", "+d"),
        ("sqlite3 a.db 'TRUNCATE x'", "+d"),
        ("psql <<EOF\nDROP TABLE x;\nEOF", "+d"),
        (":(){ :|:& };:", "+d"),
        ("bomb() { bomb | bomb & }; bomb", "+d"),
        ("a(){ b & b & }; b(){ a | a; }; a", "+d"),
        ("chmod -R 000 /", "+d"),
        ("chown -R bob /etc", "+d"),
        ("mv x /dev/null", "+d"),
        ("mv /etc /tmp/x", "+d"),
        ("rsync -a --delete a b", "+d"),
        ("rsync -a --del a b", "+d"),
        ("tar cf x.tar --remove-files y", "+d"),
        ("> /dev/sda", "+d"),
        ("cat /dev/zero > /dev/sda", "+d"),
        ("cat /dev/zero > /dev/../dev//nvme0n1", "+d"),
        ("echo c > /proc/sysrq-trigger", "+d"),
        ("echo x > /etc/passwd", "+d"),
        ("echo x | tee -a /etc/sudoers", "+d"),
        ("cp x /dev/sda", "+d"),
        ("echo k >> ~/.ssh/authorized_keys", "+d"),
        ("if true; then ls; fi > /dev/sda", "+d"),
        ("kubectl exec p -- rm -rf /", "+d"),
        ("del /s /q C:\\\\", "+d"),
        ("DEL x", "+d"),
        ("format c:", "+d"),
        ("Remove-Item -Recurse -Force x", "+d"),
        ("remove-item x", "+d"),
        ("rd /s x", "+d"),
        ("powershell -Command Remove-Item x", "+du"),
        ("cmd /c del x", "+du"),
        ("cmd.exe /c 'd^el x'", "+du"),
    ],
    "wrappers": [
        (text, "+d")
        for text in (
            "sudo rm x", "sudo -u root -- rm x", "sudo FOO=1 rm x", "doas -u x rm x",
            "env rm x", "env -i A=1 rm x", "env -u A rm x", "env -S 'rm x'", "env -S'rm -rf' x",
            "env --split-string='rm x'",
            "nohup rm x", "nice -n 5 rm x", "nice -5 rm x", "ionice -c 3 rm x", "time rm x",
            "time -p rm x", "timeout 5 rm x", "timeout -s KILL 5 rm x", "timeout -k 1 5 rm x",
            "stdbuf -oL rm x", "setsid -w rm x", "chroot /mnt rm x", "unshare -m rm x",
            "watch -n 1 rm x", "watch 'rm x'", "flock /tmp/l rm x", "flock /tmp/l -c 'rm x'",
            "strace -f -o out rm x", "script -c 'rm x' f", "script -qc 'rm x' f", "busybox rm x",
            "toybox rm x", "coproc rm x", "command rm x", "command -p rm x", "builtin eval 'rm x'",
            "exec rm x", "exec -a ls rm x", "eval rm x", "eval 'rm x'", "eval 'r''m' x",
            "sh -c 'rm x'", "bash -lc 'rm x'", "bash -euo pipefail -c 'rm x'",
            "bash --norc -c 'rm x'", "bash -c -x 'rm x'", "sh -ec \"rm x\"",
            "sh -c '\"$@\"' _ rm x",
            "su -c 'rm x'", "su - bob -c 'rm x'", "su root -c 'rm x'", "runuser -u x -- rm x",
            "runuser -c 'rm x' bob", "ssh host 'rm x'", "ssh -p 22 -i k host rm x",
            "ssh host -t rm x", "ssh -o ProxyCommand='rm x' host", "docker exec c rm x",
            "docker exec -it -u root c sh -c 'rm x'", "docker run img rm -rf /",
            "kubectl -n x exec -it p -- sh -c 'rm x'", "awk 'BEGIN{system(\"rm x\")}'",
            "vim -c '!rm x'", "vim '+!rm x'", "tar cf a b --checkpoint-action=exec='rm x'",
            "git -c alias.x='!rm x' x", "git -c core.pager='rm x' log", "man -P 'rm x' ls",
            "git submodule foreach 'rm x'", "git bisect run rm x", "git rebase -x 'rm x' main",
            "trap 'rm x' EXIT", "trap -- 'rm x' 0", "xargs rm", "xargs -0 -n 1 rm -f",
            "xargs -I{} rm {}", "xargs sh -c 'rm x'", "xargs -P 4 -I % sh -c 'rm %'",
            "parallel rm ::: x", "parallel 'rm {}' ::: x", "ls | parallel rm", "sed '1e rm x' f",
            "sudo env nice timeout 5 sh -c 'sudo rm x'", "alias ls='rm -rf /'; ls",
            "ip netns exec x rm y", "entr rm x", "foo rm -rf /", "mytool -c 'rm -rf x'",
            "PAGER='rm x' git log", "PROMPT_COMMAND='rm x'", "export PS4='$(rm x)'",
            "python3 -c 'import os; os.remove(\"x\")'", "perl -e 'unlink \"x\"'",
            "python -c 'import shutil; shutil.rmtree(\"/\")'", "node -e 'fs.unlinkSync(\"x\")'",
            "python -c 'import os; os.system(\"rm -rf /\")'", "ruby -e 'FileUtils.rm_rf(\"/\")'",
            "python -c 'subprocess.run([\"rm\", \"-rf\", \"/\"])'", "at now <<< 'rm x'",
            "echo 'rm x' | at now", "find . -ok rm {} \\;", "rg x --pre rm; rm x",
        )
    ],
    "data that is run": [
        (text, "+du")
        for text in (
            "echo 'rm -rf /' | sh", "printf 'rm -rf /' | bash -s", "printf '%s %s' rm / | sh",
            "echo cm0gLXJmIC8= | base64 -d | sh", "sh <<< 'rm -rf /'", "bash <<EOF\nrm -rf /\nEOF",
            "sh <<'EOF'\nrm -rf /\nEOF", "cat <<EOF | sh\nrm -rf /\nEOF", "echo 'rm x' | sudo bash",
            "echo 'rm x' | (sh)", "echo 'rm x' | { cat | bash; }", "sh <(echo 'rm -rf /')",
            ". /dev/stdin <<< 'rm x'", "source <(echo rm x)", "echo 'rm x' > s; sh s",
            "cat > s <<E\nrm x\nE\nbash s", "echo 'rm x' > s; chmod +x s; ./s",
            "read X <<< rm; $X -rf /", "echo -e '\\x72m x' | sh", "bash -c \"$(echo rm x)\"",
            "X='rm -rf /'; eval $X", "X=rm; $X -rf /", "X=ls; X=rm; $X -rf /", "$(echo rm) -rf /",
            "`echo rm` -rf /", "for x in rm; do $x -rf /; done", "a=(rm -rf /); \"${a[@]}\"",
            "${X:-rm} -rf /", "r${EMPTY}m -rf /", "r$@m -rf /", "a=r; b=m; $a$b -rf /",
            "{rm,-rf,/}", "r{m,x} -rf", "{ls,rm} x", "$SUDO rm x", "f(){ \"$@\"; }; f rm -rf /",
            "set -- rm -rf /; \"$@\"", "echo rm | xargs -I{} {} -rf /", "echo rm x | xargs env",
            "ls(){ rm -rf /; }; ls", "eval \"$(printf 'rm %s' x)\"", "./run rm -rf /",
        )
    ],
    "unknown": [
        (text, "+u")
        for text in (
            "", "   ", "\n", "# rm -rf /", "foo", "RM x", "/bin/r? x", "/bin/r* x", "~/x y",
            "$X", "\"$X\" y", "$(cat f)", "`cat f`", "eval \"$X\"", "source x.sh", ". ./x",
            "sh script.sh", "curl x | sh", "bash", "python x.py", "python3 -c 'print(1)'",
            "make", "npm run x", "npx x", "git foo", "git $X", "find . $X", "find \"$D\"",
            "git -c core.sshCommand=x fetch", "git --exec-path=/x status",
            "git config alias.x '!ls'",
            "PATH=/x ls", "export PATH=/x; ls", "LD_PRELOAD=x ls", "BASH_ENV=x bash -c ls",
            "IFS=x; ls", "export 'PATH=/x'; ls", "export P\"ATH\"=x; ls", "read PATH <<< /x; ls",
            "printf -v PATH /x; ls", ": ${PATH:=/x}; ls", "declare -x PATH=/x; ls",
            "for PATH in /x; do ls; done", "env PATH=/x ls", "BASH_CMDS[ls]=/x; ls",
            "declare -n r=PATH; r=/x; ls", "enable -f x y", "hash -p /x ls", "/tmp/ls", "./cat x",
            "../ls", "echo ${x@P}", "ls(){ :; }; ls", "awk -f x", "sed -f x y", "sed \"$X\" f",
            "sort --compress-program=x y", "rg --pre x y", "ls (", "echo 'x", "if ls",
            "\u0440m x", "\uff52m x", "ls\u00a0-la", "\ufeffls", "r\u200bm x", "ls\x00", "\udc80",
            "ls \ud800", "kubectl $X", "curl -K x", "awk '{print | \"sh\"}'", "docker exec $X ls",
            "vim x", "find . -exec {} \\;", "ls\rrm", "git log --ext-diff", "cat <<'E\nF'\nx",
            "busybox sh", "sudo -i", "sudo su", "chroot /x", "$'\\xff\\xfe'",
            "tar --to-command=x xf y",
        )
    ],
    "names and quoting": [
        (text, "+d")
        for text in (
            "/bin/rm x", "../../bin/rm x", "\"r\"m x", "r\\m x", "'rm' x", "$'\\x72m' x", "r''m x",
            "\"rm\" x", "\\rm x", "r\"\"m x", "$'\\162\\155' x", "$'r\\u006d' x", "$\"rm\" x",
            "r\\\nm x", "rm \\\n-rf \\\n/", "rm -rf /\r\n", "ls\r\nrm x\r\n", "ls \\\r\nrm x",
            "FOO=1 rm x", "A=1 B=2 rm x", ">o rm x", "2>/dev/null rm x", "rm>o x", "rm.exe x",
            "r''\\m x", "''rm x", "\t rm x", "rm\tx", "\"/bin/\"rm x", "/usr//bin/./rm x",
            "ls;rm x", "ls&rm x", "ls&&rm x", "ls||rm x", "ls|rm x", "ls\nrm x", "ls |& rm x",
            "r\x00m x", "$'rm\\0junk' x", "$'\\c@'rm x;rm x",
        )
    ],
    "places": [
        (text, "+d")
        for text in (
            "! rm x", "{ rm x; }", "(rm x)", "if rm x; then ls; fi", "if ls; then rm x; fi",
            "if ls; then :; elif rm x; then :; fi", "if ls; then :; else rm x; fi",
            "while rm x; do :; done", "while :; do rm x; done", "until rm x; do :; done",
            "for i in a; do rm x; done", "for i in $(rm x); do :; done", "case x in x) rm y;; esac",
            "case $(rm x) in a) ;; esac", "case x in $(rm a)) ;; esac", "echo a; rm x &",
            "select i in a; do rm x; done", "for ((i=0;i<1;i++)); do rm x; done",
            "[[ -f $(rm x) ]]", "[ -f $(rm x) ]", "echo $(( $(rm x) ))", "(( $(rm x) ))", "cat <(rm x)", "tee >(rm x)",
            "echo `rm x`", "echo \"$(rm x)\"", "echo \"a $(echo \"$(rm x)\")\"", "X=$(rm y)",
            "X=$(rm y) ls", "a=(1 $(rm x))", "a[$(rm x)]=1", "ls > $(rm x)", "echo ${X:-$(rm y)}",
            "echo ${X/a/$(rm x)}", "cat <<EOF\n$(rm x)\nEOF", "cat <<EOF\n`rm x`\nEOF",
            "cat <<-EOF\n\t$(rm x)\n\tEOF", "cat <<< \"$(rm x)\"", "echo `echo \\`rm x\\``",
            "function f { rm x; }", "f() (rm x)", "f() { rm x; } > y", "echo $((1)); rm x",
            "export X=$(rm x)", "local x=`rm y`", "cat <<A <<B\na\nA\nb\nB\nrm x",
            "cat <<'EOF'\nx\nEOF\nrm x", "cat <<\\EOF\nx\nEOF\nrm x", "cat <<\"E\"OF\nx\nEOF\nrm x",
            "cat <<$'X'\nX\nrm x", "cat <<'a b'\na b\nrm x", "echo a#b; rm x", "echo \\#; rm x",
            "ls # x\nrm x", "# x \\\nrm x", "echo a\\\n#b; rm x", "echo 'a\\'; rm x",
            "test -v 'x[$(rm y)]'", "[[ 'x[$(rm y)]' -eq 0 ]]", "let 'x[$(rm y)]'",
            "a='x[$(rm y)]'; ((a))", "printf -v 'a[$(rm x)]' y", "declare 'a[$(rm x)]=1'",
            "time > o rm x", "exec 2>o rm x", "x=1 <o rm x", "coproc N { rm x; }", "rm x; (",
            "echo ${#x}; rm y", "echo $#; rm x", "x() { :; }; rm y", "((a<<1)); rm x",
        )
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "want"),
    [pytest.param(*case, id=f"{theme}:{case[0]!r}") for theme in CASES for case in CASES[theme]],
)
def test_case(text: str, want: str) -> None:
    wanted = {LETTERS[letter] for letter in want[1:]}
    found = seen(text)
    assert found == wanted if want[0] == "=" else found >= wanted, commands_in(text)


def test_enough_cases() -> None:
    assert sum(map(len, CASES.values())) >= 220


@pytest.mark.parametrize(
    ("text", "program", "want"),
    [
        ("sudo rm -rf /", "sudo", "p"),
        ("sudo rm -rf /", "rm", "d"),
        ("ls | rm x", "ls", "r"),
        ("echo a > f", "echo", "w"),
        ("alias ls='rm -rf /'; ls", "ls", "u"),
        ("ls(){ rm -rf /; }; ls", "ls", "u"),
        ("/bin/rm x", "rm", "d"),
        ("foo -x", "foo", "u"),
        ("RM x", "RM", "u"),
        ("$X y", "", "u"),
        ("git status && git push -f", "git", "rdn"),
    ],
)
def test_program_and_its_classes(text: str, program: str, want: str) -> None:
    assert of_program(text, program) == {LETTERS[letter] for letter in want}


def test_read_never_stands_beside_another_class() -> None:
    for cases in CASES.values():
        for text, _ in cases:
            for command in commands_in(text):
                assert command.classes == {CommandClass.READ} or CommandClass.READ not in (
                    command.classes
                )


def test_source_order_without_duplicates() -> None:
    assert [one.program for one in commands_in("ls; cat x; ls; rm y")] == ["ls", "cat", "rm"]


def test_many_commands_keep_the_most_dangerous() -> None:
    text = "; ".join(f"tool{index} x" for index in range(200)) + "; rm x"
    found = commands_in(text)
    assert len(found) <= COMMANDS_MAX
    assert CommandClass.DESTRUCTIVE in seen(text)
    assert Command(program="", classes=frozenset({CommandClass.UNKNOWN})) in found


def test_too_long_is_unknown() -> None:
    assert seen("ls " + "x" * TEXT_BYTES_MAX) == {CommandClass.UNKNOWN}


def test_nesting_beyond_the_bound_is_unknown() -> None:
    text = "ls"
    for _ in range(12):
        text = "sh -c '" + text.replace("'", "'\\''") + "'"
    assert CommandClass.UNKNOWN in seen(text[:TEXT_BYTES_MAX])
