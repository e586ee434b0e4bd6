"""People and their consents → who may be written to, by channel and purpose, and whose no forbids it: the one rule.

Consent counts for the *address*. Somebody is reachable when their own yes holds and nobody else's no stands on the
address it would go to, taken at the same time as their yes or later. A no stands on the address its person had when
it was recorded, until that person says yes about this address; and, as long as it is what holds for that person,
on the address they have now. A no of unknown time counts as taken when it was recorded.

``reachability`` is the rule for a page of people, ``consenting_sql`` its twin for all of them.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models.expressions import RawSQL

from profiles.consent.ledger import ConsentDecision, CurrentConsent, current_consents, day, decide
from profiles.consent.lists import consent_lists
from profiles.consent.words import EMAIL, PHONE
from profiles.models import Profile

Key = tuple[str, str]  # channel, purpose
Consents = Mapping[Key, CurrentConsent]

_CONTACTS = {EMAIL: "e-mail address", PHONE: "phone number"}
_SAME = {EMAIL: "address", PHONE: "phone number"}


@dataclass(frozen=True, slots=True)
class OtherNo:
    """Somebody else's no. ``at`` is None when nobody knows its time."""

    profile_id: int
    name: str
    at: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class Reachability:
    """Whether a person may be written to on one channel and purpose. ``contact`` is email, phone or none."""

    consent: CurrentConsent
    contact: str
    has_address: bool
    other: OtherNo | None = None

    @property
    def is_reachable(self) -> bool:
        return self.consent.is_granted and self.has_address and self.other is None

    def reason(self, *, with_name: bool = False) -> str:
        """Why not, as a sentence; "" for somebody who is reachable. ``with_name`` names the other person."""
        if self.consent.is_no:
            return f"They said no{_on(self.consent.at)}."
        if not self.consent.is_granted:
            return "Nobody knows when they agreed, which counts as a no."
        if self.other is not None:
            who = f"#{self.other.profile_id}"
            who = f"{self.other.name} ({who})" if with_name and self.other.name else who
            return f"{who}, who has the same {_SAME[self.contact]}, said no{_on(self.other.at)}."
        return "" if self.has_address else f"There is no {_CONTACTS[self.contact]}."


def _on(at: datetime.datetime | None) -> str:
    return f" on {day(at)}" if at else " at an unknown time"


# --- A page of people -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Other:
    """Somebody with a no, all their decisions, and the addresses they have now and can be found by."""

    profile_id: int
    name: str
    addresses: set[str]
    decisions: dict[Key, list[tuple[str, ConsentDecision]]] = field(default_factory=lambda: defaultdict(list))


def reachability(
    roots: Iterable[Profile], consents: Mapping[int, Consents]
) -> dict[int, dict[Key, Reachability]]:
    """``{root: {(channel, purpose): Reachability}}`` for what each has decided. One query where somebody has a yes."""
    lists = consent_lists()
    reach: dict[int, dict[Key, Reachability]] = {}
    open_yes: list[tuple[int, Key, str]] = []
    for root in roots:
        own = reach[root.pk] = {}
        for key, consent in consents.get(root.pk, {}).items():
            contact = lists.contact_of(key[0])
            address = {EMAIL: root.email, PHONE: root.phone}.get(contact) or ""
            own[key] = Reachability(consent, contact, bool(address) or contact not in _CONTACTS)
            if consent.is_granted and address:
                open_yes.append((root.pk, key, address))
    others = _others({address for _, _, address in open_yes})
    for pk, key, address in open_yes:
        consent = reach[pk][key].consent
        if (other := _latest_no(pk, key, address, consent.at, others)) is not None:
            before = reach[pk][key]
            reach[pk][key] = Reachability(consent, before.contact, before.has_address, other)
    return reach


