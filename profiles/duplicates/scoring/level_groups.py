"""What fields say together, as a shape, and the groups of levels such situations are made of. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from profiles.duplicates.scoring.levels import BY_FIELD
from profiles.duplicates.scoring.similarity import DIFFERS, UNKNOWN

PER_PEOPLE = "people"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What fields say together beyond what each says: all of ``when`` hold (``{field: level names}``).

    ``by``: what the weight counts for each bit of: how rare the names of a field are (``first_name``, ``last_name``; of
    two the commoner), or how often people have doubled (``PER_PEOPLE``) since the size the model was fitted at. Empty: once.
    """

    name: str
    label: str
    when: dict[str, tuple[str, ...]]
    by: str = ""

    @property
    def sql(self) -> str:
        """Over columns named like the fields, holding level numbers."""
        return " AND ".join(f"{field} IN ({', '.join(map(str, self.places(field)))})" for field in self.when)

    def places(self, field: str) -> tuple[int, ...]:
        names = BY_FIELD[field].names
        return tuple(-1 if name == UNKNOWN else names.index(name) for name in self.when[field])


SAME_FIRST = ("equal", "nickname", "part", "initial", "slip", "alike")
SAME_LAST = ("equal", "part", "slip", "alike")
SAME_MAIL = ("equal", "domain_slip", "slip", "mailbox")
SAME_PHONE = ("equal", "tail", "slip")
SAME_DATE = ("equal", "day_for_month", "slip")
SAME_STREET = ("equal", "alike")
NEAR_STREET = (*SAME_STREET, "street")
ONE_HOME: dict[str, tuple[str, ...]] = {"street": NEAR_STREET, "postcode": ("equal", "slip", UNKNOWN)}
IS_OTHER = (DIFFERS,)
IS_UNKNOWN = (UNKNOWN,)
EQUAL = ("equal",)
CROSSED = ("swapped", "crossed")
ONE_MAIL = ("equal", "domain_slip", "slip")
NO_MAIL = (UNKNOWN, "alike", DIFFERS)
NO_PHONE = (UNKNOWN, DIFFERS)
