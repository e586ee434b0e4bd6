"""A plan and what its items say about people → the columns and tags of their profiles, written; what stayed as it was.

Stored profiles are locked first, and looked at again: what the plan was made from must still hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from profiles.identity.presets import CONTACTS
from profiles.journal import Fields
from profiles.models import Identifier, Profile
from profiles.tagging import ensure_tags
from profiles.tracking.ingest import event_sql, profile_sql
from profiles.tracking.ingest.call_plan import Plan, Resolution
from profiles.tracking.ingest.candidates import CandidateProfile
from profiles.tracking.ingest.profile_sql import LockedProfile, StoredIdentifier, StoredValue
from profiles.tracking.ingest.traits import ItemTraits
from profiles.tracking.parse.item_text import pointer_part
from profiles.tracking.parse.item_types import ItemProblem
from profiles.tracking.parse.problem_codes import TOO_MANY_ALTERNATES
from profiles.tracking.sources.write_keys import Sender
from profiles.values.attributes import CUSTOM, get_value, set_value


@dataclass(frozen=True, slots=True)
class _Protection:
    """Why a stored value stays: the problem's code, and the end of its sentence."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class _LostValue:
    """A value that came and did not become the profile's, with the problem that says so, whose end is open yet."""

    resolution: Resolution
    field: str
    value: Any
    problem: ItemProblem


