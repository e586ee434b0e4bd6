"""The name of a value inside JSON that senders shape (event properties, context, rejected items) → its privacy class.

The counterpart of ``personal_data`` for what is no column. Names count as whole words, however they are written
(``firstName``, ``first-name``, ``FIRST_NAME``): “shipping” and “description” contain no “ip”. A name that stands here in
no list is *unknown*: its text is shown without the addresses and phone numbers in it.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

from cdp.personal_data_registry import PrivacyClass
from profiles.personal_data import TABLES

_SPLIT = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_LONGEST_NAME = 200


class SentClass(Enum):
    """IDENTIFYING is hidden whatever it is; FREE_TEXT is hidden where it is text and no date, for people write
    names into it; THING is about a product, an order or the software and is shown as it is.
    """

    IDENTIFYING = "identifying"
    FREE_TEXT = "free text"
    THING = "thing"
    UNKNOWN = "unknown"


def _names(text: str) -> frozenset[tuple[str, ...]]:
    """``"ip, first name"`` → ``{("ip",), ("first", "name")}``."""
    return frozenset(tuple(name.split()) for name in text.split(","))


_PROFILE = next(table for table in TABLES if table.label == "profiles.Profile").classes()
# What a profile's own columns are called here as there; these two are names of other things elsewhere.
_COLUMNS = frozenset(
    tuple(name.split("_"))
    for name, privacy in _PROFILE.items()
    if privacy is PrivacyClass.IDENTIFYING and name not in ("search", "attributes")
)
# Anywhere in a name: ``customer_email``, ``billingPhone``, ``ip_address``.
_IDENTIFYING = (
    _names(
        "email, e mail, mail, emails, phone, phones, telephone, tel, mobile phone, mobile number, cellphone, msisdn, fax, whatsapp, ip, ipv4, ipv6,"
        " street, street1, street2, address, addresses, address1, address2, postcode, postal code, zip, zipcode,"
        " birthdate, birthday, date of birth, birth, dob, firstname, first name, lastname, last name, surname, fullname,"
        " full name, given name, givenname, family name, familyname, middle name, maiden name, forename, nickname, nick name,"
        " username, user name, userid, user id, uid, customerid, customer id, customer number, customer no,"
        " client id, anonymousid, anonymous id, member id, member number, person id, contact id, subscriber id, crm id,"
        " previous id, external id, external ids, device id, device token, advertising id, visitor id,"
        " customer name, contact name, recipient name, receiver name, sender name, buyer name, owner name, friend name,"
        " author name, guest name, patient name, display name, legal name, company name, billing name, shipping name,"
        " delivery name, cardholder, card holder, account holder,"
        " bcc, cc, token, password, passwd, pwd, secret, iban, bic, account number, card number, ssn, pesel, nip, vat id,"
        " tax id, passport, license plate, signature, latitude, longitude, lat, lng, lon, gps, file name, filename,"
        " house number, apartment, avatar"
    )
    | _COLUMNS
)
# As a whole name: names of people at the top of what was sent, unlike ``product_name``.
_IDENTIFYING_ALONE = _names(
    "name, names, user, person, contact, customer, recipient, recipients, receiver, sender, friend, login, mobile"
)
_FREE_TEXT = _names(
    "comment, comments, message, note, notes, remark, remarks, feedback, review, question, answer, inquiry, enquiry, reply,"
    " bio, about, about me, greeting, dedication, engraving, wish, wishes, instructions, subject, body, text, to, reply to,"
    " from, attn, attention of, customer comment, order comment, order note, order notes, gift message, review text,"
    " page title, document title"
)
# Under a name of a thing, ``name``, ``title`` and ``text`` are the thing's.
_THINGS = frozenset(
    "product products item items line lines campaign library app os screen category brand list plan event coupon promotion"
    " network browser shop store variant cart order offer article video button form experiment feature".split()
)
_OF_THINGS = _names("name, title, text, version, type, id, from")
# Where a name means something else than it does elsewhere: (the name around it, the name).
_PATHS = {
    ("page", "title"): SentClass.FREE_TEXT,
    ("page", "name"): SentClass.UNKNOWN,
    ("device", "name"): SentClass.IDENTIFYING,
    ("device", "id"): SentClass.IDENTIFYING,
}
# Numbers and words of software and trade that look like phone numbers and are none.
_THING = _names(
    "sku, ean, gtin, isbn, upc, price, total, revenue, value, quantity, currency, order id, order number, product id,"
    " variant id, checkout id, cart id, item id, transaction id, invoice id, category id, list id, promotion id, campaign id,"
    " plan id, coupon, timestamp, original timestamp, sent at, received at, created at, updated at, time, date, user agent,"
    " version, timezone, locale, message id, write key, tracking number, build"
)
_MOST_WORDS = max(map(len, _IDENTIFYING))


def words_of(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _SPLIT.findall(name[:_LONGEST_NAME]))


@lru_cache(maxsize=8192)
def sent_class(name: str, around: str = "") -> SentClass:
    """The class of a value by its own name and by the name of the object it stands in."""
    words, outer = words_of(name), words_of(around)
    path = ("".join(outer), "".join(words))
    if path in _PATHS:
        return _PATHS[path]
    if words in _THING:
        return SentClass.THING
    if outer and outer[-1] in _THINGS and words in _OF_THINGS:
        return SentClass.UNKNOWN
    if words in _IDENTIFYING_ALONE or _has_identifying(words):
        return SentClass.IDENTIFYING
    return SentClass.FREE_TEXT if words in _FREE_TEXT else SentClass.UNKNOWN


def _has_identifying(words: tuple[str, ...]) -> bool:
    return any(
        words[start : start + size] in _IDENTIFYING
        for start in range(len(words))
        for size in range(1, _MOST_WORDS + 1)
    )


@lru_cache(maxsize=1024)
def is_public_field(name: str) -> bool:
    """Whether a profile's column of this name identifies nobody: ``city`` inside of a masked address."""
    return _PROFILE.get("_".join(words_of(name))) is PrivacyClass.PERSONAL
