"""Decide questions about content criteria: can they hold, and does one set imply another?

Keywords and patterns are compared as written, never by what they might match.
"""

from collections.abc import Sequence

from forestall.policy.content import CONTENT_TYPES
from forestall.policy.finding_names import names_cover
from forestall.policy.globs import compile_globs
from forestall.policy.rules import ContentMatch


def content_conflict(content: ContentMatch | None) -> str:
    """Why no content can meet the criteria; empty when that is not proven."""
    if content is None or not content.content_types or _types(content.content_types):
        return ""
    globs = " or ".join(f"`{glob}`" for glob in content.content_types)
    return f"no content type fits {globs}: there are {' and '.join(CONTENT_TYPES)}"


def content_covers(wider: ContentMatch | None, narrower: ContentMatch | None) -> bool:
    """Whether every content that meets `narrower` also meets `wider`."""
    if wider is None:
        return True
    if narrower is None:
        narrower = ContentMatch()
    return (
        (
            not wider.detector_names
            or (
                bool(narrower.detector_names)
                and names_cover(wider.detector_names, narrower.detector_names)
            )
        )
        and _entries_cover(wider.keywords, narrower.keywords)
        and _entries_cover(wider.patterns, narrower.patterns)
        and _types(narrower.content_types) <= _types(wider.content_types)
        and _size_covers(wider.size_gt, narrower.size_gt)
    )


def _entries_cover(wider: Sequence[str], narrower: Sequence[str]) -> bool:
    """Whether the entries of one criterion imply another. Any entry is enough, so the narrower list
    must be non-empty and a subset of the wider list."""
    return not wider or (bool(narrower) and set(narrower) <= set(wider))


def _types(globs: Sequence[str]) -> set[str]:
    matches = compile_globs(globs or ("*",))
    return {name for name in CONTENT_TYPES if matches(name)}


def _size_covers(wider: int | None, narrower: int | None) -> bool:
    return wider is None or (narrower is not None and narrower >= wider)
