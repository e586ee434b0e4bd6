"""Match keys: profiles that share one are compared (blocking). Pure.

Each key is a few parts of what is known, hashed to 63 bits. A true pair with a slip in one field shares a key over
others. A key held by more than ``BLOCK`` profiles says too little, costs too much, and is skipped and reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from profiles.duplicates.scoring.features import Traits

# With 200, 31 more pairs of 148,000 are found among a million people, of a third more candidates.
BLOCK = 100
_NOT_PLAIN = re.compile("[^a-z0-9]")
_DIGITS = str.maketrans("", "", "0123456789")


def match_keys(traits: Traits, ids: Iterable[int] = ()) -> list[int]:
    """The sorted hashes of a profile's keys; ``ids`` (of identifiers, see ``tiers.Side``) are keys themselves."""
    return sorted({*map(hashed, key_texts(traits)), *ids})


def hashed(text: str) -> int:
    """63 bits of a text, the same for ever."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def key_texts(traits: Traits) -> Iterator[str]:
    """The keys in words, as ``kind:part:part``."""
    first, last, date, city = traits.first, traits.last, traits.birth_date, traits.city
    mailbox, phone, name = traits.mailbox, traits.phone, last or first or ""
    for mail in traits.emails or filter(None, (traits.email,)):
        yield f"mail:{mail}"
    if mailbox and len(bare := _NOT_PLAIN.sub("", mailbox)) >= 5:
        yield f"box:{bare}"
    if mailbox and traits.domain and len(mailbox) >= 6:
        # One slip in the first half of a mailbox; one in the second leaves "lm" below.
        yield f"mt:{traits.domain}:{mailbox[-(len(mailbox) // 2 + 1) :]}"
    for number in traits.phones or filter(None, (phone,)):
        if len(number) >= 7:
            yield f"tel:{number[-7:]}"
    if phone and len(phone) >= 7:
        yield f"ph:{phone[:-2]}:{name[:1]}"
        yield f"pt:{phone[-5:]}:{(first or last or '')[:2]}"
    if first and last:
        # In either order, for names that stand in each other's place.
        yield f"name:{':'.join(sorted((first, traits.last_head or last)))}"
        yield f"n3:{':'.join(sorted((first[:3], last[:3])))}:{city or ''}"
        yield f"nl:{first[:3]}:{last}"
        yield f"nf:{first}:{last[:4]}"
    if date:
        for part in (last and last[:3], first and first[:3], city, mailbox and mailbox[:4]):
            if part:
                yield f"date:{date}:{part}"
        if first and last:
            # The date with a slip: its year, or its day and month, with the name.
            yield f"dn:{date[:4]}:{first[:2]}:{last[:4]}"
            yield f"dm:{date[5:]}:{first[:2]}:{last[:4]}"
            yield f"dq:{date[:7]}:{first}:{last[:1]}"
    if last and mailbox:
        yield f"lm:{last[:5]}:{mailbox[:4]}"
    if last and city and first:
        yield f"lc:{last}:{city}:{first[:1]}"
    yield from _at_home(traits)


def _at_home(traits: Traits) -> Iterator[str]:
    """Keys of who says where they live; each name may stand in the other's place."""
    names = [name for name in (traits.first, traits.last) if name]
    date, postcode = traits.birth_date, traits.postcode
    city = (traits.city or "").replace(" ", "")
    if traits.street:
        street = traits.street.replace(" ", "")
        letters = street.translate(_DIGITS)
        if city:
            yield f"sc:{street}:{city}"
        if postcode:
            yield f"sp:{street}:{postcode}"
        for name in names:
            yield f"st:{street}:{name[:2]}"
            if city:
                # The house number left out, or another one.
                yield f"sn:{letters}:{city}:{name[:1]}"
        if traits.last:
            yield f"sl:{letters[:5]}:{traits.last[:4]}"
        house = "".join(filter(str.isdigit, traits.street))
        if house and city and names:
            yield f"hc:{house}:{city}:{names[0][:3]}"
    if postcode:
        for name in names:
            yield f"pn:{postcode}:{name[:4]}"
        if date:
            yield f"pd:{postcode}:{date}"
