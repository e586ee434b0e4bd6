"""One tracking call, from read items to stored rows and receipts, in one transaction.

Every item gets exactly one outcome. Plain events of people known already take no lock on anybody; only calls
that change people lock their rows, and only joins take the lock of the merge graph.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone
from psycopg.errors import (
    DeadlockDetected,
    ForeignKeyViolation,
    SerializationFailure,
    UniqueViolation,
)

from cdp import webhooks
from cdp.actors import Actor
from cdp.errors import Refused
from cdp.sql import Answer, ask, together
from cdp.ttl_cache import Recent
from profiles.identity import graph
from profiles.identity.types import identifier_types
from profiles.journal import Cause
from profiles.merging.merge import merge_profiles
from profiles.pairs.verdicts import objection
from profiles.tracking.ingest import carts, event_sql, last_seen, profile_sql
from profiles.tracking.ingest.candidates import Known, Person, ask_known, near_new_ids, read_values
from profiles.tracking.ingest.consents import check_consent, record_consents
from profiles.tracking.ingest.identifiers import Claims, claims_of, keys_of
from profiles.tracking.ingest.identity_resolution import Decided, Decider, Landing
from profiles.tracking.ingest.profile_changes import Changes
from profiles.tracking.ingest.traits import Said, identifier_like, read_traits
from profiles.tracking.parse.item_types import (
    DUPLICATE,
    INVALID,
    QUARANTINED,
    BatchEntry,
    BatchResult,
    Item,
    ItemProblem,
    ItemResult,
    RefusedItem,
)
from profiles.tracking.schemas import enforce
from profiles.tracking.sources import user_hash
from profiles.tracking.sources.write_keys import Sender

ATTEMPTS = 8
# A call that collided twice is repeated while no other is at work, so that each of them gets through.
_ALONE_FROM = 3
_CALLS_LOCK = 7_302_003
known_types = Recent(identifier_types)
heard_topics = Recent(webhooks.heard_topics)


class StrictModeRefused(Exception):
    """A strict call had an item that cannot be carried out; nothing of the call was stored."""

    def __init__(self, results: list[ItemResult]) -> None:
        super().__init__("An item was refused.")
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
    ``replay_of`` is the receipt a repaired item comes from. Raises StrictRefused. Races with others about the
    same people are repeated until one of them is first, eight times in all; then Collision. Other database
    errors go through.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                call = _Call(sender, is_quiet=is_quiet, replay_of=replay_of, is_alone=attempt >= _ALONE_FROM)
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

    One query more for each call. Waiting in line, nobody can hold a row another one needs.
    """
    if not alone:
        ask("SELECT pg_advisory_xact_lock_shared(%s)", [_CALLS_LOCK])
        return
    ask("SELECT pg_advisory_xact_lock(%s)", [_CALLS_LOCK])
    graph.lock_graph()


def _is_race(error: Exception) -> bool:
    races = (UniqueViolation, ForeignKeyViolation, DeadlockDetected, SerializationFailure)
    return isinstance(error, event_sql.Collision) or isinstance(error.__cause__, races)


