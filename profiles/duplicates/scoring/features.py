"""A profile's attributes and identifiers → the normalized features that are compared, and its match keys.
Pure.

What people type differently is equal here. Values that identify nobody (junk names and addresses, dates a
form fills in by default) are left out, and so are role addresses ("info@"), which several people write
from.

Profiles that share a match key are compared (blocking). Each key is a few features, hashed to 63 bits; a
true pair with a typo in one feature shares a key of other features. A key of more than ``MAX_KEY_HOLDERS``
profiles costs too much for what it finds, and is skipped and reported.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from profiles.duplicates.scoring.nicknames import groups_of
from profiles.identity.blocked_values import is_blocked
from profiles.identity.emails import email as clean_email
from profiles.identity.emails import is_role
from profiles.identity.phones import phone as clean_phone
from profiles.identity.text import BadValue

_LETTERS = str.maketrans(
    {"ł": "l", "ß": "ss", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"}
)
_JUNK_NAMES = frozenset(
    "anonymous asdf customer first firstname guest last lastname name na nan nil none null qwerty test tester"
    " undefined unknown user x xx xxx".split()
) | {"n a", "not available", "test user", "first name", "last name"}
_JUNK_MAILBOXES = frozenset(
    "a aa aaa abc asdf blank customer email example fake guest mail na no noemail nomail none nope noreply null"
    " qwerty test testing unknown user x xx xxx".split()
)
_JUNK_DOMAINS = frozenset(
    "a.com aa.com asdf.com example.com example.org none.com test.com unknown.com".split()
)
# Providers for which dots in a mailbox mean nothing.
_DOTLESS = {"gmail.com": "gmail.com", "googlemail.com": "gmail.com"}
# What date pickers and old systems write for "unknown".
_JUNK_DATES = frozenset({"1900-01-01", "1901-01-01", "1970-01-01", "1980-01-01", "1990-01-01", "2000-01-01"})
_DIGITS = re.compile(r"\D+")


@dataclass(slots=True)
class Features:
    """What is compared; None is unknown. All text is folded; ``birth_date`` is ISO.

    ``first_groups``: nickname groups. ``last_head``: the first part of a double name. ``mailbox``: what
    stands before "@", without "+tag". ``phone``: digits with the country code, where it is known.
    ``emails`` and ``phones``: all of them where there are several, else empty. ``household_values``: those
    of them that a household shares.
    """

    first: str | None = None
    first_groups: tuple[int, ...] = ()
    last: str | None = None
    last_head: str | None = None
    email: str | None = None
    mailbox: str | None = None
    domain: str | None = None
    phone: str | None = None
    birth_date: str | None = None
    city: str | None = None
    street: str | None = None
    postcode: str | None = None
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    household_values: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing that identifies a person is known."""
        return not any(getattr(self, name) for name in _COMPARED_FEATURES)


# Columns of a match row. ``household_values`` follow from other profiles (``households.py``) and are not stored.
COLUMNS = tuple(field.name for field in fields(Features) if field.name != "household_values")
_COMPARED_FEATURES = ("first", "last", "email", "phone", "birth_date", "street")


def read_features(
    values: Mapping[str, Any],
    *,
    region: str = "",
    emails: Iterable[str] = (),
    phones: Iterable[str] = (),
) -> Features:
    """The features of a profile's default attributes. Raw text is fine; what cannot be read is unknown.

    ``emails`` and ``phones``: further ones the profile has.
    """
    first, last = name(values.get("first_name")), name(values.get("last_name"))
    mails = _unique(email(value) for value in (values.get("email"), *emails))
    numbers = _unique(phone(value, region) for value in (values.get("phone"), *phones))
    mail = mails[0] if mails else None
    mailbox, _, domain = mail.partition("@") if mail else (None, "", None)
    return Features(
        first=first,
        first_groups=tuple(groups_of(first.partition(" ")[0])) if first else (),
        last=last,
        last_head=last.partition(" ")[0] if last else None,
        email=mail,
        mailbox=mailbox,
        domain=domain,
        phone=numbers[0] if numbers else None,
        birth_date=birth_date(values.get("birth_date")),
        city=_folded_text(values.get("city")),
        street=_folded_text(values.get("street")),
        postcode=(_folded_text(values.get("postcode")) or "").replace(" ", "") or None,
        emails=tuple(sorted(mails)) if len(mails) > 1 else (),
        phones=tuple(sorted(numbers)) if len(numbers) > 1 else (),
    )


def _unique(values: Iterable[str | None]) -> list[str]:
    """Each value once, in the order given."""
    return list(dict.fromkeys(filter(None, values)))


@lru_cache(maxsize=65_536)
def fold(text: str) -> str:
    """Lower case, without accents; letters and digits of any alphabet, one space between words."""
    # Compatibility letters (Ǽ, ᴬ) must be decomposed first, and may have to be lowered after that.
    lowered = unicodedata.normalize("NFKD", text).lower().translate(_LETTERS)
    decomposed = unicodedata.normalize("NFKD", lowered)
    kept = "".join(char if char.isalnum() else " " for char in decomposed if not unicodedata.combining(char))
    return " ".join(kept.split())


def _folded_text(value: object) -> str | None:
    return (fold(str(value)) or None) if value else None


def name(value: object) -> str | None:
    """A given or family name, folded; None for placeholders such as "n/a" or "test"."""
    folded = _folded_text(value)
    if folded is None or folded in _JUNK_NAMES or not any(char.isalpha() for char in folded):
        return None
    return folded


