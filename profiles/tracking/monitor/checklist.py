"""The recorded calls of a source → what a complete integration has, line by line, and what is missing."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q
from django.utils import timezone

from cdp.models import AuditEntry
from cdp.plurals import counted
from cdp.sql import run
from profiles.models import Event, EventSchema, Identifier, Merge, Receipt, Source, WriteKey
from profiles.tracking.monitor.shop_events import CART_NAMES, ORDER, has_value
from profiles.tracking.parse.message_ids import message_uuid
from profiles.tracking.rejected.receipts import KEPT, pointer_text

# The newest calls of a source that its checklist is ticked from.
READ = 2_000
_IDENTIFIES_READ = 200
_CARTS_READ = 200
# A key that stood in pages for longer should be rotated.
KEY_AGE = datetime.timedelta(days=180)
# An identify this shortly before or after an order belongs to it; any other was a sign-up or a login.
_OF_ORDER = datetime.timedelta(minutes=10)
_ENFORCING = (Source.SchemaMode.WARN, Source.SchemaMode.QUARANTINE, Source.SchemaMode.REJECT)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist. ``is_done`` None: does not apply yet."""

    title: str
    is_done: bool | None
    text: str


@dataclass(slots=True)
class _Recorded:
    """What was read of a source: its newest receipts, and of those the events of people and of carts."""

    source: Source
    receipts: list[dict[str, Any]]
    identifies: list[Event] = field(default_factory=list)
    carts: list[Event] = field(default_factory=list)

    @property
    def accepted(self) -> list[dict[str, Any]]:
        return [row for row in self.receipts if row["outcome"] not in Receipt.WAITING]

    @property
    def orders(self) -> list[Event]:
        return [event for event in self.carts if event.name.name.lower() == ORDER]


def checklist(source: Source) -> list[Check]:
    """What a complete integration has, ticked from the source's newest calls. A fixed number of queries."""
    recorded = _read(source)
    return [
        *_calls_seen(recorded),
        *_people(recorded),
        *_shop(recorded),
        _schemas(source),
        _clean(recorded.receipts),
        _complete(recorded.receipts),
        *_keys(source),
    ]


def _read(source: Source) -> _Recorded:
    """The newest receipts; the newest identify calls and cart events among them. Two queries."""
    fields = ("kind", "name", "outcome", "message_id", "received_at", "problems")
    recorded = _Recorded(
        source, list(Receipt.objects.filter(source=source).order_by("-pk").values(*fields)[:READ])
    )
    accepted = [row for row in recorded.accepted if row["message_id"]]
    identifies = [row for row in accepted if row["kind"] == "identify"][:_IDENTIFIES_READ]
    carts = [row for row in accepted if row["kind"] == "track" and row["name"].lower() in CART_NAMES]
    wanted = [message_uuid(row["message_id"]) for row in [*identifies, *carts[:_CARTS_READ]]]
    events = Event.objects.filter(source=source, message_id__in=wanted).select_related("name")
    for event in events:
        (recorded.identifies if event.kind == "identify" else recorded.carts).append(event)
    return recorded


def _calls_seen(recorded: _Recorded) -> list[Check]:
    seen = {row["kind"] for row in recorded.accepted}
    checks = []
    if recorded.source.channel == Source.Channel.WEB:
        text = "Call page() on every page, so that a visit is recorded even when nothing is bought."
        checks.append(Check("Page views arrive", "page" in seen, text))
    text = "Call track() for what people do: “Added to Cart”, for example."
    return [*checks, Check("Events arrive", "track" in seen, text)]


# --- People -----------------------------------------------------------------------------------------------


def _people(recorded: _Recorded) -> list[Check]:
    """Whether people are identified, early enough, by the right id, and found again."""
    identified = recorded.identifies
    with_email = any(
        has_value(event.properties, "email", "Email", "e-mail", "emailAddress") for event in identified
    )
    has_identify = any(row["kind"] == "identify" for row in recorded.accepted)
    return [
        _main_id(),
        Check(
            "People are identified",
            has_identify,
            "Call identify() with a userId or traits.email when somebody logs in, orders or signs up.",
        ),
        _early(recorded),
        _before_order(recorded),
        Check(
            "Identify brings an e-mail",
            with_email if identified else None,
            "Put the e-mail into the traits: it connects the visitor with the person your imports know.",
        ),
        _merged(recorded),
        *_confirmations(recorded),
    ]


