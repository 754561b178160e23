"""Personal data: a table for each family. Text with guillemets round what has to be found there and
exactly there, and text in which nothing is.

No person's data: documentation ranges, numbers printed by states and networks as specimens, numbers
made up from the rules. To add a case, add a line to its table; `test_tables` runs all of them.
"""

from tests.unit.output.personal import (
    birth,
    cards,
    email,
    iban,
    ids,
    innocent,
    network,
    phone,
    ssn,
)

# Kind, or family of kinds by the beginning of their names: texts it is in, texts it is not in.
TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "birth_date": (birth.FOUND, birth.NOTHING),
    "email": (email.FOUND, email.NOTHING),
    "iban": (iban.FOUND, iban.NOTHING),
    "ip_address": (network.FOUND, network.NOTHING),
    "national_id": (ids.FOUND, ids.NOTHING),
    "payment_card": (cards.FOUND, cards.NOTHING),
    "phone": (phone.FOUND, phone.NOTHING),
    "us_ssn": (ssn.FOUND, ssn.NOTHING),
}
INNOCENT = innocent.TEXTS


def unmarked(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without its guillemets, and where they stood."""
    plain, places, start = "", [], 0
    for each in text:
        if each == "«":
            start = len(plain)
        elif each == "»":
            places.append((start, len(plain)))
        else:
            plain += each
    return plain, places
