"""A plan → rows: profiles, identifiers, events, merges, journal, receipts and webhooks, in one transaction.

The order is what keeps calls from waiting for one another in circles: new profiles, identifiers (in key order),
events, merges, then the rows of profiles that change, locked last and in id order.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils import timezone

from cdp import webhooks
from cdp.actors import Actor
from cdp.errors import Refused
from cdp.sql import Answer, together
from profiles.identity.types import TypeSpec
from profiles.journal import Cause, Entry, Fields, record_many
from profiles.merging.merge import merge_profiles
from profiles.models import Change, Source
from profiles.tracking.ingest import carts, event_sql, profile_sql
from profiles.tracking.ingest.attribute_changes import AttributeChanges
from profiles.tracking.ingest.call_plan import IdentifierGrant, Plan, Resolution
from profiles.tracking.ingest.candidates import CandidateProfile
from profiles.tracking.ingest.consents import record_consents
from profiles.tracking.ingest.identifiers import Key, SentIdentifier
from profiles.tracking.ingest.profile_sql import StoredIdentifier
from profiles.tracking.ingest.traits import ItemTraits
from profiles.tracking.parse.item_types import (
    DUPLICATE,
    BatchEntry,
    Item,
    ItemProblem,
    ItemResult,
    RefusedItem,
)
from profiles.tracking.sources.write_keys import Sender

EventIds = Answer[dict[Any, int]]  # by message id


@dataclass(slots=True)
class Outcomes:
    """What became of a call's items so far, by their index."""

    results: dict[int, ItemResult] = field(default_factory=dict)
    problems: dict[int, list[ItemProblem]] = field(default_factory=lambda: defaultdict(list))
    refused: list[RefusedItem] = field(default_factory=list)

    def duplicate(self, item: Item | RefusedItem, code: str, message: str) -> None:
        self.results[item.index] = ItemResult(item.index, item.message_text, DUPLICATE, code, message)

    def resolved(
        self, resolution: Resolution, conflict: tuple[str, str, str] | None, problems: list[ItemProblem]
    ) -> None:
        """The outcome of a resolved item that has none yet. ``conflict`` and ``problems`` are what writing it brought."""
        item = resolution.item
        self.problems[item.index] += [*resolution.problems, *problems]
        if item.index not in self.results:
            outcome = conflict or (resolution.outcome, resolution.code, resolution.message)
            profile_id = resolution.profile.survivor().id
            self.results[item.index] = ItemResult(item.index, item.message_text, *outcome, profile_id)

    def write_receipts(self, entries: Sequence[BatchEntry], *, source: Source, replay_of: int | None) -> None:
        # An item read without fault may have been refused later: its receipt has what refused it.
        final: dict[int, BatchEntry] = {entry.index: entry for entry in entries}
        final |= {refused.index: refused for refused in self.refused}
        event_sql.insert_receipts(
            [
                (final[entry.index], self.results[entry.index], self.problems[entry.index])
                for entry in entries
            ],
            source_id=source.pk,
            received_at=timezone.now(),
            replay_of=replay_of,
        )


def write_plan(
    plan: Plan,
    entries: Sequence[BatchEntry],
    outcomes: Outcomes,
    *,
    sender: Sender,
    traits: Mapping[int, ItemTraits],
    topics: Collection[str],
    browser_type: TypeSpec,
    replay_of: int | None,
) -> None:
    """Carry out a plan, and write the receipts of the whole call. In the caller's transaction.

    ``traits`` are what items say about their profiles, by index; ``topics`` the webhook topics somebody listens to;
    ``browser_type`` is what the ids of browsers are kept as.
    Raises Collision, or an IntegrityError, when others changed the same profiles since they were read.
    """
    source, actor = sender.source, Actor.system()
    if plan.new_profiles:
        plan = _with_browser_ids(plan, browser_type)
    attributes = AttributeChanges(sender, traits)
    profile_sql.assign_ids(plan.new_profiles)
    with ExitStack() as pipeline:
        pipeline.enter_context(together())
        profile_sql.insert_profiles(plan.new_profiles, attributes.of_new(plan), source.pk)
        released = profile_sql.release_moved(plan)
        stored = profile_sql.insert_identifiers(plan, source.pk)
        profile_sql.touch_identifiers(plan.touched)
        ended = profile_sql.write_intervals(plan)
        if not (released.value and ended.value):
            raise event_sql.Collision("A browser that changes hands was given to somebody else meanwhile.")
        events = _write_events(plan, outcomes, source)
        consents = [resolution for resolution in plan.resolutions if resolution.item.kind == "consent"]
        if plan.merges or consents or attributes.has_tags:
            pipeline.close()  # these verbs write through the ORM
        _merge(plan, events, actor=actor, source=source)
        changed = attributes.of_stored(plan, stored.value)
        if attributes.has_tags:
            attributes.put_tags(plan, changed)
        attributes.keep_lost(plan)
        # What a page said, another page's call may change again (see values_from_pages).
        detail = dict(profile_sql.FROM_PAGE) if sender.is_web else None
        _record_journal(
            plan, attributes.fields, stored.value, events, detail=detail, actor=actor, source=source
        )
        profile_sql.insert_visits(plan)
        profile_sql.suggest_duplicates(plan, source.name)
        profile_sql.insert_held_merges(plan, source.pk)
        conflicts = record_consents(consents, events, sender=sender, actor=actor) if consents else {}
        for resolution in plan.resolutions:
            index = resolution.item.index
            outcomes.resolved(resolution, conflicts.get(index), attributes.problems[index])
        outcomes.write_receipts(entries, source=source, replay_of=replay_of)
        payloads = _webhook_payloads(plan.new_profiles, changed, topics)
    for topic, items in payloads.items():
        webhooks.publish_many(topic, items=items)