def _main_id() -> Check:
    """Chosen once for the whole installation. One query."""
    return Check(
        "The main id is chosen",
        AuditEntry.objects.filter(action="identity.choose").exists(),
        "Say under Settings, Identity whether your customer id or the e-mail decides who is one person, before more"
        " people come in.",
    )


def _early(recorded: _Recorded) -> Check:
    """Sign-ups and logins identify, not only orders."""
    orders: dict[int, list[datetime.datetime]] = {}
    for order in recorded.orders:
        orders.setdefault(order.profile_id, []).append(order.occurred_at)
    is_done = any(
        all(abs(event.occurred_at - at) > _OF_ORDER for at in orders.get(event.profile_id, ()))
        for event in recorded.identifies
    )
    return Check(
        "Identified at sign-up and login, not only at orders",
        is_done if recorded.identifies else None,
        "Every identify belongs to an order. Call it also where somebody signs up for the newsletter, registers or logs"
        " in: whoever does not order stays anonymous else.",
    )


_KNOWN_BY_THEN = """
    SELECT o.id FROM unnest(%(orders)b::bigint[], %(profiles)b::bigint[], %(ats)b::timestamptz[]) AS o (id, profile_id, at)
    JOIN profiles_profile p ON p.id = o.profile_id
    WHERE EXISTS (
        SELECT FROM profiles_profile m JOIN profiles_identifier i ON i.profile_id = m.id AND i.first_seen_at <= o.at
        JOIN profiles_identifiertype t ON t.id = i.type_id AND t.is_main AND t.strength = 'hard'
        WHERE m.canonical_id = p.canonical_id)
"""


def _before_order(recorded: _Recorded) -> Check:
    """Whoever orders is known by then. One query, none without orders."""
    orders, title = recorded.orders, "Identified before the order"
    if not orders:
        return Check(title, None, "Call identify as soon as the e-mail is known, before Order Completed.")
    params = {
        "orders": [order.pk for order in orders],
        "profiles": [order.profile_id for order in orders],
        "ats": [order.occurred_at for order in orders],
    }
    late = len(orders) - len(run(_KNOWN_BY_THEN, params))
    return Check(
        title,
        not late,
        f"Of the newest {len(orders):,} orders {late:,} came from somebody not identified by then. Call identify as soon as"
        " the e-mail is known, in the checkout and before Order Completed.",
    )


def _merged(recorded: _Recorded) -> Check:
    """A visitor was seen to become a known person, or two browsers one. One query."""
    merged = any(row["outcome"] == Receipt.Outcome.MERGED for row in recorded.receipts)
    is_done = merged or Merge.objects.filter(source=recorded.source, cause="event").exists()
    return Check(
        "Two visits of one person became one profile",
        is_done if recorded.identifies else None,
        "Try it: open the site in a private window, look at something, log in as somebody who has been there before, and see"
        " on the card that both visits are one person's.",
    )


def _confirmations(recorded: _Recorded) -> list[Check]:
    """Whether addresses that wait are confirmed. Only for sources with double opt-in. One query."""
    if not recorded.source.needs_confirmation:
        return []
    counts = waiting_and_confirmed(recorded.source, recorded.identifies)
    return [
        Check(
            "Addresses are confirmed",
            counts.confirmed > 0 if counts.total else None,
            f"Of the newest {counts.total:,} addresses {counts.confirmed:,} are confirmed ({counts.share} %), and {counts.waiting:,} wait. The"
            " page behind the link in your mail must call POST /api/v1/identifiers/confirm/.",
        )
    ]


@dataclass(frozen=True, slots=True)
class Confirmations:
    """Of the people a source identified last: how many addresses are confirmed and wait, and the newest that wait."""

    confirmed: int
    waiting: int
    newest: list[Identifier]

    @property
    def total(self) -> int:
        return self.confirmed + self.waiting

    @property
    def share(self) -> int:
        """The confirmed of a hundred."""
        return round(100 * self.confirmed / self.total) if self.total else 0


