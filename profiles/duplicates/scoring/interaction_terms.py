"""What fields say together beyond what each says: every interaction of the model, in the order of its weights. Pure.

The later ones depend on what else is known (rare names in a family, a mailbox made of a name). They were found by
asking which situations the other weights misjudge most often; each has a reason in words.
"""

from __future__ import annotations

from profiles.duplicates.scoring.interactions import PER_PEOPLE, SHARINGS, Adjustment
from profiles.duplicates.scoring.levels import (
    CROSSED,
    EQUAL,
    IS_OTHER,
    IS_UNKNOWN,
    NEAR_STREET,
    NO_MAIL,
    NO_PHONE,
    ONE_MAIL,
    SAME_DATE,
    SAME_FIRST,
    SAME_LAST,
    SAME_MAIL,
    SAME_PHONE,
    SAME_STREET,
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
    Adjustment(
        "names_crossed",
        "one's first name is the other's last name: filled in the wrong way round",
        {"first_name": CROSSED},
    ),
    Adjustment(
        "rare_name_crossed",
        "how rare the name in the wrong place is",
        {"first_name": CROSSED},
        by="last_name",
    ),
    Adjustment(
        "family_name_mail",
        "one e-mail: a rare last name says less, as a family shares both",
        {"last_name": EQUAL, "email": ONE_MAIL},
        by="last_name",
    ),
    Adjustment(
        "family_name_phone",
        "one phone: a rare last name says less, as a family shares both",
        {"last_name": EQUAL, "phone": SAME_PHONE},
        by="last_name",
    ),
    Adjustment(
        "family_name_street",
        "one street: a rare last name says less, as a family shares both",
        {"last_name": EQUAL, "street": SAME_STREET},
        by="last_name",
    ),
    Adjustment(
        "family_name_postcode",
        "one postcode: a rare last name says less, as a family shares both",
        {"last_name": EQUAL, "postcode": EQUAL},
        by="last_name",
    ),
    Adjustment(
        "family_name_city",
        "one city: a rare last name says less, as a family shares both",
        {"last_name": SAME_LAST, "city": ("equal", "alike")},
        by="last_name",
    ),
    Adjustment(
        "family_name_other_first",
        "a rare last name with another first name: rather relatives",
        {"last_name": EQUAL, "first_name": IS_OTHER},
        by="last_name",
    ),
    Adjustment(
        "family_first_city",
        "one last name and city: a rare first name says less, as families hand names down",
        {"first_name": EQUAL, "last_name": EQUAL, "city": ("equal", "alike")},
        by="first_name",
    ),
    Adjustment(
        "rare_first_and_date",
        "the same birth date: a rare first name says more",
        {"first_name": SAME_FIRST, "birth_date": SAME_DATE},
        by="first_name",
    ),
    Adjustment(
        "rare_last_alone",
        "no phone, birth date and postcode: a rare last name says more",
        {"last_name": SAME_LAST, "phone": IS_UNKNOWN, "birth_date": IS_UNKNOWN, "postcode": IS_UNKNOWN},
        by="last_name",
    ),
    Adjustment(
        "rare_name_no_mail",
        "the same full name and no e-mail to compare: a rare one says more",
        {"first_name": EQUAL, "last_name": EQUAL, "email": IS_UNKNOWN},
        by="last_name",
    ),
    Adjustment(
        "rare_name_other_mail",
        "the same full name at another e-mail: a rare one says more",
        {"first_name": EQUAL, "last_name": EQUAL, "email": IS_OTHER},
        by="last_name",
    ),
    Adjustment(
        "rare_mailbox_no_last",
        "mailboxes alike where a last name is missing: the rarer the other, the more they say",
        {"last_name": IS_UNKNOWN, "email": ("alike",)},
        by="last_name",
    ),
    Adjustment(
        "chance_elsewhere",
        "no e-mail or phone in common and another city: among many people some are alike by chance",
        {"email": NO_MAIL, "phone": NO_PHONE, "city": IS_OTHER},
        by=PER_PEOPLE,
    ),
    Adjustment(
        "chance_nowhere",
        "no e-mail or phone in common and no city: among many people some are alike by chance",
        {"email": NO_MAIL, "phone": NO_PHONE, "city": IS_UNKNOWN},
        by=PER_PEOPLE,
    ),
    Adjustment(
        "chance_here",
        "no e-mail or phone in common: among many people some are alike by chance",
        {"email": NO_MAIL, "phone": NO_PHONE, "city": ("equal", "alike")},
        by=PER_PEOPLE,
    ),
    Adjustment(
        "mailbox_of_a_name",
        "one mailbox at different domains, made of a first name they share anyway",
        {"email": ("mailbox",), "first_name": EQUAL},
    ),
    Adjustment(
        "mailbox_no_phone",
        "one mailbox at different domains, and no phone",
        {"email": ("mailbox",), "phone": IS_UNKNOWN},
    ),
    Adjustment(
        "phone_no_mail", "one phone, and no e-mail that objects", {"phone": SAME_PHONE, "email": IS_UNKNOWN}
    ),
    Adjustment(
        "mail_no_phone", "one e-mail, and no phone that objects", {"email": ONE_MAIL, "phone": IS_UNKNOWN}
    ),
    Adjustment("mail_other_phone", "one e-mail, but another phone", {"email": ONE_MAIL, "phone": IS_OTHER}),
    Adjustment(
        "phone_slip_only",
        "phones a slip apart, and no e-mail in common",
        {"phone": ("slip",), "email": NO_MAIL},
    ),
    Adjustment(
        "first_and_one_mail",
        "the same first name and exactly one e-mail",
        {"first_name": SAME_FIRST, "email": EQUAL},
    ),
    Adjustment(
        "first_and_mail_no_city",
        "the same first name and e-mail, and no city that objects",
        {"first_name": EQUAL, "email": ONE_MAIL, "city": IS_UNKNOWN},
    ),
    Adjustment("mail_moved", "one e-mail, in another city: moved", {"email": EQUAL, "city": IS_OTHER}),
    Adjustment("phone_moved", "one phone, in another city: moved", {"phone": SAME_PHONE, "city": IS_OTHER}),
    Adjustment(
        "mail_slip_here",
        "e-mails a slip apart in one city",
        {"email": ("domain_slip", "slip"), "city": ("equal", "alike")},
    ),
    Adjustment(
        "street_no_city",
        "the same street, and no city that objects",
        {"street": SAME_STREET, "city": IS_UNKNOWN},
    ),
    Adjustment(
        "last_and_date", "the same last name and birth date", {"last_name": SAME_LAST, "birth_date": EQUAL}
    ),
    Adjustment(
        "last_slip_here",
        "last names alike in one city: mistyped rather than another family",
        {"last_name": ("slip", "alike"), "city": ("equal", "alike")},
    ),
    Adjustment(
        "first_alone",
        "the same first name with another last name, and no postcode",
        {"first_name": SAME_FIRST, "last_name": IS_OTHER, "postcode": IS_UNKNOWN},
    ),
    Adjustment(
        "last_changed",
        "another last name, but mailboxes alike: married",
        {"last_name": IS_OTHER, "email": ("alike",)},
    ),
    Adjustment(
        "city_alone",
        "one city, and neither e-mail nor phone to compare",
        {"email": IS_UNKNOWN, "phone": IS_UNKNOWN, "city": ("equal", "alike")},
    ),
    Adjustment(
        "home_here", "what a household of this city shares", {"home": IS_OTHER, "city": ("equal", "alike")}
    ),
    Adjustment("home_mail", "an e-mail a household shares", {"home": IS_OTHER, "email": EQUAL}),
    Adjustment(
        "initial_given",
        "an initial that fits, with the same last name",
        {"first_name": ("initial",), "last_name": SAME_LAST},
    ),
    Adjustment(
        "mailbox_of_family",
        "the same last name, and a mailbox with another first name",
        {"last_name": EQUAL, "mailbox_name": IS_OTHER},
    ),
    Adjustment(
        "nothing_agrees", "another first name and another e-mail", {"first_name": IS_OTHER, "email": IS_OTHER}
    ),
    Adjustment(
        "postcode_elsewhere",
        "another postcode, and no street to compare",
        {"postcode": IS_OTHER, "street": IS_UNKNOWN},
    ),
)

LABELS = {one.name: one.label for one in (*ADJUSTMENTS, *SHARINGS)}
