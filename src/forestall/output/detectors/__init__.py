"""Every built-in detector by name, read from its files when somebody first asks for it.

A detector is a class of findings; its files are in `forestall/output/data`, one for each family.
Their order matters: of two kinds at one place with the same confidence the first is reported. The
detectors of configured hosts and folders are not here: `configured` builds them.
"""

import gc
import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from forestall.data_tables import DataTable, package_bytes, parse_table
from forestall.output.findings import Detector, Kind

PACKAGE = "forestall.output"
DATA = "data"
NATIONAL_NUMBERS = "personal_data/national_numbers.yaml"
FILES: Mapping[str, tuple[str, ...]] = {
    "secret": (
        "secret/cloud.yaml",
        "secret/code.yaml",
        "secret/models.yaml",
        "secret/chat.yaml",
        "secret/payment.yaml",
        "secret/keys.yaml",
        "secret/vendors.yaml",
        "secret/named.yaml",
    ),
    "personal_data": (
        "personal_data/email.yaml",
        "personal_data/phone.yaml",
        "personal_data/cards.yaml",
        "personal_data/iban.yaml",
        "personal_data/us_ssn.yaml",
        NATIONAL_NUMBERS,
        "personal_data/birth.yaml",
        "personal_data/network.yaml",
    ),
    "prompt_injection": (
        "prompt_injection/override.yaml",
        "prompt_injection/prompt_request.yaml",
        "prompt_injection/role_play.yaml",
        "prompt_injection/languages_east.yaml",
        "prompt_injection/markup.yaml",
        "prompt_injection/deeds.yaml",
        "prompt_injection/disguised.yaml",
        "prompt_injection/languages.yaml",
    ),
}
# The tables of validators. They are data of the detector, so its digest covers them.
LOOKED_UP: Mapping[str, tuple[str, ...]] = {
    "personal_data": ("payment_card_ranges.yaml", "numbering_plans.yaml"),
}
_EXAMPLES = re.compile(rb"\n    examples:(?:\n      [^\n]*)+")


class _Detectors(Mapping[str, Detector]):
    """The detectors by name. A file is read when its detector is asked for, not when a name is."""

    def __getitem__(self, name: str) -> Detector:
        if name not in FILES:
            raise KeyError(name)
        return _detector(name)

    def __iter__(self) -> Iterator[str]:
        return iter(FILES)

    def __len__(self) -> int:
        return len(FILES)

    def __contains__(self, name: object) -> bool:
        return name in FILES


DETECTORS: Mapping[str, Detector] = _Detectors()


@cache
def data_digest(name: str) -> str:
    """SHA-256 (hex) over all data of a detector. Where it differs, findings may differ."""
    digest = hashlib.sha256()
    for file in (*FILES[name], *LOOKED_UP.get(name, ())):
        data = package_bytes(PACKAGE, f"{DATA}/{file}")
        digest.update(b"%d\0%b%d\0%b" % (len(file), file.encode(), len(data), data))
    return digest.hexdigest()


@cache
def _detector(name: str) -> Detector:
    # All objects made here are kept, so garbage collections meanwhile would find nothing.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        kinds = tuple(kind for file in FILES[name] for kind in _kinds(file))
    finally:
        if was_enabled:
            gc.enable()
    return Detector(name=name, kinds=kinds)


def read_file(file: str, *, with_examples: bool = True) -> DataTable[Any]:
    """A file of a detector as written: an EntryFile, or the StateNumberFile. Raises DataFileError.

    No scan needs the examples, and they are a third of what the YAML parser has to read.
    """
    from forestall.output.detectors.entries import EntryFile, StateNumberFile

    as_type: Any = StateNumberFile if file == NATIONAL_NUMBERS else EntryFile
    data = package_bytes(PACKAGE, f"{DATA}/{file}")
    if not with_examples:
        data = _EXAMPLES.sub(lambda match: b"\n" * match[0].count(b"\n"), data)
    table: DataTable[Any] = parse_table(data, f"{DATA}/{file}", as_type)
    folder = file.partition("/")[0]
    if table.value.class_ != folder:
        raise table.error(f"`{table.value.class_}` is not the class of its folder", "class")
    return table


def _kinds(file: str) -> tuple[Kind, ...]:
    # Imported here: validators take long to import, and few processes scan.
    from forestall.output.detectors import tables

    table = read_file(file, with_examples=False)
    if file == NATIONAL_NUMBERS:
        return tables.kinds_of_numbers(table)
    return tables.kinds_of(table)