def waiting_and_confirmed(source: Source, identifies: Iterable[Event]) -> Confirmations:
    """Addresses of whoever these calls were about. One query, none without calls."""
    profiles = {event.profile_id for event in identifies}
    if not profiles:
        return Confirmations(0, 0, [])
    rows = Identifier.objects.filter(profile__in=profiles, source=source, type__name="email")
    addresses = list(
        rows.select_related("type", "profile").defer("profile__search").order_by("-first_seen_at")
    )
    waiting = [row for row in addresses if row.is_pending]
    return Confirmations(sum(row.is_verified for row in addresses), len(waiting), waiting)


def confirmations(source: Source) -> Confirmations | None:
    """The addresses of a source with double opt-in; None of any other. Three queries."""
    return waiting_and_confirmed(source, _read(source).identifies) if source.needs_confirmation else None


# --- Shop and schemas ---------------------------------------------------------------------------------------


def _shop(recorded: _Recorded) -> list[Check]:
    carts = recorded.carts
    names = {row["name"].lower() for row in recorded.accepted if row["kind"] == "track"}
    missing = sum(not has_value(event.properties, "cart_id", "cartId") for event in carts)
    has_shop = bool(carts) or ORDER in names
    checks = [
        Check(
            "Cart events carry a cart_id",
            (missing == 0) if carts else None,
            f"{missing:,} of the newest {len(carts):,} cart events have none."
            if missing
            else "With it, repeated events are dropped and old carts are closed automatically.",
        ),
        Check(
            "Orders arrive",
            (ORDER in names) if has_shop else None,
            "Send “Order Completed” when an order is paid, from the server if you can: it misses none.",
        ),
    ]
    if recorded.source.channel == Source.Channel.WEB:
        checks.append(_orders_of_server(has_shop))
    return checks


_SERVER_ORDERS = """
    SELECT 1 FROM profiles_source s CROSS JOIN LATERAL (
        SELECT kind, name FROM profiles_receipt WHERE source_id = s.id ORDER BY id DESC LIMIT %(read)s
    ) r WHERE s.door = 'api' AND r.kind = 'track' AND lower(r.name) = %(order)s LIMIT 1
"""


def _orders_of_server(has_shop: bool) -> Check:
    """A page that is closed, or a blocker, keeps orders back; a server sends each. One query, none without a shop."""
    is_done = bool(run(_SERVER_ORDERS, {"read": READ, "order": ORDER})) if has_shop else None
    return Check(
        "Orders come from your server, too",
        is_done,
        "Pages miss orders: a tab is closed before the last page, a blocker stops the call. Let the server that takes the"
        " payment send “Order Completed” with the same cart_id.",
    )


def _schemas(source: Source) -> Check:
    """Whether a misspelt name or a missing property is noticed. One query."""
    modes = Q(mode__in=_ENFORCING)
    if source.schema_mode in _ENFORCING:
        modes |= Q(mode="")
    schemas = EventSchema.objects.filter(modes).values_list("properties", flat=True)[:500]
    is_done = any(rule.get("required") for properties in schemas for rule in properties.values())
    return Check(
        "Names and required properties are checked",
        is_done,
        "Say in the event schemas which properties your events must have, and set this source to warn or to quarantine:"
        " a renamed property is noticed then, before a report is empty.",
    )


def _clean(rows: Sequence[dict[str, Any]]) -> Check:
    hour_ago = timezone.now() - datetime.timedelta(hours=1)
    recent = [row for row in rows if row["received_at"] >= hour_ago]
    rejected = sum(row["outcome"] in Receipt.WAITING for row in recent)
    text = (
        "Nothing was rejected."
        if not rejected
        else f"{rejected:,} of {counted(len(recent), 'items')} {'was' if rejected == 1 else 'were'} rejected."
    )
    return Check("Nothing rejected in the last hour", (rejected == 0) if recent else None, text)


def _complete(rows: Sequence[dict[str, Any]]) -> Check:
    hour_ago = timezone.now() - datetime.timedelta(hours=1)
    recent = [row for row in rows if row["received_at"] >= hour_ago and row["outcome"] not in Receipt.WAITING]
    left_out = [
        [problem for problem in row["problems"] or () if problem.get("code") not in KEPT] for row in recent
    ]
    problems = [problem for row in left_out for problem in row]
    places = dict.fromkeys(pointer_text(str(problem.get("pointer", ""))) for problem in problems)
    names = ", ".join([place for place in places if place][:3])
    count = sum(map(bool, left_out))
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
