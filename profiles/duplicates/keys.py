"""Match keys: profiles that share one are compared (blocking). Pure.

Each key is a few parts of what is known, hashed to 63 bits. A true pair with a slip in one field shares a key over
others. A key held by more than ``BLOCK`` profiles says too little, costs too much, and is skipped and reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b

from profiles.duplicates.traits import Traits

BLOCK = 200


def match_keys(traits: Traits, ids: Iterable[int] = ()) -> list[int]:
    """The sorted hashes of a profile's keys; ``ids`` (of identifiers, see ``tiers.Side``) are keys themselves."""
    return sorted({*map(hashed, key_texts(traits)), *ids})


def hashed(text: str) -> int:
    """63 bits of a text, the same for ever."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def key_texts(traits: Traits) -> Iterator[str]:
    """The keys in words, as ``kind:part:part``."""
    first, last, date, city = traits.first, traits.last, traits.birth_date, traits.city
    mailbox, phone = traits.mailbox, traits.phone
    for mail in traits.emails or filter(None, (traits.email,)):
        yield f"mail:{mail}"
    if mailbox and len(mailbox) >= 5:
        yield f"box:{mailbox}"
    if mailbox and traits.domain and len(mailbox) >= 4:
        # One slip in the mailbox leaves one of its halves.
        half = (len(mailbox) + 1) // 2
        yield f"mh:{traits.domain}:{mailbox[:half]}"
        yield f"mt:{traits.domain}:{mailbox[-half:]}"
    for number in traits.phones or filter(None, (phone,)):
        if len(number) >= 7:
            yield f"tel:{number[-7:]}"
    if phone and len(phone) >= 7:
        yield f"ph:{phone[:-4]}:{last or first or ''}"
        yield f"pt:{phone[-4:]}:{last or first or ''}"
    if first and last:
        # In either order, for names that stand in each other's place.
        yield f"name:{':'.join(sorted((first, last)))}"
        yield f"n3:{first[:3]}:{last[:3]}:{city or ''}"
    if date:
        for part in (last and last[:3], first and first[:3], city, mailbox and mailbox[:4]):
            if part:
                yield f"date:{date}:{part}"
        if first and last:
            # The date with a slip: its year, or its day and month, with the name.
            yield f"dn:{date[:4]}:{first[:2]}:{last[:4]}"
            yield f"dm:{date[5:]}:{first[:2]}:{last[:4]}"
    if last:
        if mailbox:
            yield f"lm:{last}:{mailbox[:4]}"
        if city and first:
            yield f"lc:{last}:{city}:{first[:1]}"
    if first and city and mailbox:
        yield f"fc:{first}:{city}:{mailbox[:3]}"
    if first and mailbox and len(mailbox) >= 4:
        yield f"fm:{first}:{mailbox[:5]}"
    if traits.street and traits.postcode:
        yield f"at:{traits.postcode}:{traits.street}:{(last or first or '')[:2]}"
    if traits.postcode and last:
        yield f"pl:{traits.postcode}:{last[:4]}"
    if traits.postcode and first:
        yield f"pf:{traits.postcode}:{first[:3]}"
