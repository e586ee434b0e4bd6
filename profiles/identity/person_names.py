"""A whole name in one cell → first name and last name. Pure.

A small splitter of our own: the libraries for this take 100 µs and more a name, ten times what a row of an import costs,
and put titles and second names aside where we would lose them.
"""

import re
from functools import lru_cache

from profiles.identity.text import text

# Words that belong to the last name they stand before; only where something stands before them.
_PARTICLES = frozenset(
    "af al ap av aw bin bint da dal dalla de degli dei del della der des di do dos du e edler el freiherr graf la las le "
    "les lo los mac mc of san santa st. ste. te ten ter 't tot und v. van vande vanden vander vd von vom zu zum zur y"
    " von't van't op den dem het d' o'".split()
)
_TITLES = frozenset(
    "mr mrs ms miss mx sir dr prof dipl ing mag herr frau hr fr mme mlle monsieur madame mademoiselle pan pani "
    "sra srta señor señora don doña sig sigra signor signora dhr mevr mw".split()
)
_SUFFIXES = frozenset("jr sr ii iii iv phd md mba esq jun sen junior senior".split())
_EAST_ASIAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\s\u3000・]+")


@lru_cache(maxsize=4096)
def split_name(raw: str) -> tuple[str, str]:
    """(first name, last name), either of which may be empty; one word alone is a first name.

    “Last, First” is turned round. Particles (van der, de la) stay with the last name, as do Jr. and the like; a
    title in front (Dr., Mrs) is left out. Every other word is kept.
    """
    value = " ".join(text(raw).split())
    if _EAST_ASIAN.fullmatch(value) and " " in value:
        family, _, given = value.partition(" ")
        return given, family
    before, comma, behind = value.partition(",")
    if comma and behind.strip() and not _are(_SUFFIXES, behind.split()):
        return " ".join(_without_titles(behind.split())), before.strip()
    words = _without_titles(value.replace(",", " ").split())
    if len(words) < 2:
        return " ".join(words), ""
    end = len(words)
    while end > 2 and _are(_SUFFIXES, words[end - 1 : end]):
        end -= 1
    start = end - 1
    while start > 1 and words[start - 1].casefold() in _PARTICLES:
        start -= 1
    return " ".join(words[:start]), " ".join(words[start:])


def _are(known: frozenset[str], words: list[str]) -> bool:
    return all(word.strip(".").casefold() in known for word in words)


def _without_titles(words: list[str]) -> list[str]:
    start = 0
    while start < len(words) - 1 and _is_title(words[start]):
        start += 1
    return words[start:]


def _is_title(word: str) -> bool:
    bare = word.rstrip(".").casefold()
    return bare in _TITLES
