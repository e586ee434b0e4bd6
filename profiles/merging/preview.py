"""A merge or an undo → what it would do: the very same code, run in a transaction that is rolled back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from cdp.actors import Actor
from cdp.errors import Refused
from cdp.models import Webhook
from profiles.identity import graph
from profiles.masking import mask_identifier
from profiles.merging.merge import (
    AppliedMerge,
    LockedPair,
    apply_merge,
    hash_of_many,
    lock_pair,
    members_count,
)
from profiles.merging.preview_sections import read_sections, warnings_of
from profiles.merging.unmerge import Unmerged, unmerge_profiles
from profiles.models import Identifier, Profile, Source
from profiles.pairs import verdicts
from profiles.reading.profiles import ProfileView, profile_views
from profiles.values.attributes import AttributeSpec, attribute_specs, get_value, label_of
from profiles.values.merged_fields import SEEN, MergeRule, is_attribute, is_empty


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One row of the comparison; values are JSON-ready, lists for what both sides keep (``both``).

    ``rule``: same, winner, fill, choice, union, newest, sum, largest, smallest. ``merge_rule``: the attribute's own,
    which decides unless somebody chooses. ``choosable``: a choice makes a difference. ``clash``: both sides have a value
    and they differ.
    """

    field: str
    label: str
    winner: Any
    loser: Any
    result: Any
    rule: str
    both: bool = False
    choosable: bool = False
    clash: bool = False
    merge_rule: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """A merge that did not happen. ``preview_hash`` goes with the confirmation.

    ``sections``: what the registered sections say, by name.
    """

    preview_hash: str
    winner_id: int
    loser_id: int
    fields: list[FieldRow]
    moved: dict[str, int]
    sections: dict[str, Any]
    webhooks: list[str]
    warnings: list[str]
    result: ProfileView


@dataclass(frozen=True, slots=True)
class UndoRow:
    """A field the undo changes: on the survivor, on the profile that comes back, or on both."""

    field: str
    label: str
    now: Any
    winner: Any
    loser: Any


@dataclass(frozen=True, slots=True)
class UnmergePreview:
    """An undo that did not happen. ``moved`` counts what goes back with the loser."""

    merge_id: int
    winner_id: int
    loser_id: int
    fields: list[UndoRow]
    kept: list[dict[str, str]]
    moved: dict[str, int]
    webhooks: list[str]
    winner: ProfileView
    loser: ProfileView


@contextmanager
def rolled_back() -> Iterator[None]:
    """Everything inside is undone, and the locks it took are given back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@graph.retried
def preview_merge(
    *,
    winner_id: int,
    loser_id: int,
    choices: Mapping[str, str] | None = None,
    actor: Actor,
    source: Source,
    can_view_pii: bool = True,
) -> Preview:
    """What ``merge_profiles`` with the same arguments would do; nothing is stored, sent or left locked.

    ``can_view_pii``: the warnings may name identifiers unmasked (the rows are masked by whoever shows them).
    The hash is of both sides as they are now, whatever is chosen: any change of either but a new event
    makes it stale. Raises what the merge would.
    """
    look = Look(attribute_specs(), _listening_webhooks("profile.merged"), actor, source, can_view_pii)
    with rolled_back():
        return look.merge(winner_id, loser_id, choices)


@dataclass(frozen=True, slots=True)
class Look:
    """What previews of some merges have in common."""

    specs: Mapping[str, AttributeSpec]
    webhooks: list[str]
    actor: Actor
    source: Source
    can_view_pii: bool

    def merge(self, winner_id: int, loser_id: int, choices: Mapping[str, str] | None = None) -> Preview:
        """Merge the two and say what that did; the caller rolls it back."""
        pair = lock_pair(winner_id, loser_id)
        ids = (pair.winner.pk, pair.loser.pk)
        kept, compare_sections = _kept_by_both(*ids), read_sections(*ids)
        warnings = _warnings(pair, kept, can_view_pii=self.can_view_pii)
        applied = apply_merge(pair, choices=choices, actor=self.actor, source=self.source)
        result = profile_views([applied.merged.winner])[0]
        sections = compare_sections(result)
        return Preview(
            preview_hash=pair.state_hash,
            winner_id=ids[0],
            loser_id=ids[1],
            fields=[*_field_rows(applied, self.specs), *_united_rows(kept, ids)],
            moved=pair.moved,
            sections=sections,
            webhooks=self.webhooks,
            warnings=[*warnings_of(sections), *warnings],
            result=result,
        )


@dataclass(frozen=True, slots=True)
class ManyPreview:
    """Several merges into one profile that did not happen, one after another.

    ``steps`` are those that would be made, each with the winner as the ones before leave it; ``problem`` is why
    ``stopped_at`` would be refused. ``preview_hash`` goes with the confirmation.
    """

    preview_hash: str
    winner_id: int
    steps: list[Preview]
    stopped_at: int | None = None
    problem: str = ""


@graph.retried
def preview_many(
    *,
    winner_id: int,
    loser_ids: Iterable[int],
    actor: Actor,
    source: Source,
    can_view_pii: bool = True,
) -> ManyPreview:
    """What ``merge_many`` with the same arguments would do. Raises NotFound for a winner that does not exist."""
    losers = list(dict.fromkeys(loser_ids))
    look = Look(attribute_specs(), _listening_webhooks("profile.merged"), actor, source, can_view_pii)
    steps: list[Preview] = []
    with rolled_back():
        digest = hash_of_many(winner_id, losers)
        for loser_id in losers:
            try:
                with transaction.atomic():
                    steps.append(look.merge(winner_id, loser_id))
            except Refused as refusal:
                return ManyPreview(digest, winner_id, steps, loser_id, refusal.message)
    return ManyPreview(digest, winner_id, steps)


@graph.retried
def preview_unmerge(*, merge_id: int, actor: Actor, source: Source) -> UnmergePreview:
    """What ``unmerge_profiles`` would do: what goes back, and what stays and why. Raises what it would."""
    specs, webhooks = attribute_specs(), _listening_webhooks("profile.unmerged")
    with rolled_back():
        done = unmerge_profiles(merge_id=merge_id, actor=actor, source=source)
        winner, loser = profile_views([done.winner, done.loser])
        moved = members_count(done.loser_id)
    rows = _undo_rows(done, specs)
    return UnmergePreview(
        merge_id, done.winner_id, done.loser_id, rows, done.kept, moved, webhooks, winner, loser
    )


def _listening_webhooks(topic: str) -> list[str]:
    active = Webhook.objects.filter(is_active=True, topics__contains=[topic])
    return list(active.values_list("name", flat=True))


def _field_rows(applied: AppliedMerge, specs: Mapping[str, AttributeSpec]) -> list[FieldRow]:
    """Every field either side has a value in; the default attributes first, in the card's order."""
    winner, loser = applied.plan.winner_before, applied.plan.loser_before
    rows = []
    for key, outcome in applied.plan.outcomes.items():
        left, right = winner.get(key), loser.get(key)
        if key in SEEN or (is_empty(left) and is_empty(right)):
            continue
        merge_rule = applied.plan.rules.get(key, "")
        differ = (left != right or merge_rule == MergeRule.SUM) and not is_empty(right)
        rows.append(
            FieldRow(
                field=key,
                label=label_of(key, dict(specs)),
                winner=left,
                loser=right,
                result=outcome.value,
                rule=outcome.rule,
                both=outcome.rule == "union",
                choosable=differ,
                clash=differ and not is_empty(left) and outcome.rule != "union",
                merge_rule=merge_rule if not is_empty(left) else "",
            )
        )
    return rows


