"""Structured documents are read as what they are, what was redacted stays as it is, and what only
looks like a secret is none. Every secret here is invented."""

import time

import pytest

from forestall.output.clean import clean_copy
from forestall.output.detectors import DETECTORS
from forestall.output.findings import IncompleteReason
from forestall.output.scan import scan

S = "Rt8mX526alBH"
L = "Zq8WR2dFrf4sdASRerTw2Kd9"
B = "WnE4d1IyZEZyZjRzZEFTUmVyVHdy"
SECRET = (DETECTORS["secret"],)
PERSONAL_DATA = (DETECTORS["personal_data"],)


def _copy(text: str) -> str:
    """The clean copy. It has nothing of a secret left, and redacting it again changes nothing."""
    seen = scan(text, detectors=SECRET)
    assert seen.complete
    copy = clean_copy(text.encode(), seen.findings, detectors=SECRET)
    assert copy is not None, "no clean copy can be made"
    assert not scan(copy, detectors=SECRET).findings
    return copy.decode()


KUBERNETES = [
    f'{{"apiVersion":"v1","kind":"Secret","data":{{"a":"{B}","b":"{L}"}},"metadata":"kept"}}',
    f'[{{"data":{{"a":"kept"}},"kind":"x"}},{{"data":{{"a":"{B}","b":"{L}"}},"kind":"Secret"}}]',
    f"kind: Secret\nstringData:\n  user: {B}\n  conf: |-\n    a: 1\n    b: {L}\n---\na: kept\n",
    f"items:\n- data:\n    a: {B}\n    b: {L}\n  kind: Secret\n- data:\n    a: kept\n  kind: x\n",
    f'kind: Secret\ndata: {{a: {B}, b: "{L}"}}\nmetadata: kept\n',
    f"metadata: kept\r\ndata:\r\n  a: >-\r\n    {B}\r\n    {L}\r\nkind: Secret\r\n",
    f'{{"text":"kind: Secret\\ndata:\\n  a: {B}\\n  b: {L}\\nx: kept"}}',
    f'["{{\\"kind\\":\\"Secret\\",\\"data\\":{{\\"a\\":\\"{B}\\",\\"b\\":\\"{L}\\"}}}}kept"]',
    f'{{"text":"stringData:\\n  a: {B}\\n  b: {L}\\nkind: Secret\\nx: kept"}}',
    f'kept:\n  c: |\n    {{"data":{{"p":"{B}"}},"kind":"Secret"}}\nkind: Secret\ndata:\n  p: {L}',
]


@pytest.mark.parametrize("text", KUBERNETES)
def test_every_value_of_a_kubernetes_secret_goes(text: str) -> None:
    copy = _copy(text)
    assert B not in copy
    assert L not in copy
    assert "kept" in copy


PAIRS = [
    '[{"name":"DB_PASSWORD","value":"%s"}]',
    "- value: %s\n  name: SMTP_PASS\n",
    '{"value":"%s","name":"DB_PASSWORD"}',
    '{"ParameterValue":"%s","ParameterKey":"DbPassword"}',
    "ParameterKey=MasterUserPassword,ParameterValue=%s",
    '{"name":"DB_PASSWORD","type":"plain","value":"%s"}',
    "- name: DB_PASSWORD\n  # of the database\n  value: %s\n",
    "<property>\n <name>a.b.ConnectionPassword</name>\n <value>%s</value>\n</property>",
    "<key>password</key>\n<string>%s</string>",
    "<tr><td>password</td><td>%s</td></tr>",
    '<add value="%s" key="Password"/>',
    "| user | password | role |\n|------|:------:|---|\n| bob | %s | admin |\n",
    " id | password | name\n----+----------+-----\n  1 | %s | bob\n(1 row)\n",
    "user,password,role\r\nbob,%s,admin\r\n",
    '"user";"pwd"\n"bob";"%s"\n',
    "user\tpassword\nbob\t%s\n",
    "|password|%s|",
    "+----+----------+\n| id | password |\n+----+----------+\n|  1 | %s |\n+----+----------+\n",
    "Set-Cookie: JSESSIONID=9aF%s; Path=/; HttpOnly",
    "curl -b 'lang=en; PHPSESSID=9aF%s' https://x.example",
]


@pytest.mark.parametrize("text", PAIRS)
def test_a_name_and_its_value_need_not_stand_together(text: str) -> None:
    assert S not in _copy(text % S)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://root:{}@h:3306/db",
        "redis://:{}@cache:6379/0",
        "mongodb://u:{}@h1:27017,h2:27017/db",
        "postgresql+asyncpg://app:{}@db/app",
        "https://bob:{}@git.example/x.git",
    ],
)
@pytest.mark.parametrize("password", ["Hn8@2kd", "Hn8/2kd", "x9/y8@z7", "a@b9!x"])
def test_a_password_in_a_url_may_hold_at_signs_and_slashes(url: str, password: str) -> None:
    copy = _copy(f"connect {url.format(password)} failed")
    assert password[-3:] not in copy
    assert "failed" in copy


@pytest.mark.parametrize(
    "name",
    [
        *("dbPass", "userPwd", "rootpw", "DBPASS", "mysqlpass", "db_pwd", "FTP_PASS", "sudo_pass"),
        *("Contraseña", "CONTRASEÑA", "clave", "senha", "mot de passe", "motDePasse", "mdp"),
        *("Passwort", "Kennwort", "Пароль", "ПАРОЛЬ", "пароль", "Wachtwoord", "parola", "şifre"),
        *("Hasło", "heslo", "jelszó", "lösenord", "adgangskode", "salasana", "lozinka", "密码"),
        *("パスワード", "비밀번호", "كلمة المرور", "סיסמה", "mật khẩu", "kata sandi"),
    ],
)
@pytest.mark.parametrize("form", ["{}: {}", "{}={};", '{{"{}":"{}"}}'])
def test_names_of_passwords(name: str, form: str) -> None:
    assert S not in _copy(form.format(name, S))


