"""What an entry of a detector file may say: the schema of the one format, ours and users'.

docs/reference/detectors.md describes it. Types only; `tables` reads files of these, and checks what
a type cannot say.
"""

from typing import Literal

import msgspec

Texts = str | tuple[str, ...]  # one may stand without a list

Form = Literal["exact", "token", "assigned", "phrase", "number"]
Severity = Literal["critical", "high", "medium", "low"]


class Examples(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Texts for the test of an entry. `«` and `»` may stand round what has to be found; holes such
    as `{base62:40}` are filled when the test runs."""

    match: Texts
    no_match: Texts


class DetectorEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pattern of one kind of finding. Entries may share a kind if `variant` tells them apart.

    `pattern` is RE2; `(?&name)` in it stands for a definition of the file. The value that was found
    is the first group that took part, or else all of the match. `form` says what is put round the
    pattern.
    """

    kind: str
    what: str  # for people: what it is
    pattern: Texts  # a list: any of these
    confidence: float  # of a finding, 0 to 1, unless the validator has its own
    severity: Severity  # for people: how much harm the value does in wrong hands
    examples: Examples = Examples(match=(), no_match=())  # only a scan reads a file without them
    variant: str = ""
    form: Form = "exact"
    name: str = ""  # form `assigned`: RE2 of the name that stands in front, in any case
    keywords: Texts = ()  # lower case; the pattern runs only near one of them
    words: Texts = ()  # names of lists of the file, whose words are keywords too
    any_case: bool = False
    bytes_before: int | None = None  # searched in front of a keyword; None: as the form says
    bytes_after: int | None = None  # searched behind it
    validator: str = ""  # one of `validators`; empty: every match of the pattern is a finding
    structure: str = ""  # a reader of `structures`; the pattern finds its anchor
    skip: int | None = None  # first characters that the validator leaves out; None: `shown`
    length_min: int = 12  # of a value that the validator takes for random
    shown: int = 0  # first characters that may stand in the mask: they belong to the format
    shown_end: int = 0  # last characters that may stand in it


class EntryFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of entries of one class."""

    class_: str = msgspec.field(name="class")
    define: dict[str, Texts] = {}  # a list: any of these
    words: dict[str, Texts] = {}  # in any language; validators ask for some by name
    detectors: tuple[DetectorEntry, ...]


class WithoutWord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The form in which a number of a state is found where no word names it."""

    pattern: str
    confidence: float


class AloneInGroups(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The groups in which a number of a state is found when it is all of the text."""

    pattern: str
    validator: str


class StateNumber(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of number that a state gives to persons. Validators here are those of
    `national_numbers`, which are handed the number in capitals, without separators."""

    kind: str
    what: str  # for people: what it is
    words: Texts  # that name such a number
    pattern: str  # RE2: how the number is written behind one of the words
    validator: str
    confidence: float
    severity: Severity
    examples: Examples = Examples(match=(), no_match=())  # only a scan reads a file without them
    unchecked: str = ""  # behind a word: the validator of a number that has no check digit
    without_word: WithoutWord | None = None
    alone: str = ""  # the validator of a number that is all of the text, in digits
    alone_in_groups: AloneInGroups | None = None


class StateNumberFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The numbers of all states."""

    class_: str = msgspec.field(name="class")
    define: dict[str, Texts] = {}
    numbers: tuple[StateNumber, ...]


def as_tuple(texts: Texts) -> tuple[str, ...]:
    """The texts as a tuple, however they were written."""
    return (texts,) if isinstance(texts, str) else texts