class _Call:
    def __init__(self, sender: Sender, *, is_quiet: bool, replay_of: int | None, is_alone: bool) -> None:
        self.sender, self.source = sender, sender.source
        self.is_quiet, self.replay_of, self.is_alone = is_quiet, replay_of, is_alone
        self.actor = Actor.system()
        self.results: dict[int, ItemResult] = {}
        self.problems: dict[int, list[ItemProblem]] = defaultdict(list)
        self.refused: list[RefusedItem] = []
        self.said: dict[int, Said] = {}

    def run(self, entries: Sequence[BatchEntry], *, is_strict: bool) -> BatchResult:
        self.refused = [entry for entry in entries if isinstance(entry, RefusedItem)]
        items = self._checked([entry for entry in entries if isinstance(entry, Item)])
        claims, known = self._fresh(items, self._read(items))
        if self.refused and is_strict:
            raise StrictModeRefused([_refused(refusal) for refusal in self.refused])
        self._refuse()
        if claims:
            read_values(self._limited(claims, known))
            self._carry_out(entries, self._decide(claims, known), known)
        else:
            self._keep_receipts(entries, [])
        if secrets := {one.secret for one in claims if one.secret}:
            # Afterwards: within, calls of one source would wait for one another.
            transaction.on_commit(lambda: user_hash.record_use(self.source, secrets), robust=True)
        return BatchResult([self.results[entry.index] for entry in entries])

    # --- What is carried out ----------------------------------------------------------------------------

    def _checked(self, items: list[Item]) -> list[Item]:
        """Items that may go on, as their schemas have them; the others are refused."""
        kept = []
        for verdict in enforce.check_items(items, source=self.source) if items else ():
            item = verdict.item
            if verdict.mode in ("quarantine", "reject"):
                outcome = QUARANTINED if verdict.mode == "quarantine" else INVALID
                self.refused.append(_violation(item, outcome, verdict.problems))
                continue
            self.problems[item.index] += [*item.problems, *verdict.problems]
            if item.kind in ("track", "page", "screen"):
                self.problems[item.index] += identifier_like(item.properties, "/properties")
            kept.append(item)
        return kept

    def _duplicate(self, item: Item, code: str, message: str) -> None:
        self.results[item.index] = ItemResult(item.index, item.message_text, DUPLICATE, code, message)

    def _read(self, items: list[Item]) -> list[Claims | RefusedItem]:
        """Whom each item is about, in order. Nothing is asked of the database that it was not asked lately."""
        self.said = read_traits(items, self.sender)
        found = []
        for item in items:
            said = self.said.get(item.index)
            claims = claims_of(item, said.raw if said else {}, self.sender, known_types())
            if isinstance(claims, Claims) and item.kind == "consent":
                claims = check_consent(claims, self.sender)
            found.append(claims)
        return found

    def _fresh(self, items: list[Item], read: list[Claims | RefusedItem]) -> tuple[list[Claims], Known]:
        """What goes on of what was read, without messages received before; and what is known about their ids."""
        all_claims = [one for one in read if isinstance(one, Claims)]
        soft = {claim.key for one in all_claims for claim in [*one.soft, *one.previous] if claim.is_soft}
        with together():
            wait_for_turn(alone=self.is_alone)
            stored = event_sql.stored_messages(self.source.pk, items)
            known = ask_known(keys_of(all_claims), soft)
        seen, fresh = stored.value, []
        for item, claims in zip(items, read, strict=True):
            if item.message_id in seen:
                self._duplicate(item, "duplicate_message", "This messageId was received before.")
                continue
            seen.add(item.message_id)
            if isinstance(claims, RefusedItem):
                self.refused.append(claims)
                continue
            self.problems[item.index] += claims.problems
            if (said := self.said.get(item.index)) is not None:
                self.problems[item.index] += said.problems
            fresh.append(claims)
        return fresh, known()

    def _refuse(self) -> None:
        """Give refusals their outcome; one that waits in the inbox already is not put there twice."""
        held: set[str] = set()
        if self.refused and self.replay_of is None:
            held = event_sql.held_messages(self.source.pk, (one.message_text for one in self.refused))
        for refusal in self.refused:
            if refusal.message_text and refusal.message_text in held:
                self.results[refusal.index] = ItemResult(
                    refusal.index,
                    refusal.message_text,
                    DUPLICATE,
                    "duplicate_message",
                    "This messageId was received before; it waits in the inbox.",
                )
            else:
                self.results[refusal.index] = _refused(refusal)
                self.problems[refusal.index] = list(refusal.problems)
                if refusal.message_text:
                    held.add(refusal.message_text)

    # --- Who --------------------------------------------------------------------------------------------

    def _limited(self, claims: Iterable[Claims], known: Known) -> set[Person]:
        """People who may be given one more id: what they hold decides whether it is theirs.

        That is everybody whom a chain of ids within the call leads to from a strong id that is new: what leads to
        them may be given on the way.
        """
        return {person for person in near_new_ids(claims, known) if not person.is_gone}

    def _decide(self, claims: list[Claims], known: Known) -> Decided:
        decider = Decider(
            known, is_web=self.sender.is_web, merges_left=self._merges_left, objection=objection
        )
        for one in claims:
            decider.decide(one)
        return decider.out

    def _merges_left(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM profiles_merge WHERE source_id = %s AND cause = 'event'"
                " AND created_at > now() - interval '1 hour'",
                [self.source.pk],
            )
            return self.source.merges_per_hour - int(cursor.fetchone()[0])

    # --- Writing ----------------------------------------------------------------------------------------

    def _carry_out(self, entries: Sequence[BatchEntry], decided: Decided, known: Known) -> None:
        changes = Changes(self.sender, self.said)
        heard = () if self.is_quiet else heard_topics()
        new = [person for person in decided.new if person.joined is None]
        profile_sql.give_ids(new)
        with ExitStack() as stack:
            stack.enter_context(together())
            profile_sql.insert_people(new, changes.of_new(decided), self.source.pk)
            profile_sql.release_passed(decided)
            final = {key: hit.person for key, hit in known.owners.items()}
            came = profile_sql.insert_identifiers(decided.attached, final, self.source.pk)
            profile_sql.touch_identifiers(decided.touched)
            profile_sql.keep_intervals({key: known.intervals[key] for key in decided.passed})
            events = self._insert_events(decided)
            consents = [landing for landing in decided.landings if landing.claims.item.kind == "consent"]
            if decided.joins or consents:
                stack.close()  # other rooms' verbs write through the ORM
            self._join(decided, events)
            touched = changes.of_stored(decided, came)
            changes.tell(decided, came, events, actor=self.actor, source=self.source)
            last_seen.note((landing.person.now(), landing.member_id) for landing in decided.landings)
            profile_sql.suggest([clash for clash in decided.clashes if not clash.reason], self.source.name)
            profile_sql.hold([clash for clash in decided.clashes if clash.reason], self.source.pk)
            record_consents(consents, events, sender=self.sender, actor=self.actor)
            self.problems_of(changes, decided)
            self._keep_receipts(entries, decided.landings)
            told = _told(new, touched, heard)
        for topic, items in told.items():
            webhooks.publish_many(topic, items=items)

    def _insert_events(self, decided: Decided) -> Answer[dict[Any, int]]:
        """Their ids by message. Items that repeat another of their cart are none."""
        rows = [
            (landing.claims.item, landing.member_id or landing.person.now().id)
            for landing in decided.landings
        ]
        doubles = carts.drop_doubles(rows, source_id=self.source.pk)
        events = event_sql.insert_events(self.source.pk, [row for row in rows if row[0].index not in doubles])
        carts.keep(
            [
                (landing.claims.item, landing.person.now().id)
                for landing in decided.landings
                if landing.claims.item.index not in doubles
            ],
            source_id=self.source.pk,
        )
        for landing in decided.landings:
            if landing.claims.item.index in doubles:
                said = "The same person did the same to the same cart within two seconds."
                self._duplicate(landing.claims.item, "duplicate_cart_event", said)
        return events

    def _join(self, decided: Decided, events: Answer[dict[Any, int]]) -> None:
        for join in decided.joins:
            cause = Cause("event", events.value.get(join.landing.claims.item.message_id))
            try:
                merge_profiles(
                    winner_id=join.winner.id,
                    loser_id=join.loser.id,
                    actor=self.actor,
                    source=self.source,
                    cause=cause,
                )
            except Refused as refused:  # locked, deleted or merged since it was read
                raise event_sql.Collision(refused.message) from refused

    def problems_of(self, changes: Changes, decided: Decided) -> None:
        for landing in decided.landings:
            index = landing.claims.item.index
            self.problems[index] += [*landing.problems, *changes.problems.get(index, ())]

    # --- Receipts ---------------------------------------------------------------------------------------

    def _keep_receipts(self, entries: Sequence[BatchEntry], landings: list[Landing]) -> None:
        for landing in landings:
            item = landing.claims.item
            if item.index not in self.results:
                self.results[item.index] = ItemResult(
                    item.index,
                    item.message_text,
                    landing.outcome,
                    landing.code,
                    landing.message,
                    landing.person.now().id,
                )
        # A refusal is told by what refused it, not by what was read first.
        told: dict[int, BatchEntry] = {entry.index: entry for entry in entries}
        told |= {refusal.index: refusal for refusal in self.refused}
        event_sql.insert_receipts(
            [(told[entry.index], self.results[entry.index], self.problems[entry.index]) for entry in entries],
            source_id=self.source.pk,
            received_at=timezone.now(),
            replay_of=self.replay_of,
        )


def _told(
    new: list[Person], touched: dict[int, list[str]], heard: Collection[str]
) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """What webhooks are told, by topic: nothing that nobody listens to."""
    told: dict[str, list[tuple[int, dict[str, Any]]]] = {
        "profile.created": [(person.id, {"profile_id": person.id}) for person in new],
        "profile.updated": [
            (pk, {"profile_id": pk, "fields": fields}) for pk, fields in sorted(touched.items())
        ],
    }
    return {topic: items for topic, items in told.items() if items and topic in heard}


def _refused(refusal: RefusedItem) -> ItemResult:
    return ItemResult(refusal.index, refusal.message_text, refusal.outcome, refusal.code, refusal.message)


def _violation(item: Item, outcome: str, problems: Sequence[ItemProblem]) -> RefusedItem:
    return RefusedItem(
        item.index,
        code="schema_violation",
        message=problems[0]["message"] if problems else "The event breaks its schema.",
        raw=item.raw,
        kind=item.kind,
        name=item.name,
        message_text=item.message_text,
        outcome=outcome,
        problems=(*item.problems, *problems),
    )
