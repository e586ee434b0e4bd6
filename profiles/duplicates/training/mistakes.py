"""A value → the same value as people and clerks write it another time: typos, nicknames, other spellings,
other values.
"""

from __future__ import annotations

import random
import string
from typing import Any

from profiles.duplicates.scoring import nicknames
from profiles.duplicates.scoring.features import fold
from profiles.duplicates.training.vocabulary import COUNTRIES, Person

NEW_PROVIDERS = ("gmail.com", "outlook.com", "yahoo.com", "proton.me", "icloud.com")
MISTYPED = {
    "gmail.com": ("gmial.com", "gmail.co", "gmai.com", "gnail.com", "gamil.com"),
    "yahoo.com": ("yaho.com", "yahoo.co", "yahooo.com"),
    "hotmail.com": ("hotmial.com", "hotmail.co", "hotmai.com"),
    "outlook.com": ("outlok.com", "outlook.co"),
}


def choose_weighted(dice: random.Random, *ways: tuple[int, Any]) -> str:
    return str(dice.choices([way for _, way in ways], [weight for weight, _ in ways])[0]())


def typo(dice: random.Random, text: str) -> str:
    if len(text) < 3:
        return text
    index = dice.randint(1, len(text) - 2)
    letter = dice.choice(string.ascii_lowercase)
    return dice.choice(
        (
            text[:index] + text[index + 1 :],
            text[:index] + letter + text[index:],
            text[:index] + letter + text[index + 1 :],
            text[:index] + text[index + 1] + text[index] + text[index + 2 :],
        )
    )


_NICKNAMES: dict[int, list[str]] = {}


def nickname(dice: random.Random, first: str) -> str:
    if not _NICKNAMES:
        for name, groups in nicknames._GROUPS_OF.items():
            for group in groups:
                _NICKNAMES.setdefault(group, []).append(name)
    groups = nicknames.groups_of(fold(first))
    return dice.choice(_NICKNAMES[dice.choice(groups)]).title() if groups else first


def formatted_phone(dice: random.Random, phone: str) -> str:
    code = next(country[1] for country in COUNTRIES.values() if phone.startswith(f"+{country[1]}"))
    rest = phone[1 + len(code) :]
    return dice.choice(
        (
            f"+{code} {rest[:3]} {rest[3:6]} {rest[6:]}",
            f"00{code}{rest}",
            f"+{code}-{rest[:3]}-{rest[3:6]}-{rest[6:]}",
            f"+{code} ({rest[:3]}) {rest[3:]}",
            phone,
        )
    )


def new_phone(dice: random.Random, phone: str) -> str:
    return phone[:-7] + "".join(dice.choices(string.digits, k=7))


def respelled(dice: random.Random, address: str) -> str:
    mailbox, _, domain = address.partition("@")
    dotless = f"{mailbox.replace('.', '')}@{domain}" if domain == "gmail.com" else address
    return dice.choice((address.upper(), f" {address.title()}", f"{mailbox}+shop@{domain}", dotless))


def mistyped(dice: random.Random, address: str) -> str:
    mailbox, _, domain = address.partition("@")
    if domain in MISTYPED and dice.random() < 0.5:
        return f"{mailbox}@{dice.choice(MISTYPED[domain])}"
    return f"{typo(dice, mailbox)}@{domain}"


def new_email(dice: random.Random, person: Person) -> str:
    given, family = fold(person.first_name).replace(" ", ""), fold(person.last_name).replace(" ", "")
    form = (
        f"{given}{family[: dice.randint(1, 6)]}{dice.randrange(9999)}",
        f"{given}.{family}{dice.randrange(99)}",
    )
    return f"{dice.choice(form) if dice.random() < 0.3 else form[0]}@{dice.choice(NEW_PROVIDERS)}"


# --- On paper: a clerk copies a form -----------------------------------------------------------------------------

PAPER = ("first_name", "last_name", "birth_date", "city", "street", "postcode")


def miscopy(dice: random.Random, row: dict[str, str], another: Person) -> None:
    """A clerk's mistakes in a row: of one field or many, a typo, ``another`` person's value, or an empty
    field.
    """
    for _ in range(dice.choices((0, 1, 2, 3, 4, 6, 8), (14, 24, 22, 16, 10, 8, 6))[0]):
        name = dice.choice([name for name in PAPER if row[name]] or ["city"])
        row[name] = choose_weighted(
            dice,
            (76, lambda name=name: miskey(dice, row[name])),
            (11, lambda name=name: getattr(another, name)),
            (9, lambda: ""),
            (4, lambda name=name: _shortened(row[name])),
        )
    if dice.random() < 0.06:
        row["first_name"], row["last_name"] = row["last_name"], row["first_name"]


def _shortened(text: str) -> str:
    """A street without its house number, the first of several names."""
    kept = " ".join(word for word in text.split() if not word.isdigit())
    return kept if kept != text else text.partition(" ")[0]


def miskey(dice: random.Random, text: str) -> str:
    """A key too many, too few or wrong, two transposed, a space too many or missing; digits stay digits."""
    if len(text) < 2:
        return text
    indexes = [index for index, char in enumerate(text) if char != "-"]
    index = dice.choice(indexes[:-1])
    near = index + 1 if text[index + 1] != "-" or index + 2 >= len(text) else index + 2
    letter = dice.choice(string.digits if text[index].isdigit() else string.ascii_lowercase)
    swapped = [*text]
    swapped[index], swapped[near] = swapped[near], swapped[index]
    ways = [text[:index] + letter + text[index + 1 :], "".join(swapped)]
    if "-" not in text and not text.isdigit():
        ways += [text[:index] + text[index + 1 :], text[:index] + letter + text[index:]]
        ways += [f"{text[:index]} {text[index:]}" if index else text, text.replace(" ", "", 1)]
    return dice.choice(ways)