class AttributeChanges:
    """Puts traits on profiles; collects, by item, what changed (``{field: [old, new]}``) and what was left as it is."""

    def __init__(self, sender: Sender, traits: Mapping[int, ItemTraits]) -> None:
        self.sender, self.traits = sender, traits
        self.fields: dict[int, Fields] = {}
        self.problems: dict[int, list[ItemProblem]] = defaultdict(list)
        self._lost: list[_LostValue] = []

    def of_new(self, plan: Plan) -> dict[int, dict[str, Any]]:
        """Columns of each new profile, by the object's ``id()``."""
        rows: dict[int, Profile] = {}
        for resolution in plan.resolutions:
            profile = resolution.profile.survivor()
            if profile.is_new and (traits := self._traits(resolution)) is not None and traits.values:
                row = rows.setdefault(id(profile), Profile(attributes={}))
                self.fields[resolution.item.index] = self._apply(traits, row, resolution, {})
        return {key: _columns(row) for key, row in rows.items()}

    def of_stored(self, plan: Plan, stored: set[StoredIdentifier]) -> dict[int, list[str]]:
        """Lock the stored profiles that change and write them; ``{root: fields changed}``.

        Raises Collision when one of them was merged, torn apart or deleted meanwhile.
        """
        given = _given_identifiers(plan, stored)
        with_traits = [
            resolution
            for resolution in plan.resolutions
            if not resolution.profile.survivor().is_new and self._traits(resolution) is not None
        ]
        changing = {resolution.profile.survivor() for resolution in with_traits} | given
        rows = _lock_changing(plan, changing)
        if not changing:
            return {}
        protected = self._not_from_pages(with_traits, rows) | self._verified_contacts(with_traits)
        changed: dict[int, set[str]] = {profile.id: {"identifiers"} for profile in given}
        for resolution in with_traits:
            row = rows[resolution.profile.survivor().id]
            fields = self._apply(self.traits[resolution.item.index], row, resolution, protected)
            self.fields[resolution.item.index] = fields
            if fields:
                changed.setdefault(row.pk, set()).update(fields)
        recognized = {profile.id: profile.is_recognized for profile in changing}
        profile_sql.update_profiles(
            [{"id": pk, "is_recognized": recognized[pk], **_columns(rows[pk])} for pk in sorted(changed)]
        )
        return {pk: sorted(fields) for pk, fields in changed.items()}

    @property
    def has_tags(self) -> bool:
        return any(traits.tags for traits in self.traits.values())

    def put_tags(self, plan: Plan, changed: dict[int, list[str]]) -> None:
        """Put the items' tags on the members they came by; unknown tags are made. The rows are locked already."""
        tagged = [
            (resolution, traits.tags)
            for resolution in plan.resolutions
            if (traits := self._traits(resolution)) is not None and traits.tags
        ]
        ids = {tag.name.lower(): tag for tag in ensure_tags(name for _, names in tagged for name in names)}
        asked = {
            (resolution.item.index, resolution.member_id or resolution.profile.survivor().id, name.lower())
            for resolution, names in tagged
            for name in names
            if name.lower() in ids
        }
        put_on = profile_sql.insert_tags(
            sorted({(member, ids[name].pk) for _, member, name in asked}), self.sender.source.pk
        )
        roots = {resolution.item.index: resolution.profile.survivor() for resolution, _ in tagged}
        counted = set()
        for index, member, name in sorted(asked):
            row = (member, ids[name].pk)
            if row not in put_on:
                continue
            put_on.discard(row)  # of several items the first says it
            fields, root = self.fields.setdefault(index, {}), roots[index]
            fields["tags"] = [[], [*fields.get("tags", [[], []])[1], ids[name].name]]
            if root.is_new:
                continue
            if root.id not in changed:
                counted.add(root.id)
            changed[root.id] = sorted({*changed.get(root.id, ()), "tags"})
        if counted:
            profile_sql.count_change(counted)

    def keep_lost(self, plan: Plan) -> None:
        """Values that lost, to stored ones or to others of their item, become alternates; their problems say so.

        One query, none where nothing lost. After the profiles were written.
        """
        for resolution in plan.resolutions:
            traits = self.traits.get(resolution.item.index)
            for other in traits.others if traits is not None else ():
                attribute = other.field.removeprefix(CUSTOM)
                message = f"“{other.name}” says {attribute} as well, and another value of the call was taken."
                self._lose(
                    resolution, "other_value", other.field, other.value, message, pointer_part(other.name)
                )
        if not self._lost:
            return
        keys = [
            (
                lost.resolution.member_id or lost.resolution.profile.survivor().id,
                lost.field,
                event_sql.as_json(lost.value),
            )
            for lost in self._lost
        ]
        left = profile_sql.insert_alternates(dict.fromkeys(keys), self.sender.source.pk).value
        for key, lost in zip(keys, self._lost, strict=True):
            if key in left:
                lost.problem["code"] = TOO_MANY_ALTERNATES
                end = f"The person has {profile_sql.MOST_ALTERNATES} other values already; the one sent stays in the event only."
            else:
                end = "The value sent is kept as an alternate."
            lost.problem["message"] = f"{lost.problem['message']} {end}"

    def _traits(self, resolution: Resolution) -> ItemTraits | None:
        traits = self.traits.get(resolution.item.index)
        return traits if traits is not None and (traits.values or traits.tags) else None

    def _verified_contacts(self, resolutions: Iterable[Resolution]) -> dict[StoredValue, _Protection]:
        """E-mails and phones that a public key may not overwrite. A query only for its e-mails and phones."""
        if not self.sender.is_web:
            return {}
        roots = {
            resolution.profile.survivor().id
            for resolution in resolutions
            if self.traits[resolution.item.index].values.keys() & set(CONTACTS)
        }
        if not roots:
            return {}
        rows = Identifier.objects.of_profiles(*roots).filter(is_verified=True, type__name__in=CONTACTS)
        verified = _Protection("verified_value", "the stored value is verified")
        return {
            (root, name, event_sql.as_json(value)): verified
            for root, name, value in rows.values_list("profile__canonical_id", "type__name", "value")
        }

    def _not_from_pages(
        self, resolutions: Iterable[Resolution], rows: Mapping[int, LockedProfile]
    ) -> dict[StoredValue, _Protection]:
        """Values that unsigned calls of a page would overwrite and that no page's call set. A query, or none.

        Everybody can read a page's key, and send a known person's userId with it.
        """
        at_stake = {
            (row.pk, name, old)
            for resolution in resolutions
            if self._is_unproven(resolution)
            for row in [rows[resolution.profile.survivor().id]]
            for name, new in self.traits[resolution.item.index].values.items()
            if (old := event_sql.as_json(get_value(row, name))) not in ("null", event_sql.as_json(new))
        }
        kept = _Protection(
            "kept_value", "the call is not signed, and the stored value did not come from a page's call"
        )
        return dict.fromkeys(at_stake - profile_sql.values_from_pages(at_stake), kept)

    def _is_unproven(self, resolution: Resolution) -> bool:
        return self.sender.is_web and not resolution.identifiers.secret

    def _apply(
        self,
        traits: ItemTraits,
        row: Profile | LockedProfile,
        resolution: Resolution,
        protected: Mapping[StoredValue, _Protection],
    ) -> Fields:
        """Put values on the row; ``{field: [old, new]}``. What arrives late only fills what is empty."""
        item = resolution.item
        is_late = "late" in ((item.envelope or {}).get("marks") or ())
        fields: Fields = {}
        for name, new in traits.values.items():
            old = get_value(row, name)
            if old == new:
                continue
            if is_late and old is not None:
                self._kept(
                    resolution, "late_value", name, new, "it arrived late, and a newer value is stored"
                )
            elif old is not None and (why := self._protection(protected, row.pk, name, old, resolution)):
                self._kept(resolution, why.code, name, new, why.sentence)
            else:
                fields[name] = [old, new]
                set_value(row, name, new)
        return fields

    def _protection(
        self,
        protected: Mapping[StoredValue, _Protection],
        root_id: int,
        name: str,
        old: Any,
        resolution: Resolution,
    ) -> _Protection | None:
        if not protected:
            return None
        why = protected.get((root_id, name, event_sql.as_json(old)))
        return None if why and why.code == "kept_value" and not self._is_unproven(resolution) else why

    def _kept(self, resolution: Resolution, code: str, name: str, value: Any, why: str) -> None:
        """The stored value stays."""
        attribute = name.removeprefix(CUSTOM)
        self._lose(resolution, code, name, value, f"{attribute} was not changed: {why}.", attribute)

    def _lose(
        self, resolution: Resolution, code: str, field_name: str, value: Any, message: str, trait: str
    ) -> None:
        problem: ItemProblem = {
            "code": code,
            "pointer": f"/traits/{trait}",
            "value": value if isinstance(value, (str, int, float, bool)) else None,
            "message": message,
        }
        self.problems[resolution.item.index].append(problem)
        if value is not None:
            self._lost.append(_LostValue(resolution, field_name, value, problem))


