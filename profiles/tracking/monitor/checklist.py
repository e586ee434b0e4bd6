"""Recorded calls → what is wrong with an integration: flags of one browser, the checklist of a source."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from cdp.plurals import counted
from profiles.models import Event, Receipt, Source, WriteKey
from profiles.tracking.monitor.live import RecordedCall
from profiles.tracking.parse.message_ids import message_uuid
from profiles.tracking.rejected.receipts import pointer_text

# The newest calls of a source that its checklist is ticked from.
READ = 2_000
_IDENTIFIES_READ = 200
_CARTS_READ = 200
# A key that stood in pages for longer should be rotated.
KEY_AGE = datetime.timedelta(days=180)

CART_NAMES = frozenset(
    {
        "added to cart",
        "product added",
        "removed from cart",
        "product removed",
        "cart viewed",
        "checkout started",
        "order completed",
    }
)
ORDER = "order completed"
_EMAIL = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\.[A-Za-z]{2,}")
_IDENTIFIER_NAME = re.compile(r"e[-_ ]?mail(_?address)?|customer_?id|user_?id", re.IGNORECASE)
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


# --- One browser ----------------------------------------------------------------------------------------


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


def _identifier_in_update(calls: Sequence[RecordedCall]) -> Flag | None:
    matching = [call for call in calls if call.kind != "identify" and _identifying(call.properties)]
    if not matching:
        return None
    where = sorted({f"{call.name or call.kind}: {_identifying(call.properties)}" for call in matching})
    return Flag(
        "identifier_in_update",
        "An identifier is sent as a plain value",
        f"It looks like an e-mail or an id, but identifies nobody there ({', '.join(where[:3])}). The visitor stays"
        " anonymous and gets a second profile elsewhere.",
        "Send it by identify, as traits.email or userId.",
        len(matching),
        is_bad=True,
    )


def _no_cart_id(calls: Sequence[RecordedCall]) -> Flag | None:
    matching = [call for call in calls if _is_cart(call) and not _has(call.properties, "cart_id", "cartId")]
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
        f"{len(matching)} call{'' if len(matching) == 1 else 's'} rejected",
        " ".join(reasons[:3]),
        "Correct what the page sends; what was rejected waits under Rejected and can be repaired and replayed.",
        len(matching),
        is_bad=True,
    )


def _left_out(calls: Sequence[RecordedCall]) -> Flag | None:
    matching = [call for call in calls if call.left_out]
    if not matching:
        return None
    places = dict.fromkeys(place for call in matching for place in call.left_out_places)
    return Flag(
        "left_out",
        f"Values of {len(matching)} call{'' if len(matching) == 1 else 's'} were left out",
        f"Not stored as sent: {', '.join(list(places)[:5])}. The calls below say why.",
        "Correct what the page sends. The calls themselves were applied.",
        len(matching),
    )


_CHECKS: tuple[Callable[[Sequence[RecordedCall]], Flag | None], ...] = (
    _rejected,
    _left_out,
    _no_reset,
    _identifier_in_update,
    _no_cart_id,
    _mixed_sku,
    _late_identify,
    _skewed,
)


def _is_cart(call: RecordedCall) -> bool:
    return call.kind == "track" and call.name.lower() in CART_NAMES


def _has(box: Any, *names: str) -> bool:
    return isinstance(box, dict) and any(box.get(name) not in (None, "") for name in names)


def _identifying(box: Any) -> str:
    """The name of a value that identifies somebody; empty when there is none."""
    if not isinstance(box, dict):
        return ""
    for name, value in box.items():
        if not isinstance(value, str) or not value.strip():
            continue
        if _EMAIL.fullmatch(value.strip()) or _IDENTIFIER_NAME.fullmatch(name):
            return str(name)
    return ""


def _boxes(properties: Any) -> Iterable[dict[str, Any]]:
    if not isinstance(properties, dict):
        return
    yield properties
    products = properties.get("products")
    for product in products if isinstance(products, list) else ():
        if isinstance(product, dict):
            yield product


# --- The checklist of a source --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist. ``is_done`` None: does not apply yet."""

    title: str
    is_done: bool | None
    text: str


def checklist(source: Source) -> list[Check]:
    """What a complete integration has, ticked from the source's newest calls. Five queries."""
    rows = _newest(source)
    seen = {row["kind"] for row in rows if row["outcome"] not in Receipt.WAITING}
    names = {row["name"].lower() for row in rows if row["kind"] == "track"}
    identified, carts = _events_of(source, rows)
    return [
        *_calls_seen(source, seen, identified),
        *_shop(names, carts),
        _clean(rows),
        _complete(rows),
        *_keys(source),
    ]


