"""Consent items → entries in the consent ledger, or why an item is refused.

A public key may always send a no. A yes from it needs the wording the person saw, and never overrules a no; a yes of
a server does with its reason and proof.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.sql import Answer
from profiles.consent.ledger import GRANTED, clean_consent, current_consents, record_consent
from profiles.journal import Cause
from profiles.tracking.ingest.call_plan import Resolution
from profiles.tracking.ingest.identifiers import ItemIdentifiers
from profiles.tracking.parse.item_types import CONFLICT, Item, RefusedItem
from profiles.tracking.sources.write_keys import Sender


def check_consent(identifiers: ItemIdentifiers, sender: Sender) -> ItemIdentifiers | RefusedItem:
    """The item's identifiers as they came, or why the ledger cannot take the item."""
    item = identifiers.item
    try:
        _, _, state = clean_consent(**_consent_fields(item), reason=_text(item, "reason"), at=None)
    except Invalid as invalid:
        problems = [
            {
                "code": "bad_consent",
                "pointer": f"/{problem['field']}",
                "value": problem["value"],
                "message": problem["message"],
            }
            for problem in invalid.problems
        ]
        return RefusedItem.of(item, "bad_consent", problems[0]["message"], problems=problems)
    if sender.is_web and state == GRANTED and not _text(item, "wording"):
        message = "Consent granted on a page needs “wording”: the text the person agreed to."
        return RefusedItem.of(item, "consent_without_wording", message)
    return identifiers


def record_consents(
    resolutions: Iterable[Resolution], events: Answer[dict[Any, int]], *, sender: Sender, actor: Actor
) -> dict[int, tuple[str, str, str]]:
    """Write the decisions of one call's consent items, in their order, into the consent ledger.

    The conflicts, by the item's index: (outcome, code, message) of a yes that was not recorded.
    """
    conflicts = {}
    for resolution in resolutions:
        item = resolution.item
        if item.message_id not in events.value:
            continue
        fields, profile = _consent_fields(item), resolution.profile.survivor()
        channel, purpose, state = clean_consent(**fields, at=None)
        if sender.is_web and state == GRANTED:
            current = current_consents([profile.id]).get(profile.id, {}).get((channel, purpose))
            if current is not None and current.is_no:
                message = (
                    f"The person withdrew {channel}/{purpose}; a page's key cannot change that to granted."
                )
                conflicts[item.index] = (CONFLICT, "consent_upgrade", message)
                continue
        try:
            record_consent(
                profile_id=profile.id,
                **fields,
                at=item.occurred_at,
                wording=_text(item, "wording"),
                reason=_text(item, "reason"),
                proof=_proof(item),
                origin=_origin(item),
                actor=actor,
                source=sender.source,
                cause=Cause("event", events.value[item.message_id]),
                via_id=resolution.member_id or None,
            )
        except Invalid as invalid:  # a yes after a no, without its reason or proof
            conflicts[item.index] = (CONFLICT, "consent_upgrade", invalid.message)
    return conflicts


def _consent_fields(item: Item) -> dict[str, str]:
    return {name: _text(item, name) for name in ("channel", "purpose", "state")}


def _text(item: Item, name: str) -> str:
    value = item.properties.get(name)
    return value.strip() if isinstance(value, str) else ""


def _proof(item: Item) -> dict[str, Any]:
    given = item.properties.get("proof")
    return {"proof": given} if given else {}


def _origin(item: Item) -> dict[str, Any]:
    page = item.context.get("page")
    url = page.get("url") if isinstance(page, dict) else None
    return {"message_id": item.message_text, **({"url": url} if isinstance(url, str) else {})}
