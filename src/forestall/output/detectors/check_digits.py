"""Check digits of cards, accounts and identity numbers, each from its standard.

Every function takes a text of digits (letters where the standard has them) and says whether the
check holds. None of them looks at how long a number is or what its parts mean.
"""

from collections.abc import Sequence

_DOUBLED = str.maketrans("0123456789", "0246813579")
_VERHOEFF_PERMUTATIONS = (
    *((0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)),
    *((5, 8, 0, 3, 7, 9, 6, 1, 4, 2), (8, 9, 1, 6, 0, 4, 3, 5, 2, 7)),
    *((9, 4, 5, 3, 1, 2, 6, 8, 7, 0), (4, 2, 8, 6, 5, 7, 3, 9, 0, 1)),
    *((2, 7, 9, 3, 8, 0, 6, 4, 1, 5), (7, 0, 4, 6, 9, 1, 3, 2, 5, 8)),
)


def luhn(digits: str) -> bool:
    """ISO/IEC 7812: every second digit from the right doubled, its digits added."""
    return sum(map(int, digits[-1::-2] + digits[-2::-2].translate(_DOUBLED))) % 10 == 0


def verhoeff(digits: str) -> bool:
    """The check of Verhoeff (1969): permuted digits, multiplied in the dihedral group D5."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _d5_product(check, _VERHOEFF_PERMUTATIONS[place % 8][int(digit)])
    return check == 0


def _d5_product(first: int, second: int) -> int:
    """The product in D5, the symmetries of a pentagon: 0 to 4 are rotations, 5 to 9 reflections."""
    if first < 5:
        return (first + second) % 5 if second < 5 else 5 + (first + second) % 5
    return 5 + (first - second) % 5 if second < 5 else (first - second) % 5


def mod_97(text: str) -> bool:
    """ISO/IEC 7064 MOD 97-10 of letters and digits, as it stands: remainder 1."""
    return int("".join(str(int(character, 36)) for character in text)) % 97 == 1


def mod_11_10(digits: str) -> bool:
    """ISO/IEC 7064 MOD 11,10."""
    product = 10
    for digit in digits[:-1]:
        product = ((product + int(digit)) % 10 or 10) * 2 % 11
    return (product + int(digits[-1])) % 10 == 1


def mod_11_2(text: str) -> bool:
    """ISO/IEC 7064 MOD 11-2; the last character may be X, for 10."""
    total = 0
    for digit in text:
        total = (total * 2 + (10 if digit in "Xx" else int(digit))) % 11
    return total == 1


def weighted(digits: str, weights: Sequence[int]) -> int:
    """The sum of the digits times their weights; digits behind the last weight are left out."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def check_mod_11(digits: str, weights: Sequence[int]) -> bool:
    """The last digit makes the weighted sum a multiple of 11; a number whose last digit would be 10
    is not given out."""
    return -weighted(digits, weights) % 11 == int(digits[-1])


def check_mod_10(digits: str, weights: Sequence[int]) -> bool:
    """The last digit makes the weighted sum a multiple of 10."""
    return -weighted(digits, weights) % 10 == int(digits[-1])