def _newest(source: Source) -> list[dict[str, Any]]:
    fields = ("kind", "name", "outcome", "message_id", "received_at", "problems")
    return list(Receipt.objects.filter(source=source).order_by("-pk").values(*fields)[:READ])


def _events_of(source: Source, rows: list[dict[str, Any]]) -> tuple[list[Event], list[Event]]:
    """The newest identify calls and cart events among the rows. One query."""
    accepted = [row for row in rows if row["message_id"] and row["outcome"] not in Receipt.WAITING]
    identifies = [row for row in accepted if row["kind"] == "identify"][:_IDENTIFIES_READ]
    carts = [row for row in accepted if row["kind"] == "track" and row["name"].lower() in CART_NAMES]
    wanted = [message_uuid(row["message_id"]) for row in [*identifies, *carts[:_CARTS_READ]]]
    events = list(Event.objects.filter(source=source, message_id__in=wanted).select_related("name"))
    return (
        [event for event in events if event.kind == "identify"],
        [event for event in events if event.kind == "track"],
    )


def _calls_seen(source: Source, seen: set[str], identified: list[Event]) -> list[Check]:
    with_email = any(
        _has(event.properties, "email", "Email", "e-mail", "emailAddress") for event in identified
    )
    checks = []
    if source.channel == Source.Channel.WEB:
        text = "Call page() on every page, so that a visit is recorded even when nothing is bought."
        checks.append(Check("Page views arrive", "page" in seen, text))
    return [
        *checks,
        Check(
            "Events arrive", "track" in seen, "Call track() for what people do: “Added to Cart”, for example."
        ),
        Check(
            "People are identified",
            "identify" in seen,
            "Call identify() with a userId or traits.email when somebody logs in, orders or signs up.",
        ),
        Check(
            "Identify brings an e-mail",
            with_email if identified else None,
            "Put the e-mail into the traits: it connects the visitor with the person your imports know.",
        ),
    ]


def _shop(names: set[str], carts: list[Event]) -> list[Check]:
    with_id = [event for event in carts if _has(event.properties, "cart_id", "cartId")]
    missing = len(carts) - len(with_id)
    return [
        Check(
            "Cart events carry a cart_id",
            (missing == 0) if carts else None,
            f"{missing:,} of the newest {len(carts):,} cart events have none."
            if missing
            else "With it, repeated events are dropped and old carts are closed automatically.",
        ),
        Check(
            "Orders arrive",
            (ORDER in names) if carts or ORDER in names else None,
            "Send “Order Completed” when an order is paid, from the server if you can: it misses none.",
        ),
    ]


def _clean(rows: list[dict[str, Any]]) -> Check:
    hour_ago = timezone.now() - datetime.timedelta(hours=1)
    recent = [row for row in rows if row["received_at"] >= hour_ago]
    rejected = sum(row["outcome"] in Receipt.WAITING for row in recent)
    text = (
        "Nothing was rejected."
        if not rejected
        else f"{rejected:,} of {counted(len(recent), 'items')} {'was' if rejected == 1 else 'were'} rejected."
    )
    return Check("Nothing rejected in the last hour", (rejected == 0) if recent else None, text)


def _complete(rows: list[dict[str, Any]]) -> Check:
    hour_ago = timezone.now() - datetime.timedelta(hours=1)
    recent = [row for row in rows if row["received_at"] >= hour_ago and row["outcome"] not in Receipt.WAITING]
    problems = [problem for row in recent for problem in row["problems"] or ()]
    places = dict.fromkeys(pointer_text(str(problem.get("pointer", ""))) for problem in problems)
    names = ", ".join([place for place in places if place][:3])
    count = sum(bool(row["problems"]) for row in recent)
    text = f"Of {count:,} of {counted(len(recent), 'items')} something was left out: {names or 'see the receipts'}."
    return Check("Nothing left out in the last hour", (not problems) if recent else None, text)


def _keys(source: Source) -> list[Check]:
    keys = list(WriteKey.objects.filter(source=source, revoked_at__isnull=True, expires_at__isnull=True))
    oldest = min((key.created_at for key in keys), default=None)
    fresh = oldest is not None and timezone.now() - oldest < KEY_AGE
    checks = []
    if any(key.kind == WriteKey.Kind.WEB for key in keys):
        text = "List the addresses of your site in the settings; otherwise any page can send data with the public key."
        checks.append(Check("Web addresses are set", bool(source.allowed_origins), text))
    text = (
        "Rotate keys at least every six months: the old one keeps working while you put the new one in place."
    )
    return [*checks, Check("Keys are fresh", fresh if keys else None, text)]
