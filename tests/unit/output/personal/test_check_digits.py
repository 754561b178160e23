"""Check digits against examples that their standards print, and against what they promise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.output.detectors.check_digits import (
    luhn,
    mod_11_2,
    mod_11_10,
    mod_97,
    verhoeff,
)

PRINTED = (
    (luhn, "79927398713"),
    (verhoeff, "2363"),
    (mod_97, "3214282912345698765432161182"),
    (mod_11_10, "07945"),
    (mod_11_2, "079X"),
)


@pytest.mark.parametrize(("holds", "text"), PRINTED)
def test_the_printed_example_holds(holds: object, text: str) -> None:
    assert callable(holds)
    assert holds(text)


@pytest.mark.parametrize("holds", [luhn, verhoeff, mod_11_10])
@given(body=st.text("0123456789", min_size=1, max_size=20))
def test_one_digit_and_no_other_completes_a_number(holds: object, body: str) -> None:
    assert callable(holds)
    assert sum(holds(f"{body}{digit}") for digit in range(10)) == 1


@given(
    body=st.text("0123456789", min_size=2, max_size=20),
    place=st.integers(0, 30),
    other=st.integers(1, 9),
)
def test_verhoeff_sees_a_changed_digit_and_two_in_the_wrong_order(
    body: str, place: int, other: int
) -> None:
    whole = next(f"{body}{digit}" for digit in range(10) if verhoeff(f"{body}{digit}"))
    place %= len(whole) - 1
    changed = str((int(whole[place]) + other) % 10)
    assert not verhoeff(whole[:place] + changed + whole[place + 1 :])
    first, second = whole[place], whole[place + 1]
    if first != second:
        assert not verhoeff(whole[:place] + second + first + whole[place + 2 :])
