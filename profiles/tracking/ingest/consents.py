"""Consent calls: what a person decided, sent by a page or a server, into the ledger (G4).

A public key may always say no. A yes of its needs the wording the person saw, and never overrules a no.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.sql import Answer
from profiles.consent.ledger import GRANTED, WITHDRAWN, clean_consent, current_consents, record_consent
from profiles.journal import Cause
from profiles.tracking.ingest.identifiers import Claims
from profiles.tracking.ingest.identity_resolution import Landing
from profiles.tracking.parse.item_types import Item, RefusedItem
from profiles.tracking.sources.write_keys import Sender


def check_consent(claims: Claims, sender: Sender) -> Claims | RefusedItem:
    """The claims again, or why the ledger cannot take this."""
    item = claims.item
    try:
        _, _, state = clean_consent(**_words(item), at=None)
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
        return _refusal(item, "bad_consent", problems[0]["message"], tuple(problems))
    if sender.is_web and state == GRANTED and not _text(item, "wording"):
        message = "A yes that comes from a page needs “wording”: which text the person agreed to."
        return _refusal(item, "consent_without_wording", message)
    return claims


def record_consents(
    landings: Iterable[Landing], events: Answer[dict[Any, int]], *, sender: Sender, actor: Actor
) -> None:
    """Write the decisions of one call's consent items in their order, each through the ledger's own verb."""
    for landing in landings:
        item = landing.claims.item
        if item.message_id not in events.value:
            continue
        words, person = _words(item), landing.person.now()
        channel, purpose, state = clean_consent(**words, at=None)
        if sender.is_web and state == GRANTED:
            current = current_consents([person.id]).get(person.id, {}).get((channel, purpose))
            if current is not None and current.state == WITHDRAWN:
                landing.clashes(
                    "consent_upgrade",
                    f"The person said no to {channel}/{purpose}; a page's key cannot turn that into a yes.",
                )
                continue
        record_consent(
            profile_id=person.id,
            **words,
            at=item.occurred_at,
            wording=_text(item, "wording"),
            proof=_proof(item),
            actor=actor,
            source=sender.source,
            cause=Cause("event", events.value[item.message_id]),
            via_id=landing.member_id or None,
        )


def _words(item: Item) -> dict[str, str]:
    return {name: _text(item, name) for name in ("channel", "purpose", "state")}


def _text(item: Item, name: str) -> str:
    value = item.properties.get(name)
    return value.strip() if isinstance(value, str) else ""


def _proof(item: Item) -> dict[str, Any]:
    page = item.context.get("page")
    given = item.properties.get("proof")
    return {
        "message_id": item.message_text,
        **({"url": page["url"]} if isinstance(page, dict) and isinstance(page.get("url"), str) else {}),
        **({"proof": given} if given else {}),
    }


def _refusal(item: Item, code: str, message: str, problems: tuple[dict[str, Any], ...] = ()) -> RefusedItem:
    return RefusedItem(
        item.index,
        code=code,
        message=message,
        raw=item.raw,
        kind=item.kind,
        name=item.name,
        message_text=item.message_text,
        problems=problems,
    )
