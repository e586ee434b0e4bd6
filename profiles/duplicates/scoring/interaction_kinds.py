"""Levels of several fields → what they say together beyond what each says: the kinds of terms and their
constants. Pure.

``interaction_terms`` lists them. ``SHARING_TERMS`` adapt to a base: they count how often profiles there
share what should be one person's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from profiles.duplicates.scoring.levels import BY_FIELD, SAME_FIRST, SAME_HOME, SAME_MAIL, SAME_PHONE
from profiles.duplicates.scoring.similarity import UNKNOWN

PER_DOUBLING = "people"


@dataclass(frozen=True, slots=True)
class Interaction:
    """A weight that counts where all of ``when`` hold (``{field: level names}``).

    ``by``: what the weight is multiplied with: the rarity in bits of a field's names (``first_name``,
    ``last_name``; of two the commoner), or how often the number of profiles has doubled since the size the
    model was fitted at (``PER_DOUBLING``). Empty: it counts once.
    """

    name: str
    label: str
    when: dict[str, tuple[str, ...]]
    by: str = ""

    @property
    def sql(self) -> str:
        """A condition over columns named like the fields, holding level numbers."""
        return " AND ".join(
            f"{field} IN ({', '.join(map(str, self.level_numbers(field)))})" for field in self.when
        )

    def level_numbers(self, field: str) -> tuple[int, ...]:
        names = BY_FIELD[field].names
        return tuple(-1 if name == UNKNOWN else names.index(name) for name in self.when[field])


# Bits a base adds where two profiles share an address: how much more often their first names agree there than differ.
# In a base of families an equal e-mail says little, in one of single people nearly everything. The model's weight
# says how much of these bits counts.
SHARING_TERMS = (
    Interaction("shared_email", "how often one e-mail is one person's here", {"email": SAME_MAIL[:3]}),
    Interaction("shared_phone", "how often one phone is one person's here", {"phone": SAME_PHONE}),
    Interaction("shared_home", "how often one address is one person's here", SAME_HOME),
)
# Added to the counts of (agreeing, differing) first names, so that few pairs do not decide.
SHARED_PRIOR_COUNTS = (5, 10)
MIN_SHARING_BITS, MAX_SHARING_BITS = -4.0, 5.0
# Families often share an e-mail or a phone here: of the pairs that have it in common at least this many, and this share,
# have different first names. Then fathers and sons of one name are common enough to be kept apart, one in a thousand
# pairs (``conditions.DOUBTS``). Stored as 1 or 0.
OFTEN_SHARED_MIN_PAIRS, OFTEN_SHARED_MIN_SHARE = 30, 0.2
OFTEN_SHARED = {"often_email": "shared_email", "often_phone": "shared_phone"}
# Bits every pair of a base gets: how many names with birth date occur twice, compared with 3 in a hundred.
DOUBLED, DOUBLED_PRIOR_COUNTS = "doubled", (3, 100)
SHARED = (*(term.name for term in SHARING_TERMS), DOUBLED)
MEASURED = (*SHARED, *OFTEN_SHARED)
AGREEING_FIRST_NAMES = (*SAME_FIRST, "swapped")
