"""A list of countries and a seed → invented people for one file: the same seed always makes the same people.

Their e-mail addresses end in example.com, example.org, example.net or .example and fit their names.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from random import Random
from typing import NamedTuple

from tests.imports.layouts.people_data import (
    CITIES,
    COMPANIES,
    COUNTRY_NAMES,
    DOMAINS,
    FEMALE,
    JOBS,
    LANGUAGES,
    LAST,
    MALE,
    NOTES,
    OWN_COUNTRY_NAMES,
    PHONES,
    STREETS,
    TAGS,
)

PEOPLE = 50
YES, NO, NEVER = "yes", "no", "never"  # wants the newsletter, does not any more, was never asked
_FIRST_AGAIN, _AGAIN = 11, 37  # the person at the second place is the one at the first place once more
_NEWEST = datetime(2025, 11, 30)
_LETTERS = str.maketrans(
    {
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "ß": "ss",
        "ł": "l",
        "œ": "oe",
        "Ä": "Ae",
        "Ö": "Oe",
        "Ü": "Ue",
        "Ł": "L",
    }
)


class Phone(NamedTuple):
    code: str
    area: str
    number: str

    @property
    def e164(self) -> str:
        return f"{self.code}{self.area}{self.number}"

    @property
    def spaced(self) -> str:
        return f"{self.code} {self.area} {self.number}"

    @property
    def local(self) -> str:
        """As it is written in its own country; a Belgian number is always written for abroad."""
        if self.code == "+1":
            return f"({self.area}) {self.number[:3]}-{self.number[3:]}"
        if self.code == "+33":
            digits = f"0{self.area}{self.number}"
            return " ".join(digits[i : i + 2] for i in range(0, len(digits), 2))
        if self.code in ("+48", "+34"):
            return f"{self.area} {self.number[:3]} {self.number[3:]}"
        return self.spaced if self.code == "+32" else f"0{self.area} {self.number}"


@dataclass(frozen=True)
class Person:
    """What is "" or None was never asked. `seen` is the last visit, `left` the end of the newsletter."""

    number: int
    first: str
    last: str
    gender: str  # F, M or ""
    country: str
    language: str
    email: str
    joined: datetime
    seen: datetime
    newsletter: str  # yes, no or never
    sms: str
    left: datetime | None = None
    other_email: str = ""
    phone: Phone | None = None
    other_phone: Phone | None = None
    street: str = ""
    house: str = ""
    postcode: str = ""
    city: str = ""
    state: str = ""
    state_code: str = ""
    birth: date | None = None
    company: str = ""
    job: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    orders: int = 0
    spent: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}".strip()

    @property
    def address(self) -> str:
        """Street and number in the order of the country."""
        return self.street.format(self.house)

    @property
    def country_name(self) -> str:
        return COUNTRY_NAMES[self.country] if self.city else ""

    @property
    def own_country_name(self) -> str:
        return OWN_COUNTRY_NAMES[self.country] if self.city else ""

    @property
    def country_code(self) -> str:
        return self.country if self.city else ""

    @property
    def e164(self) -> str:
        return self.phone.e164 if self.phone else ""

    @property
    def local_phone(self) -> str:
        return self.phone.local if self.phone else ""


def people(
    seed: str, countries: Sequence[str], without_email: Sequence[int] = (), twice: bool = False
) -> list[Person]:
    """`without_email`: rows, from 1, of people with a phone number alone. `twice`: one person is there again."""
    rng = Random(seed)
    used: set[str] = set()
    made = [_person(rng, number, rng.choice(countries), used) for number in range(1, PEOPLE + 1)]
    if twice:
        made[_AGAIN] = replace(
            made[_FIRST_AGAIN], number=made[_AGAIN].number, phone=made[_AGAIN].phone, note="", company=""
        )
    for row in without_email:
        person = made[row - 1]
        phone = person.phone or _phone(rng, person.country, used)
        made[row - 1] = replace(person, email="", other_email="", phone=phone)
    return made


def plain(text: str) -> str:
    """Without accents, as people write themselves in addresses."""
    spread = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(letter for letter in spread if letter.isascii())


def _person(rng: Random, number: int, country: str, used: set[str]) -> Person:
    """`used` holds the names, e-mail addresses and numbers of those before: nobody has another's."""
    gender, first, last = _name(rng, country, used)
    joined = datetime(2016, 1, 5) + timedelta(
        minutes=rng.randrange(9 * 365 * 24 * 60), seconds=rng.randrange(60)
    )
    newsletter = rng.choices((YES, NO, NEVER), (66, 20, 14))[0]
    orders = rng.choice((0, 0, 1, 1, 2, 3, 7, 18))
    phone = _phone(rng, country, used) if rng.random() < 0.8 else None
    person = Person(
        number=number,
        first="" if rng.random() < 0.05 else first,
        last="" if rng.random() < 0.05 else last,
        gender=gender if rng.random() < 0.85 else "",
        country=country,
        language=LANGUAGES[country],
        email=_email(rng, first, last, used),
        joined=joined,
        seen=_later(rng, joined),
        newsletter=newsletter,
        left=_later(rng, joined) if newsletter == NO else None,
        sms=rng.choices((YES, NO, NEVER), (25, 10, 65))[0] if phone else NEVER,
        other_email=_email(rng, last, first, used) if rng.random() < 0.2 else "",
        phone=phone,
        other_phone=_phone(rng, country, used) if phone and rng.random() < 0.2 else None,
        birth=date(1948, 1, 1) + timedelta(days=rng.randrange(57 * 365)) if rng.random() < 0.6 else None,
        company=rng.choice(COMPANIES) if rng.random() < 0.3 else "",
        job=rng.choice(JOBS) if rng.random() < 0.3 else "",
        tags=tuple(sorted(rng.sample(TAGS, rng.choice((0, 0, 1, 1, 2, 3))))),
        note=rng.choice(NOTES) if rng.random() < 0.15 else "",
        orders=orders,
        spent=round(orders * rng.uniform(9, 140), 2),
    )
    if rng.random() < 0.25:
        return person
    postcode, city, state, state_code = rng.choice(CITIES[country])
    return replace(
        person,
        street=rng.choice(STREETS[country]),
        house=str(rng.randrange(1, 190)),
        postcode=postcode,
        city=city,
        state=state,
        state_code=state_code,
    )


