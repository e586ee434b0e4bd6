"""A synthetic person → another row of theirs: another address, a typo, a nickname, a new phone, a move, a
marriage.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from profiles.duplicates.scoring.features import fold
from profiles.duplicates.training.mistakes import (
    PAPER,
    choose_weighted,
    formatted_phone,
    miscopy,
    mistyped,
    new_email,
    new_phone,
    nickname,
    respelled,
    typo,
)
from profiles.duplicates.training.vocabulary import FIELDS, Person, World


def come_back(
    world: World, person: Person, base: dict[str, str], everybody: Sequence[Person]
) -> dict[str, str] | None:
    """Another row of the same person with enough in common to be found; None when thirty attempts had too
    little.
    """
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
    """A row a clerk copied from a form; it shares no e-mail or phone."""
    row = {name: getattr(person, name) if name in PAPER and dice.random() < 0.96 else "" for name in FIELDS}
    miscopy(dice, row, another)
    return row, 0


def _another_row(world: World, person: Person, base: dict[str, str]) -> tuple[dict[str, str], int]:
    """The row, and how many e-mails and phones it shares with the first."""
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
    kind = dice.choices(
        ("spelled", "phone", "mistyped", "moved_on", "phone_typo", "either"), (25, 17, 20, 18, 10, 10)
    )[0]
    has_mail, has_phone = bool(base["email"]), bool(base["phone"])
    shared = 0
    if kind == "spelled":
        row["email"], shared = respelled(dice, person.email), has_mail
        if dice.random() < 0.4:
            row["phone"] = (
                new_phone(dice, person.phone) if dice.random() < 0.2 else formatted_phone(dice, person.phone)
            )
    elif kind == "phone":
        row["phone"], shared = formatted_phone(dice, person.phone), has_phone
        row["email"] = new_email(dice, person) if dice.random() < 0.6 else ""
    elif kind == "mistyped":
        row["email"], shared = mistyped(dice, person.email), has_mail
        row["phone"] = formatted_phone(dice, person.phone) if dice.random() < 0.35 else ""
    elif kind == "moved_on":
        row["email"] = new_email(dice, person)
        row["phone"] = new_phone(dice, person.phone) if dice.random() < 0.4 else ""
        row["birth_date"] = person.birth_date if dice.random() < 0.8 else ""
    elif kind == "phone_typo":
        row["phone"] = (
            typo(dice, person.phone) if dice.random() < 0.5 else formatted_phone(dice, person.phone)
        )
        row["email"], shared = new_email(dice, person) if dice.random() < 0.3 else "", has_phone
    else:
        row["email"] = mistyped(dice, person.email) if dice.random() < 0.5 else ""
        row["phone"] = formatted_phone(dice, person.phone) if not row["email"] or dice.random() < 0.3 else ""
        shared = has_mail if row["email"] else has_phone
    _vary(world, row, person)
    return row, int(shared)


def _vary(world: World, row: dict[str, str], person: Person) -> None:
    """Typos, nicknames, case, moves: as people write themselves another time."""
    dice = world.dice
    first, last, born, city = row["first_name"], row["last_name"], row["birth_date"], row["city"]
    if first:
        row["first_name"] = choose_weighted(
            dice,
            (12, lambda: nickname(dice, first)),
            (10, lambda: typo(dice, first)),
            (4, lambda: f"{first[0]}."),
            (8, lambda: fold(first)),
            (8, lambda: dice.choice((first.upper(), first.lower()))),
            (58, lambda: first),
        )
    if last:
        row["last_name"] = choose_weighted(
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
        row["birth_date"] = choose_weighted(
            dice,
            (4, lambda: f"{born[:5]}{born[8:]}-{born[5:7]}" if int(born[8:]) <= 12 else born),
            (4, lambda: born[:-1] + dice.choice("123456789")),
            (2, lambda: f"{int(born[:4]) + dice.choice((-1, 1, 10, -10))}{born[4:]}"),
            (90, lambda: born),
        )
    if city:
        row["city"] = choose_weighted(
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
