"""Names in results by real spaCy pipelines: one of its own rules, and one that was trained.

They come from `make names`, into an environment of their own; without it these tests are skipped
and say so. PyPI hosts no English pipeline, so the trained one is Japanese.
"""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
BIN = Path(os.environ.get("FORESTALL_NAMES", ROOT / ".venv" / "names")) / "bin"
PACKAGE = "ja_ginza"
pytestmark = pytest.mark.skipif(
    not (BIN / "python").exists(), reason="`make names` installs a pipeline"
)
PEOPLE = [["John Smith", "PERSON"], ["Zoë", "PERSON"], ["Paris", "GPE"], ["ACME", "ORG"]]
OURS = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


def looked(contents: list[bytes], **detector: Any) -> list[dict[str, Any]]:
    """What `tests/names/look.py` found in each."""
    asked = {"contents": [base64.b64encode(each).decode() for each in contents], **detector}
    done = subprocess.run(
        [str(BIN / "python"), str(ROOT / "tests" / "names" / "look.py")],
        input=json.dumps(asked).encode(),
        capture_output=True,
        env={**os.environ, **OURS},
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(answers) == len(contents)
    return answers


def found(content: bytes, answer: dict[str, Any]) -> list[tuple[str, str]]:
    """Kinds, and what stands at their places, by characters and by bytes."""
    assert answer["complete"]
    text = content.decode()
    assert [text[each[1] : each[2]] for each in answer["findings"]] == [
        content[each[3] : each[4]].decode() for each in answer["findings"]
    ]
    return [(each[0], text[each[1] : each[2]]) for each in answer["findings"]]


def test_places_are_exact() -> None:
    """spaCy's own rules know exactly these names, wherever and however they stand."""
    filler = "Nothing of note happened on that day. " * 40
    contents = {
        "🙂 John Smith saw Zoë in Paris.": ["John Smith", "Zoë", "Paris"],
        '{"who":"John Smith","at":["Paris","ACME"]}': ["John Smith", "Paris", "ACME"],
        '{"text":"in\\nParis, \\"Zo\\u00eb\\" slept"}': ["Paris", "Zo\\u00eb"],
        filler + "John Smith " + filler + " ACME " + filler: ["John Smith", "ACME"],
        "nobody": [],
    }
    raw = [each.encode() for each in contents]
    for content, answer in zip(raw, looked(raw, rules=PEOPLE), strict=True):
        assert [name for _, name in found(content, answer)] == contents[content.decode()]
    kinds = found(raw[1], looked([raw[1]], rules=PEOPLE)[0])
    assert [kind for kind, _ in kinds] == ["person_name", "place_name", "organisation_name"]


def test_a_trained_pipeline_finds_names() -> None:
    contents = [
        "田中太郎は東京都千代田区の株式会社山田製作所で働いています。".encode(),
        "トヨタ自動車の豊田章男会長がロンドンで記者会見した。".encode(),
        json.dumps(
            {"note": "昨日、鈴木花子さんと\n京都へ行きました。"}, ensure_ascii=False
        ).encode(),
        "会議は午後３時から第二会議室で行います。".encode(),
    ]
    wanted = [
        {"田中太郎": "person_name", "東京都千代田区": "place_name"},
        {"豊田章男": "person_name", "トヨタ自動車": "organisation_name", "ロンドン": "place_name"},
        {"鈴木花子": "person_name", "京都": "place_name"},
        {},
    ]
    answers = looked(contents, package=PACKAGE)
    for content, answer, want in zip(contents, answers, wanted, strict=True):
        names = {name: kind for kind, name in found(content, answer)}
        assert want.items() <= names.items()
        assert bool(names) == bool(want)
        copy = base64.b64decode(answer["copy"]).decode()
        assert not [name for name in names if name in copy]
        assert all(each[5] == "********" for each in answer["findings"])
