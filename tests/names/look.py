"""Run in the environment of `make names`: scan texts with a real pipeline, and say what was found.

Standard input is one JSON object: `package`, an installed pipeline, or `rules`, names for the
rule-based pipeline of spaCy; `contents` as base64. Imports nothing of the tests.
"""

import base64
import json
import sys
from typing import Any

import spacy

from forestall.output.clean import clean_copy
from forestall.output.detectors.named import named_entity
from forestall.output.findings import Detector
from forestall.output.scan import scan
from forestall.server.names import load_names, reader_of


def detector(asked: dict[str, Any]) -> Detector:
    """The detector over an installed pipeline, or over rules."""
    if "package" in asked:
        return load_names(asked["package"])[0]
    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": label, "pattern": name} for name, label in asked["rules"]])
    return named_entity(reader_of(pipeline))


def main() -> None:
    """One answer for each content."""
    asked = json.load(sys.stdin)
    detectors = (detector(asked),)
    answers = []
    for text in asked["contents"]:
        content = base64.b64decode(text)
        seen = scan(content, detectors=detectors)
        copy = clean_copy(content, seen.findings, detectors=detectors)
        answers.append(
            {
                "complete": seen.complete,
                "findings": [
                    [each.kind, each.start, each.end, each.start_byte, each.end_byte, each.masked]
                    for each in seen.findings
                ],
                "copy": None if copy is None else base64.b64encode(copy).decode(),
            }
        )
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
