"""One tracking call, from read items to stored rows and receipts: parse → resolve → write, in one transaction.

Every item gets exactly one outcome. Plain events of known profiles lock no profile; only calls that change profiles
lock their rows, and only merges take the lock of the merge graph.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError, OperationalError, connection, transaction
from psycopg.errors import (
    DeadlockDetected,
    ForeignKeyViolation,
    SerializationFailure,
    UniqueViolation,
)

from cdp import webhooks
from cdp.locks import Lock, take
from cdp.sql import together
from cdp.ttl_cache import Recent
from profiles.identity import graph
from profiles.identity.presets import BROWSER
from profiles.identity.types import identifier_types
from profiles.pairs.verdicts import objection
from profiles.tracking.ingest import event_sql
from profiles.tracking.ingest.call_plan import Plan
from profiles.tracking.ingest.candidates import (
    KnownIdentifiers,
    load_known,
    load_values,
    profiles_near_new_identifiers,
)
from profiles.tracking.ingest.consents import check_consent
from profiles.tracking.ingest.identifiers import ItemIdentifiers, identifiers_of, keys_of
from profiles.tracking.ingest.identity_resolution import resolve
from profiles.tracking.ingest.traits import ItemTraits, hidden_id_problems, read_traits
from profiles.tracking.ingest.write_plan import Outcomes, write_plan
from profiles.tracking.parse.item_types import (
    INVALID,
    QUARANTINED,
    BatchEntry,
    BatchResult,
    Item,
    ItemResult,
    RefusedItem,
)
from profiles.tracking.schemas import enforce
from profiles.tracking.sources import user_hash
from profiles.tracking.sources.write_keys import Sender

ATTEMPTS = 8
# A call that collided twice is repeated while no other is at work, so that each of them gets through.
_ALONE_FROM = 3
_EVENT_KINDS = ("track", "page", "screen")
_REFUSING = {"quarantine": QUARANTINED, "reject": INVALID}
known_types = Recent(identifier_types)
subscribed_topics = Recent(webhooks.heard_topics)


class StrictModeRefused(Exception):
    """A strict call had an item that cannot be carried out; nothing of the call was stored."""

    def __init__(self, results: list[ItemResult]) -> None:
        super().__init__("An item was rejected.")
        self.results = results


def ingest_items(
    entries: Sequence[BatchEntry],
    *,
    sender: Sender,
    is_strict: bool = False,
    replay_of: int | None = None,
    is_quiet: bool = False,
) -> BatchResult:
    """Carry out a call's items in their order; the results are in that order, too.

    A message seen before from this source has no effect. ``is_quiet`` calls (/v1/import) trigger no webhooks.
    ``replay_of`` is the receipt a repaired item comes from. Raises StrictModeRefused. Races with others about the
    same profiles are repeated until one of them is first, eight times in all; then Collision. Other database
    errors go through.
    """
    for attempt in range(1, ATTEMPTS + 1):
        call = _Call(sender, is_quiet=is_quiet, replay_of=replay_of, is_alone=attempt >= _ALONE_FROM)
        try:
            with transaction.atomic():
                return call.run(entries, is_strict=is_strict)
        except (event_sql.Collision, IntegrityError, OperationalError) as error:
            if not _is_race(error):
                raise
            if attempt == ATTEMPTS:
                raise event_sql.Collision("Others are writing about the same people.") from error
            if not connection.in_atomic_block:  # two that collided must not meet again at once
                time.sleep(random.uniform(0.0, 0.01) * attempt)  # noqa: S311
    raise AssertionError("unreachable")


def wait_for_turn(*, alone: bool) -> None:
    """Before any row is touched. Alone: once the calls at work have ended, with later ones and merges kept waiting.

    One query more for each call. Whoever waits here holds no row that another one needs.
    """
    if not alone:
        take(Lock.TRACKING_CALLS, is_shared=True)
        return
    take(Lock.TRACKING_CALLS)
    graph.lock_graph()


def _is_race(error: Exception) -> bool:
    races = (UniqueViolation, ForeignKeyViolation, DeadlockDetected, SerializationFailure)
    return isinstance(error, event_sql.Collision) or isinstance(error.__cause__, races)


@dataclass(frozen=True, slots=True)
class _Parsed:
    """What an item says, or why it is refused; the item is as its schema has it."""

    item: Item
    identifiers: ItemIdentifiers | RefusedItem


class _Call:
    """One attempt at one call."""

    def __init__(self, sender: Sender, *, is_quiet: bool, replay_of: int | None, is_alone: bool) -> None:
        self.sender, self.source = sender, sender.source
        self.is_quiet, self.replay_of, self.is_alone = is_quiet, replay_of, is_alone
        self.outcomes = Outcomes()
        self.traits: dict[int, ItemTraits] = {}

    def run(self, entries: Sequence[BatchEntry], *, is_strict: bool) -> BatchResult:
        outcomes = self.outcomes
        outcomes.refused = [entry for entry in entries if isinstance(entry, RefusedItem)]
        parsed = self._parse([entry for entry in entries if isinstance(entry, Item)])
        fresh, known = self._load(parsed)
        if outcomes.refused and is_strict:
            raise StrictModeRefused([ItemResult.of(refused) for refused in outcomes.refused])
        self._settle_refused()
        if fresh:
            write_plan(
                self._resolve(fresh, known),
                entries,
                outcomes,
                sender=self.sender,
                traits=self.traits,
                browser_type=known_types()[BROWSER],
                topics=() if self.is_quiet else subscribed_topics(),
                replay_of=self.replay_of,
            )
        else:
            outcomes.write_receipts(entries, source=self.source, replay_of=self.replay_of)
        if secrets := {identifiers.secret for identifiers in fresh if identifiers.secret}:
            # Afterwards: within, calls of one source would wait for one another.
            transaction.on_commit(lambda: user_hash.record_use(self.source, secrets), robust=True)
        for index, problems in outcomes.problems.items():
            outcomes.results[index].problems = problems
        return BatchResult([outcomes.results[entry.index] for entry in entries])

    # --- Parse ------------------------------------------------------------------------------------------

    def _parse(self, items: list[Item]) -> list[_Parsed]:
        """What each item says and whom it names, in order. No query, but for what this process has not read lately."""
        items = self._check_schemas(items)
        self.traits = read_traits(items, self.sender)
        return [_Parsed(item, self._identifiers(item)) for item in items]

    def _check_schemas(self, items: list[Item]) -> list[Item]:
        """Items that may go on, as their schemas have them; the others are refused. Only track calls have schemas."""
        kept, outcomes = [], self.outcomes
        for item in items:
            problems = [*item.problems]
            if item.kind == "track":
                check = enforce.check_item(item, source=self.source)
                item, problems = check.item, [*problems, *check.problems]
                if check.mode in _REFUSING:
                    outcome, message = _REFUSING[check.mode], check.problems[0]["message"]
                    outcomes.refused.append(
                        RefusedItem.of(item, "schema_violation", message, outcome=outcome, problems=problems)
                    )
                    continue
            if item.kind in _EVENT_KINDS:
                problems += hidden_id_problems(
                    item.properties, "/properties", sent=(item.user_id, item.anonymous_id)
                )
            outcomes.problems[item.index] += problems
            kept.append(item)
        return kept

    def _identifiers(self, item: Item) -> ItemIdentifiers | RefusedItem:
        traits = self.traits.get(item.index)
        raw, customer_ids = (traits.raw, traits.customer_ids) if traits else ({}, [])
        identifiers = identifiers_of(item, raw, self.sender, known_types(), customer_ids)
        if isinstance(identifiers, ItemIdentifiers) and item.kind == "consent":
            return check_consent(identifiers, self.sender)
        return identifiers

    # --- Resolve ----------------------------------------------------------------------------------------

    def _load(self, parsed: list[_Parsed]) -> tuple[list[ItemIdentifiers], KnownIdentifiers]:
        """The items to carry out, without messages received before; and what is known about their identifiers."""
        named = [entry.identifiers for entry in parsed if isinstance(entry.identifiers, ItemIdentifiers)]
        soft = {
            identifier.key
            for item in named
            for identifier in [*item.soft, *item.previous]
            if identifier.is_soft
        }
        with together():
            wait_for_turn(alone=self.is_alone)
            stored = event_sql.stored_messages(self.source.pk, [entry.item for entry in parsed])
            known = load_known(keys_of(named), soft)
        received, fresh, outcomes = stored.value, [], self.outcomes
        for entry in parsed:
            item, identifiers = entry.item, entry.identifiers
            if item.message_id in received:
                outcomes.duplicate(item, "duplicate_message", "This messageId was received before.")
                continue
            received.add(item.message_id)
            if isinstance(identifiers, RefusedItem):
                outcomes.refused.append(identifiers)
                continue
            outcomes.problems[item.index] += identifiers.problems
            if (traits := self.traits.get(item.index)) is not None:
                outcomes.problems[item.index] += traits.problems
            fresh.append(identifiers)
        return fresh, known()

    def _settle_refused(self) -> None:
        """Give refused items their outcome; one that waits in the inbox already is not put there twice."""
        outcomes = self.outcomes
        waiting: set[str] = set()
        if outcomes.refused and self.replay_of is None:
            texts = (refused.message_text for refused in outcomes.refused)
            waiting = event_sql.waiting_messages(self.source.pk, texts)
        for refused in outcomes.refused:
            if refused.message_text and refused.message_text in waiting:
                message = "This messageId was received before; it waits under Rejected."
                outcomes.duplicate(refused, "duplicate_message", message)
                continue
            outcomes.results[refused.index] = ItemResult.of(refused)
            outcomes.problems[refused.index] = list(refused.problems)
            if refused.message_text:
                waiting.add(refused.message_text)

    def _resolve(self, fresh: list[ItemIdentifiers], known: KnownIdentifiers) -> Plan:
        # What a profile holds decides whether one more identifier can be its own.
        near = profiles_near_new_identifiers(fresh, known)
        load_values(profile for profile in near if not profile.is_deleted)
        return resolve(
            fresh,
            known,
            is_web=self.sender.is_web,
            may_merge_recognized=self.source.merges_recognized and not self.sender.is_web,
            merges_left=self._merges_left,
            objection=objection,
            seen_after=event_sql.soft_value_seen_after,
        )

    def _merges_left(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM profiles_merge WHERE source_id = %s AND cause = 'event'"
                " AND created_at > now() - interval '1 hour'",
                [self.source.pk],
            )
            return self.source.merges_per_hour - int(cursor.fetchone()[0])