def email(value: object) -> str | None:
    """The address, normalized; None for junk and role addresses."""
    if not value or is_blocked(str(value), kind="email"):
        return None
    try:
        mailbox, _, domain = clean_email(str(value)).partition("@")
    except BadValue:
        return None
    mailbox = mailbox.partition("+")[0] or mailbox
    if is_role(mailbox) or (mailbox in _JUNK_MAILBOXES and _is_junk_mailbox(mailbox, domain)):
        return None
    if plain := _DOTLESS.get(domain):
        mailbox, domain = mailbox.replace(".", ""), plain
    return f"{mailbox}@{domain}"


def _is_junk_mailbox(mailbox: str, domain: str) -> bool:
    """ "test@test.com", "customer@example.com", "no@email.com": a mailbox nobody has, at a domain like it."""
    return domain in _JUNK_DOMAINS or domain.partition(".")[0] in _JUNK_MAILBOXES


def phone(value: object, region: str = "") -> str | None:
    """Digits, with the country code where it is known; None for repeated or consecutive digits."""
    if not value:
        return None
    raw = str(value)
    try:
        digits = clean_phone(raw, region)[1:]
    except BadValue:
        digits = _DIGITS.sub("", raw).lstrip("0")
        if not 7 <= len(digits) <= 15:
            return None
    tail = digits[-7:]
    if len(set(tail)) == 1 or tail in "01234567890" or tail in "98765432109":
        return None
    return digits


def birth_date(value: object) -> str | None:
    """The date in ISO form; None for dates that forms fill in by default."""
    if not value:
        return None
    text = str(value)[:10]
    return None if text in _JUNK_DATES or len(text) != 10 else text


# --- Match keys -----------------------------------------------------------------------------------------------

# At 200, 31 more of 148,000 pairs are found among a million profiles, for a third more candidates.
MAX_KEY_HOLDERS = 100
_NOT_PLAIN = re.compile("[^a-z0-9]")
_WITHOUT_DIGITS = str.maketrans("", "", "0123456789")


def match_keys(features: Features, ids: Iterable[int] = ()) -> list[int]:
    """The sorted hashes of a profile's keys; ``ids`` (``tiers.ComparedProfile.ids``) are keys themselves."""
    return sorted({*map(key_hash, key_texts(features)), *ids})


def key_hash(text: str) -> int:
    """The first 63 bits of a text's hash; stored, so it must never change."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def key_texts(features: Features) -> Iterator[str]:
    """The keys before hashing, as ``kind:part:part``."""
    first, last, date, city = features.first, features.last, features.birth_date, features.city
    mailbox, phone, name = features.mailbox, features.phone, last or first or ""
    for mail in features.emails or filter(None, (features.email,)):
        yield f"mail:{mail}"
    if mailbox and len(bare := _NOT_PLAIN.sub("", mailbox)) >= 5:
        yield f"box:{bare}"
    if mailbox and features.domain and len(mailbox) >= 6:
        # Finds a typo in the first half of a mailbox; for one in the second half there is "lm" below.
        yield f"mt:{features.domain}:{mailbox[-(len(mailbox) // 2 + 1) :]}"
    for number in features.phones or filter(None, (phone,)):
        if len(number) >= 7:
            yield f"tel:{number[-7:]}"
    if phone and len(phone) >= 7:
        yield f"ph:{phone[:-2]}:{name[:1]}"
        yield f"pt:{phone[-5:]}:{(first or last or '')[:2]}"
    if first and last:
        # In either order, for first and last names that are swapped.
        yield f"name:{':'.join(sorted((first, features.last_head or last)))}"
        yield f"n3:{':'.join(sorted((first[:3], last[:3])))}:{city or ''}"
        yield f"nl:{first[:3]}:{last}"
        yield f"nf:{first}:{last[:4]}"
    if date:
        for part in (last and last[:3], first and first[:3], city, mailbox and mailbox[:4]):
            if part:
                yield f"date:{date}:{part}"
        if first and last:
            # Finds a typo in the date: its year, or its day and month, with the name.
            yield f"dn:{date[:4]}:{first[:2]}:{last[:4]}"
            yield f"dm:{date[5:]}:{first[:2]}:{last[:4]}"
            yield f"dq:{date[:7]}:{first}:{last[:1]}"
    if last and mailbox:
        yield f"lm:{last[:5]}:{mailbox[:4]}"
    if last and city and first:
        yield f"lc:{last}:{city}:{first[:1]}"
    yield from _address_keys(features)


def _address_keys(features: Features) -> Iterator[str]:
    """Keys of profiles with a street or postcode; with either name, since the two may be swapped."""
    names = [name for name in (features.first, features.last) if name]
    date, postcode = features.birth_date, features.postcode
    city = (features.city or "").replace(" ", "")
    if features.street:
        street = features.street.replace(" ", "")
        letters = street.translate(_WITHOUT_DIGITS)
        if city:
            yield f"sc:{street}:{city}"
        if postcode:
            yield f"sp:{street}:{postcode}"
        for name in names:
            yield f"st:{street}:{name[:2]}"
            if city:
                # Finds a missing or different house number.
                yield f"sn:{letters}:{city}:{name[:1]}"
        if features.last:
            yield f"sl:{letters[:5]}:{features.last[:4]}"
        house = "".join(filter(str.isdigit, features.street))
        if house and city and names:
            yield f"hc:{house}:{city}:{names[0][:3]}"
    if postcode:
        for name in names:
            yield f"pn:{postcode}:{name[:4]}"
        if date:
            yield f"pd:{postcode}:{date}"
