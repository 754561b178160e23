"""What a policy of the simulation says of results; remembered for each snapshot, so that the checks
know by themselves what had to become of a result."""

from collections.abc import Iterable
from random import Random

import msgspec

from forestall.policy.rules import Verdict
from tests.sim.canaries import WORD_PATTERN, WORD_STEM, Canary

_RULES = {
    "redact word": "{id: word-redact, decision: redact, match: {keywords: [STEM]}}",
    "redact words": "{id: words-redact, decision: redact, match: {patterns: ['PATTERN']}}",
    "stop words": "{id: words-stop, decision: quarantine, match: {patterns: ['PATTERN']}}",
    "stop secret": "{id: secret-stop, decision: quarantine, match: {detectors: [secret]}}",
    "let secret": "{id: secret-let, decision: allow, match: {detectors: [secret]}}",
}
_RULES = {
    name: rule.replace("STEM", WORD_STEM).replace("PATTERN", WORD_PATTERN)
    for name, rule in _RULES.items()
}
_OF_WORDS = ("", "", "redact word", "redact words", "stop words", "stop words")
_OF_SECRETS = ("", "", "stop secret", "stop secret", "let secret")


class Judged(msgspec.Struct, frozen=True):
    """What had to become of one text, and which canaries stay in what may be read of it."""

    verdict: Verdict
    left: tuple[Canary, ...] = ()


class Treatment(msgspec.Struct, frozen=True):
    """The output rules of one policy, by their names here."""

    of_words: str = ""
    of_secrets: str = ""

    def judged(self, planted: Iterable[Canary]) -> Judged:
        """The first rule that finds something speaks; secrets go unless it is the one that lets
        them stay; where none speaks they go too."""
        words = tuple(canary for canary in planted if canary.is_word)
        secrets = tuple(canary for canary in planted if not canary.is_word)
        if words and self.of_words:
            stops = self.of_words.startswith("stop")
            return Judged(Verdict.QUARANTINE if stops else Verdict.REDACT)
        if secrets and self.of_secrets == "stop secret":
            return Judged(Verdict.QUARANTINE)
        if secrets and self.of_secrets != "let secret":
            return Judged(Verdict.REDACT, words)
        return Judged(Verdict.ALLOW, (*words, *secrets))


def output_rules(random: Random) -> str:
    """The part of a policy that is about results; now and then there is none."""
    chosen = (random.choice(_OF_WORDS), random.choice(_OF_SECRETS))
    rules = "".join(f"  - {_RULES[name]}\n" for name in chosen if name)
    return f"output_rules:\n{rules}" if rules else ""


def treatment_in(text: str) -> Treatment:
    """What the text of a policy says, known by the very lines that were put into it."""
    of_words, of_secrets = (
        next((name for name in names if name and _RULES[name] in text), "")
        for names in (_OF_WORDS, _OF_SECRETS)
    )
    return Treatment(of_words, of_secrets)
