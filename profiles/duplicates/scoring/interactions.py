"""Kinds of interactions between fields, and how often profiles of a base share what should be one's own. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from profiles.duplicates.scoring.levels import BY_FIELD, SAME_FIRST, SAME_HOME, SAME_MAIL, SAME_PHONE
from profiles.duplicates.scoring.similarity import UNKNOWN

PER_DOUBLING = "people"


@dataclass(frozen=True, slots=True)
class Interaction:
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
        return " AND ".join(
            f"{field} IN ({', '.join(map(str, self.level_numbers(field)))})" for field in self.when
        )

    def level_numbers(self, field: str) -> tuple[int, ...]:
        names = BY_FIELD[field].names
        return tuple(-1 if name == UNKNOWN else names.index(name) for name in self.when[field])


# Bits a base adds where two share an address: how much more often they agree in their first names there than not.
# In a base of families an equal e-mail says little, in one of single people nearly everything. ``weight`` of the
# model is how much of these bits counts.
SHARING_TERMS = (
    Interaction("shared_email", "how often one e-mail is one person's here", {"email": SAME_MAIL[:3]}),
    Interaction("shared_phone", "how often one phone is one person's here", {"phone": SAME_PHONE}),
    Interaction("shared_home", "how often one address is one person's here", SAME_HOME),
)
# Before anything is counted people are taken to share: (agreeing, not agreeing) pairs of first names.
SHARED_PRIOR_COUNTS = (5, 10)
MIN_SHARING_BITS, MAX_SHARING_BITS = -4.0, 5.0
# Whether families often share an e-mail or a phone: of the pairs who have it in common so many have unlike first
# names, and they are this share. There fathers and sons of one name are many enough to be kept apart, one in a thousand
# pairs (``tiers.DOUBTS``). Written as 1 or 0.
OFTEN_SHARED_MIN_PAIRS, OFTEN_SHARED_MIN_SHARE = 30, 0.2
OFTEN_SHARED = {"often_email": "shared_email", "often_phone": "shared_phone"}
# Bits every pair of a base gets: how many people have their name and birth date twice, beside 3 in a hundred.
DOUBLED, DOUBLED_PRIOR_COUNTS = "doubled", (3, 100)
SHARED = (*(term.name for term in SHARING_TERMS), DOUBLED)
MEASURED = (*SHARED, *OFTEN_SHARED)
AGREEING_FIRST_NAMES = (*SAME_FIRST, "swapped")
