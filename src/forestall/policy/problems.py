"""Mistakes in policy files and warnings about them, rendered as a good compiler would.

Nothing here finds a mistake; `language/` and `lint/` do.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from forestall.errors import ForestallError
from forestall.limits import POLICY_PROBLEMS_SHOWN_MAX
from forestall.structs import copied
from forestall.visible import is_visible

if TYPE_CHECKING:
    from forestall.policy.rules import OutputRule, Place, Policy, Rule

_LINE_SHOWN_CHARS_MAX = 160
_WORD_CHARS_MAX = 80  # a longer word is no typing error


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake at one place. Lines and columns count from 1; `length` is in characters.

    `excerpt` is the line of the file, for display.
    """

    source: str
    line: int
    column: int
    message: str
    hint: str = ""
    length: int = 1
    excerpt: str = ""  # the line of the file, without its end


def problem_at(policy: "Policy", place: "Place | None", message: str, hint: str = "") -> Problem:
    """A problem of a file that was read, at a place of it; None: at its beginning."""
    if place is None:
        return Problem(source=policy.source, line=1, column=1, message=message, hint=hint)
    return copied(Problem, place, source=policy.source, message=message, hint=hint)


def line_of(policy: "Policy", *key: str) -> int:
    """The line of an entry (a key of `Policy.places`); 1 when the policy was read from no text."""
    place = policy.places.get(key)
    return 1 if place is None else place.line


def rule_in_words(rule: "Rule | OutputRule") -> str:
    """The rule as the subject of a message."""
    return f"{'output rule' if hasattr(rule, 'verdict') else 'rule'} `{rule.id}`"


def rule_problem(
    policy: "Policy", rule: "Rule | OutputRule", message: str, hint: str = ""
) -> Problem:
    """A problem of a rule, whose message begins with the rule."""
    text = f"{rule_in_words(rule)} {message}"
    return Problem(source=policy.source, line=max(1, rule.line), column=1, message=text, hint=hint)


WARNING_CODES = {
    "shadowed": "An earlier rule of the same file matches whatever the rule matches.",
    "allow_on_claim": "What the rule allows rests on something that the client merely says.",
    "allow_on_foreign_label": "What the rule allows rests on a label of another file.",
    "dodgeable": "A client that leaves something out gets a looser decision.",
    "unused_label_trust": "No rule reads the label that the file says whom to believe about.",
    "unknown_allowed": "A text that nobody could read is allowed by the default.",
    "unused_derive": "Nothing reads what the entry derives.",
    "unshared_programs": "Another file judges the same commands without the own programs.",
    "remediation_denied": "A remediation leads to a denied request.",
    "rule_removed": "A rule that tightened is gone.",
    "rule_loosened": "A rule asks for less than before.",
    "rule_shrank": "A rule that tightens may match less than before.",
    "rule_hidden": "A rule that tightens now stands behind a looser one.",
    "rule_added": "A rule that does not deny is new.",
    "rule_widened": "A rule that does not deny may match more than before.",
    "default_loosened": "The decision where no rule speaks is looser than before.",
    "fact_weakened": "A fact that rules read is believed or found in another way than before.",
    "program_loosened": "A command loses a class by a change of own programs.",
}


class PolicyWarning(msgspec.Struct, frozen=True, kw_only=True):
    """One thing about a policy for its author to look at. `error`: it must be corrected."""

    code: str
    source: str
    line: int  # the line of the rule, or of the entry that the warning is about
    rule_id: str  # empty for a warning about no rule
    message: str
    hint: str = ""
    error: bool = False


def rule_warning(
    code: str, policy: "Policy", rule: "Rule | OutputRule", message: str, hint: str = ""
) -> PolicyWarning:
    """A warning about a rule, whose message begins with the rule."""
    return PolicyWarning(
        code=code,
        source=policy.source,
        line=max(1, rule.line),
        rule_id=rule.id,
        message=f"{rule_in_words(rule)} {message}",
        hint=hint,
    )


def file_warning(
    code: str, policy: "Policy", message: str, hint: str = "", *, entry: tuple[str, ...] = ()
) -> PolicyWarning:
    """A warning about an entry of a file (a key of `Policy.places`), or about the whole file."""
    line = line_of(policy, *entry)
    return PolicyWarning(
        code=code, source=policy.source, line=line, rule_id="", message=message, hint=hint
    )


class PolicyError(ForestallError):
    """The policy cannot be loaded as written; the snapshot in force stays in force."""

    code, http_status = "policy_invalid", 400

    def __init__(self, problems: Sequence[Problem]) -> None:
        assert problems, "a policy error names at least one problem"
        self.problems = tuple(problems)
        first = self.problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(
            _printable(f"{first.source}:{first.line}:{first.column}: {first.message}{more}"),
            details={"line": first.line, "column": first.column, "problems": len(problems)},
        )

    def render(self) -> str:
        """Every problem (up to a screenful), with its line and a marker under the place."""
        shown = self.problems[:POLICY_PROBLEMS_SHOWN_MAX]
        text = "\n".join(_rendered(problem) for problem in shown)
        left = len(self.problems) - len(shown)
        return text + (f"\n… and {left} more problems\n" if left else "")


def _rendered(problem: Problem) -> str:
    lines = [_printable(f"{problem.source}:{problem.line}:{problem.column}: {problem.message}")]
    excerpt = problem.excerpt.replace("\t", " ")
    if excerpt.strip() and problem.column <= _LINE_SHOWN_CHARS_MAX:
        number = f"{problem.line:>5}"
        width = max(1, min(problem.length, _LINE_SHOWN_CHARS_MAX - problem.column + 1))
        lines.append(f"{number} | {_printable(excerpt[:_LINE_SHOWN_CHARS_MAX])}")
        lines.append(f"{' ' * len(number)} | {' ' * (problem.column - 1)}{'^' * width}")
    if problem.hint:
        lines.append(_printable(f"      = {problem.hint}"))
    return "\n".join(lines) + "\n"


def _printable(text: str) -> str:
    """The text with one mark for each character that is not visible: a policy file cannot command
    a terminal, and the marker under a line stays under its place."""
    return "".join(char if is_visible(char) else "\N{REPLACEMENT CHARACTER}" for char in text)


def did_you_mean(word: str, vocabulary: Iterable[str]) -> str:
    """A hint that names the closest known word, or lists all known words."""
    from difflib import get_close_matches  # imported here: only a mistake needs it

    names = sorted(vocabulary)
    close = get_close_matches(word[:_WORD_CHARS_MAX], names, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else "known here: " + ", ".join(names)
