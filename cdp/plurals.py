"""A number and the plural of a noun → “1 person”, “1,204 people”: for every text that counts something."""

from __future__ import annotations

_SINGULARS = {
    "people": "person",
    "addresses": "address",
    "entries": "entry",
    "deliveries": "delivery",
    "identities": "identity",
    "histories": "history",
    "matches": "match",
    "searches": "search",
    "batches": "batch",
    "statuses": "status",
}


def noun(plural: str, count: int | None) -> str:
    """The noun for this many of them: “tags”, “tag”; “addresses”, “address”. None counts as many."""
    if count != 1:
        return plural
    head, _, last = plural.rpartition(" ")
    singular = _SINGULARS.get(last, last.removesuffix("s"))
    return f"{head} {singular}".strip()


def counted(count: int, plural: str) -> str:
    """“1 person”, “1,204 people”, “0 new people”."""
    return f"{count:,} {noun(plural, count)}"
