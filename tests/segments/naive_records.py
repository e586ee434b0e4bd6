"""Consents, sources, pairs, the journal and stays of a person, and the rules about them, in the plainest way."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from profiles.models import Change, Consent, DuplicatePair, Identifier, Merge, Profile
from segments.models import Membership
from tests.segments.naive_values import compare, in_window, order, overlaps, span
from tests.segments.world import ATTRIBUTES

Now = datetime.datetime
Rule = dict[str, Any]


@dataclass
class Other:
    """Somebody else: what they decided, and the addresses they have and can be found by."""

    decisions: list[Consent]
    addresses: set[str]


@dataclass
class Records:
    decisions: list[Consent] = field(default_factory=list)
    others: list[Other] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)
    pairs: list[tuple[int, int, str]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    stays: list[Membership] = field(default_factory=list)
    merged_at: dict[int, Now] = field(default_factory=dict)


def read_records(root_id: int, members: list[int], others: dict[int, Other] | None = None) -> Records:
    """``others`` as ``read_others`` gives them, where many people are read."""
    everybody = read_others() if others is None else others
    return Records(
        list(Consent.objects.filter(profile__in=members)),
        [other for pk, other in everybody.items() if pk != root_id],
        set(Profile.objects.filter(pk__in=members).values_list("source__name", flat=True)),
        read_pairs(root_id),
        list(Change.objects.filter(profile__in=members)),
        list(Membership.objects.filter(profile__in=members)),
        dict(Merge.objects.values_list("pk", "created_at")),
    )


def read_others() -> dict[int, Other]:
    """Whoever decided something, by surviving profile."""
    found: dict[int, Other] = {}
    for decision in Consent.objects.select_related("profile__canonical"):
        root = decision.profile.canonical
        if root.pk not in found:
            identifiers = Identifier.objects.filter(profile__canonical=root)
            values = set(identifiers.values_list("value", flat=True))
            found[root.pk] = Other([], values & {root.email, root.phone})
        found[root.pk].decisions.append(decision)
    return found


def read_pairs(root_id: int) -> list[tuple[int, int, str]]:
    """Open ones of two people in use, one of them this one."""
    found = []
    for pair in DuplicatePair.objects.filter(verdict="open").select_related("a__canonical", "b__canonical"):
        one, other = pair.a.canonical, pair.b.canonical
        if one.status == other.status == "live" and one != other and root_id in (one.pk, other.pk):
            found.append((one.pk, other.pk, pair.tier))
    return found


# --- Attributes, now and then -----------------------------------------------------------------------------


def value_now(root: Profile, name: str) -> Any:
    return root.attributes.get(name) if name in ATTRIBUTES else getattr(root, name)


def attribute_fits(node: Rule, name: str, have: Any, now: Now) -> bool:
    """A value of the attribute as the rule wants it; unknown and empty fit nothing."""
    kind = ATTRIBUTES.get(name) or {"birth_date": "date"}.get(name, "text")
    have = None if have == "" else have
    op = node.get("op", "eq")
    if op == "exists":
        return have is not None
    if kind != "list":
        return compare(kind, op, have, node["value"], now, node.get("exactly", False))
    items = have or []
    if op in ("ne", "not_in", "not_contains"):
        positive = {"ne": "eq", "not_in": "in", "not_contains": "contains"}[op]
        return bool(items) and not any(compare("text", positive, item, node["value"], now) for item in items)
    return any(compare("text", op, item, node["value"], now) for item in items)


def by_was(node: Rule, facts: Any, now: Now) -> bool:
    name = node["was"]
    key = f"attributes.{name}" if name in ATTRIBUTES else name
    values = [value_now(facts.root, name)]
    for change in facts.records.changes:
        values += change.fields.get(key, [])
    return any(attribute_fits(node, name, value, now) for value in values)


def by_changed(node: Rule, facts: Any, now: Now) -> bool:
    name = node["changed"]
    key = f"attributes.{name}" if name in ATTRIBUTES else name
    return any(
        key in change.fields and change.kind != "created" and in_window(change.at, node.get("within"), now)
        for change in facts.records.changes
    )


# --- Consent ------------------------------------------------------------------------------------------------


def time_of(decision: Consent) -> Now:
    return decision.at or decision.recorded_at


def stands(decisions: list[Consent]) -> Now | None:
    """When the no was taken that holds after these decisions; None where none does."""
    noes = [time_of(one) for one in decisions if one.state == "withdrawn"]
    lifted = [
        one.at for one in decisions if one.state == "granted" and one.at and noes and one.at > max(noes)
    ]
    return max(noes) if noes and not lifted else None


def agreed(asked: dict[str, str], purpose: str, facts: Any) -> bool:
    """Their own yes holds, and nobody else's no stands on their address since."""
    contact = {"email": facts.root.email, "sms": facts.root.phone}.get(asked["channel"])

    def about(decisions: list[Consent]) -> list[Consent]:
        return [one for one in decisions if (one.channel, one.purpose) == (asked["channel"], purpose)]

    own = about(facts.records.decisions)
    yes = [one.at for one in own if one.state == "granted" and one.at]
    no = [time_of(one) for one in own if one.state == "withdrawn"]
    if not yes or (no and max(no) >= max(yes)):
        return False
    for other in facts.records.others:
        theirs = about(other.decisions)
        found = [stands([one for one in theirs if contact and one.address == contact])]
        if contact in other.addresses:
            found.append(stands(theirs))
        if any(taken is not None and taken >= max(yes) for taken in found):
            return False
    return True


