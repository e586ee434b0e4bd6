"""One person → the panels about who they are: contact, consents, attributes, tags, identifiers, devices."""

from __future__ import annotations

from typing import Any

from profiles.admin.card_panels import CardContext, CardPanel, panels
from profiles.admin.card_rows import CONTACT, consent_rows, tag_rows
from profiles.models import IdentifierType, Tag
from profiles.reading.devices import devices_of

# So many names are offered where a tag is added.
_TAG_NAMES = 300


def _contact(card: CardContext) -> dict[str, Any]:
    return {"contact": [row for row in card.attributes if row.spec.field in CONTACT]}


def _consents(card: CardContext) -> dict[str, Any]:
    return {"consents": consent_rows(card.view)}


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
