"""What fields say together beyond what each says, and how often people of a base share what should be one's own. Pure."""

from __future__ import annotations

from profiles.duplicates.scoring.interaction_terms import BESIDE
from profiles.duplicates.scoring.level_groups import (
    IS_OTHER,
    IS_UNKNOWN,
    NEAR_STREET,
    ONE_HOME,
    SAME_DATE,
    SAME_FIRST,
    SAME_LAST,
    SAME_MAIL,
    SAME_PHONE,
    SAME_STREET,
    Adjustment,
)
from profiles.duplicates.scoring.similarity import DIFFERS, UNKNOWN

ADJUSTMENTS = (
    Adjustment(
        "mail_other_first",
        "one e-mail, but another first name: likely one household",
        {"email": SAME_MAIL, "first_name": IS_OTHER},
    ),
    Adjustment(
        "phone_other_first",
        "one phone, but another first name: likely one household",
        {"phone": SAME_PHONE, "first_name": IS_OTHER},
    ),
    Adjustment(
        "mail_other_date",
        "one e-mail, but another birth date",
        {"email": SAME_MAIL, "birth_date": IS_OTHER},
    ),
    Adjustment(
        "phone_other_date",
        "one phone, but another birth date",
        {"phone": SAME_PHONE, "birth_date": IS_OTHER},
    ),
    Adjustment(
        "mail_no_first",
        "one e-mail, and a first name is missing",
        {"email": SAME_MAIL, "first_name": IS_UNKNOWN},
    ),
    Adjustment(
        "phone_no_first",
        "one phone, and a first name is missing",
        {"phone": SAME_PHONE, "first_name": IS_UNKNOWN},
    ),
    Adjustment(
        "name_other_date",
        "the same name, but another birth date: a namesake or a relative",
        {"first_name": SAME_FIRST, "last_name": SAME_LAST, "birth_date": IS_OTHER},
    ),
    Adjustment(
        "name_and_city",
        "the same name in the same city",
        {"first_name": SAME_FIRST, "last_name": SAME_LAST, "city": ("equal", "alike")},
    ),
    Adjustment(
        "name_and_date",
        "the same name and birth date",
        {"first_name": SAME_FIRST, "last_name": SAME_LAST, "birth_date": SAME_DATE},
    ),
    Adjustment(
        "first_and_mail", "the same first name and e-mail", {"first_name": SAME_FIRST, "email": SAME_MAIL}
    ),
    Adjustment(
        "first_and_phone", "the same first name and phone", {"first_name": SAME_FIRST, "phone": SAME_PHONE}
    ),
    Adjustment(
        "family",
        "the same last name in the same city, but another first name: likely relatives",
        {"last_name": ("equal",), "city": ("equal",), "first_name": IS_OTHER},
    ),
    Adjustment("mail_and_phone", "the same e-mail and phone", {"email": SAME_MAIL, "phone": SAME_PHONE}),
    Adjustment(
        "date_other_first",
        "the same birth date, but another first name",
        {"birth_date": ("equal",), "first_name": IS_OTHER},
    ),
    Adjustment(
        "name_nothing_else",
        "the same name, and nothing else to compare",
        {
            "first_name": SAME_FIRST,
            "last_name": SAME_LAST,
            "birth_date": IS_UNKNOWN,
            "email": (UNKNOWN, DIFFERS, "alike"),
            "phone": (UNKNOWN, DIFFERS),
        },
    ),
    Adjustment(
        "mailbox_is_theirs",
        "one e-mail, and its mailbox has the other's first name",
        {"email": SAME_MAIL, "mailbox_name": ("name", "initial", "alike")},
    ),
    Adjustment(
        "mailbox_is_anothers",
        "one e-mail, whose mailbox has another first name: likely one household",
        {"email": SAME_MAIL, "mailbox_name": IS_OTHER},
    ),
    Adjustment(
        "phone_mailbox_other",
        "one phone, but a mailbox with another first name: likely one household",
        {"phone": SAME_PHONE, "mailbox_name": IS_OTHER, "email": (UNKNOWN, DIFFERS, "alike")},
    ),
    Adjustment(
        "phone_mailbox_same",
        "one phone, and a mailbox with the other's first name",
        {
            "phone": SAME_PHONE,
            "mailbox_name": ("name", "initial", "alike"),
            "email": (UNKNOWN, DIFFERS, "alike"),
        },
    ),
    Adjustment(
        "married",
        "the same first name and phone, but another last name",
        {"first_name": SAME_FIRST, "phone": SAME_PHONE, "last_name": IS_OTHER},
    ),
    Adjustment(
        "mail_and_date", "the same e-mail and birth date", {"email": SAME_MAIL, "birth_date": SAME_DATE}
    ),
    Adjustment(
        "phone_and_date", "the same phone and birth date", {"phone": SAME_PHONE, "birth_date": SAME_DATE}
    ),
    Adjustment(
        "namesake",
        "the same name in the same city, but another e-mail and no birth date: perhaps a namesake",
        {
            "first_name": SAME_FIRST,
            "last_name": SAME_LAST,
            "city": ("equal", "alike"),
            "email": (DIFFERS, "alike"),
            "birth_date": IS_UNKNOWN,
            "phone": (UNKNOWN, DIFFERS),
        },
    ),
    Adjustment(
        "name_other_phone",
        "the same name, but another phone",
        {"first_name": SAME_FIRST, "last_name": SAME_LAST, "phone": IS_OTHER},
    ),
    Adjustment(
        "mail_not_name",
        "one e-mail, but another last name",
        {"email": SAME_MAIL, "last_name": IS_OTHER},
    ),
    Adjustment(
        "one_address",
        "the same name at the same street",
        {"first_name": SAME_FIRST, "last_name": SAME_LAST, "street": NEAR_STREET},
    ),
    Adjustment(
        "family_at_home",
        "the same street, but another first name: likely one household",
        {"street": SAME_STREET, "first_name": IS_OTHER},
    ),
    Adjustment(
        "home_and_date",
        "the same street and birth date",
        {"street": NEAR_STREET, "birth_date": SAME_DATE},
    ),
    Adjustment(
        "home_date_other_first",
        "the same street, last name and birth date, but another first name: perhaps twins",
        {"street": SAME_STREET, "birth_date": ("equal",), "last_name": SAME_LAST, "first_name": IS_OTHER},
    ),
    Adjustment(
        "home_other_date",
        "the same name at one address, but another birth date",
        {
            "first_name": SAME_FIRST,
            "last_name": SAME_LAST,
            "birth_date": IS_OTHER,
            "street": (*NEAR_STREET, "house"),
        },
    ),
    Adjustment(
        "home_other_last",
        "the same first name at the same street, but another last name",
        {"first_name": SAME_FIRST, "last_name": IS_OTHER, "street": SAME_STREET},
    ),
    Adjustment(
        "whole_address", "the same street and postcode", {"street": SAME_STREET, "postcode": ("equal",)}
    ),
    Adjustment(
        "home_same_first",
        "the same first name where somebody with another one lives too",
        {"home": IS_OTHER, "first_name": SAME_FIRST},
    ),
    Adjustment(
        "home_unlike",
        "different first names at what a household shares",
        {"home": IS_OTHER, "first_name": IS_OTHER},
    ),
    Adjustment(
        "street_elsewhere",
        "streets of one name in different towns",
        {"street": NEAR_STREET, "postcode": IS_OTHER, "city": (UNKNOWN, DIFFERS)},
    ),
    Adjustment(
        "postcode_and_city",
        "the same postcode and city",
        {"postcode": ("equal",), "city": ("equal", "alike")},
    ),
    *BESIDE,
)

