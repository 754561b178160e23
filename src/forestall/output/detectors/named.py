"""The detector `named_entity`: names of people, places and organisations, by a reader from outside.

Names have no form that a pattern could tell. What reads is handed in by the server, when it was
started with a model of language; nothing here imports one.
"""

from forestall.output.findings import Detector, Kind, Reader

NAMED_ENTITY = "named_entity"
PERSON, PLACE, ORGANISATION = "person_name", "place_name", "organisation_name"


def named_entity(reader: Reader) -> Detector:
    """The detector of the names that `reader` sees."""
    kinds = tuple(Kind(name=name, mask=_initial) for name in (PERSON, PLACE, ORGANISATION))
    return Detector(name=NAMED_ENTITY, kinds=kinds, reader=reader)


def _initial(value: str) -> str:
    """The first letter of an alphabet with two cases; one ideograph would be half of a name."""
    first = value[:1]
    shown = first if len(value) > 2 and first.lower() != first.upper() else ""
    return shown + "*" * 8
