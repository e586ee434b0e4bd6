"""What counts for less, or for more, beside what else is known: rare names in a family, a name made into a mailbox. Pure.

Found by asking which situations the other weights misjudge most often; each has a reason in words.
"""

from __future__ import annotations

from profiles.duplicates.scoring.level_groups import (
    CROSSED,
    EQUAL,
    IS_OTHER,
    IS_UNKNOWN,
    NO_MAIL,
    NO_PHONE,
    ONE_MAIL,
    PER_PEOPLE,
    SAME_DATE,
    SAME_FIRST,
    SAME_LAST,
    SAME_PHONE,
    SAME_STREET,
    Adjustment,
)

BESIDE = (
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