# Bits a base adds where two share an address: how much more often they agree in their first names there than not.
# In a base of families an equal e-mail says little, in one of single people nearly everything. ``weight`` of the
# model is how much of these bits counts.
SHARINGS = (
    Adjustment("shared_email", "how often one e-mail is one person's here", {"email": SAME_MAIL[:3]}),
    Adjustment("shared_phone", "how often one phone is one person's here", {"phone": SAME_PHONE}),
    Adjustment("shared_home", "how often one address is one person's here", ONE_HOME),
)
# Before anything is counted people are taken to share: (agreeing, not agreeing) pairs of first names.
SHARED_AT_FIRST = (5, 10)
MOST_SHARED, LEAST_SHARED = -4.0, 5.0
# Whether families often share an e-mail or a phone: of the pairs who have it in common so many have unlike first
# names, and they are this share. There fathers and sons of one name are many enough to be kept apart, one in a thousand
# pairs (``tiers.DOUBTS``). Written as 1 or 0.
OFTEN_FROM, OFTEN_SHARE = 30, 0.2
OFTEN = {"often_email": "shared_email", "often_phone": "shared_phone"}
# Bits every pair of a base gets: how many people have their name and birth date twice, beside 3 in a hundred.
DOUBLED, DOUBLED_AT_FIRST = "doubled", (3, 100)
SHARED = (*(one.name for one in SHARINGS), DOUBLED)
COUNTED = (*SHARED, *OFTEN)
FIRST_AGREES = (*SAME_FIRST, "swapped")
LABELS = {one.name: one.label for one in (*ADJUSTMENTS, *SHARINGS)}