def _name(rng: Random, country: str, used: set[str]) -> tuple[str, str, str]:
    while True:
        gender = rng.choice("FM")
        first = rng.choice((FEMALE if gender == "F" else MALE)[country].split())
        last = rng.choice(LAST[country].split()).replace("von-", "von ")
        if country == "PL" and gender == "F":
            last = f"{last[:-1]}a"
        if _is_new(f"{first} {last}", used):
            return gender, first, last


def _email(rng: Random, first: str, last: str, used: set[str]) -> str:
    one, two = (plain(part).lower().replace(" ", "").replace("'", "") for part in (first, last))
    while True:
        local = rng.choice(
            (f"{one}.{two}", f"{one}.{two}", f"{one[0]}.{two}", f"{two}.{one}", f"{one}_{two}")
        )
        if _is_new(email := f"{local}@{rng.choice(DOMAINS)}", used):
            return email


def _phone(rng: Random, country: str, used: set[str]) -> Phone | None:
    if not PHONES[country]:
        return None
    while True:
        code, area, start, digits = rng.choice(PHONES[country])
        phone = Phone(code, area, f"{start}{rng.randrange(10**digits):0{digits}}")
        if _is_new(phone.e164, used):
            return phone


def _is_new(text: str, used: set[str]) -> bool:
    is_new = text not in used
    used.add(text)
    return is_new


def _later(rng: Random, moment: datetime) -> datetime:
    return (moment + (_NEWEST - moment) * rng.random()).replace(microsecond=0)