# --- What both sides keep -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _KeptByBoth:
    """``identifiers``: ``{(type, label, limit): {root: [values]}}``; ``tags``: ``{root: [names]}``."""

    identifiers: dict[tuple[str, str, int | None], dict[int, list[str]]]
    tags: dict[int, list[str]]


def _kept_by_both(*root_ids: int) -> _KeptByBoth:
    """Two queries."""
    identifiers: dict[tuple[str, str, int | None], dict[int, list[str]]] = defaultdict(
        lambda: defaultdict(list)
    )
    rows = Identifier.objects.of_profiles(*root_ids).order_by("type__priority", "type__name", "pk")
    columns = ("profile__canonical_id", "type__name", "type__label", "type__max_per_profile", "value")
    for root, name, label, limit, value in rows.values_list(*columns):
        values = identifiers[name, label or name, limit][root]
        if value not in values:
            values.append(value)
    tags: dict[int, list[str]] = defaultdict(list)
    tagged = Profile.objects.filter(canonical_id__in=root_ids, tag_links__isnull=False)
    pairs = tagged.values_list("canonical_id", "tag_links__tag__name").distinct()
    for root, name in pairs.order_by("tag_links__tag__name"):
        tags[root].append(name)
    return _KeptByBoth(identifiers, tags)


def _united_rows(kept: _KeptByBoth, ids: tuple[int, int]) -> list[FieldRow]:
    rows = [
        _united(f"identifiers.{name}", label, values.get(ids[0], []), values.get(ids[1], []))
        for (name, label, _), values in kept.identifiers.items()
    ]
    if kept.tags:
        rows.append(_united("tags", "Tags", kept.tags.get(ids[0], []), kept.tags.get(ids[1], [])))
    return rows


def _united(field: str, label: str, left: list[str], right: list[str]) -> FieldRow:
    result = [*left, *(value for value in right if value not in left)]
    return FieldRow(field, label, left, right, result, "same" if left == right else "union", both=True)


def _warnings(pair: LockedPair, kept: _KeptByBoth, *, can_view_pii: bool) -> list[str]:
    """What somebody should think about before confirming. Two queries, one more for a busy loser."""
    winner, loser = pair.winner.pk, pair.loser.pk
    warnings = []
    for (name, label, limit), by_root in kept.identifiers.items():
        both = [*by_root.get(winner, []), *by_root.get(loser, [])]
        values = list(dict.fromkeys(both))
        if limit is not None and len(values) > limit and by_root.get(winner) and by_root.get(loser):
            values_text = " and ".join(
                value if can_view_pii else mask_identifier(name, value) for value in values
            )
            warnings.append(
                f"{label}: {values_text}. One person has at most {limit}, so these may be different people."
            )
    if sentence := verdicts.objection(winner, loser):
        warnings.append(sentence)
    events, own = pair.moved["events"], members_count(winner)["events"]
    if events > own:
        warnings.append(
            f"#{loser} is the more active one (events: {events:,} against {own:,}). Consider swapping the two."
        )
    return warnings


def _undo_rows(done: Unmerged, specs: Mapping[str, AttributeSpec]) -> list[UndoRow]:
    keys = dict.fromkeys([*Profile.FIELDS, *done.fields, *done.returned])
    return [
        UndoRow(
            key,
            label_of(key, dict(specs)),
            done.fields[key][0] if key in done.fields else get_value(done.winner, key),
            get_value(done.winner, key),
            get_value(done.loser, key),
        )
        for key in keys
        if is_attribute(key) and (key in done.fields or key in done.returned)
    ]