@pytest.mark.parametrize(
    "command",
    [
        *("podman login --username ci -p %s quay.io", "mysql -uroot -p%s db", "zip -P %s a.zip b"),
        *("mongosh -u a -p %s", "ldapsearch -x -D cn=a -w %s", "sqlcmd -S h -U sa -P %s -Q x"),
        *("keytool -list -storepass %s", "openssl rsa -passin pass:%s", "plink -pw %s host"),
        *("redis-cli -h h -a %s ping", "docker login -u=ci -p=%s r", "sshpass -p%s ssh h"),
        *("htpasswd -bc f u %s", "rabbitmqctl add_user bob %s", "useradd -p %s bob"),
        *("echo %s | sudo -S ls", 'echo "bob:%s" | chpasswd', "wget --password=%s http://x"),
        "kubectl create secret generic x --from-literal=a=%s",
    ],
)
def test_options_that_take_a_password(command: str) -> None:
    assert S not in _copy(command % S)


@pytest.mark.parametrize(
    "text",
    [
        "password=[REDACTED:password], ssl=true",
        '{"password":"[REDACTED:password]","ssl":"true99"}',
        "api_key=[REDACTED:named_secret#2] secret=[REDACTED:x] abc12345",
        "| password | [REDACTED:table_value] |",
        "Cookie: sessionid=[REDACTED:cookie_value]; a=b",
        "kind: Secret\ndata:\n  a: [REDACTED:kubernetes_secret_value]\n",
        "- name: DB_PASSWORD\n  value: [REDACTED:named_value]\n",
        "[REDACTED:password] = 2024abcd9",
        # Sentences and options that take no password.
        *("pass it with --password from your vault", "use --token to authenticate"),
        *("docker login -p is deprecated", "--password must be given", "redis-cli -a needs one"),
        *("docker run -p 8080:80 nginx", "ssh -p 2222 host", "use --password (prompted)"),
        # Names that only resemble one.
        *("senhora: Ana Maria99", "bypass: enabled123", "passenger: OlaNord1999x"),
        # Ports and paths.
        *("https://example.org:8080/a/b@c", "see https://a.example:443/@user/post"),
        # Digests, ids, pages, objects, filters.
        "fb fb02 5dd9f6f5700bd24771dde1af3b04230e",
        "id=9f3bfb:5acf451f726623fc6a4d9becafc8025f",
        "h1:pCXV5AKRZ+D1ePsFuB/xM9rJ+BSAwI0Vxvo2cwxMoJs=\ngithub.com/a/b v1.39.3/go.mod",
        '"integrity": "sha512-Q8ZdZbw3Q==",\n      "license": "Python-2.0"',
        '"NextPageToken":"CAUQAA9x8y7z6w5v4u"',
        '"clientRequestToken":"4752b573-40a6-4eac-a8a4-a72058761219"',
        "continuationToken=1!96!MDAwMDA3IXB1eA9s",
        '"Key": "backups/2026/11/28/db-4f3e2d1c.sql.gz"',
        "s3_key = exports/a1b2c3d4e5f6/part-00001.parquet",
        "Name=tag:auth-type,Values=oauth2-v1.3.5",
        "id,token_type,created\n17,Zq8WR2dFrf4sdASRerTw,2026-11-01",
        "we need a token, password, and a key\nin a list, of things, Zq8WR2dFrf4sdASRerTw",
    ],
)
def test_what_is_no_secret(text: str) -> None:
    assert not scan(text, detectors=SECRET).findings


@pytest.mark.parametrize(
    "text",
    [
        *("2026 081110 235959 ok", "at 011226 093015 done", "celery@worker1.local ready"),
        *("src: /10.250.19.102:54106 dest: /10.250.19.102:50010", '10.11.10.1 "GET /v2/x"'),
        *("from 10.0.0.5 port 51234 ssh2", "16915@worker-3.lan", "peer 172.16.3.4:9000 up"),
    ],
)
def test_what_is_nobodys(text: str) -> None:
    assert not scan(text, detectors=PERSONAL_DATA).findings


def test_a_table_out_of_reach_is_not_taken_for_clean() -> None:
    rows = "".join(f"{number},Rt8mX526al{number:04}\n" for number in range(2_000))
    seen = scan("id,password\n" + rows, detectors=SECRET)
    assert IncompleteReason.TOO_LONG_A_FINDING in seen.reasons


@pytest.mark.parametrize(
    "piece",
    [
        *('"kind":"Secret"', '{"kind":"Secret"}', '{"kind":"Secret","data":', "kind: Secret\n"),
        *("kind: Secret\n---\n", "- kind: Secret\n  data:\n", "token,", "token,\n", "|token|\n"),
        *('"data":{"a":[', "Cookie: ", "Cookie: a=b\n", "name: token value: ", 'password,"'),
    ],
)
def test_many_anchors_cost_no_more_than_the_text(piece: str) -> None:
    """Ten times as long as it should take on a busy machine; with the square it takes minutes."""
    text = (piece * (100_000 // len(piece) + 1)).encode()
    scan(text[:1000], detectors=SECRET)
    started = time.process_time()
    scan(text, detectors=SECRET)
    assert time.process_time() - started < 5