def _latest_no(
    root_id: int, key: Key, address: str, yes_at: datetime.datetime | None, others: Sequence[_Other]
) -> OtherNo | None:
    """The latest no of somebody else that stands on the address since the yes. Pure."""
    found: list[tuple[datetime.datetime, OtherNo]] = []
    for other in others:
        decisions = other.decisions.get(key)
        if other.profile_id == root_id or not decisions:
            continue
        about_address = [decision for about, decision in decisions if about == address]
        everything = [decision for _, decision in decisions] if address in other.addresses else []
        for relevant in (about_address, everything):
            no = _standing_no(relevant)
            if no is not None and yes_at is not None and (no.at or no.recorded_at) >= yes_at:
                found.append((no.at or no.recorded_at, OtherNo(other.profile_id, other.name, no.at)))
    return max(found, key=lambda entry: (entry[0], entry[1].profile_id))[1] if found else None


def _standing_no(decisions: Sequence[ConsentDecision]) -> ConsentDecision | None:
    """The latest no, where it is what holds after these decisions."""
    if not decisions or not decide(decisions).is_no:
        return None
    return max(
        (decision for decision in decisions if decision.state == "withdrawn"),
        key=lambda decision: decision.at or decision.recorded_at,
    )


_OTHERS_SQL = """
    SELECT o.id, concat_ws(' ', o.first_name, o.last_name),
        ARRAY(SELECT i.value FROM profiles_identifier i JOIN profiles_profile m ON m.id = i.profile_id
            WHERE m.canonical_id = o.id AND i.value IN (o.email, o.phone)),
        c.channel, c.purpose, c.state, c.at, c.recorded_at, c.address
    FROM profiles_profile o JOIN profiles_profile m ON m.canonical_id = o.id
    JOIN profiles_consent c ON c.profile_id = m.id
    WHERE o.id IN (
        SELECT m.canonical_id FROM profiles_consent w JOIN profiles_profile m ON m.id = w.profile_id
        WHERE w.state = 'withdrawn' AND w.address <> '' AND w.address = ANY(%(addresses)s)
        UNION
        SELECT h.id FROM profiles_identifier i JOIN profiles_profile m ON m.id = i.profile_id
        JOIN profiles_profile h ON h.id = m.canonical_id AND i.value IN (h.email, h.phone)
        WHERE i.value = ANY(%(addresses)s) AND EXISTS (
            SELECT FROM profiles_profile n JOIN profiles_consent w ON w.profile_id = n.id
            WHERE n.canonical_id = h.id AND w.state = 'withdrawn')
    )
"""


def _others(addresses: set[str]) -> list[_Other]:
    """Everybody with a no who has, or had when they said it, one of the addresses. One query; none without addresses."""
    if not addresses:
        return []
    others: dict[int, _Other] = {}
    with connection.cursor() as cursor:
        cursor.execute(_OTHERS_SQL, {"addresses": sorted(addresses)})
        for pk, name, has, channel, purpose, state, at, recorded_at, address in cursor:
            other = others.setdefault(pk, _Other(pk, name, set(has)))
            decision = ConsentDecision(state, at, recorded_at)
            other.decisions[channel, purpose].append((address, decision))
    return list(others.values())


def reachability_of(root: Profile, channel: str, purpose: str) -> Reachability | None:
    """Whether this person may be written to; None where they never decided. Two queries."""
    return reachability([root], current_consents([root.pk])).get(root.pk, {}).get((channel, purpose))


# --- Everybody ------------------------------------------------------------------------------------------

