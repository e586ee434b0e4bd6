"""A seed → rows of synthetic people from nine countries, with known duplicates and known look-alikes.

Households share addresses, phones and names; offices share mailboxes; forms contain junk; and people come
back with another address, a typo, a nickname, a new phone. Names come from Faker's lists, weighted as
there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import combinations

from profiles.duplicates.training.mistakes import PAPER
from profiles.duplicates.training.returning_people import come_back
from profiles.duplicates.training.vocabulary import FIELDS, Person, World

JUNK = {
    "email": ("test@test.com", "none@none.com", "noemail@noemail.com", "a@a.com", "asdf@asdf.com", "n/a"),
    "phone": ("0000000000", "1234567890", "1111111111", "9999999999", "n/a", "+10000000000"),
    "first_name": ("test", "n/a", "customer", "guest", "unknown", "-", "x"),
    "birth_date": ("1900-01-01", "1970-01-01", "2000-01-01", "1980-01-01"),
}
ROLES = ("info", "office", "sales", "contact", "admin", "bookings")
# Households known only by letter or at a counter: no e-mail or phone, nearly always a whole address.
PAPER_SHARE = 0.08


@dataclass(slots=True)
class People:
    """``rows``: ``{field: text}`` in the order of their ids from 1; ``truth``: pairs of ids of one person,
    smaller first; ``traps``: pairs that only look alike.
    """

    rows: list[dict[str, str]] = field(default_factory=list)
    truth: set[tuple[int, int]] = field(default_factory=set)
    traps: list[tuple[int, int, str]] = field(default_factory=list)


def make_people(
    *,
    rows: int,
    seed: int,
    share: float = 1.0,
    doubled: float = 0.05,
    families: float = 1.0,
    addresses: float = 1.0,
) -> People:
    """``rows`` rows, a share of ``doubled`` of them further rows of a person.

    ``share``: how often households share an e-mail or phone; ``families``: how many of the households of
    several are as large as in a census; ``addresses``: how many streets and postcodes are kept.
    """
    dice = random.Random(seed)  # noqa: S311  (nothing secret is drawn)
    world = World(dice)
    traps: list[tuple[int, int, str]] = []
    everybody = list(_households(world, int(rows * (1 - doubled)), share, families, traps))
    _role_mail(world, everybody, traps)
    base = [_base_row(world, person) for person in everybody]
    rows_out = [dict(row) for row in base]
    _fill_in_junk(world, rows_out, traps)
    returning: list[tuple[int, dict[str, str]]] = []
    order = list(range(len(everybody)))
    dice.shuffle(order)
    for index in order:
        if len(returning) >= rows - len(everybody):
            break
        if rows_out[index] != base[index]:  # filled in with junk
            continue
        for _ in range(dice.choices((1, 2, 3), (70, 20, 10))[0]):
            if copy := come_back(world, everybody[index], base[index], everybody):
                returning.append((index, copy))
    returning = returning[: rows - len(everybody)]
    if addresses < 1:
        for row in (*rows_out, *(row for _, row in returning)):
            if dice.random() >= addresses:
                row["street"] = row["postcode"] = ""
    return _shuffled(dice, rows_out, returning, traps)


def _households(
    world: World, count: int, share: float, families: float, traps: list[tuple[int, int, str]]
) -> Iterator[Person]:
    made, household, companies = 0, 0, max(200, count // 60)
    while made < count:
        size = min(count - made, world.dice.choices((1, 2, 3, 4), (62, 20, 10, 8))[0])
        if families < 1 and world.dice.random() >= families:
            size = 1
        members = _household(world, household, size, companies)
        ids = range(made, made + size)
        for first, second in combinations(range(size), 2):
            if members[first].birth_date == members[second].birth_date:
                traps.append((ids[first], ids[second], "twins"))
            if members[first].first_name == members[second].first_name:
                traps.append((ids[first], ids[second], "parent_child"))
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
    for index in range(size):
        is_male = dice.random() < 0.5
        first = (world.male if is_male else world.female)[country](dice)
        last = world.rare(dice) if index and dice.random() < 0.25 else family
        born = date(1932, 1, 1) + timedelta(int(dice.gauss(20_600, 5_100)) % 28_000)
        if index == 3 and dice.random() < 0.03:
            born, last = date.fromisoformat(members[2].birth_date), members[2].last_name
        if index == 2 and dice.random() < 0.02:
            first, last = members[0].first_name, members[0].last_name
            born = date.fromisoformat(members[0].birth_date) + timedelta(9_700)
        mail = world.email(first, last, born.isoformat(), companies)
        values = (mail, world.phone(country), born.isoformat(), city, street, postcode)
        members.append(Person(first, last, *values, country, number, is_male, is_on_paper))
    return members


def _role_mail(world: World, people: list[Person], traps: list[tuple[int, int, str]]) -> None:
    """ "info@" of a company, from which several people write."""
    dice = world.dice
    for number in range(max(3, len(people) // 1500)):
        mates = dice.sample(range(len(people)), dice.choices((2, 3, 4, 6, 12), (40, 25, 15, 12, 8))[0])
        for index in mates:
            people[index].email = f"{ROLES[number % len(ROLES)]}@office{number}.com"
        traps += [(a, b, "role_email") for a, b in combinations(sorted(mates), 2)]


def _base_row(world: World, person: Person) -> dict[str, str]:
    """What is known of a person at first."""
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
    unpaired: dict[tuple[str, str], int] = {}
    for index, row in enumerate(rows):
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
                last = unpaired.pop((name, row[name]), None)
                if last is None:
                    unpaired[name, row[name]] = index
                else:
                    traps.append((last, index, f"junk_{name}"))


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
    for index, row in enumerate(every):
        people.rows[ids[index] - 1] = row
    by_person: dict[int, list[int]] = {}
    for number, (index, _) in enumerate(more):
        by_person.setdefault(index, [ids[index]]).append(ids[len(rows) + number])
    for same in by_person.values():
        people.truth.update(combinations(sorted(same), 2))
    people.traps = [(min(ids[a], ids[b]), max(ids[a], ids[b]), kind) for a, b, kind in traps]
    return people
