"""One raw item of a call → an Item, or a RefusedItem with the reason. Pure: no query, no setting.

An item is refused when its type or its ids are missing; a value that is merely wrong is left
out, with a problem, and the item goes on.
"""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from profiles.identity.field_names import is_customer_id
from profiles.identity.presets import CONTACTS
from profiles.tracking.parse.clock import occurred_at, timestamp_of
from profiles.tracking.parse.envelope import FIELDS, envelope_of, with_misplaced_parts
from profiles.tracking.parse.item_text import (
    MAX_TEXT,
    NOTHING,
    item_problem,
    name_text,
    number_text,
    problem_text,
    problem_value,
)
from profiles.tracking.parse.item_types import KINDS, Item, ItemProblem, RefusedItem
from profiles.tracking.parse.message_ids import message_text_of, message_uuid
from profiles.tracking.parse.secrets import remove_secrets
from profiles.tracking.parse.trait_names import fields_of

_KINDS = frozenset(KINDS)
_WITH_TRAITS = frozenset({"identify", "update", "group"})
# What a consent's state may be sent as, in any case; yes and no mean what they say.
_STATES = {
    "granted": "granted",
    "yes": "granted",
    "true": "granted",
    "withdrawn": "withdrawn",
    "denied": "withdrawn",
    "no": "withdrawn",
    "false": "withdrawn",
}


