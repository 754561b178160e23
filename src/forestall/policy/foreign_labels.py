"""Labels that only another file derives: for a file such a label can tighten, never loosen.

A `derive` entry speaks for the rules of its own file. On some topic, a derived label is *foreign*
to a file when another file derives it there, and neither an entry of the file itself nor a default
derivation that counts for the file does. Without the other file the label would be absent. So for
the rules of this file it is no surer than a claim (`claims`): whoever wrote the other file chose
the places from which it is read, and to which nobody looks.

A file accepts a label from any file by listing it under `labels` with the trust `derived`. With a
stronger trust it need not: a derived value is then a weaker one, and stands beside the trusted one.
A value that a credential or the server gives is never foreign, whoever derives the same.
"""

from collections.abc import Iterable, Sequence

from forestall.facts.derive import DEFAULT_DERIVATIONS, LABELS_OF_KIND, Derivation
from forestall.facts.origin import Origin
from forestall.limits import GLOB_MEMO_ENTRIES_MAX
from forestall.policy.derivations import matched
from forestall.policy.fields import Labels
from forestall.policy.globs import Matcher
from forestall.policy.lint.globs import globs_cover, globs_disjoint
from forestall.policy.request import Request
from forestall.policy.rules import Match, OutputRule, Policy, Rule

NO_LABELS: frozenset[str] = frozenset()
_EVERY_TOPIC = ("*",)


class ForeignLabels:
    """The labels that are foreign to one file, by topic. `others` derive for other files."""

    __slots__ = ("_accepted", "_others", "_own", "_proven", "_remembered")

    def __init__(self, policy: Policy, others: Iterable[Derivation]) -> None:
        defaults = () if policy.danger_no_default_derivations else DEFAULT_DERIVATIONS
        self._accepted = accepted_labels(policy)
        self._own = tuple(matched((*defaults, *policy.derivations)))
        self._others = tuple(matched(others))
        self._proven: dict[tuple[str, tuple[str, ...]], bool] = {}
        self._remembered: dict[str, frozenset[str]] = {}

    def on(self, topic: str) -> frozenset[str]:
        """The labels that are foreign on a topic, remembered within bounds."""
        labels = self._remembered.get(topic)
        if labels is None:
            if len(self._remembered) >= GLOB_MEMO_ENTRIES_MAX:
                self._remembered.clear()  # clients choose the topics: forget all, never grow
            labels = _given(self._others, topic) - _given(self._own, topic) - self._accepted
            self._remembered[topic] = labels
        return labels

    def sure(self, labels: Labels, request: Request) -> Labels:
        """The labels of a view on which a rule of the file may rest: the view itself, where it has
        no foreign one."""
        foreign = self.on(request.topic)
        if foreign.isdisjoint(labels):
            return labels
        given = (request.credential_labels, request.server_labels)
        return {
            name: value
            for name, value in labels.items()
            if name not in foreign or any(source.get(name) == value for source in given)
        }

    def read_by(self, match: Match | None, topics: tuple[str, ...]) -> frozenset[str]:
        """The labels of a match that may be foreign on some topic of these globs. None is left
        out; one of them may be foreign on no topic in truth."""
        if match is None:
            return NO_LABELS
        names = (name for name in match.label_names if name not in self._accepted)
        return frozenset(name for name in names if not self._is_own(name, topics or _EVERY_TOPIC))

    def _is_own(self, label: str, topics: tuple[str, ...]) -> bool:
        """Whether it is proven that a label is foreign on no topic of these globs."""
        key = (label, topics)
        found = self._proven.get(key)
        if found is None:
            found = self._proven[key] = self._is_proven(label, topics)
        return found

    def _is_proven(self, label: str, topics: tuple[str, ...]) -> bool:
        others = [
            each.topics
            for _, each in self._others
            if label in LABELS_OF_KIND[each.kind] and not globs_disjoint(topics, each.topics)
        ]
        if not others:
            return True
        own = [each for _, each in self._own if label in LABELS_OF_KIND[each.kind]]
        rest = [glob for glob in topics if not self._covers(own, label, glob)]
        return all(globs_disjoint(rest, globs) for globs in others)

    def _covers(self, derivations: Iterable[Derivation], label: str, glob: str) -> bool:
        """Whether one of the derivations gives a label on every topic of a glob. Where it applies
        not, another one of the file has to."""
        return any(
            globs_cover(each.topics, (glob,))
            and all(label in _given(self._own, topic) for topic in each.except_topics)
            for each in derivations
        )


def foreign_labels(policies: Sequence[Policy]) -> tuple[ForeignLabels | None, ...]:
    """For each policy the labels that are foreign to it; None where no other file derives any."""
    found: list[ForeignLabels | None] = []
    for policy in policies:
        others = [other for other in policies if other is not policy]
        derived = [each for other in others for each in other.derivations]
        if policy.danger_no_default_derivations and not all(
            other.danger_no_default_derivations for other in others
        ):
            derived += DEFAULT_DERIVATIONS
        found.append(ForeignLabels(policy, derived) if derived else None)
    return tuple(found)


def accepted_labels(policy: Policy) -> frozenset[str]:
    """The labels that a file accepts from any file that derives them."""
    trust = policy.label_trust
    return frozenset(name for name, origin in trust.items() if origin >= Origin.DERIVED)


def foreign_in(
    rule: Rule | OutputRule, foreign: ForeignLabels | None
) -> tuple[frozenset[str], frozenset[str]]:
    """The labels of the `match` of a rule that may be foreign, and those of its `unless`."""
    if foreign is None:
        return NO_LABELS, NO_LABELS
    topics = rule.match.topics
    return foreign.read_by(rule.match, topics), foreign.read_by(rule.unless, topics)


def _given(entries: Iterable[tuple[Matcher, Derivation]], topic: str) -> frozenset[str]:
    """The labels that derivations give on a topic."""
    return frozenset(
        label for matches, each in entries if matches(topic) for label in LABELS_OF_KIND[each.kind]
    )
