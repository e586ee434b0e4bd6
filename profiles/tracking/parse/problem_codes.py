"""The code of a problem of an item that was carried out → where the value it is about is kept. Pure."""

from __future__ import annotations

ALTERNATE, EVENT, STORED, LEFT_OUT, REJECTED = "alternate", "event", "stored", "left_out", "rejected"
LABELS = {
    ALTERNATE: "kept as an alternate",
    EVENT: "kept in the event only",
    STORED: "stored",
    LEFT_OUT: "left out",
    REJECTED: "waits under Rejected",
}
# Values that lost to others. One of these ends as TOO_MANY where the person has many already.
TOO_MANY_ALTERNATES = "too_many_alternates"
_ALTERNATES = frozenset({"kept_value", "late_value", "verified_value", "other_value"})
# What cannot be stored, whose value the problem has, and what must not be.
_LEFT_OUT = frozenset({"number_too_large", "name_taken", "not_storable", "secret_removed"})
# Stored, though not as the sender may have meant it.
_STORED = frozenset(
    {
        "text_cleaned",
        "changed_hands",
        "stays_with_owner",
        "waits_for_confirmation",
        "too_many",
        "schema_violation",
        "identifier_clash",
        "held",
        "bad_time",
    }
)


def kept_as(code: str, *, is_rejected: bool = False) -> str:
    """``alternate``, ``event``, ``stored`` or ``left_out``; ``rejected`` for all of an item that was not carried out.

    Whatever a call of a known kind says is in its event: that is where a value is that is nowhere else.
    """
    if is_rejected:
        return REJECTED
    if code in _ALTERNATES:
        return ALTERNATE
    if code in _LEFT_OUT:
        return LEFT_OUT
    return STORED if code in _STORED else EVENT
