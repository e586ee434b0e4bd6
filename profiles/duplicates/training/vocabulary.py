"""Faker's lists → weighted names, cities, streets and addresses of nine countries to draw synthetic people
from.
"""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import accumulate
from typing import Any

from profiles.duplicates.scoring.features import fold

# Country: its share of the households, its dialling code, how a mobile number begins, how many digits follow.
COUNTRIES = {
    "en_US": (0.46, "1", "", 10),
    "en_GB": (0.14, "44", "7", 9),
    "de_DE": (0.12, "49", "15", 9),
    "es_ES": (0.06, "34", "6", 8),
    "fr_FR": (0.06, "33", "6", 8),
    "pl_PL": (0.05, "48", "5", 8),
    "cs_CZ": (0.05, "420", "7", 8),
    "it_IT": (0.04, "39", "3", 9),
    "nl_NL": (0.02, "31", "6", 8),
}
PROVIDERS = {
    "gmail.com": 42,
    "yahoo.com": 9,
    "hotmail.com": 9,
    "outlook.com": 8,
    "icloud.com": 7,
    "web.de": 3,
    "gmx.de": 3,
    "seznam.cz": 3,
    "orange.fr": 2,
    "libero.it": 2,
    "wp.pl": 2,
    "": 10,  # the company's own
}
FIELDS = ("first_name", "last_name", "email", "phone", "birth_date", "city", "street", "postcode")


@dataclass(slots=True)
class Person:
    """Everything true of a person; a row contains a part of it."""

    first_name: str
    last_name: str
    email: str
    phone: str
    birth_date: str
    city: str
    street: str
    postcode: str
    country: str
    household: int
    is_male: bool
    is_on_paper: bool


class WeightedChoice:
    """Draws items by their weights."""

    def __init__(self, items: Sequence[Any], weights: Sequence[float]) -> None:
        self.items, self.sums = list(items), list(accumulate(weights))

    def __call__(self, dice: random.Random) -> Any:
        return dice.choices(self.items, cum_weights=self.sums)[0]


def _names(provider: Any, kind: str) -> WeightedChoice:
    names = getattr(provider, kind, None) or getattr(provider, kind.rpartition("_")[0])
    if isinstance(names, dict):
        return WeightedChoice(list(names), list(names.values()))
    ordered = list(dict.fromkeys(names))
    return WeightedChoice(ordered, [1.0 / (rank + 20) for rank in range(len(ordered))])


class World:
    """Names, cities and streets to draw from."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.male, self.female, self.last, self.city = {}, {}, {}, {}
        for country in COUNTRIES:
            provider = import_module(f"faker.providers.person.{country}").Provider
            self.male[country] = _names(provider, "first_names_male")
            self.female[country] = _names(provider, "first_names_female")
            self.last[country] = _names(provider, "last_names")
            parts = self.last[country].items
            cities = [
                f"{dice.choice(parts)}{dice.choice(('ton', 'burg', 'stadt', 'ville', ' Hills'))}"
                for _ in range(400)
            ]
            self.city[country] = WeightedChoice(cities, [1.0 / (rank + 3) for rank in range(400)])
        long_names = sorted({name for drawn in self.last.values() for name in drawn.items if len(name) > 3})
        rare = [
            dice.choice(long_names)[: dice.randint(2, 5)]
            + dice.choice(long_names)[dice.randint(2, 3) :].lower()
            for _ in range(60_000)
        ]
        # A long tail, as a census has.
        self.rare = WeightedChoice(rare, [1.0 / (rank + 50) ** 0.6 for rank in range(60_000)])
        streets = sorted({name.split()[0] for name in long_names})
        dice.shuffle(streets)
        # Every town has a High Street.
        self.street = WeightedChoice(streets, [1.0 / (rank + 5) for rank in range(len(streets))])
        self.domains = WeightedChoice(list(PROVIDERS), list(PROVIDERS.values()))
        self.countries = WeightedChoice(list(COUNTRIES), [country[0] for country in COUNTRIES.values()])
        self.used_addresses: set[str] = set()

    def phone(self, country: str) -> str:
        _, code, start, digits = COUNTRIES[country]
        first = str(self.dice.randint(2, 9))
        return f"+{code}{start}{first}{''.join(self.dice.choices(string.digits, k=digits - 1))}"

    def email(self, first: str, last: str, born: str, companies: int) -> str:
        """An address nobody else has, even without dots."""
        given, family = fold(first).replace(" ", ""), fold(last).replace(" ", "")
        domain = self.domains(self.dice) or f"co{self.dice.randrange(companies)}.com"
        number = self.dice.randint(1, 999)
        mailbox_form = WeightedChoice(
            (
                f"{given}.{family}",
                f"{given[:1]}.{family}",
                f"{given}{family}",
                f"{given}.{family}{born[2:4]}",
                f"{family}{given[:1]}{number}",
                f"{given}{number}{born[:4]}",
            ),
            (38, 12, 14, 16, 10, 10),
        )(self.dice)
        mailbox, more = mailbox_form, 1
        while (address := f"{mailbox}@{domain}").replace(".", "") in self.used_addresses:
            more += 1
            mailbox = f"{mailbox_form}{more + number}"
        self.used_addresses.add(address.replace(".", ""))
        return address
