"""What fields say together beyond what each says, and how often people of a base share what should be one's own. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from profiles.duplicates.levels import BY_FIELD
from profiles.duplicates.measures import DIFFERS, UNKNOWN


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What two fields say together beyond what each says: all of ``when`` hold (``{field: level names}``)."""

    name: str
    label: str
    when: dict[str, tuple[str, ...]]

    @property
    def sql(self) -> str:
        """Over columns named like the fields, holding level numbers."""
        return " AND ".join(f"{field} IN ({', '.join(map(str, self.places(field)))})" for field in self.when)

    def places(self, field: str) -> tuple[int, ...]:
        names = BY_FIELD[field].names
        return tuple(-1 if name == UNKNOWN else names.index(name) for name in self.when[field])


_SAME_FIRST = ("equal", "nickname", "part", "initial", "slip", "alike")
_SAME_LAST = ("equal", "part", "slip", "alike")
_SAME_MAIL = ("equal", "domain_slip", "slip", "mailbox")
_SAME_PHONE = ("equal", "tail", "slip")
_SAME_DATE = ("equal", "day_for_month", "slip")
_SAME_STREET = ("equal", "alike")
_NEAR_STREET = (*_SAME_STREET, "street")
_ONE_HOME: dict[str, tuple[str, ...]] = {"street": _NEAR_STREET, "postcode": ("equal", "slip", UNKNOWN)}
_DIFFERS = (DIFFERS,)
_UNKNOWN = (UNKNOWN,)