def purposes(asked: dict[str, str], facts: Any) -> set[str]:
    """Of what they decided, those that are asked."""
    decided = {one.purpose for one in facts.records.decisions if one.channel == asked["channel"]}
    return decided & {asked["purpose"]} if "purpose" in asked else decided


def by_consent(node: Rule, facts: Any, now: Now) -> bool:
    asked = node["consent"]
    decided = purposes(asked, facts)
    granted = any(agreed(asked, purpose, facts) for purpose in decided)
    state = node.get("state", "granted")
    return {"granted": granted, "withdrawn": bool(decided) and not granted, "none": not decided}[state]


def by_reachable(node: Rule, facts: Any, now: Now) -> bool:
    asked = node["reachable"]
    has_address = {"email": facts.root.email, "sms": facts.root.phone}.get(asked["channel"], "none needed")
    return bool(has_address) and any(agreed(asked, purpose, facts) for purpose in purposes(asked, facts))


# --- Origin, times and pairs --------------------------------------------------------------------------------


def by_source(node: Rule, facts: Any, now: Now) -> bool:
    if node.get("how", "any") == "created":
        return bool(facts.root.source.name.lower() == node["source"].lower())
    return node["source"].lower() in {name.lower() for name in facts.records.sources}


def by_import(node: Rule, facts: Any, now: Now) -> bool:
    touched = [
        change
        for change in facts.records.changes
        if change.cause == "import" and change.cause_id == node["import"]
    ]
    if node.get("how", "any") == "created":
        return any(change.kind == "created" and change.profile_id == facts.root.pk for change in touched)
    return bool(touched)


def by_time(node: Rule, facts: Any, now: Now) -> bool:
    value = getattr(facts.root, node["profile"])
    if value is None or node["op"] == "exists":
        return value is not None
    if node["op"] in ("in_last", "in_next"):
        delta = span(node["value"])
        return now - delta < value <= now if node["op"] == "in_last" else now < value <= now + delta
    return order(node["op"], value, node["value"], datetime.datetime.fromisoformat)


def by_duplicate(node: Rule, facts: Any, now: Now) -> bool:
    return any("tier" not in node or tier == node["tier"] for _, _, tier in facts.records.pairs)


# --- Stays --------------------------------------------------------------------------------------------------


def stays_of(number: int, facts: Any) -> list[Membership]:
    return [stay for stay in facts.records.stays if stay.segment_id == number]


def by_segment(node: Rule, facts: Any, now: Now) -> bool:
    """Only the surviving profile's own stay goes on."""
    return any(
        stay.profile_id == facts.root.pk and stay.left_at is None and stay.absorbed_by is None
        for stay in stays_of(node["segment"], facts)
    )


def by_was_in(node: Rule, facts: Any, now: Now) -> bool:
    for stay in stays_of(node["was_in"], facts):
        end = stay.left_at
        if end is None and stay.absorbed_by is not None:
            end = facts.records.merged_at.get(stay.absorbed_by, stay.entered_at)
        if overlaps(stay.entered_at, end, node.get("within"), now):
            return True
    return False


def by_entered(node: Rule, facts: Any, now: Now) -> bool:
    """A merge with somebody who was in already is no entry."""
    stays = stays_of(node["entered"], facts)
    for stay in stays:
        was_in = [one for one in stays if one.absorbed_by is not None and one.entered_at <= stay.entered_at]
        if stay.entered_by == "merge" and stay.absorbed_by is None and was_in:
            continue
        if in_window(stay.entered_at, node.get("within"), now):
            return True
    return False


def by_left(node: Rule, facts: Any, now: Now) -> bool:
    return any(
        stay.left_at is not None and in_window(stay.left_at, node.get("within"), now)
        for stay in stays_of(node["left"], facts)
    )


DECIDE: dict[str, Callable[[Rule, Any, Now], bool]] = {
    "was": by_was,
    "changed": by_changed,
    "consent": by_consent,
    "reachable": by_reachable,
    "source": by_source,
    "import": by_import,
    "profile": by_time,
    "duplicate": by_duplicate,
    "segment": by_segment,
    "was_in": by_was_in,
    "entered": by_entered,
    "left": by_left,
}
