"""How many alarms there are in text without secrets: lines as logs and tools write them, drawn, and
the benign rows of the cases. Every finding of a secret here is false. The measure is findings in a
megabyte; six are the most that a person can be asked to look at.
"""

import base64
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from forestall.output.detectors import DETECTORS
from forestall.output.findings import ScanBudget
from forestall.output.joined import joined_findings
from forestall.output.scan import scan

_CASES = Path(__file__).parents[1] / "tests" / "cases" / "outputs.jsonl"
_BYTES = 400_000
_SEED = 20261128
_WORDS = (
    *("token", "secret", "password", "key", "auth", "session", "cookie", "credential", "accepted"),
    *("renewed", "missing", "expired", "worker", "block", "request", "connection", "user", "node"),
)


def alarms() -> list[dict[str, Any]]:
    """Findings of secrets and of personal data in a megabyte of each kind of text."""
    texts = {name: _filled(line) for name, line in _LINES.items()}
    rows = map(json.loads, _CASES.read_text().splitlines())
    benign = "\n".join(row["text"] for row in rows if not row["spans"]) + "\n"
    texts["benign rows of the cases"] = benign
    cards = [_card(name, text.encode()) for name, text in texts.items()]
    total = sum(len(text.encode()) for text in texts.values())
    found = [
        sum(card[column] for card in cards)
        for column in ("secrets", "personal data", "where lines touch")
    ]
    return [*cards, _row("all", total, *found)]


def _card(name: str, content: bytes) -> dict[str, Any]:
    counts = [
        len(scan(content, detectors=(DETECTORS[detector],)).findings)
        for detector in ("secret", "personal_data")
    ]
    lines = content.decode().splitlines()
    joined = joined_findings([lines], detectors=(DETECTORS["secret"],), budget=ScanBudget())
    counts.append(len(joined.findings) if joined is not None else 0)
    return _row(name, len(content), *counts)


def _row(name: str, size: int, secrets: int, personal: int, joined: int) -> dict[str, Any]:
    return {
        "text": name,
        "KB": size // 1000,
        "secrets": secrets,
        "secrets per MB": round(secrets / size * 1e6, 1),
        "where lines touch": joined,
        "personal data": personal,
        "personal data per MB": round(personal / size * 1e6, 1),
    }


def _filled(line: Callable[[random.Random], str]) -> str:
    chance = random.Random(_SEED)
    lines: list[str] = []
    size = 0
    while size < _BYTES:
        lines.append(line(chance))
        size += len(lines[-1]) + 1
    return "\n".join(lines) + "\n"


def _hex(chance: random.Random, size: int) -> str:
    return f"{chance.getrandbits(4 * size):0{size}x}"


def _uuid(chance: random.Random) -> str:
    return "-".join(_hex(chance, size) for size in (8, 4, 4, 4, 12))


def _address(chance: random.Random) -> str:
    return f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"


def _base64(chance: random.Random, size: int) -> str:
    return base64.b64encode(chance.randbytes(size)).decode()


def _storage(chance: random.Random) -> str:
    day, clock = f"0811{chance.randrange(1, 29):02}", f"{chance.randrange(24):02}{_minutes(chance)}"
    return (
        f"{day} {clock} {chance.randrange(30_000)} INFO dfs.DataNode$DataXceiver: Receiving block"
        f" blk_{chance.getrandbits(62)} src: /{_address(chance)}:{chance.randrange(1024, 65_535)}"
        f" dest: /{_address(chance)}:50010"
    )


def _minutes(chance: random.Random) -> str:
    return f"{chance.randrange(60):02}{chance.randrange(60):02}"


def _cloud(chance: random.Random) -> str:
    return (
        f"nova-api.log 2026-11-28 10:00:{chance.randrange(60):02}.{chance.randrange(1000):03} 25746"
        f" INFO nova.osapi_compute.wsgi.server [req-{_uuid(chance)} {_hex(chance, 32)}"
        f' {_hex(chance, 32)} - - -] {_address(chance)} "GET /v2/{_hex(chance, 32)}/servers" 200'
    )


def _login(chance: random.Random) -> str:
    user = chance.choice(["root", "admin", "oracle", "test", "invalid user webmaster"])
    return (
        f"Nov 28 06:55:{chance.randrange(60):02} LabSZ sshd[{chance.randrange(30_000)}]: Failed"
        f" password for {user} from {_address(chance)} port {chance.randrange(65_535)} ssh2"
    )


def _sums(chance: random.Random) -> str:
    suffix = chance.choice(["", "/go.mod"])
    version = f"v{chance.randrange(3)}.{chance.randrange(40)}.{chance.randrange(9)}"
    return (
        f"github.com/example/tool{chance.randrange(99)} {version}{suffix} h1:{_base64(chance, 32)}"
    )


def _lock(chance: random.Random) -> str:
    name = chance.choice(["key-tree", "auth-header", "cookie", "jsonwebtoken", "passport", "pwd"])
    return (
        f'    "node_modules/{name}": {{\n      "version": "{chance.randrange(9)}.1.2",\n'
        f'      "integrity": "sha512-{_base64(chance, 64)}",\n'
        f'      "license": "Apache-2.0"\n    }},'
    )


def _pages(chance: random.Random) -> str:
    name = chance.choice(["NextToken", "nextPageToken", "ContinuationToken", "ClientToken"])
    value = chance.choice([_base64(chance, 48), _uuid(chance)])
    key = f"exports/2026/{_hex(chance, 12)}.parquet"
    return (
        f'{{"Contents": [{{"Key": "{key}", "ETag": "{_hex(chance, 32)}"}}], "{name}": "{value}"}}'
    )


def _words(chance: random.Random) -> str:
    words = " ".join(chance.choices(_WORDS, k=5))
    return (
        f"2026-11-28T10:00:00Z {words} id={_hex(chance, 16)} trace={_hex(chance, 32)}"
        f" sha={_hex(chance, 40)} request {_uuid(chance)} status=ok"
    )


_LINES: Mapping[str, Callable[[random.Random], str]] = {
    "log of a block store": _storage,
    "log of a cloud": _cloud,
    "log of a login server": _login,
    "go.sum": _sums,
    "package-lock.json": _lock,
    "answers in pages": _pages,
    "words for secrets beside ids": _words,
}