ADJUSTMENTS = (
    Adjustment(
        "mail_other_first",
        "one e-mail, but another first name: likely one household",
        {"email": _SAME_MAIL, "first_name": _DIFFERS},
    ),
    Adjustment(
        "phone_other_first",
        "one phone, but another first name: likely one household",
        {"phone": _SAME_PHONE, "first_name": _DIFFERS},
    ),
    Adjustment(
        "mail_other_date",
        "one e-mail, but another birth date",
        {"email": _SAME_MAIL, "birth_date": _DIFFERS},
    ),
    Adjustment(
        "phone_other_date",
        "one phone, but another birth date",
        {"phone": _SAME_PHONE, "birth_date": _DIFFERS},
    ),
    Adjustment(
        "mail_no_first",
        "one e-mail, and a first name is missing",
        {"email": _SAME_MAIL, "first_name": _UNKNOWN},
    ),
    Adjustment(
        "phone_no_first",
        "one phone, and a first name is missing",
        {"phone": _SAME_PHONE, "first_name": _UNKNOWN},
    ),
    Adjustment(
        "name_other_date",
        "the same name, but another birth date: a namesake or a relative",
        {"first_name": _SAME_FIRST, "last_name": _SAME_LAST, "birth_date": _DIFFERS},
    ),
    Adjustment(
        "name_and_city",
        "the same name in the same city",
        {"first_name": _SAME_FIRST, "last_name": _SAME_LAST, "city": ("equal", "alike")},
    ),
    Adjustment(
        "name_and_date",
        "the same name and birth date",
        {"first_name": _SAME_FIRST, "last_name": _SAME_LAST, "birth_date": _SAME_DATE},
    ),
    Adjustment(
        "first_and_mail", "the same first name and e-mail", {"first_name": _SAME_FIRST, "email": _SAME_MAIL}
    ),
    Adjustment(
        "first_and_phone", "the same first name and phone", {"first_name": _SAME_FIRST, "phone": _SAME_PHONE}
    ),
    Adjustment(
        "family",
        "the same last name in the same city, but another first name: likely relatives",
        {"last_name": ("equal",), "city": ("equal",), "first_name": _DIFFERS},
    ),
    Adjustment("mail_and_phone", "the same e-mail and phone", {"email": _SAME_MAIL, "phone": _SAME_PHONE}),
    Adjustment(
        "date_other_first",
        "the same birth date, but another first name",
        {"birth_date": ("equal",), "first_name": _DIFFERS},
    ),
    Adjustment(
        "name_nothing_else",
        "the same name, and nothing else to compare",
        {
            "first_name": _SAME_FIRST,
            "last_name": _SAME_LAST,
            "birth_date": _UNKNOWN,
            "email": (UNKNOWN, DIFFERS, "alike"),
            "phone": (UNKNOWN, DIFFERS),
        },
    ),
    Adjustment(
        "mailbox_is_theirs",
        "one e-mail, and its mailbox has the other's first name",
        {"email": _SAME_MAIL, "mailbox_name": ("name", "initial", "alike")},
    ),
    Adjustment(
        "mailbox_is_anothers",
        "one e-mail, whose mailbox has another first name: likely one household",
        {"email": _SAME_MAIL, "mailbox_name": _DIFFERS},
    ),
    Adjustment(
        "phone_mailbox_other",
        "one phone, but a mailbox with another first name: likely one household",
        {"phone": _SAME_PHONE, "mailbox_name": _DIFFERS, "email": (UNKNOWN, DIFFERS, "alike")},
    ),
    Adjustment(
        "phone_mailbox_same",
        "one phone, and a mailbox with the other's first name",
        {
            "phone": _SAME_PHONE,
            "mailbox_name": ("name", "initial", "alike"),
            "email": (UNKNOWN, DIFFERS, "alike"),
        },
    ),
    Adjustment(
        "married",
        "the same first name and phone, but another last name",
        {"first_name": _SAME_FIRST, "phone": _SAME_PHONE, "last_name": _DIFFERS},
    ),
    Adjustment(
        "mail_and_date", "the same e-mail and birth date", {"email": _SAME_MAIL, "birth_date": _SAME_DATE}
    ),
    Adjustment(
        "phone_and_date", "the same phone and birth date", {"phone": _SAME_PHONE, "birth_date": _SAME_DATE}
    ),
    Adjustment(
        "namesake",
        "the same name in the same city, but another e-mail and no birth date: perhaps a namesake",
        {
            "first_name": _SAME_FIRST,
            "last_name": _SAME_LAST,
            "city": ("equal", "alike"),
            "email": (DIFFERS, "alike"),
            "birth_date": _UNKNOWN,
            "phone": (UNKNOWN, DIFFERS),
        },
    ),
    Adjustment(
        "name_other_phone",
        "the same name, but another phone",
        {"first_name": _SAME_FIRST, "last_name": _SAME_LAST, "phone": _DIFFERS},
    ),
    Adjustment(
        "mail_not_name",
        "one e-mail, but another last name",
        {"email": _SAME_MAIL, "last_name": _DIFFERS},
    ),
    Adjustment(
        "one_address",
        "the same name at the same street",
        {"first_name": _SAME_FIRST, "last_name": _SAME_LAST, "street": _NEAR_STREET},
    ),
    Adjustment(
        "family_at_home",
        "the same street, but another first name: likely one household",
        {"street": _SAME_STREET, "first_name": _DIFFERS},
    ),
    Adjustment(
        "home_and_date",
        "the same street and birth date",
        {"street": _NEAR_STREET, "birth_date": _SAME_DATE},
    ),
    Adjustment(
        "home_date_other_first",
        "the same street, last name and birth date, but another first name: perhaps twins",
        {"street": _SAME_STREET, "birth_date": ("equal",), "last_name": _SAME_LAST, "first_name": _DIFFERS},
    ),
    Adjustment(
        "home_other_date",
        "the same name at one address, but another birth date",
        {
            "first_name": _SAME_FIRST,
            "last_name": _SAME_LAST,
            "birth_date": _DIFFERS,
            "street": (*_NEAR_STREET, "house"),
        },
    ),
    Adjustment(
        "home_other_last",
        "the same first name at the same street, but another last name",
        {"first_name": _SAME_FIRST, "last_name": _DIFFERS, "street": _SAME_STREET},
    ),
    Adjustment(
        "home_no_first",
        "the same street, and a first name is missing",
        {"street": _SAME_STREET, "first_name": _UNKNOWN},
    ),
    Adjustment(
        "whole_address", "the same street and postcode", {"street": _SAME_STREET, "postcode": ("equal",)}
    ),
    Adjustment(
        "home_same_first",
        "the same first name where somebody with another one lives too",
        {"home": _DIFFERS, "first_name": _SAME_FIRST},
    ),
    Adjustment(
        "home_unlike",
        "different first names at what a household shares",
        {"home": _DIFFERS, "first_name": _DIFFERS},
    ),
    Adjustment(
        "home_same_date",
        "the same birth date at what a household shares",
        {"home": _DIFFERS, "birth_date": _SAME_DATE},
    ),
    Adjustment(
        "street_elsewhere",
        "streets of one name in different towns",
        {"street": _NEAR_STREET, "postcode": _DIFFERS, "city": (UNKNOWN, DIFFERS)},
    ),
    Adjustment(
        "postcode_and_city",
        "the same postcode and city",
        {"postcode": ("equal",), "city": ("equal", "alike")},
    ),
)

# Bits a base adds where two share an address: how much more often they agree in their first names there than not.
# In a base of families an equal e-mail says little, in one of single people nearly everything. ``weight`` of the
# model is how much of these bits counts.
SHARINGS = (
    Adjustment("shared_email", "how often one e-mail is one person's here", {"email": _SAME_MAIL[:3]}),
    Adjustment("shared_phone", "how often one phone is one person's here", {"phone": _SAME_PHONE}),
    Adjustment("shared_home", "how often one address is one person's here", _ONE_HOME),
)
# Before anything is counted people are taken to share: (agreeing, not agreeing) pairs of first names.
SHARED_AT_FIRST = (5, 10)
MOST_SHARED, LEAST_SHARED = -4.0, 5.0
# Bits every pair of a base gets: how many people have their name and birth date twice, beside 3 in a hundred.
DOUBLED, DOUBLED_AT_FIRST = "doubled", (3, 100)
SHARED = (*(one.name for one in SHARINGS), DOUBLED)
FIRST_AGREES = (*_SAME_FIRST, "swapped")
LABELS = {one.name: one.label for one in (*ADJUSTMENTS, *SHARINGS)}
