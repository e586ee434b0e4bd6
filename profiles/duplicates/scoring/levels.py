"""Two profiles' features → the level of every field's comparison, the first that holds; best levels first.
Pure.

Each level once as Python and once as SQL (see ``similarity``).
"""

from __future__ import annotations

from profiles.duplicates.scoring.features import Features
from profiles.duplicates.scoring.similarity import (
    DIFFERS,
    GIVEN_SQL,
    NAMED_SQL,
    NOTHING,
    PARTED_SQL,
    SAME_HOUSE_SQL,
    SAME_STREET_SQL,
    SWAPPED,
    UNKNOWN,
    Comparison,
    Level,
    alike,
    alike_sql,
    differs,
    equal,
    equal_any,
    is_alike,
    is_crossed,
    is_day_for_month,
    is_given,
    is_given_alike,
    is_given_initial,
    is_initial,
    is_name_in_mailbox_known,
    is_part,
    is_parted,
    is_same_house,
    is_same_street,
    is_slip,
    slip,
    slip_sql,
    whole_street_sql,
)

COMPARISONS = (
    Comparison(
        "first_name",
        "first names",
        "first",
        (
            equal("first"),
            SWAPPED,
            Level(
                "part",
                "share the first of several",
                "(starts_with(l.first, r.first || ' ') OR starts_with(r.first, l.first || ' '))",
                lambda a, b: is_part(a.first or "", b.first or ""),
            ),
            Level(
                "nickname",
                "are forms of one name",
                "list_has_any(l.first_groups, r.first_groups)",
                lambda a, b: (
                    bool(a.first_groups and b.first_groups)
                    and not set(a.first_groups).isdisjoint(b.first_groups)
                ),
            ),
            Level(
                "initial",
                "begin with the same letter, one is an initial",
                "(left(l.first, 1) = left(r.first, 1) AND 1 IN (length(l.first), length(r.first)))",
                lambda a, b: is_initial(a.first or "", b.first or ""),
            ),
            slip("first", 3),
            alike("first", 0.9),
            Level(
                "crossed",
                "differ, but one has the other's last name",
                "((left(l.first, 1) = left(r.last, 1) AND jaro_winkler_similarity(l.first, r.last) >= 0.9)"
                " OR (left(l.last, 1) = left(r.first, 1) AND jaro_winkler_similarity(l.last, r.first) >= 0.9))",
                lambda a, b: is_crossed(a, b) or is_crossed(b, a),
            ),
            differs(),
        ),
        is_rarity_counted=True,
    ),
    Comparison(
        "last_name",
        "last names",
        "last",
        (
            equal("last"),
            SWAPPED,
            Level(
                "part",
                "share a part of a double name",
                "(l.last_head = r.last OR r.last_head = l.last)",
                lambda a, b: b.last in (a.last, a.last_head) or a.last == b.last_head,
            ),
            slip("last", 4),
            alike("last", 0.9),
            differs(),
        ),
        is_rarity_counted=True,
    ),
    Comparison(
        "email",
        "e-mail addresses",
        "email",
        (
            equal_any("email", "emails"),
            Level(
                "domain_slip",
                "have one mailbox at a mistyped domain",
                "(l.mailbox = r.mailbox AND jaro_winkler_similarity(l.domain, r.domain) >= 0.92)",
                lambda a, b: a.mailbox == b.mailbox and is_alike(a.domain or "", b.domain or "", 0.92),
            ),
            Level(
                "slip",
                "are one slip apart",
                f"(l.domain = r.domain AND {slip_sql('mailbox', 4)})",
                lambda a, b: a.domain == b.domain and is_slip(a.mailbox or "", b.mailbox or "", 4),
            ),
            Level(
                "mailbox",
                "have one mailbox at different domains",
                "(l.mailbox = r.mailbox AND length(l.mailbox) >= 6)",
                lambda a, b: a.mailbox == b.mailbox and len(a.mailbox or "") >= 6,
            ),
            Level(
                "alike",
                "are alike",
                alike_sql("mailbox", 0.92),
                lambda a, b: is_alike(a.mailbox or "", b.mailbox or "", 0.92),
            ),
            differs(),
        ),
    ),
    Comparison(
        "phone",
        "phone numbers",
        "phone",
        (
            equal_any("phone", "phones"),
            Level(
                "tail",
                "end in the same eight digits",
                "(least(length(l.phone), length(r.phone)) >= 8 AND right(l.phone, 8) = right(r.phone, 8))",
                lambda a, b: (
                    min(len(a.phone or ""), len(b.phone or "")) >= 8
                    and (a.phone or "")[-8:] == (b.phone or "")[-8:]
                ),
            ),
            slip("phone", 8),
            differs(),
        ),
    ),
    Comparison(
        "birth_date",
        "birth dates",
        "birth_date",
        (
            equal("birth_date"),
            Level(
                "day_for_month",
                "have day and month swapped",
                "(left(l.birth_date, 5) = left(r.birth_date, 5)"
                " AND substring(l.birth_date, 6, 2) = substring(r.birth_date, 9, 2)"
                " AND substring(l.birth_date, 9, 2) = substring(r.birth_date, 6, 2))",
                lambda a, b: is_day_for_month(a.birth_date or "", b.birth_date or ""),
            ),
            slip("birth_date", 10),
            Level(
                "parted",
                "share two of year, month and day",
                PARTED_SQL,
                lambda a, b: is_parted(a.birth_date or "", b.birth_date or ""),
            ),
            differs(),
        ),
    ),
    Comparison(
        "city",
        "cities",
        "city",
        (equal("city"), alike("city", 0.9), differs()),
        is_rarity_counted=True,
    ),
    Comparison(
        "street",
        "streets",
        "street",
        (
            Level(
                "equal",
                "are equal",
                f"{whole_street_sql('l')} = {whole_street_sql('r')}",
                lambda a, b: (a.street or "").replace(" ", "") == (b.street or "").replace(" ", ""),
            ),
            Level(
                "alike",
                "are alike and have one house number",
                f"({SAME_HOUSE_SQL} AND {SAME_STREET_SQL})",
                lambda a, b: (
                    is_same_house(a.street or "", b.street or "")
                    and is_same_street(a.street or "", b.street or "")
                ),
            ),
            Level(
                "street",
                "are alike, with different house numbers",
                SAME_STREET_SQL,
                lambda a, b: is_same_street(a.street or "", b.street or ""),
            ),
            Level(
                "house",
                "differ, but have one house number",
                SAME_HOUSE_SQL,
                lambda a, b: is_same_house(a.street or "", b.street or ""),
            ),
            differs(),
        ),
    ),
    Comparison("postcode", "postcodes", "postcode", (equal("postcode"), slip("postcode", 4), differs())),
    Comparison(
        "mailbox_name",
        "a missing first name and the one",
        "mailbox",
        (
            Level(
                "name",
                "in the mailbox are one",
                f"(length({NAMED_SQL}) >= 2 AND starts_with({GIVEN_SQL}, {NAMED_SQL}))",
                is_given,
            ),
            Level(
                "initial",
                "whose initial the mailbox has agree",
                f"starts_with({NAMED_SQL}, {GIVEN_SQL})",
                is_given_initial,
            ),
            Level(
                "alike",
                "in the mailbox are alike",
                f"jaro_winkler_similarity({GIVEN_SQL}, {NAMED_SQL}) >= 0.88",
                is_given_alike,
            ),
            differs("in the mailbox differ"),
        ),
        known=is_name_in_mailbox_known,
        known_sql=f"((l.first IS NULL) <> (r.first IS NULL) AND coalesce({GIVEN_SQL}, '') <> '')",
        display_field="email",
    ),
    Comparison(
        "home",
        "what they share",
        "household_values",
        (differs("is also held by somebody with another first name"),),
        known=lambda a, b: (
            bool(a.household_values and b.household_values)
            and not set(a.household_values).isdisjoint(b.household_values)
        ),
        known_sql="(len(l.household_values) > 0 AND list_has_any(l.household_values, r.household_values))",
        display_field=NOTHING,
    ),
)
BY_FIELD = {comparison.field: comparison for comparison in COMPARISONS}


