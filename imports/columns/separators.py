"""Sample cells → what stands between several values in one cell, if anything does. Pure."""

from collections.abc import Sequence

from imports.columns.targets import Context

# Longest first: “ ::: ” is Google's. A comma needs no mention for tags and lists, it is what they are split at.
GOOGLE = " ::: "
SEPARATORS = {
    GOOGLE: "“:::”",
    ";": "semicolon",
    "|": "vertical bar",
    ",": "comma",
    " ": "space",
    "\n": "line break",
}
_FEW = 0.5


def separator_of(to: str, values: Sequence[str], context: Context) -> str:
    """The separator to use for a column with this target; "" for the usual one, or where a cell holds one value."""
    if to == "tags":
        found = tag_separator(values)
        return "" if found == "," else found
    prefix, _, name = to.partition(".")
    if prefix == "attributes":
        spec = context.attribute_by_name.get(name)
        found = _written_out(values) if spec and spec.type == "list" else ""
        return "" if found in (",", ";") else found
    if to in ("email", "phone", "identifier.email", "identifier.phone"):
        found = _written_out(values)
        return "" if to.endswith("phone") and found in (",", " ") else found
    return ""


def tag_separator(values: Sequence[str]) -> str:
    """What stands between the tags in these cells, "" when no cell has more than one."""
    return _written_out(values) or (" " if _are_words(values) else "")


def _written_out(values: Sequence[str]) -> str:
    found = {
        separator: sum((separator.strip() or separator) in value for value in values)
        for separator in SEPARATORS
        if separator != " "
    }
    if found[GOOGLE]:
        return GOOGLE
    best = max(found, key=lambda separator: found[separator])
    return best if found[best] else ""


def _are_words(values: Sequence[str]) -> bool:
    """Whether spaces separate: every cell has words without capitals, and those of cells with several also stand elsewhere.

    “new customer” beside “vip” is one tag of two words; “loyalty räder_teile” beside “loyalty” is two tags.
    """
    if any(value != value.lower() for value in values):
        return False
    several = {value for value in values if " " in value}
    elsewhere: dict[str, set[str]] = {}
    for value in set(values):
        for word in value.split():
            elsewhere.setdefault(word, set()).add(value)
    return bool(several) and all(
        sum(len(elsewhere[word]) > 1 for word in value.split()) >= len(value.split()) * _FEW
        for value in several
    )