# Rows g, a yes of root r that no later no of their own and no no of anybody else on the address contradicts.
_CONSENTING_SQL = """
    SELECT r.id FROM profiles_consent g JOIN profiles_profile gp ON gp.id = g.profile_id
    JOIN profiles_profile r ON r.id = gp.canonical_id
    WHERE g.channel = {channel} {purpose} AND g.state = 'granted' AND g.at IS NOT NULL {among}
      AND NOT EXISTS (
        SELECT FROM profiles_consent w JOIN profiles_profile wp ON wp.id = w.profile_id
        WHERE wp.canonical_id = gp.canonical_id AND w.channel = g.channel AND w.purpose = g.purpose
          AND w.state = 'withdrawn' AND coalesce(w.at, w.recorded_at) >= g.at)
"""
# Of the address then, and of the address they have now where it is another one: what was said about the same address
# is in the first already, which less can lift. “OFFSET 0” keeps the second a look-up by index for each row, as a page of
# a list and a few thousand people need it; joined, it reads every identifier there is.
_NO_OF_OTHERS_SQL = """
      AND NOT EXISTS (
        SELECT FROM profiles_consent w JOIN profiles_profile wp ON wp.id = w.profile_id
        WHERE w.state = 'withdrawn' AND w.address <> '' AND w.address = r.{column} AND w.channel = g.channel
          AND w.purpose = g.purpose AND coalesce(w.at, w.recorded_at) >= g.at AND wp.canonical_id <> r.id
          AND NOT EXISTS (
            SELECT FROM profiles_consent y JOIN profiles_profile yp ON yp.id = y.profile_id
            WHERE yp.canonical_id = wp.canonical_id AND y.channel = w.channel AND y.purpose = w.purpose
              AND y.state = 'granted' AND y.address = w.address AND y.at > coalesce(w.at, w.recorded_at)))
      AND NOT EXISTS (
        SELECT FROM profiles_identifier i JOIN profiles_profile ip ON ip.id = i.profile_id
        JOIN profiles_profile o ON o.id = ip.canonical_id AND o.{column} = i.value
        JOIN profiles_profile wp ON wp.canonical_id = o.id JOIN profiles_consent w ON w.profile_id = wp.id
        WHERE i.value = r.{column} AND i.profile_id <> r.id AND o.id <> r.id AND w.address <> r.{column}
          AND w.state = 'withdrawn' AND w.channel = g.channel AND w.purpose = g.purpose
          AND coalesce(w.at, w.recorded_at) >= g.at
          AND NOT EXISTS (
            SELECT FROM profiles_consent y JOIN profiles_profile yp ON yp.id = y.profile_id
            WHERE yp.canonical_id = o.id AND y.channel = w.channel AND y.purpose = w.purpose
              AND y.state = 'granted' AND y.at > coalesce(w.at, w.recorded_at))
        OFFSET 0)
"""


def consenting_sql(
    *, channel: str, purpose: str = "", contact: str, with_address: bool = False, among: str = ""
) -> str:
    """``SELECT`` the ids of surviving profiles whose yes holds for their address; somebody may be in it more than once.

    ``channel``, ``purpose`` and ``among`` are SQL: placeholders, and a condition on ``gp.canonical_id``. ``contact`` is
    what the channel reaches somebody by. ``with_address``: only those who have one, so that they are reachable.
    """
    column = {EMAIL: "email", PHONE: "phone"}.get(contact, "")
    limits = f"AND {among}" if among else ""
    if with_address and column:
        limits += f" AND r.{column} <> ''"
    sql = _CONSENTING_SQL.format(
        channel=channel, purpose=f"AND g.purpose = {purpose}" if purpose else "", among=limits
    )
    return sql + (_NO_OF_OTHERS_SQL.format(column=column) if column else "")


def consenting_ids(
    channel: str, purpose: str = "", *, with_address: bool = False, among: Any = None
) -> RawSQL:
    """``consenting_sql`` for ``pk__in``; of any purpose where none is named. ``among`` is a queryset of profile ids to
    look at alone.
    """
    params: list[Any] = [channel, *([purpose] if purpose else [])]
    limit = ""
    if among is not None:
        sql, values = among.query.sql_with_params()
        limit = f"gp.canonical_id IN ({sql})"
        params += values
    sql = consenting_sql(
        channel="%s",
        purpose="%s" if purpose else "",
        contact=consent_lists().contact_of(channel),
        with_address=with_address,
        among=limit,
    )
    return RawSQL(sql, params)  # noqa: S611