class Levels(dict[str, int]):
    """The level's number by field, -1 for unknown; computed when it is first asked for.

    For most candidates first names or birth dates decide, and no other field is needed.
    """

    __slots__ = ("left", "right")

    def __init__(self, left: Features, right: Features) -> None:
        super().__init__()
        self.left, self.right = left, right

    def __missing__(self, field: str) -> int:
        level = self[field] = BY_FIELD[field].level_of(self.left, self.right)
        return level


# --- Groups of levels that interactions and tiers name --------------------------------------------------------

SAME_FIRST = ("equal", "nickname", "part", "initial", "slip", "alike")
SAME_LAST = ("equal", "part", "slip", "alike")
SAME_MAIL = ("equal", "domain_slip", "slip", "mailbox")
SAME_PHONE = ("equal", "tail", "slip")
SAME_DATE = ("equal", "day_for_month", "slip")
SAME_STREET = ("equal", "alike")
NEAR_STREET = (*SAME_STREET, "street")
SAME_HOME: dict[str, tuple[str, ...]] = {"street": NEAR_STREET, "postcode": ("equal", "slip", UNKNOWN)}
DIFFERENT = (DIFFERS,)
IS_UNKNOWN = (UNKNOWN,)
EQUAL = ("equal",)
CROSSED = ("swapped", "crossed")
NEARLY_EQUAL_MAIL = ("equal", "domain_slip", "slip")
NO_MAIL = (UNKNOWN, "alike", DIFFERS)
NO_PHONE = (UNKNOWN, DIFFERS)
