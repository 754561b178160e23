"""The detector `named_entity`: names of people, places and organisations.

No pattern can find names, so the detector has a reader. The server hands it in when it was started
with a language model; nothing here imports one.
"""

from forestall.output.findings import Detector, Kind, Reader

NAMED_ENTITY = "named_entity"
PERSON, PLACE, ORGANISATION = "person_name", "place_name", "organisation_name"


def named_entity(reader: Reader) -> Detector:
    """The detector of the names that `reader` sees."""
    kinds = tuple(Kind(name=name, mask=_masked_name) for name in (PERSON, PLACE, ORGANISATION))
    return Detector(name=NAMED_ENTITY, kinds=kinds, reader=reader)


def _masked_name(value: str) -> str:
    """The first letter, and stars. Only of an alphabet with two cases: one ideograph would be half
    of a name."""
    first = value[:1]
    is_shown = len(value) > 2 and first.lower() != first.upper()
    return (first if is_shown else "") + "*" * 8
