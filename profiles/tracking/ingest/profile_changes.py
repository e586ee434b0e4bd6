"""What a call changes about people: their attributes and identifiers, with the journal that tells it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from cdp.actors import Actor
from cdp.sql import Answer
from profiles.journal import Cause, Entry, Fields, record_many
from profiles.models import Change, Identifier, Profile, Source
from profiles.tracking.ingest.candidates import Person
from profiles.tracking.ingest.event_sql import Collision
from profiles.tracking.ingest.identity_resolution import Decided, Landing
from profiles.tracking.ingest.profile_sql import Held, hold_people, member_of, update_people
from profiles.tracking.ingest.traits import Said
from profiles.tracking.parse.item_types import ItemProblem
from profiles.tracking.sources.write_keys import Sender
from profiles.values.attributes import get_value, set_value


class Changes:
    """Collects per landing what changed, so that the journal can tell it with its event as the cause."""

    def __init__(self, sender: Sender, said: dict[int, Said]) -> None:
        self.sender, self.said = sender, said
        self.fields: dict[int, Fields] = {}
        self.problems: dict[int, list[ItemProblem]] = defaultdict(list)

    # --- People about to be stored ----------------------------------------------------------------------

    def of_new(self, decided: Decided) -> dict[int, dict[str, Any]]:
        """Columns of each new person by the object's ``id()``; told by the journal as one creation."""
        rows: dict[int, Profile] = {}
        for landing in decided.landings:
            person = landing.person.now()
            if person.is_new and (said := self._said(landing)) is not None:
                row = rows.setdefault(id(person), Profile(attributes={}))
                self.fields[landing.claims.item.index] = self._apply(said, row, landing, frozenset())
        return {place: _columns(row) for place, row in rows.items()}

    # --- People there already ---------------------------------------------------------------------------

    def of_stored(self, decided: Decided, came: Answer[set[Any]]) -> dict[int, list[str]]:
        """Apply what is said about stored people and lock them for it; ``{root: fields changed}``.

        Raises Collision when one of them was merged or deleted meanwhile.
        """
        given = _given(decided, came.value)
        speaking = [
            landing
            for landing in decided.landings
            if not landing.person.now().is_new and self._said(landing) is not None
        ]
        people = {landing.person.now() for landing in speaking} | given
        if not people:
            return {}
        rows = hold_people(person.id for person in people)
        for row in rows.values():
            if row.canonical_id != row.pk or row.status != Profile.Status.LIVE:
                raise Collision(f"Profile #{row.pk} was merged or deleted meanwhile.")
        verified = self._verified(speaking)
        touched: dict[int, set[str]] = {person.id: {"identifiers"} for person in given}
        for landing in speaking:
            row = rows[landing.person.now().id]
            said = self.said[landing.claims.item.index]
            fields = self._apply(said, row, landing, verified)
            self.fields[landing.claims.item.index] = fields
            if fields:
                touched.setdefault(row.pk, set()).update(fields)
        recognized = {person.id: person.is_recognized for person in people}
        update_people(
            [{"id": pk, "is_recognized": recognized[pk], **_columns(rows[pk])} for pk in sorted(touched)]
        )
        return {pk: sorted(fields) for pk, fields in touched.items()}

    def _said(self, landing: Landing) -> Said | None:
        said = self.said.get(landing.claims.item.index)
        return said if said is not None and said.values else None

    def _verified(self, speaking: Iterable[Landing]) -> frozenset[tuple[int, str, str]]:
        """(root, type, value) a public key may not overwrite. A query only for its e-mails and phones."""
        if not self.sender.is_web:
            return frozenset()
        roots = {
            landing.person.now().id
            for landing in speaking
            if self.said[landing.claims.item.index].values.keys() & {"email", "phone"}
        }
        if not roots:
            return frozenset()
        rows = Identifier.objects.of_people(*roots).filter(
            is_verified=True, type__name__in=["email", "phone"]
        )
        return frozenset(rows.values_list("profile__canonical_id", "type__name", "value"))

    def _apply(
        self, said: Said, row: Profile | Held, landing: Landing, verified: frozenset[tuple[int, str, str]]
    ) -> Fields:
        """Put values on the row; ``{field: [old, new]}``. What arrives late only fills what is empty."""
        item = landing.claims.item
        is_late = "late" in ((item.envelope or {}).get("marks") or ())
        fields: Fields = {}
        for field, new in said.values.items():
            old = get_value(row, field)
            if old == new:
                continue
            if is_late and old is not None:
                self._left(item.index, "late_value", field, new, "it arrived late; the newer value stays")
            elif old is not None and (row.pk, field, old) in verified:
                self._left(item.index, "verified_value", field, new, "the value here is verified")
            else:
                fields[field] = [old, new]
                set_value(row, field, new)
        return fields

    def _left(self, index: int, code: str, field: str, value: Any, why: str) -> None:
        self.problems[index].append(
            {
                "code": code,
                "pointer": f"/traits/{field.removeprefix('attributes.')}",
                "value": value if isinstance(value, (str, int, float, bool)) else None,
                "message": f"{field.removeprefix('attributes.')} was left as it is: {why}.",
            }
        )

    # --- The journal ------------------------------------------------------------------------------------

    def tell(
        self,
        decided: Decided,
        came: Answer[set[Any]],
        events: Answer[dict[Any, int]],
        *,
        actor: Actor,
        source: Source,
    ) -> None:
        """One entry per item that changed somebody, caused by its event; a new person's are one creation."""
        labels = _labels(decided, came.value)
        created: dict[int, Entry] = {}
        entries: list[Entry] = []
        for landing in decided.landings:
            index, person = landing.claims.item.index, landing.person.now()
            fields = dict(self.fields.get(index, {}))
            if labels.get(index):
                fields["identifiers"] = [[], labels[index]]
            if (first := created.get(person.id)) is not None:
                _add(first.fields, fields)
            elif person.is_new or fields:
                cause = Cause(Change.Cause.EVENT, events.value.get(landing.claims.item.message_id))
                if person.is_new:
                    entry = created[person.id] = Entry(person.id, Change.Kind.CREATED, {}, cause=cause)
                    _add(entry.fields, fields)
                else:
                    via = landing.member_id or person.id
                    entry = Entry(person.id, Change.Kind.UPDATED, fields, via_id=via, cause=cause)
                entries.append(entry)
        record_many(entries=entries, actor=actor, source=source)


