"""Names of findings in rules: a class (`personal_data`), or one kind of it (`personal_data.email`).

Nothing here looks for anything.
"""

from collections.abc import Collection, Iterable

SEPARATOR = "."


def class_of(name: str) -> str:
    """The class of a name of findings."""
    return name.partition(SEPARATOR)[0]


def kind_name(detector: str, kind: str) -> str:
    """The name of one kind of a class."""
    return f"{detector}{SEPARATOR}{kind}"


def is_named(names: Collection[str], detector: str, kind: str) -> bool:
    """Whether one of the names is that of a finding: of its class, or of its kind."""
    return detector in names or kind_name(detector, kind) in names


def names_cover(wider: Collection[str], narrower: Iterable[str]) -> bool:
    """Whether whatever has one of the narrower names has one of the wider names."""
    return all(name in wider or class_of(name) in wider for name in narrower)


def kinds_of(name: str) -> tuple[str, ...]:
    """The names of all kinds of a built-in class; none for any other text."""
    # Imported here: few policies name a kind, and the detector tables take long to load.
    from forestall.output.detectors import DETECTORS

    detector = DETECTORS.get(name)
    kinds = detector.kinds if detector is not None else ()
    return tuple(kind_name(name, kind.name) for kind in kinds)
