"""The table of the model's interactions between fields, in the order of their weights. Pure.

The later ones depend on what else is known (a rare name in a family, a mailbox made of a name). They were
found by asking which situations the other weights misjudge most often.
"""

from __future__ import annotations

from profiles.duplicates.scoring.interaction_kinds import PER_DOUBLING, SHARING_TERMS, Interaction
from profiles.duplicates.scoring.levels import (
    CROSSED,
    DIFFERENT,
    EQUAL,
    IS_UNKNOWN,
    NEAR_STREET,
    NEARLY_EQUAL_MAIL,
    NO_MAIL,
    NO_PHONE,
    SAME_DATE,
    SAME_FIRST,
    SAME_LAST,
    SAME_MAIL,
    SAME_PHONE,
    SAME_STREET,
)
from profiles.duplicates.scoring.similarity import DIFFERS, UNKNOWN

INTERACTIONS = (
    Interaction(
        "mail_other_first",
        "one e-mail, but another first name: likely one household",
        {"email": SAME_MAIL, "first_name": DIFFERENT},
    ),
    Interaction(
        "phone_other_first",
        "one phone, but another first name: likely one household",
        {"phone": SAME_PHONE, "first_name": DIFFERENT},
    ),
    Interaction(
        "mail_other_date",
        "one e-mail, but another birth date",
        {"email": SAME_MAIL, "birth_date": DIFFERENT},
    ),
    Interaction(
        "phone_other_date",
        "one phone, but another birth date",
        {"phone": SAME_PHONE, "birth_date": DIFFERENT},
    ),
    Interaction(
        "mail_no_first",
        "one e-mail, and a first name is missing",
        {"email": SAME_MAIL, "first_name": IS_UNKNOWN},
    ),
    Interaction(
        "phone_no_first",
        "one phone, and a first name is missing",
        {"phone": SAME_PHONE, "first_name": IS_UNKNOWN},
    ),
    Interaction(
        "name_other_date",
        "the same name, but another birth date: a namesake or a relative",
        {"first_name": SAME_FIRST, "last_name": SAME_LAST, "birth_date": DIFFERENT},
    ),
    Interaction(
        "name_and_city",
        "the same name in the same city",
        {"first_name": SAME_FIRST, "last_name": SAME_LAST, "city": ("equal", "alike")},
    ),
    Interaction(
        "name_and_date",
        "the same name and birth date",
        {"first_name": SAME_FIRST, "last_name": SAME_LAST, "birth_date": SAME_DATE},
    ),
    Interaction(
        "first_and_mail", "the same first name and e-mail", {"first_name": SAME_FIRST, "email": SAME_MAIL}
    ),
    Interaction(
        "first_and_phone", "the same first name and phone", {"first_name": SAME_FIRST, "phone": SAME_PHONE}
    ),
    Interaction(
        "family",
        "the same last name in the same city, but another first name: likely relatives",
        {"last_name": ("equal",), "city": ("equal",), "first_name": DIFFERENT},
    ),
    Interaction("mail_and_phone", "the same e-mail and phone", {"email": SAME_MAIL, "phone": SAME_PHONE}),
    Interaction(
        "date_other_first",
        "the same birth date, but another first name",
        {"birth_date": ("equal",), "first_name": DIFFERENT},
    ),
    Interaction(
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
    Interaction(
        "mailbox_is_theirs",
        "one e-mail, and its mailbox has the other's first name",
        {"email": SAME_MAIL, "mailbox_name": ("name", "initial", "alike")},
    ),
    Interaction(
        "mailbox_is_anothers",
        "one e-mail, whose mailbox has another first name: likely one household",
        {"email": SAME_MAIL, "mailbox_name": DIFFERENT},
    ),
    Interaction(
        "phone_mailbox_other",
        "one phone, but a mailbox with another first name: likely one household",
        {"phone": SAME_PHONE, "mailbox_name": DIFFERENT, "email": (UNKNOWN, DIFFERS, "alike")},
    ),
    Interaction(
        "phone_mailbox_same",
        "one phone, and a mailbox with the other's first name",
        {
            "phone": SAME_PHONE,
            "mailbox_name": ("name", "initial", "alike"),
            "email": (UNKNOWN, DIFFERS, "alike"),
        },
    ),
    Interaction(
        "married",
        "the same first name and phone, but another last name",
        {"first_name": SAME_FIRST, "phone": SAME_PHONE, "last_name": DIFFERENT},
    ),
    Interaction(
        "mail_and_date", "the same e-mail and birth date", {"email": SAME_MAIL, "birth_date": SAME_DATE}
    ),
    Interaction(
        "phone_and_date", "the same phone and birth date", {"phone": SAME_PHONE, "birth_date": SAME_DATE}
    ),
    Interaction(
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
    Interaction(
        "name_other_phone",
        "the same name, but another phone",
        {"first_name": SAME_FIRST, "last_name": SAME_LAST, "phone": DIFFERENT},
    ),
    Interaction(
        "mail_not_name",
        "one e-mail, but another last name",
        {"email": SAME_MAIL, "last_name": DIFFERENT},
    ),
    Interaction(
        "one_address",
        "the same name at the same street",
        {"first_name": SAME_FIRST, "last_name": SAME_LAST, "street": NEAR_STREET},
    ),
    Interaction(
        "family_at_home",
        "the same street, but another first name: likely one household",
        {"street": SAME_STREET, "first_name": DIFFERENT},
    ),
    Interaction(
        "home_and_date",
        "the same street and birth date",
        {"street": NEAR_STREET, "birth_date": SAME_DATE},
    ),
    Interaction(
        "home_date_other_first",
        "the same street, last name and birth date, but another first name: perhaps twins",
        {"street": SAME_STREET, "birth_date": ("equal",), "last_name": SAME_LAST, "first_name": DIFFERENT},
    ),
    Interaction(
        "home_other_date",
        "the same name at one address, but another birth date",
        {
            "first_name": SAME_FIRST,
            "last_name": SAME_LAST,
            "birth_date": DIFFERENT,
            "street": (*NEAR_STREET, "house"),
        },
    ),
    Interaction(
        "home_other_last",
        "the same first name at the same street, but another last name",
        {"first_name": SAME_FIRST, "last_name": DIFFERENT, "street": SAME_STREET},
    ),
    Interaction(
        "whole_address", "the same street and postcode", {"street": SAME_STREET, "postcode": ("equal",)}
    ),
    Interaction(
        "home_same_first",
        "the same first name where somebody with another one lives too",
        {"home": DIFFERENT, "first_name": SAME_FIRST},
    ),
    Interaction(
        "home_unlike",
        "different first names at what a household shares",
        {"home": DIFFERENT, "first_name": DIFFERENT},
    ),
    Interaction(
        "street_elsewhere",
        "streets of one name in different towns",
        {"street": NEAR_STREET, "postcode": DIFFERENT, "city": (UNKNOWN, DIFFERS)},
    ),
    Interaction(
        "postcode_and_city",
        "the same postcode and city",
        {"postcode": ("equal",), "city": ("equal", "alike")},
    ),
    Interaction(
        "names_crossed",
        "one's first name is the other's last name: filled in the wrong way round",
        {"first_name": CROSSED},
    ),
    Interaction(
        "rare_name_crossed",
        "how rare the name in the wrong place is",
        {"first_name": CROSSED},
        by="last_name",
    ),
    Interaction(
        "family_name_mail",
        "one e-mail: a rare last name says less, as a family shares both",
        {"last_name": EQUAL, "email": NEARLY_EQUAL_MAIL},
        by="last_name",
    ),
    Interaction(
        "family_name_phone",
        "one phone: a rare last name says less, as a family shares both",
        {"last_name": EQUAL, "phone": SAME_PHONE},
        by="last_name",
    ),
    Interaction(
        "family_name_street",
        "one street: a rare last name says less, as a family shares both",
        {"last_name": EQUAL, "street": SAME_STREET},
        by="last_name",
    ),
    Interaction(
        "family_name_postcode",
        "one postcode: a rare last name says less, as a family shares both",
        {"last_name": EQUAL, "postcode": EQUAL},
        by="last_name",
    ),
    Interaction(
        "family_name_city",
        "one city: a rare last name says less, as a family shares both",
        {"last_name": SAME_LAST, "city": ("equal", "alike")},
        by="last_name",
    ),
    Interaction(
        "family_name_other_first",
        "a rare last name with another first name: rather relatives",
        {"last_name": EQUAL, "first_name": DIFFERENT},
        by="last_name",
    ),
    Interaction(
        "family_first_city",
        "one last name and city: a rare first name says less, as families hand names down",
        {"first_name": EQUAL, "last_name": EQUAL, "city": ("equal", "alike")},
        by="first_name",
    ),
    Interaction(
        "rare_first_and_date",
        "the same birth date: a rare first name says more",
        {"first_name": SAME_FIRST, "birth_date": SAME_DATE},
        by="first_name",
    ),
    Interaction(
        "rare_last_alone",
        "no phone, birth date and postcode: a rare last name says more",
        {"last_name": SAME_LAST, "phone": IS_UNKNOWN, "birth_date": IS_UNKNOWN, "postcode": IS_UNKNOWN},
        by="last_name",
    ),
    Interaction(
        "rare_name_no_mail",
        "the same full name and no e-mail to compare: a rare one says more",
        {"first_name": EQUAL, "last_name": EQUAL, "email": IS_UNKNOWN},
        by="last_name",
    ),
    Interaction(
        "rare_name_other_mail",
        "the same full name at another e-mail: a rare one says more",
        {"first_name": EQUAL, "last_name": EQUAL, "email": DIFFERENT},
        by="last_name",
    ),
    Interaction(
        "rare_mailbox_no_last",
        "mailboxes alike where a last name is missing: the rarer the other, the more they say",
        {"last_name": IS_UNKNOWN, "email": ("alike",)},
        by="last_name",
    ),
    Interaction(
        "chance_elsewhere",
        "no e-mail or phone in common and another city: among many people some are alike by chance",
        {"email": NO_MAIL, "phone": NO_PHONE, "city": DIFFERENT},
        by=PER_DOUBLING,
    ),
    Interaction(
        "chance_nowhere",
        "no e-mail or phone in common and no city: among many people some are alike by chance",
        {"email": NO_MAIL, "phone": NO_PHONE, "city": IS_UNKNOWN},
        by=PER_DOUBLING,
    ),
    Interaction(
        "chance_here",
        "no e-mail or phone in common: among many people some are alike by chance",
        {"email": NO_MAIL, "phone": NO_PHONE, "city": ("equal", "alike")},
        by=PER_DOUBLING,
    ),
    Interaction(
        "mailbox_of_a_name",
        "one mailbox at different domains, made of a first name they share anyway",
        {"email": ("mailbox",), "first_name": EQUAL},
    ),
    Interaction(
        "mailbox_no_phone",
        "one mailbox at different domains, and no phone",
        {"email": ("mailbox",), "phone": IS_UNKNOWN},
    ),
    Interaction(
        "phone_no_mail", "one phone, and no e-mail to compare", {"phone": SAME_PHONE, "email": IS_UNKNOWN}
    ),
    Interaction(
        "mail_no_phone",
        "one e-mail, and no phone to compare",
        {"email": NEARLY_EQUAL_MAIL, "phone": IS_UNKNOWN},
    ),
    Interaction(
        "mail_other_phone", "one e-mail, but another phone", {"email": NEARLY_EQUAL_MAIL, "phone": DIFFERENT}
    ),
    Interaction(
        "phone_slip_only",
        "phones a slip apart, and no e-mail in common",
        {"phone": ("slip",), "email": NO_MAIL},
    ),
    Interaction(
        "first_and_one_mail",
        "the same first name and exactly one e-mail",
        {"first_name": SAME_FIRST, "email": EQUAL},
    ),
    Interaction(
        "first_and_mail_no_city",
        "the same first name and e-mail, and no city to compare",
        {"first_name": EQUAL, "email": NEARLY_EQUAL_MAIL, "city": IS_UNKNOWN},
    ),
    Interaction("mail_moved", "one e-mail, in another city: moved", {"email": EQUAL, "city": DIFFERENT}),
    Interaction("phone_moved", "one phone, in another city: moved", {"phone": SAME_PHONE, "city": DIFFERENT}),
    Interaction(
        "mail_slip_here",
        "e-mails a slip apart in one city",
        {"email": ("domain_slip", "slip"), "city": ("equal", "alike")},
    ),
    Interaction(
        "street_no_city",
        "the same street, and no city to compare",
        {"street": SAME_STREET, "city": IS_UNKNOWN},
    ),
    Interaction(
        "last_and_date", "the same last name and birth date", {"last_name": SAME_LAST, "birth_date": EQUAL}
    ),
    Interaction(
        "last_slip_here",
        "last names alike in one city: mistyped rather than another family",
        {"last_name": ("slip", "alike"), "city": ("equal", "alike")},
    ),
    Interaction(
        "first_alone",
        "the same first name with another last name, and no postcode",
        {"first_name": SAME_FIRST, "last_name": DIFFERENT, "postcode": IS_UNKNOWN},
    ),
    Interaction(
        "last_changed",
        "another last name, but mailboxes alike: married",
        {"last_name": DIFFERENT, "email": ("alike",)},
    ),
    Interaction(
        "city_alone",
        "one city, and neither e-mail nor phone to compare",
        {"email": IS_UNKNOWN, "phone": IS_UNKNOWN, "city": ("equal", "alike")},
    ),
    Interaction(
        "home_here", "what a household of this city shares", {"home": DIFFERENT, "city": ("equal", "alike")}
    ),
    Interaction("home_mail", "an e-mail a household shares", {"home": DIFFERENT, "email": EQUAL}),
    Interaction(
        "initial_given",
        "an initial that fits, with the same last name",
        {"first_name": ("initial",), "last_name": SAME_LAST},
    ),
    Interaction(
        "mailbox_of_family",
        "the same last name, and a mailbox with another first name",
        {"last_name": EQUAL, "mailbox_name": DIFFERENT},
    ),
    Interaction(
        "nothing_agrees",
        "another first name and another e-mail",
        {"first_name": DIFFERENT, "email": DIFFERENT},
    ),
    Interaction(
        "postcode_elsewhere",
        "another postcode, and no street to compare",
        {"postcode": DIFFERENT, "street": IS_UNKNOWN},
    ),
)

LABELS = {term.name: term.label for term in (*INTERACTIONS, *SHARING_TERMS)}
