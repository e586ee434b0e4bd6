"""The recorded calls of one browser → what is wrong with them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cdp.plurals import counted
from profiles.identity.field_names import is_customer_id
from profiles.identity.hidden_ids import LABELS, HiddenId, hidden_ids, is_email
from profiles.tracking.monitor.live import RecordedCall
from profiles.tracking.monitor.shop_events import CART_NAMES, ORDER, has_value
from profiles.tracking.parse.trait_names import fields_of

_SKUS = {"sku": "sku", "product_sku": "product_sku", "productSku": "productSku", "product_id": "product_id"}


@dataclass(frozen=True, slots=True)
class Flag:
    """One thing that looks wrong: what was seen, why it matters and what to change. ``is_bad``: profiles get mixed up."""

    code: str
    title: str
    text: str
    fix: str
    count: int
    is_bad: bool = False


def flags_of(calls: Sequence[RecordedCall]) -> list[Flag]:
    """What stands out among one browser's calls (any order), the gravest first. No query."""
    ordered = sorted(calls, key=lambda call: (call.occurred_at or call.at, call.receipt_id))
    flags = [check(ordered) for check in _CHECKS]
    return [flag for flag in flags if flag is not None]


def _no_reset(calls: Sequence[RecordedCall]) -> Flag | None:
    users = {call.user_id for call in calls if call.user_id}
    if len(users) < 2:
        return None
    return Flag(
        "missing_reset",
        f"{len(users)} people on one browser",
        "Calls of this browser carry different userIds under one anonymousId. Nobody is merged, but what was done"
        " between two logins counts for the person who was logged in before.",
        "Call reset() when somebody logs out.",
        len(users),
        is_bad=True,
    )


def _hidden_identifier(calls: Sequence[RecordedCall]) -> Flag | None:
    hidden = [(call, found) for call in calls if (found := _hidden_in(call))]
    if not hidden:
        return None
    where = sorted({f"{call.name or call.kind}: {item.path}" for call, items in hidden for item in items})
    return Flag(
        "identifier_in_update",
        "An identifier is sent as a plain value",
        f"It looks like an e-mail or an id, but identifies nobody there ({', '.join(where[:3])}). The visitor stays"
        " anonymous and gets a second profile elsewhere.",
        "Send it by identify, as traits.email or userId.",
        len(hidden),
        is_bad=True,
    )


def _hidden_in(call: RecordedCall) -> list[HiddenId]:
    """Identifiers in a call where they identify nobody; an identify reads its own e-mail, phone and customer id."""
    document = call.properties
    if not isinstance(document, dict):
        return []
    sent = {call.user_id, call.anonymous_id}
    if call.kind == "identify":
        traits = fields_of(document)
        sent |= {str(value) for value in traits.fields.values()}
        document = {name: value for name, value in traits.unknown.items() if not is_customer_id(name)}
    return [hidden for hidden in hidden_ids(document) if hidden.value not in sent]


def _identifier_as_browser_id(calls: Sequence[RecordedCall]) -> Flag | None:
    users = {call.user_id for call in calls}
    matching = [
        call
        for call in calls
        if call.anonymous_id and (is_email(call.anonymous_id) or call.anonymous_id in users)
    ]
    if not matching:
        return None
    what = LABELS["email" if is_email(matching[0].anonymous_id) else "customer_id"]
    return Flag(
        "identifier_in_soft_id",
        "An identifier is sent as the browser's id",
        f"The anonymousId is {what}. It identifies a browser and not a person: the visitor stays anonymous, and is"
        " somebody else in every other browser.",
        "Send it by identify, as traits.email or userId, and leave the anonymousId to the snippet or SDK.",
        len(matching),
        is_bad=True,
    )


