"""One person → the panels about who they are: contact, consents, attributes, tags, identifiers, devices, carts."""

from __future__ import annotations

from typing import Any

from profiles.admin.card_panels import CardContext, CardPanel, panels
from profiles.admin.card_rows import CONTACT, cart_row, consent_rows, decision_rows, tag_rows
from profiles.consent.lists import consent_lists
from profiles.consent.words import WordList
from profiles.models import Consent, IdentifierType, Tag
from profiles.reading.carts import cart_views, carts_of
from profiles.reading.devices import devices_of

# So many names are offered where a tag is added.
_TAG_NAMES = 300
# So many decisions are listed, newest first; the GDPR export and the API have all.
_DECISIONS = 50
# So many carts, the latest first; the API has all.
_CARTS = 5


def _contact(card: CardContext) -> dict[str, Any]:
    return {"contact": [row for row in card.attributes if row.spec.field in CONTACT]}


def _consents(card: CardContext) -> dict[str, Any]:
    """What holds, the ledger it follows from, and what can be decided about."""
    lists = consent_lists()
    ledger = Consent.objects.filter(profile__canonical_id=card.root.pk).select_related(
        "source", "user", "key"
    )
    decisions = decision_rows(list(ledger[:_DECISIONS]), can_view_pii=card.can_view_pii)
    rows = consent_rows(card.view, decisions, can_view_pii=card.can_view_pii)
    decided = list(card.view.consents)
    return {
        "consents": rows,
        "decisions": decisions,
        "consent_channels": _choices(lists.channels, {channel for channel, _ in decided}),
        "consent_purposes": _choices(lists.purposes, {purpose for _, purpose in decided}),
        "standing_noes": [row for row in rows if row.standing_no],
        "reasons": Consent.Reason.choices,
    }


def _choices(words: WordList, decided: set[str]) -> list[tuple[str, str]]:
    """What the form offers: all that people can be asked for, and what this person can still withdraw."""
    return [
        (word.name, f"{word.label} (archived)" if word.is_archived else word.label)
        for word in words
        if not word.is_archived or word.name in decided
    ]


def _attributes(card: CardContext) -> dict[str, Any]:
    return {"attributes": [row for row in card.attributes if row.spec.field not in CONTACT]}


def _tags(card: CardContext) -> dict[str, Any]:
    names = Tag.objects.values_list("name", flat=True)[:_TAG_NAMES]
    return {
        "tags": tag_rows(card.view, card.origins),
        "tag_names": list(names) if card.may["change"] else [],
    }


def _identifiers(card: CardContext) -> dict[str, Any]:
    """Those listed beside an e-mail or phone are left out."""
    listed = {row.identifier.pk for attribute in card.attributes for row in attribute.identifiers}
    browsers = [row for row in card.identifiers if row.is_browser]
    others = [row for row in card.identifiers if not row.is_browser and row.identifier.pk not in listed]
    types = list(IdentifierType.objects.all()) if card.may["change"] else []
    return {"identifiers": others, "browsers": browsers, "identifier_types": types}


def _carts(card: CardContext) -> dict[str, Any]:
    rows = list(carts_of(card.root.pk)[:_CARTS])
    return {"carts": [cart_row(view) for view in cart_views(rows)]}


def _devices(card: CardContext) -> dict[str, Any]:
    return {"devices": devices_of(card.root.pk)}


panels.register("contact", CardPanel("about", "admin/profiles/card_contact.html", _contact), order=10)
panels.register("consents", CardPanel("about", "admin/profiles/card_consents.html", _consents), order=20)
panels.register(
    "attributes", CardPanel("about", "admin/profiles/card_attributes.html", _attributes), order=30
)
panels.register("tags", CardPanel("about", "admin/profiles/card_tags.html", _tags), order=40)
panels.register(
    "identifiers", CardPanel("about", "admin/profiles/card_identifiers.html", _identifiers), order=50
)
panels.register("devices", CardPanel("about", "admin/profiles/card_devices.html", _devices), order=60)
panels.register(
    "carts",
    CardPanel("about", "admin/profiles/card_carts.html", _carts, permission="profiles.view_cart"),
    order=70,
)
