"""Personal data: numbers of payment cards. Length and beginning are an issuer's, and Luhn holds.

Numbers made for tests count: they are built as the real ones, and labels call them cards.
"""

from forestall.output.detectors.check_digits import luhn
from forestall.output.detectors.context import in_a_row, keywords, near, part_of_more, words
from forestall.output.findings import Candidate, Kind

# Beginnings and lengths, by the public ranges of the networks. First to last, both included.
_RANGES = (
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("300", "305", (14, 16)),  # Diners Club
    ("309", "309", (14, 16)),
    ("36", "36", (14, 16)),
    ("38", "39", (14, 16)),
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),
    ("3528", "3589", (16, 17, 18, 19)),  # JCB
    ("6011", "6011", (16, 17, 18, 19)),  # Discover
    ("644", "649", (16, 17, 18, 19)),
    ("65", "65", (16, 17, 18, 19)),
    ("622126", "622925", (16, 17, 18, 19)),
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("2200", "2204", (16, 17, 18, 19)),  # Mir
    ("5019", "5019", (16,)),  # Dankort
    ("4571", "4571", (16,)),
    ("60", "60", (16,)),  # RuPay
    ("81", "82", (16,)),
    ("9792", "9792", (16,)),  # Troy
    ("1", "1", (15,)),  # UATP
    ("5018", "5018", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("5020", "5020", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("5038", "5038", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("5893", "5893", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("6304", "6304", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("6759", "6759", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("6761", "6763", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("506", "507", (16, 17, 18, 19)),  # Verve, Elo
    ("650", "651", (16, 17, 18, 19)),
    ("2131", "2131", (15,)),  # JCB, before 2000
    ("1800", "1800", (15,)),
)
_WEAK = ("1", "60", "81", "82", "506", "507", "2131", "1800")  # beginnings that need a word
_CARD_WORDS = (
    "card|cards|cc|credit|debit|pan|visa|mastercard|amex|american ex|diners|maestro|"
    "discover|jcb|cvv|cvc|cardnumber|ccnum|carte|kreditkarte|kartennummer|karte|tarjeta|"
    "carta|cartão|cartao|kaart|creditcard|kort|kortti|karta|karty|карт|信用卡|卡号|银行卡|カード|"
    "kartı|"  # noqa: RUF001 - Turkish
    "카드|kártya|κάρτα|بطاقة|payment method|kad kredit|numéro de carte"
)
_CARD = words(_CARD_WORDS)
# Words of paying: what has an issuer's beginning near them is a card, whatever its length.
_PAYING_WORDS = (
    "billing|billed|charged|charge|expires|expiry|expiration|purchase|withdraw|atm|payment|"
    "balance|limit|bank"
)
_PAYING = words(_PAYING_WORDS)
_OTHER = words(
    "order|tracking|transaction id|txn_id|invoice|reference|sku|isbn|ean|upc|gtin|imei|"
    "serial|timestamp|nanos|epoch|offset|sequence|commit|build|revision|request_id|trace|"
    "span|message_id|snowflake|tweet|channel|guild|user_id|id|ids|uid|seed|hash|nonce|"
    "bestell|account id|aws|iccid|barcode|phone|tel"
)


def _issued(digits: str) -> str | None:
    """The beginning by which the number may be one of an issuer."""
    size = len(digits)
    for first, last, sizes in _RANGES:
        if size in sizes and first <= digits[: len(first)] <= last:
            return first
    return None


def _digits(value: str) -> str:
    return "".join(filter(str.isdigit, value))


def _plain(digits: str) -> bool:
    """What a card's number never is: a check that fails, one digit again and again."""
    return not luhn(digits) or len(set(digits)) < 2


def _card(found: Candidate) -> float | None:
    """By its form: the beginning and the length of a network that gives cards to many."""
    value = found.value
    digits = _digits(value)
    if _plain(digits) or part_of_more(found) or in_a_row(found):
        return None
    issuer = _issued(digits)
    if near(found, _CARD):
        return 0.98 if issuer else 0.6
    if issuer is None or issuer in _WEAK or len(digits) < _ALONE_DIGITS:
        return None
    separators = {each for each in value if not each.isdigit()}
    if separators:
        return 0.9 if len(separators) == 1 and separators != {"."} else None
    return None if near(found, _OTHER, before=24) else 0.75


def _named(found: Candidate) -> float | None:
    """By a word for cards: any length and beginning will do, where no other word is nearer."""
    digits = _digits(found.value)
    if _plain(digits) or part_of_more(found) or in_a_row(found):
        return None
    issued = _issued(digits) is not None
    if near(found, _CARD):
        return 0.98 if issued else None if near(found, _OTHER, before=16) else 0.6
    return 0.6 if issued and near(found, _PAYING) and not near(found, _OTHER, before=24) else None


def _whole(found: Candidate) -> float | None:
    """All of the text, as an answer is: then shorter ones need no word."""
    digits = _digits(found.value)
    return None if _plain(digits) or _issued(digits) is None else 0.55


def _shown(value: str) -> str:
    """The last four digits, as receipts show them."""
    return "*" * 8 + value[-4:]


_ALONE_DIGITS = 14  # shorter ones need a word
_GROUPED = (
    r"[2-9][0-9]{3}[ .-][0-9]{4}[ .-][0-9]{4}[ .-][0-9]{1,4}(?:[ .-][0-9]{1,3})?"
    r"|3[0-9]{3}[ .-][0-9]{6}[ .-][0-9]{4,5}"
)
# The surest of the beginnings above. A pattern that takes every long number costs more than all the
# others together where numbers are many.
_BARE = (
    r"4[0-9]{15}(?:[0-9]{3})?|5[1-5][0-9]{14}|2[2-7][0-9]{14}|3[47][0-9]{13}"
    r"|3(?:0[0-59]|[689][0-9])[0-9]{11}(?:[0-9]{2})?|35[2-8][0-9]{13,16}"
    r"|6(?:011|4[4-9][0-9]|5[0-9]{2}|2[0-9]{2})[0-9]{12,15}|220[0-4][0-9]{12,15}"
    r"|(?:5018|5019|5020|5038|5893|6304|6759|676[1-3]|9792)[0-9]{10,15}"
)

# Not behind a point: fractions have as many digits, and there are many of them.
_BY_FORM = rf"\b(?:{_GROUPED})\b|(?:^|[^0-9A-Za-z_./+-])({_BARE})\b"

KINDS: tuple[Kind, ...] = (
    Kind(name="payment_card", pattern=_BY_FORM, check=_card, mask=_shown),
    Kind(
        name="payment_card",
        pattern=r"\b[1-9][0-9]{11,18}\b",
        keywords=keywords(f"{_CARD_WORDS}|{_PAYING_WORDS}"),
        before=48,
        after=80,
        check=_named,
        mask=_shown,
    ),
    Kind(
        name="payment_card",
        pattern=r"\A\s*([1-9][0-9]{11,18})\s*\z",
        check=_whole,
        mask=_shown,
    ),
)