def _no_cart_id(calls: Sequence[RecordedCall]) -> Flag | None:
    matching = [
        call for call in calls if _is_cart(call) and not has_value(call.properties, "cart_id", "cartId")
    ]
    if not matching:
        return None
    names = ", ".join(sorted({call.name for call in matching}))
    return Flag(
        "no_cart_id",
        "Cart events without a cart_id",
        f"{names} came without one. Repeated cart events cannot be recognized, and an old cart is never closed.",
        "Send the same cart_id with every event of one cart, from the first product to the order.",
        len(matching),
    )


def _mixed_sku(calls: Sequence[RecordedCall]) -> Flag | None:
    used: dict[str, int] = {}
    for call in calls:
        for box in _boxes(call.properties):
            for name in _SKUS:
                if name in box:
                    used[name] = used.get(name, 0) + 1
    spellings = [name for name in used if name != "product_id"]
    if len(spellings) < 2:
        return None
    return Flag(
        "mixed_sku",
        "One property, several names",
        f"The product is called {' and '.join(sorted(spellings))}. A filter by one of these names misses the others.",
        "Send “sku” everywhere, or make the others its aliases in the event's schema.",
        sum(used[name] for name in spellings),
    )


def _late_identify(calls: Sequence[RecordedCall]) -> Flag | None:
    ordered_at = next((index for index, call in enumerate(calls) if call.name.lower() == ORDER), None)
    if ordered_at is None or calls[ordered_at].user_id:
        return None
    if any(call.kind == "identify" for call in calls[:ordered_at]):
        return None
    later = [call for call in calls[ordered_at:] if call.kind == "identify"]
    if not later:
        return None
    return Flag(
        "late_identify",
        "Identified only after the purchase",
        "The order arrived from an anonymous visitor; who it was came later. Whatever reads the order at once,"
        " such as a confirmation e-mail, finds nobody.",
        "Call identify as soon as the e-mail is known, before Order Completed.",
        1,
    )


def _skewed(calls: Sequence[RecordedCall]) -> Flag | None:
    matching = [call for call in calls if {"skewed", "future"} & set(call.marks)]
    if not matching:
        return None
    return Flag(
        "skewed_clock",
        "The clock of this device is wrong",
        "Times were corrected by the time of sending, as well as possible.",
        "Nothing to change, unless every device shows this: then the server's own clock is wrong.",
        len(matching),
    )


def _rejected(calls: Sequence[RecordedCall]) -> Flag | None:
    matching = [call for call in calls if call.is_rejected]
    if not matching:
        return None
    reasons = list(dict.fromkeys(call.message for call in matching if call.message))
    return Flag(
        "rejected",
        f"{counted(len(matching), 'calls')} rejected",
        " ".join(reasons[:3]),
        "Correct what the page sends; what was rejected waits under Rejected and can be repaired and replayed.",
        len(matching),
        is_bad=True,
    )


def _left_out(calls: Sequence[RecordedCall]) -> Flag | None:
    matching = [call for call in calls if call.left_out_places]
    if not matching:
        return None
    places = dict.fromkeys(place for call in matching for place in call.left_out_places)
    return Flag(
        "left_out",
        f"Values of {counted(len(matching), 'calls')} were left out",
        f"Not stored as sent: {', '.join(list(places)[:5])}. The calls below say why.",
        "Correct what the page sends. The calls themselves were applied.",
        len(matching),
    )


_CHECKS: tuple[Callable[[Sequence[RecordedCall]], Flag | None], ...] = (
    _rejected,
    _left_out,
    _no_reset,
    _identifier_as_browser_id,
    _hidden_identifier,
    _no_cart_id,
    _mixed_sku,
    _late_identify,
    _skewed,
)


def _is_cart(call: RecordedCall) -> bool:
    return call.kind == "track" and call.name.lower() in CART_NAMES


def _boxes(properties: Any) -> Iterable[dict[str, Any]]:
    if not isinstance(properties, dict):
        return
    yield properties
    products = properties.get("products")
    for product in products if isinstance(products, list) else ():
        if isinstance(product, dict):
            yield product
