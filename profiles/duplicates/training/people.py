"""Invented people of nine countries with known duplicates and known look-alikes, for fitting and for tests.

Households share addresses, phones and names; offices share mailboxes; forms are filled in with junk; and a
person comes back as they do in a shop: another address, a typo, a nickname, a new phone, a move, a marriage.
Everything follows from the seed. Names come from Faker's lists, weighted as there.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from importlib import import_module
from itertools import accumulate, combinations
from typing import Any

from profiles.duplicates.training.mistakes import (
    COUNTRIES,
    PAPER,
    miscopy,
    mistyped,
    new_email,
    new_phone,
    nickname,
    one_of,
    spelled,
    typo,
    written,
)
from profiles.duplicates.traits import fold

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
JUNK = {
    "email": ("test@test.com", "none@none.com", "noemail@noemail.com", "a@a.com", "asdf@asdf.com", "n/a"),
    "phone": ("0000000000", "1234567890", "1111111111", "9999999999", "n/a", "+10000000000"),
    "first_name": ("test", "n/a", "customer", "guest", "unknown", "-", "x"),
    "birth_date": ("1900-01-01", "1970-01-01", "2000-01-01", "1980-01-01"),
}
ROLES = ("info", "office", "sales", "contact", "admin", "bookings")
# Households known by letter or at a counter only: no e-mail, no phone, nearly always a whole address.
PAPER_SHARE = 0.08
FIELDS = ("first_name", "last_name", "email", "phone", "birth_date", "city", "street", "postcode")


@dataclass(slots=True)
class Person:
    """Everything true of somebody; a row knows a part of it."""

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


@dataclass(slots=True)
class People:
    """``rows``: ``{field: text}`` in the order of their ids from 1; ``truth``: pairs of ids, smaller first."""

    rows: list[dict[str, str]] = field(default_factory=list)
    truth: set[tuple[int, int]] = field(default_factory=set)
    traps: list[tuple[int, int, str]] = field(default_factory=list)


class Drawn:
    """Something drawn by its weights."""

    def __init__(self, items: Sequence[Any], weights: Sequence[float]) -> None:
        self.items, self.sums = list(items), list(accumulate(weights))

    def __call__(self, dice: random.Random) -> Any:
        return dice.choices(self.items, cum_weights=self.sums)[0]


def _names(provider: Any, kind: str) -> Drawn:
    found = getattr(provider, kind, None) or getattr(provider, kind.rpartition("_")[0])
    if isinstance(found, dict):
        return Drawn(list(found), list(found.values()))
    ordered = list(dict.fromkeys(found))
    return Drawn(ordered, [1.0 / (place + 20) for place in range(len(ordered))])


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
            self.city[country] = Drawn(cities, [1.0 / (place + 3) for place in range(400)])
        every = sorted({name for drawn in self.last.values() for name in drawn.items if len(name) > 3})
        rare = [
            dice.choice(every)[: dice.randint(2, 5)] + dice.choice(every)[dice.randint(2, 3) :].lower()
            for _ in range(60_000)
        ]
        # A long tail, as a census has.
        self.rare = Drawn(rare, [1.0 / (place + 50) ** 0.6 for place in range(60_000)])
        streets = sorted({name.split()[0] for name in every})
        dice.shuffle(streets)
        # Every town has a High Street.
        self.street = Drawn(streets, [1.0 / (place + 5) for place in range(len(streets))])
        self.domains = Drawn(list(PROVIDERS), list(PROVIDERS.values()))
        self.countries = Drawn(list(COUNTRIES), [one[0] for one in COUNTRIES.values()])
        self.taken: set[str] = set()

    def phone(self, country: str) -> str:
        _, code, start, digits = COUNTRIES[country]
        first = str(self.dice.randint(2, 9))
        return f"+{code}{start}{first}{''.join(self.dice.choices(string.digits, k=digits - 1))}"

    def email(self, first: str, last: str, born: str, companies: int) -> str:
        """One nobody else has, also where dots do not count."""
        given, family = fold(first).replace(" ", ""), fold(last).replace(" ", "")
        domain = self.domains(self.dice) or f"co{self.dice.randrange(companies)}.com"
        number = self.dice.randint(1, 999)
        form = Drawn(
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
        mailbox, more = form, 1
        while (address := f"{mailbox}@{domain}").replace(".", "") in self.taken:
            more += 1
            mailbox = f"{form}{more + number}"
        self.taken.add(address.replace(".", ""))
        return address


def make_people(
    *, rows: int, seed: int, share: float = 1.0, doubled: float = 0.05, families: float = 1.0
) -> People:
    """``rows`` profiles, ``doubled`` of them further rows of somebody; ``share``: how often households share an
    e-mail or phone; ``families``: how many of the households of several are as large as in a census.
    """
    dice = random.Random(seed)  # noqa: S311  (nothing secret is drawn)
    world = World(dice)
    traps: list[tuple[int, int, str]] = []
    everybody = list(_persons(world, int(rows * (1 - doubled)), share, families, traps))
    _role_mail(world, everybody, traps)
    base = [_base_row(world, person) for person in everybody]
    told = [dict(row) for row in base]
    _fill_in_junk(world, told, traps)
    more: list[tuple[int, dict[str, str]]] = []
    order = list(range(len(everybody)))
    dice.shuffle(order)
    for place in order:
        if len(more) >= rows - len(everybody):
            break
        if told[place] != base[place]:  # filled in with junk
            continue
        for _ in range(dice.choices((1, 2, 3), (70, 20, 10))[0]):
            if copy := _copy(world, everybody[place], base[place], everybody):
                more.append((place, copy))
    more = more[: rows - len(everybody)]
    return _shuffled(dice, told, more, traps)


def _persons(
    world: World, count: int, share: float, families: float, traps: list[tuple[int, int, str]]
) -> Iterator[Person]:
    made, household, companies = 0, 0, max(200, count // 60)
    while made < count:
        size = min(count - made, world.dice.choices((1, 2, 3, 4), (62, 20, 10, 8))[0])
        if families < 1 and world.dice.random() >= families:
            size = 1
        members = _household(world, household, size, companies)
        ids = range(made, made + size)
        for one, other in combinations(range(size), 2):
            if members[one].birth_date == members[other].birth_date:
                traps.append((ids[one], ids[other], "twins"))
            if members[one].first_name == members[other].first_name:
                traps.append((ids[one], ids[other], "parent_child"))
        if size > 1:
            for name, chance in (("email", 0.06), ("phone", 0.18)):
                if world.dice.random() < chance * share:
                    value = getattr(members[0], name)
                    members = [replace(member, **{name: value}) for member in members]
                    traps += [(a, b, f"family_{name}") for a, b in combinations(ids, 2)]
        yield from members
        made, household = made + size, household + 1


def _household(world: World, number: int, size: int, companies: int) -> list[Person]:
    dice = world.dice
    country = world.countries(dice)
    family = world.rare(dice) if dice.random() < 0.5 else world.last[country](dice)
    city, postcode = world.city[country](dice), str(dice.randint(10_000, 99_999))
    street = f"{world.street(dice)} {dice.choice(('St', 'Road', 'Weg', 'ulica'))} {dice.randint(1, 199)}"
    is_on_paper = dice.random() < PAPER_SHARE
    members: list[Person] = []
    for place in range(size):
        is_male = dice.random() < 0.5
        first = (world.male if is_male else world.female)[country](dice)
        last = world.rare(dice) if place and dice.random() < 0.25 else family
        born = date(1932, 1, 1) + timedelta(int(dice.gauss(20_600, 5_100)) % 28_000)
        if place == 3 and dice.random() < 0.03:
            born, last = date.fromisoformat(members[2].birth_date), members[2].last_name
        if place == 2 and dice.random() < 0.02:
            first, last = members[0].first_name, members[0].last_name
            born = date.fromisoformat(members[0].birth_date) + timedelta(9_700)
        mail = world.email(first, last, born.isoformat(), companies)
        values = (mail, world.phone(country), born.isoformat(), city, street, postcode)
        members.append(Person(first, last, *values, country, number, is_male, is_on_paper))
    return members


def _role_mail(world: World, people: list[Person], traps: list[tuple[int, int, str]]) -> None:
    """ "info@" of a company, which several people write from."""
    dice = world.dice
    for number in range(max(3, len(people) // 1500)):
        mates = dice.sample(range(len(people)), dice.choices((2, 3, 4, 6, 12), (40, 25, 15, 12, 8))[0])
        for place in mates:
            people[place].email = f"{ROLES[number % len(ROLES)]}@office{number}.com"
        traps += [(a, b, "role_email") for a, b in combinations(sorted(mates), 2)]


def _base_row(world: World, person: Person) -> dict[str, str]:
    """What is known of somebody at first."""
    dice = world.dice
    if person.is_on_paper:
        return {
            name: getattr(person, name) if name in PAPER and dice.random() < 0.95 else "" for name in FIELDS
        }
    chances = (0.93, 0.90, 0.86, 0.60, 0.48, 0.78, 0.45, 0.50)
    known = {
        name: getattr(person, name) if dice.random() < chance else ""
        for name, chance in zip(FIELDS, chances, strict=True)
    }
    if not known["phone"]:
        known["email"] = person.email
    if not known["email"] and not known["phone"]:
        known["first_name"] = person.first_name
    return known


def _fill_in_junk(world: World, rows: list[dict[str, str]], traps: list[tuple[int, int, str]]) -> None:
    held: dict[tuple[str, str], int] = {}
    for place, row in enumerate(rows):
        for name, chance in (
            ("email", 0.004),
            ("phone", 0.006),
            ("first_name", 0.004),
            ("birth_date", 0.015),
        ):
            if world.dice.random() >= chance:
                continue
            row[name] = world.dice.choice(JUNK[name])
            if name in ("email", "phone"):
                last = held.pop((name, row[name]), None)
                if last is None:
                    held[name, row[name]] = place
                else:
                    traps.append((last, place, f"junk_{name}"))


def _shuffled(
    dice: random.Random,
    rows: list[dict[str, str]],
    more: list[tuple[int, dict[str, str]]],
    traps: list[tuple[int, int, str]],
) -> People:
    every = [*rows, *(copy for _, copy in more)]
    ids = list(range(1, len(every) + 1))
    dice.shuffle(ids)
    people = People([{} for _ in every])
    for place, row in enumerate(every):
        people.rows[ids[place] - 1] = row
    of_one: dict[int, list[int]] = {}
    for number, (place, _) in enumerate(more):
        of_one.setdefault(place, [ids[place]]).append(ids[len(rows) + number])
    for same in of_one.values():
        people.truth.update(combinations(sorted(same), 2))
    people.traps = [(min(ids[a], ids[b]), max(ids[a], ids[b]), kind) for a, b, kind in traps]
    return people


# --- Coming back --------------------------------------------------------------------------------------------


def _copy(
    world: World, person: Person, base: dict[str, str], everybody: Sequence[Person]
) -> dict[str, str] | None:
    """The same person another time, with enough in common to be found; None when thirty tries had too little."""
    another = world.dice.choice(everybody)
    on_paper = person.is_on_paper or world.dice.random() < 0.05
    for _ in range(30):
        row, shared = (
            _paper_row(world.dice, person, another) if on_paper else _another_row(world, person, base)
        )
        named = bool(base["first_name"] and base["last_name"] and row["first_name"] and row["last_name"])
        dated = bool(base["birth_date"] and row["birth_date"])
        evidence = shared + named + dated + 0.5 * bool(base["city"] and row["city"])
        evidence += 0.5 * bool(base["street"] and row["street"])
        if evidence >= 1.5:
            return {name: row[name] for name in FIELDS}
    return None


def _paper_row(dice: random.Random, person: Person, another: Person) -> tuple[dict[str, str], int]:
    """What a clerk typed in from a form; it shares no address on the net."""
    row = {name: getattr(person, name) if name in PAPER and dice.random() < 0.96 else "" for name in FIELDS}
    miscopy(dice, row, another)
    return row, 0


def _another_row(world: World, person: Person, base: dict[str, str]) -> tuple[dict[str, str], int]:
    """The row, and how many addresses it shares with the first."""
    dice = world.dice
    row = {
        "first_name": person.first_name if dice.random() < 0.94 else "",
        "last_name": person.last_name if dice.random() < 0.92 else "",
        "birth_date": person.birth_date if dice.random() < 0.55 else "",
        "city": person.city if dice.random() < 0.76 else "",
        "street": person.street if dice.random() < 0.4 else "",
        "postcode": person.postcode if dice.random() < 0.45 else "",
        "email": "",
        "phone": "",
    }
    way = dice.choices(
        ("spelled", "phone", "mistyped", "moved_on", "phone_typo", "either"), (25, 17, 20, 18, 10, 10)
    )[0]
    has_mail, has_phone = bool(base["email"]), bool(base["phone"])
    shared = 0
    if way == "spelled":
        row["email"], shared = spelled(dice, person.email), has_mail
        if dice.random() < 0.4:
            row["phone"] = (
                new_phone(dice, person.phone) if dice.random() < 0.2 else written(dice, person.phone)
            )
    elif way == "phone":
        row["phone"], shared = written(dice, person.phone), has_phone
        row["email"] = new_email(dice, person) if dice.random() < 0.6 else ""
    elif way == "mistyped":
        row["email"], shared = mistyped(dice, person.email), has_mail
        row["phone"] = written(dice, person.phone) if dice.random() < 0.35 else ""
    elif way == "moved_on":
        row["email"] = new_email(dice, person)
        row["phone"] = new_phone(dice, person.phone) if dice.random() < 0.4 else ""
        row["birth_date"] = person.birth_date if dice.random() < 0.8 else ""
    elif way == "phone_typo":
        row["phone"] = typo(dice, person.phone) if dice.random() < 0.5 else written(dice, person.phone)
        row["email"], shared = new_email(dice, person) if dice.random() < 0.3 else "", has_phone
    else:
        row["email"] = mistyped(dice, person.email) if dice.random() < 0.5 else ""
        row["phone"] = written(dice, person.phone) if not row["email"] or dice.random() < 0.3 else ""
        shared = has_mail if row["email"] else has_phone
    _blur(world, row, person)
    return row, int(shared)


def _blur(world: World, row: dict[str, str], person: Person) -> None:
    """Typos, nicknames, cases, moves: as people write themselves another time."""
    dice = world.dice
    first, last, born, city = row["first_name"], row["last_name"], row["birth_date"], row["city"]
    if first:
        row["first_name"] = one_of(
            dice,
            (12, lambda: nickname(dice, first)),
            (10, lambda: typo(dice, first)),
            (4, lambda: f"{first[0]}."),
            (8, lambda: fold(first)),
            (8, lambda: dice.choice((first.upper(), first.lower()))),
            (58, lambda: first),
        )
    if last:
        row["last_name"] = one_of(
            dice,
            (10, lambda: typo(dice, last)),
            (8, lambda: fold(last)),
            (6, lambda: dice.choice((last.upper(), last.lower()))),
            (3, lambda: world.rare(dice)),
            (2, lambda: f"{last}-{world.rare(dice)}"),
            (71, lambda: last),
        )
    if first and last and dice.random() < 0.03:
        row["first_name"], row["last_name"] = row["last_name"], row["first_name"]
    if born:
        row["birth_date"] = one_of(
            dice,
            (4, lambda: f"{born[:5]}{born[8:]}-{born[5:7]}" if int(born[8:]) <= 12 else born),
            (4, lambda: born[:-1] + dice.choice("123456789")),
            (2, lambda: f"{int(born[:4]) + dice.choice((-1, 1, 10, -10))}{born[4:]}"),
            (90, lambda: born),
        )
    if city:
        row["city"] = one_of(
            dice,
            (8, lambda: typo(dice, city)),
            (8, lambda: fold(city).upper()),
            (8, lambda: world.city[person.country](dice)),
            (76, lambda: city),
        )
    if row["city"] and fold(row["city"])[:3] != fold(person.city)[:3]:  # moved
        row["street"] = row["postcode"] = ""
    if row["street"] and dice.random() < 0.15:
        row["street"] = typo(dice, row["street"])
