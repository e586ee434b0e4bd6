"""The words of a search → a query for the same words with one slip of the finger: a letter more, less, other or swapped.

Every spelling is looked up as a whole word in the index of names that is there anyway. Trigrams would need an index of
their own, which every import and every tracked trait would have to keep; some five hundred look-ups of words, nearly
all of which nobody has, take ten milliseconds at a million people and cost writers nothing.
"""

from __future__ import annotations

import re

# In shorter words one slip makes another name of most; longer ones are no names.
SHORTEST, LONGEST = 4, 24
# So many words of a search may have the slip; each makes some hundred spellings.
MOST_WORDS = 2
_WORD = re.compile(r"(?<!')'((?:[^']|'')++)':\*")
_ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "абвгґдеєжзиійїклмнопрстуфхцчшщъыьэюя",
    "αβγδεζηθικλμνξοπρςστυφχψω",
)


def with_one_slip(tsquery: str) -> str:
    """A tsquery of whole words for one of prefixes joined by AND; "" where no word can be looked up like that."""
    if "|" in tsquery:
        return ""
    words = [word for word in _WORD.findall(tsquery) if len(word) > 2 and "'" not in word]
    slipped = sorted((word for word in words if spellings(word)), key=len, reverse=True)[:MOST_WORDS]
    alternatives = []
    for word in slipped:
        near = " | ".join(f"'{spelling}'" for spelling in spellings(word))
        others = [f"'{other}':*" for other in words if other != word]
        alternatives.append(" & ".join([f"({near})", *others]))
    return " | ".join(f"({alternative})" for alternative in alternatives)


def spellings(word: str) -> list[str]:
    """What the word may have been meant to be; none for numbers and for letters without an alphabet here."""
    alphabet = next((letters for letters in _ALPHABETS if set(word) <= set(letters)), "")
    if not alphabet or not SHORTEST <= len(word) <= LONGEST:
        return []
    splits = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    fewer = [left + right[1:] for left, right in splits if right]
    swapped = [left + right[1] + right[0] + right[2:] for left, right in splits if len(right) > 1]
    other = [left + letter + right[1:] for left, right in splits if right for letter in alphabet]
    more = [left + letter + right for left, right in splits for letter in alphabet]
    return sorted({*fewer, *swapped, *other, *more} - {word})