class _ItemRefused(Exception):
    def __init__(self, code: str, message: str, pointer: str = "", value: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.pointer, self.value = code, message, pointer, value


def read_item(
    raw: Any,
    *,
    index: int,
    received_at: datetime.datetime,
    kind: str | None = None,
    sent_at: Any = None,
    context: dict[str, Any] | None = None,
) -> Item | RefusedItem:
    """One sanitized item, read. Never raises.

    ``kind`` is the path's; without it the item's ``type``. ``sent_at`` and ``context`` are the batch's: the
    item's own win, context name by name. ``received_at`` is when the call arrived (for a replay, the first
    time). A messageId has any length; other ids have at most 255 characters. Refusal codes: not_an_object, unknown_type, bad_message_id, bad_id, id_too_long, missing_event_name,
    name_too_long, missing_identifier, missing_group_id, bad_consent.
    """
    if not isinstance(raw, dict):
        return RefusedItem(index, "not_an_object", "This item is not a JSON object.", raw)
    name = ""
    item_kind = kind
    secrets = remove_secrets(raw)
    try:
        item_kind = _kind(raw, kind)
        text, message_id = _message_id(raw.get("messageId"))
        name = _name(raw, item_kind)
        return _read(raw, index, item_kind, name, text, message_id, received_at, sent_at, context, secrets)
    except _ItemRefused as refusal:
        problem = {
            "pointer": refusal.pointer,
            "value": problem_value(refusal.value),
            "message": refusal.message,
            "code": refusal.code,
        }
        return RefusedItem(
            index,
            refusal.code,
            refusal.message,
            raw,
            kind=item_kind or problem_text(raw.get("type"), 20),
            name=name or problem_text(raw.get("event"), MAX_TEXT),
            message_text=message_text_of(raw.get("messageId")),
            problems=(*secrets, *((problem,) if refusal.pointer else ())),
        )


def _read(
    raw: dict[str, Any],
    index: int,
    kind: str,
    name: str,
    text: str,
    message_id: uuid.UUID,
    received_at: datetime.datetime,
    sent_at: Any,
    context: dict[str, Any] | None,
    problems: list[ItemProblem],
) -> Item:
    """``problems`` are what was found before; more are added."""
    merged_context = _context(raw.get("context"), context, problems)
    user_id = _id(raw.get("userId"), "userId")
    if user_id is None and not raw.keys() <= FIELDS[kind]:
        user_id = _user_id_by_another_name(raw, kind)
    anonymous_id = _id(raw.get("anonymousId"), "anonymousId")
    external = merged_context.get("externalIds")
    external_ids = _external_ids(external, problems) if external else ()
    previous_id = _id(raw.get("previousId"), "previousId") if kind == "alias" else None
    group_id = _id(raw.get("groupId"), "groupId") if kind == "group" else None
    has_id = user_id is not None or anonymous_id is not None or (bool(external_ids) and kind != "alias")
    # An identify may say whom it is about among its traits; whether that identifies is the source's to say.
    if not has_id and not (kind == "identify" and _says_who(raw, merged_context)):
        raise _nobody(kind)
    if kind == "alias" and previous_id is None:
        raise _nobody(kind)
    if kind == "group" and group_id is None:
        raise _ItemRefused(
            "missing_group_id", "A group call needs a groupId.", "/groupId", raw.get("groupId")
        )
    properties = _properties(raw, kind, merged_context, problems)
    sent = raw.get("sentAt") or sent_at
    timestamp = raw.get("timestamp")
    if "originalTimestamp" in raw:
        timestamp = timestamp_of(raw["originalTimestamp"], timestamp, sent_at=sent, received_at=received_at)
    moment = occurred_at(received_at=received_at, timestamp=timestamp, sent_at=sent)
    for bad in moment.bad:
        problems.append(_bad_time(raw, bad, timestamp, sent))
    user_hash = merged_context.get("userHash")
    ids = {
        "user_id": user_id,
        "anonymous_id": anonymous_id,
        "previous_id": previous_id,
        "group_id": group_id,
    }
    envelope = envelope_of(raw, kind, text, message_id, ids, timestamp, sent, moment)
    if problems or kind == "consent":
        envelope = with_misplaced_parts(envelope, raw, kind, properties)
    return Item(
        index=index,
        kind=kind,
        name=name,
        message_id=message_id,
        message_text=text,
        user_id=user_id,
        anonymous_id=anonymous_id,
        previous_id=previous_id,
        group_id=group_id,
        external_ids=external_ids,
        user_hash=user_hash if isinstance(user_hash, str) and user_hash else None,
        properties=properties,
        context=merged_context,
        occurred_at=moment.at,
        received_at=received_at,
        envelope=envelope,
        raw=raw,
        problems=tuple(problems),
    )


def _kind(raw: dict[str, Any], kind: str | None) -> str:
    raw_kind = kind or raw.get("type")
    if isinstance(raw_kind, str):
        if raw_kind in _KINDS:
            return raw_kind
        if (lowered := raw_kind.strip().lower()) in _KINDS:
            return lowered
    known = ", ".join(KINDS)
    if raw_kind is None or raw_kind == "":
        raise _ItemRefused(
            "unknown_type", f"This item has no “type”. Give one of {known}.", "/type", raw_kind
        )
    message = f"“{problem_text(raw_kind, 40)}” is not a type of call. Give one of {known}."
    raise _ItemRefused("unknown_type", message, "/type", raw_kind)


def _message_id(raw: Any) -> tuple[str, uuid.UUID]:
    """Compared whole, however long; a whole number is one, too."""
    if raw is None or raw == "":
        made = uuid.uuid4()
        return str(made), made
    text = message_text_of(raw)
    if not text:
        message = "The messageId is neither a text nor a number."
        raise _ItemRefused("bad_message_id", message, "/messageId", raw)
    return text, message_uuid(text)


def _name(raw: dict[str, Any], kind: str) -> str:
    if kind == "track":
        name, pointer = name_text(raw.get("event")), "/event"
        if not name:
            raise _ItemRefused(
                "missing_event_name",
                "A track call needs the event's name in “event”.",
                pointer,
                raw.get("event"),
            )
    elif kind in ("page", "screen"):
        name, pointer = name_text(raw.get("name")), "/name"
        properties = raw.get("properties")
        if not name and isinstance(properties, dict):
            name, pointer = name_text(properties.get("name")), "/properties/name"
    else:
        return ""
    if len(name) > MAX_TEXT:
        message = f"The event's name has {len(name):,} characters; the limit is {MAX_TEXT}."
        raise _ItemRefused("name_too_long", message, pointer, name)
    return name


def _id(raw: Any, name: str) -> str | None:
    if raw is None or raw is False:  # PHP writes false where it has none
        return None
    if type(raw) is not str:
        value = number_text(raw) if isinstance(raw, (int, float)) and not isinstance(raw, bool) else None
        if value is None:
            raise _ItemRefused("bad_id", f"The {name} is neither a text nor a number.", f"/{name}", raw)
        return value
    if len(raw) > MAX_TEXT:
        message = f"The {name} has {len(raw):,} characters; the limit is {MAX_TEXT}."
        raise _ItemRefused("id_too_long", message, f"/{name}", raw)
    return raw if raw and not raw.isspace() else None


def _user_id_by_another_name(raw: dict[str, Any], kind: str) -> str | None:
    """``customId`` and the like beside the traits, as other tools' clients send it."""
    for name in sorted(raw.keys() - FIELDS[kind]):
        if is_customer_id(name) and (user_id := _id(raw[name], name)) is not None:
            return user_id
    return None


def _nobody(kind: str) -> _ItemRefused:
    if kind == "alias":
        message = "An alias call needs a previousId and a userId (or anonymousId)."
    elif kind == "identify":
        message = "Give a userId, an anonymousId, one of context.externalIds, or traits.email."
    else:
        message = "Give a userId, an anonymousId or one of context.externalIds."
    return _ItemRefused("missing_identifier", message)


def _says_who(raw: dict[str, Any], context: dict[str, Any]) -> bool:
    """Whether the traits of an identify have a customer's id, an e-mail or a phone."""
    traits = _properties(raw, "identify", context, [])
    if any(is_customer_id(name) and value not in NOTHING for name, value in traits.items()):
        return True
    fields = fields_of(traits).fields
    return any(isinstance(value := fields.get(name), str) and value.strip() for name in CONTACTS)


def _external_ids(raw: Any, problems: list[ItemProblem]) -> tuple[tuple[str, str, bool], ...]:
    """``[{"type", "id", "verified"?}]``; entries that are not are left out, with a problem."""
    if not isinstance(raw, list):
        problems.append(
            item_problem(
                "bad_external_id",
                "/context/externalIds",
                raw,
                "externalIds is not a list, so it was not used.",
            )
        )
        return ()
    external_ids = []
    for position, entry in enumerate(raw):
        pointer = f"/context/externalIds/{position}"
        kind = entry.get("type") if isinstance(entry, dict) else None
        if not isinstance(kind, str) or not kind:
            message = "This external id has no “type” and “id”, so it was not used."
            problems.append(item_problem("bad_external_id", pointer, entry, message))
            continue
        value = _id(entry.get("id"), f"context/externalIds/{position}/id")
        if value is not None:
            external_ids.append((kind, value, entry.get("verified") is True))
    return tuple(external_ids)


def _context(own: Any, batch: dict[str, Any] | None, problems: list[ItemProblem]) -> dict[str, Any]:
    if own is not None and not isinstance(own, dict):
        problems.append(
            item_problem(
                "bad_context",
                "/context",
                own,
                "“context” is not an object, so it was not used; it stays with the event.",
            )
        )
        own = None
    if not batch:
        return own or {}
    return {**batch, **own} if own else dict(batch)


def _properties(
    raw: dict[str, Any], kind: str, context: dict[str, Any], problems: list[ItemProblem]
) -> dict[str, Any]:
    """The properties of an event, the traits of identify, update and group, the words of a consent."""
    if kind == "alias":
        return _object(raw, "properties", problems) if "properties" in raw else {}
    if kind == "consent":
        return _consent(raw)
    if kind not in _WITH_TRAITS:
        properties = _object(raw, "properties", problems)
        if kind == "track":
            return properties
        # What a page or a screen is called is a property of it, as most SDKs send it; the property wins.
        given = {name: raw[name] for name in ("name", "category") if raw.get(name) not in NOTHING}
        return {**given, **properties} if given else properties
    traits = _object(raw, "traits", problems)
    # Some SDKs send identify's traits in the context alone; on other calls that is a copy of earlier ones.
    if kind == "identify" and isinstance(context_traits := context.get("traits"), dict):
        traits = {**context_traits, **traits}
    return traits


def _object(raw: dict[str, Any], name: str, problems: list[ItemProblem]) -> dict[str, Any]:
    value = raw.get(name)
    if isinstance(value, dict):
        return value
    if value not in (None, "", []):
        problems.append(
            item_problem(
                f"bad_{name}",
                f"/{name}",
                value,
                f"“{name}” is not an object, so it was not used; it stays with the event.",
            )
        )
    return {}


def _consent(raw: dict[str, Any]) -> dict[str, Any]:
    inner = raw.get("properties")
    given = {**(inner if isinstance(inner, dict) else {}), **raw}
    consent: dict[str, Any] = {}
    for name, limit in (("channel", 30), ("purpose", 60)):
        value = name_text(given.get(name))
        if not 0 < len(value) <= limit:
            message = f"A consent needs a “{name}” of 1 to {limit} characters."
            raise _ItemRefused("bad_consent", message, f"/{name}", given.get(name))
        consent[name] = value
    sent = given.get("state")
    state = _STATES.get(str(sent).strip().lower()) if isinstance(sent, (str, bool)) else None
    if state is None:
        raise _ItemRefused("bad_consent", "A consent's “state” is “granted” or “withdrawn”.", "/state", sent)
    consent["state"] = state
    consent.update(
        {name: given[name] for name in ("wording", "reason", "proof") if given.get(name) not in NOTHING}
    )
    return consent


def _bad_time(raw: dict[str, Any], name: str, timestamp: Any, sent: Any) -> ItemProblem:
    if name == "sentAt":
        return item_problem(
            "bad_time",
            "/sentAt",
            sent,
            "sentAt is not a time, so the client's clock was assumed to be right.",
        )
    own = "originalTimestamp" if raw.get("originalTimestamp") == timestamp else "timestamp"
    message = f"The {own} is not a time that can be stored; the time it arrived is used instead."
    return item_problem("bad_time", f"/{own}", timestamp, message)