def _columns(row: Profile | Held) -> dict[str, Any]:
    values = {name: get_value(row, name) for name in Profile.FIELDS}
    return {**values, "attributes": row.attributes}


def _given(decided: Decided, came: set[Any]) -> set[Person]:
    """Stored people who got an identifier in this call."""
    return {
        person
        for attach in decided.attached
        if not (person := attach.landing.person.now()).is_new
        and (attach.claim.spec.id, attach.claim.value, member_of(attach)) in came
    }


def _labels(decided: Decided, came: set[Any]) -> dict[int, list[str]]:
    """The identifiers each item brought, as the journal writes them."""
    labels: dict[int, list[str]] = defaultdict(list)
    told: set[Any] = set()
    for attach in decided.attached:
        key = (attach.claim.spec.id, attach.claim.value, member_of(attach))
        if key in came and key not in told:
            told.add(key)
            labels[attach.landing.claims.item.index].append(attach.claim.label)
    return labels


def _add(fields: Fields, more: Fields) -> None:
    """Fold a later item's changes of a new person into its creation."""
    for field, (old, new) in more.items():
        if field == "identifiers":
            before = fields.get(field, [[], []])
            fields[field] = [[], [*before[1], *new]]
        else:
            fields[field] = [fields.get(field, [old, None])[0], new]
