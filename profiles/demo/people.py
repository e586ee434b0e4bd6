"""A seed → made-up people, always the same. Pure."""

from __future__ import annotations

import unicodedata
import uuid
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random
from typing import Any

from profiles.demo.vocabulary import CATEGORIES, COUNTRIES, MAIL_DOMAINS, NICKNAMES, USER_AGENTS, Country

DAYS = 120
PLANS = ("Basic", "Plus", "Gold")


@dataclass(slots=True)
class MadeUpPerson:
    """One profile before it has an id. ``twin_of`` is the index of the person it repeats; ``channel`` its source."""

    channel: str
    born: float
    customer_id: str = ""
    browsers: list[str] = field(default_factory=list)
    agent: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    twin_of: int | None = None
    twin_kind: str = ""
    activity: float = 0.0


def make_people(random: Random, *, recognized: int, anonymous: int, twins: int) -> list[MadeUpPerson]:
    """Customers, then their second profiles, then visitors nobody knows; ``born`` is days ago."""
    maker = _Maker(random)
    people = [maker.customer() for _ in range(recognized)]
    candidates = [
        index for index, person in enumerate(people) if person.values["first_name"] and person.born > 20
    ]
    chosen = random.sample(candidates, twins)
    people += [maker.twin(people[index], index, number) for number, index in enumerate(chosen)]
    people += [maker.visitor() for _ in range(anonymous)]
    return people


def plain(text: str) -> str:
    """Letters of an address: no accents, no spaces."""
    table = str.maketrans({"ß": "ss", "ł": "l", "Ł": "L", "ø": "o"})
    folded = unicodedata.normalize("NFKD", text.translate(table))
    return "".join(char for char in folded if char.isascii() and char.isalnum()).lower()