def _lock_changing(plan: Plan, changing: set[CandidateProfile]) -> dict[int, LockedProfile]:
    """Lock the profiles a call changes, and the members by which it came to them. One query, or none.

    What was read before may be so no longer: a merge undone meanwhile would put one person's values on another.
    Raises Collision when a member leads elsewhere by now, or to somebody who was deleted.
    """
    roots = {merge.winner.survivor() for merge in plan.merges} | changing
    roots |= {
        profile
        for resolution in plan.resolutions
        if resolution.item.kind == "consent" and not (profile := resolution.profile.survivor()).is_new
    }
    if not roots:
        return {}
    root_of = {profile.id: profile.id for profile in roots}
    root_of |= {
        member: root.id for member, loaded in plan.members.items() if (root := loaded.survivor()) in roots
    }
    rows = profile_sql.lock_profiles(root_of)
    for pk, root_id in root_of.items():
        row = rows.get(pk)
        if row is None or row.canonical_id != root_id:
            raise event_sql.Collision(f"Profile #{pk} was merged or torn apart meanwhile.")
    if any(rows[profile.id].status != Profile.Status.LIVE for profile in roots):
        raise event_sql.Collision("One of these people was deleted meanwhile.")
    return rows


def _columns(row: Profile | LockedProfile) -> dict[str, Any]:
    values = {name: get_value(row, name) for name in Profile.FIELDS}
    return {**values, "attributes": row.attributes}


def _given_identifiers(plan: Plan, stored: set[StoredIdentifier]) -> set[CandidateProfile]:
    """Profiles there before that got an identifier in this call."""
    return {
        profile
        for grant in plan.grants
        if not (profile := grant.resolution.profile.survivor()).is_new
        and profile_sql.identifier_row(grant) in stored
    }
