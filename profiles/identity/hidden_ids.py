"""What was sent where it identifies nobody → the identifiers hidden in it, at any depth, by their value or by their name. Pure.

One detector for receipts, the scorecard and its alarms, the check-up, the advice about a file's columns and “Why separate?”.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from profiles.identity.emails import is_role
from profiles.identity.field_names import fold_name, is_customer_id
from profiles.identity.presets import BROWSER, CUSTOMER, EMAIL

# What each is sent as, in the words of the tracking API.
SENT_AS = {EMAIL: "as traits.email of identify", CUSTOMER: "as userId of identify", BROWSER: "as anonymousId"}
LABELS = {EMAIL: "an e-mail address", CUSTOMER: "the id of a customer", BROWSER: "the id of a browser"}
_EMAIL = re.compile(r"[^\s@<>,;:/?&=]+@[^\s@<>,;:/?&=]+\.[^\W\d_]{2,}")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_MAX_EMAIL = 254
# Names that say by themselves what they hold, beside those of customers (``field_names``).
_NAMES = {
    "email": EMAIL,
    "emailaddress": EMAIL,
    "useremail": EMAIL,
    "customeremail": EMAIL,
    "memberid": CUSTOMER,
    "membernumber": CUSTOMER,
    "memberno": CUSTOMER,
    "contactid": CUSTOMER,
    "personid": CUSTOMER,
    "subscriberid": CUSTOMER,
    "crmid": CUSTOMER,
    "anonymousid": BROWSER,
}
# Names that may hold anything else, too: only with a number in it is the value an id.
_LOOSE_NAMES = frozenset({"user", "customer", "member", "contact", "person", "login", "uid", "loginid"})
# Words of names whose addresses are those of other people.
_SOMEBODY_ELSE = frozenset(
    "agent author bcc cc copy creator driver friend from gift giftee host invitee invited inviter manager merchant"
    " owner recipient referee referral referrer reply rep seller sender shop store supplier support to vendor".split()
)


class HiddenId(NamedTuple):
    """``pointer`` leads to the value (``/contact/mail``), ``type`` is what it probably is."""

    pointer: str
    value: str
    type: str

    @property
    def path(self) -> str:
        """``contact.mail``."""
        return self.pointer.strip("/").replace("/", ".")


def is_email(text: str) -> bool:
    """Whether a text as a whole is the address of a person: not a sentence with one in it, nor ``info@``."""
    if "@" not in text or len(text) > _MAX_EMAIL:
        return False
    address = text.strip()
    return _EMAIL.fullmatch(address) is not None and not is_role(address)


class _Name(NamedTuple):
    """What a name says: the type of what it holds, for sure or only ``if_numbered``; and whether that is somebody else's."""

    type: str
    if_numbered: bool
    is_of_somebody_else: bool


@lru_cache(maxsize=8192)
def _read_name(name: str) -> _Name:
    folded = fold_name(name)
    words = {word.lower() for word in _WORDS.findall(name)}
    is_loose = folded in _LOOSE_NAMES
    named_type = CUSTOMER if is_loose or is_customer_id(name) else _NAMES.get(folded, "")
    return _Name(named_type, is_loose, not _SOMEBODY_ELSE.isdisjoint(words))


def type_of_name(name: str) -> str:
    """What a name alone says it holds for sure, or ""."""
    named = _read_name(name)
    return "" if named.if_numbered or named.is_of_somebody_else else named.type


def is_of_somebody_else(name: str) -> bool:
    """``friend_email``, ``Account owner``: not about whoever sends it, or whoever the row is about."""
    return _read_name(name).is_of_somebody_else


def type_of(name: str, value: Any) -> str:
    """What a single value probably is, by itself or by its name, or ""."""
    named = _read_name(name)
    if value.__class__ is str:
        if "@" in value and is_email(value):
            return "" if named.is_of_somebody_else else EMAIL
        if not named.type or not value or value.isspace():
            return ""
    elif not named.type or value.__class__ is not int:
        return ""
    has_digit = not named.if_numbered or any(char.isdigit() for char in str(value))
    return named.type if has_digit else ""


def hidden_ids(document: Any, pointer: str = "") -> list[HiddenId]:
    """Every identifier in a parsed JSON document, in its order. What belongs to somebody else is passed over as a whole.

    ``pointer`` is where the document stands. Called for every event that arrives.
    """
    found: list[HiddenId] = []
    _collect(document, pointer, pointer.rpartition("/")[2], found)
    return found


def _collect(document: Any, pointer: str, name: str, found: list[HiddenId]) -> None:
    kind = document.__class__
    if kind is dict:
        for key, value in document.items():
            inner = value.__class__
            # Nearly every value is none, and a text without "@" is one by its name only.
            if inner is str or inner is int:
                if (_read_name(key).type or (inner is str and "@" in value)) and (
                    hidden_type := type_of(key, value)
                ):
                    found.append(HiddenId(f"{pointer}/{key}", str(value), hidden_type))
            elif (inner is dict or inner is list) and not _read_name(key).is_of_somebody_else:
                _collect(value, f"{pointer}/{key}", key, found)
    elif kind is list:
        for position, value in enumerate(document):
            _collect(value, f"{pointer}/{position}", name, found)
    elif hidden_type := type_of(name, document):
        found.append(HiddenId(pointer, str(document), hidden_type))


def type_of_browser_id(value: str, user_id: str = "") -> str:
    """What a soft id probably is instead of a browser's own: an e-mail, or the very userId it was sent with; else ""."""
    if is_email(value):
        return EMAIL
    return CUSTOMER if user_id and value == user_id else ""


def sentence(hidden: HiddenId) -> str:
    """What is wrong with it and how to send it."""
    return (
        f"“{hidden.path}” looks like {LABELS[hidden.type]} but identifies nobody there;"
        f" send it {SENT_AS[hidden.type]}."
    )


def soft_sentence(pointer: str, hidden_type: str) -> str:
    """The same of a soft id (``/anonymousId``) that is an e-mail or a userId."""
    name = "anonymousId" if pointer == "/anonymousId" else pointer.strip("/").replace("/", ".")
    return (
        f"“{name}” is {LABELS[hidden_type]}, and a browser's id identifies a browser, not a person: send it"
        f" {SENT_AS[hidden_type]}, and leave {name} to the snippet or SDK."
    )