class _Maker:
    """Keeps what must not repeat: customer ids, addresses, phone numbers."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.mails: set[str] = set()
        self.phones: set[str] = set()
        self.serial = 10_000
        self.weights = [country.share for country in COUNTRIES]

    def customer(self) -> MadeUpPerson:
        random = self.random
        country = random.choices(COUNTRIES, self.weights)[0]
        gender = random.choice(("female", "male"))
        first = random.choice(country.women if gender == "female" else country.men)
        last = random.choice(country.last)
        self.serial += random.randint(1, 4)
        person = MadeUpPerson(
            channel=random.choices(("import", "web", "api", "staff"), (50, 33, 14, 3))[0],
            born=self._born(),
            customer_id=f"C-{self.serial}",
            agent=random.choice(USER_AGENTS),
            activity=random.paretovariate(1.3),
        )
        person.browsers = [self.browser() for _ in range(random.choices((1, 2, 3), (70, 24, 6))[0])]
        person.values = {
            "first_name": first,
            "last_name": last,
            "email": self.mail(first, last),
            "phone": self.phone(country) if random.random() < 0.6 else None,
            **self._address(country),
            "birth_date": self._birthday() if random.random() < 0.55 else None,
            "gender": gender if random.random() < 0.7 else None,
            "language": country.language,
        }
        person.attributes = self._attributes(person.activity)
        return person

    def visitor(self) -> MadeUpPerson:
        """A browser that looked around and never said who it is."""
        return MadeUpPerson(
            channel="web",
            born=min(self._born(), 60 * self.random.random()),
            browsers=[self.browser()],
            agent=self.random.choice(USER_AGENTS),
            activity=0.6,
        )

    def twin(self, person: MadeUpPerson, index: int, number: int) -> MadeUpPerson:
        """The same human in our data for the second time, in one of the ways this happens in shops."""
        kinds = (
            self._nickname,
            self._typo,
            self._other_mail,
            self._shouting,
            self._no_accents,
            self._swapped,
        )
        values = dict(person.values)
        kind = kinds[number % len(kinds)]
        kind(values)
        if values["email"] == person.values["email"]:
            values["email"] = self.mail(values["first_name"], values["last_name"])
        for sparse in ("birth_date", "gender", "street", "state"):
            if self.random.random() < 0.5:
                values[sparse] = None
        self.serial += 1
        return replace(
            person,
            channel=self.random.choice(("web", "staff", "api")),
            born=person.born * self.random.uniform(0.1, 0.8),
            customer_id=f"C-{self.serial}" if self.random.random() < 0.4 else "",
            browsers=[self.browser()],
            values=values,
            attributes={},
            twin_of=index,
            twin_kind=kind.__name__.strip("_"),
            activity=0.8,
        )

    # --- ways to be entered twice ---

    def _nickname(self, values: dict[str, Any]) -> None:
        values["first_name"] = NICKNAMES.get(values["first_name"], values["first_name"][:1] + ".")

    def _typo(self, values: dict[str, Any]) -> None:
        last = values["last_name"]
        at = self.random.randrange(1, len(last) - 1)
        values["last_name"] = last[:at] + last[at + 1] + last[at] + last[at + 2 :]

    def _other_mail(self, values: dict[str, Any]) -> None:
        """The private and the work address; the phone is the same."""

    def _shouting(self, values: dict[str, Any]) -> None:
        values["first_name"], values["last_name"] = values["first_name"].upper(), values["last_name"].upper()

    def _no_accents(self, values: dict[str, Any]) -> None:
        for name in ("first_name", "last_name", "city"):
            values[name] = plain(values[name] or "").capitalize() or None

    def _swapped(self, values: dict[str, Any]) -> None:
        values["first_name"], values["last_name"] = values["last_name"], values["first_name"]

    # --- parts ---

    def browser(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def mail(self, first: str, last: str) -> str:
        random = self.random
        given, family = plain(first) or "x", plain(last) or "x"
        pattern = random.choice(
            ("{g}.{f}", "{g}{f}", "{i}.{f}", "{g}_{f}", "{f}.{g}", "{g}{n}", "{g}.{f}{n}")
        )
        while True:
            local = pattern.format(g=given, f=family, i=given[0], n=random.randint(1, 99))
            address = f"{local}@{random.choice(MAIL_DOMAINS)}"
            if address not in self.mails:
                self.mails.add(address)
                return address
            pattern = "{g}.{f}{n}"

    def phone(self, country: Country) -> str | None:
        """A number of the ranges for fiction; None once they are used up."""
        for _ in range(8):
            if not country.phones:
                return None
            prefix, digits = self.random.choice(country.phones)
            number = prefix + f"{self.random.randrange(10**digits):0{digits}d}"
            if number not in self.phones:
                self.phones.add(number)
                return number
        return None

    def _address(self, country: Country) -> dict[str, Any]:
        random = self.random
        if random.random() < 0.15:
            return {"street": None, "postcode": None, "city": None, "state": None, "country": country.country}
        city, area, state = random.choice(country.towns)
        digits = iter([random.randint(0, 9) for _ in range(6)])
        postcode = "".join(
            str(next(digits)) if part == "d" else part for part in _split(country.postcode, area)
        )
        house, street = random.randint(1, 140), random.choice(country.streets)
        if country.country in ("GB", "US"):
            ending = "Road" if country.country == "GB" else random.choice(("Street", "Avenue"))
            street_line = f"{house} {street} {ending}"
        else:
            street_line = f"{house} {street}" if country.country == "FR" else f"{street} {house}"
        return {
            "street": street_line,
            "postcode": postcode,
            "city": city,
            "state": state,
            "country": country.country,
        }

    def _attributes(self, activity: float) -> dict[str, Any]:
        random = self.random
        plan = PLANS[min(2, int(activity / 2.2))]
        attributes: dict[str, Any] = {
            "plan": plan,
            "loyalty_points": int(activity * 90 + random.randint(0, 80)),
        }
        if random.random() < 0.5:
            attributes["newsletter_topics"] = sorted(random.sample(CATEGORIES, random.randint(1, 3)))
        if random.random() < 0.3:
            attributes["preferred_store"] = random.choice(("City center", "Station", "Outlet", "Online only"))
        if random.random() < 0.12:
            attributes["company"] = random.choice(
                ("Blue Door Ltd", "Nordlicht GmbH", "Atelier Vert", "Two Rivers Inc")
            )
        return attributes

    def _birthday(self) -> str:
        return (date(1948, 1, 1) + timedelta(days=self.random.randrange(57 * 365))).isoformat()

    def _born(self) -> float:
        """Days ago; more and more lately, as the shop grows."""
        return float(DAYS * (1 - self.random.random() ** 0.7) + 0.02)


def _split(pattern: str, area: str) -> list[str]:
    """The postcode's pattern as parts, ``d`` for a digit."""
    parts: list[str] = []
    for chunk in pattern.replace("{area}", area).split("{d}"):
        parts += [chunk, "d"]
    return parts[:-1]