def _with_browser_ids(plan: Plan, spec: TypeSpec) -> Plan:
    """Every new profile has a browser id from the start, as those of staff, the API and imports: one is made where the
    call brings none."""
    have = {
        id(grant.resolution.profile.survivor())
        for grant in plan.grants
        if grant.identifier.spec.id == spec.id and grant.may_resolve
    }
    made: dict[Key, CandidateProfile] = {}
    grants = list(plan.grants)
    for resolution in plan.resolutions:
        profile = resolution.profile.survivor()
        if profile.is_new and id(profile) not in have:
            have.add(id(profile))
            value = str(uuid.uuid4())
            identifier = SentIdentifier(spec, value, value, pointer="")
            grants.append(IdentifierGrant(resolution, identifier, may_resolve=True))
            made[identifier.key] = profile
    return replace(plan, grants=tuple(grants), owners={**plan.owners, **made}) if made else plan


def _write_events(plan: Plan, outcomes: Outcomes, source: Source) -> EventIds:
    """The ids of the events by message. Items that repeat another of their cart become none."""
    repeats: set[int] = set()
    rows = [(res.item, res.member_id or res.profile.survivor().id) for res in plan.resolutions]
    has_carts = any(carts.cart_id_of(item) for item, _ in rows)
    if has_carts:
        repeats = carts.find_repeats(rows, source_id=source.pk)
    events = event_sql.insert_events(source.pk, [row for row in rows if row[0].index not in repeats])
    if has_carts:
        kept = [
            (res.item, res.profile.survivor().id) for res in plan.resolutions if res.item.index not in repeats
        ]
        carts.write_carts(kept, source_id=source.pk)
    for item, _ in rows:
        if item.index in repeats:
            message = "The same person did the same with the same cart within two seconds."
            outcomes.duplicate(item, "duplicate_cart_event", message)
    return events


def _merge(plan: Plan, events: EventIds, *, actor: Actor, source: Source) -> None:
    for merge in plan.merges:
        cause = Cause("event", events.value.get(merge.resolution.item.message_id))
        try:
            merge_profiles(
                winner_id=merge.winner.id, loser_id=merge.loser.id, actor=actor, source=source, cause=cause
            )
        except Refused as refused:  # locked, deleted or merged since it was read
            raise event_sql.Collision(refused.message) from refused


def _webhook_payloads(
    new: Iterable[CandidateProfile], changed: Mapping[int, list[str]], topics: Collection[str]
) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """``{topic: [(profile id, payload)]}``, without topics that nobody listens to."""
    payloads: dict[str, list[tuple[int, dict[str, Any]]]] = {
        "profile.created": [(profile.id, {"profile_id": profile.id}) for profile in new],
        "profile.updated": [
            (pk, {"profile_id": pk, "fields": fields}) for pk, fields in sorted(changed.items())
        ],
    }
    return {topic: items for topic, items in payloads.items() if items and topic in topics}


# --- The journal ----------------------------------------------------------------------------------------


def _record_journal(
    plan: Plan,
    changed_fields: Mapping[int, Fields],
    stored: set[StoredIdentifier],
    events: EventIds,
    *,
    detail: dict[str, Any] | None,
    actor: Actor,
    source: Source,
) -> None:
    """One entry per item that changed a profile, caused by its event; the first of a new profile's is its creation."""
    labels = _identifier_labels(plan, stored)
    created: set[int] = set()
    entries: list[Entry] = []
    for resolution in plan.resolutions:
        index, profile = resolution.item.index, resolution.profile.survivor()
        fields = dict(changed_fields.get(index, {}))
        if labels.get(index):
            fields["identifiers"] = [[], labels[index]]
        is_creation = profile.is_new and profile.id not in created
        if not (is_creation or fields):
            continue
        kind, via = Change.Kind.UPDATED, resolution.member_id or profile.id
        if is_creation:
            created.add(profile.id)
            kind, via = Change.Kind.CREATED, profile.id
        cause = Cause(Change.Cause.EVENT, events.value.get(resolution.item.message_id))
        entries.append(Entry(profile.id, kind, fields, via_id=via, detail=detail, cause=cause))
    record_many(entries=entries, actor=actor, source=source)


def _identifier_labels(plan: Plan, stored: set[StoredIdentifier]) -> dict[int, list[str]]:
    """The identifiers each item brought, as the journal writes them."""
    labels: dict[int, list[str]] = defaultdict(list)
    listed: set[StoredIdentifier] = set()
    for grant in plan.grants:
        key = profile_sql.identifier_row(grant)
        if key in stored and key not in listed:
            listed.add(key)
            labels[grant.resolution.item.index].append(grant.identifier.label)
    return labels
