"""Dates of birth."""

FOUND = (
    "DOB: «1984-07-21»",
    "dob=«07/21/1984»",
    '"date_of_birth": "«1990-01-31»"',
    '{"birthDate": "«1990-01-31»"}',
    "Alice was born on «21 July 1984» in Example Town",
    "born «July 21, 1984»",
    "geboren am «21.07.1984»",
    "Geburtsdatum: «1.2.1990»",
    "née le «3 mars 1975»",
    "fecha de nacimiento: «03/12/1975»",
    "data di nascita «12-11-1988»",
    "födelsedatum «1975-03-12»",
    "生年月日 «1990年1月31日»",
    "birthday «19840721»",
)
NOTHING = (
    "created 1984-07-21",
    "due date: 07/21/1984",
    "released on July 21, 1984",
    "DOB: unknown; updated 99/99/2024",
    "born ready since version 19841399",
    "The airborne unit left on 21 July 1984",
    "DOB: 2024-13-45",
    "stubborn bug of 2024-01-02",
)
