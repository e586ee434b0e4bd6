"""A fix that a finding offers → its preview, or the merge, verdict or unlock that carries it out, audited
and undoable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import transaction

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Forbidden, RuleForbids
from profiles.duplicates.finding import clusters
from profiles.duplicates.why.browsers import MERGE_BROWSERS, MERGE_HELD
from profiles.duplicates.why.diagnose import ProfilePair, find_profile_pair, why
from profiles.duplicates.why.findings import KEEP_APART, DisplayValue, Finding, Fix
from profiles.duplicates.why.kept_apart import REOPEN, UNLOCK
from profiles.duplicates.why.misplaced_values import CONFIRM, MERGE, NORMALIZE, PROMOTE
from profiles.editing import attach_identifier, set_lock
from profiles.identity import graph
from profiles.identity.lookup import resolve
from profiles.merging.merge import Merged, merge_profiles
from profiles.merging.preview import Preview, preview_merge
from profiles.merging.suggest_winner import suggest_winner
from profiles.models import DuplicatePair, Source
from profiles.pairs.verdicts import set_verdict
from profiles.tracking.pending.decide_held import MERGE as DECIDE_MERGE
from profiles.tracking.pending.decide_held import decide_held_merge
from profiles.tracking.pending.double_opt_in import confirm_identifier

_MERGING = ("profiles.merge_profile",)
_IDENTIFYING = (*_MERGING, "profiles.add_identifier")
# What each fix is called, and which permissions it needs.
TITLES: dict[str, str] = {
    PROMOTE: "Promote to identifier and merge",
    CONFIRM: "Confirm and merge",
    NORMALIZE: "Merge the spellings",
    MERGE_BROWSERS: "Merge the browsers' people",
    MERGE_HELD: "Carry out the waiting merge",
    MERGE: "Merge the two",
    UNLOCK: "Unlock",
    REOPEN: "Undo the decision",
    KEEP_APART: "Not duplicates",
}
NEEDS: dict[str, tuple[str, ...]] = {
    PROMOTE: _IDENTIFYING,
    CONFIRM: _IDENTIFYING,
    NORMALIZE: _IDENTIFYING,
    MERGE_BROWSERS: _MERGING,
    MERGE_HELD: (*_MERGING, "profiles.change_heldmerge"),
    MERGE: _MERGING,
    UNLOCK: ("profiles.change_profile",),
    REOPEN: ("profiles.change_duplicatepair",),
    KEEP_APART: ("profiles.change_duplicatepair",),
}
# Offered beside every fix that merges: two people on one device stay two.
KEEP_APART_FIX = Fix(
    KEEP_APART, "Mark these as two people; no import or call merges them from then on.", False
)


@dataclass(frozen=True, slots=True)
class FixPreview:
    """What a fix would do: ``steps`` as sentences, and the merge, if it merges the two."""

    code: str
    title: str
    text: str
    merges: bool
    steps: list[str]
    merge: Preview | None = None


@dataclass(frozen=True, slots=True)
class AppliedFix:
    """What a fix did. ``profile_id`` is the surviving profile, or the first of the two when they stay
    separate.
    """

    code: str
    message: str
    is_merged: bool
    profile_id: int
    merge_id: int | None = None
    loser_id: int | None = None
    steps: list[str] = field(default_factory=list)


def may_apply(actor: Actor, code: str) -> bool:
    return all(actor.can(permission) for permission in NEEDS[code])


def _check_rights(actor: Actor, code: str) -> None:
    for permission in NEEDS[code]:
        if not actor.can(permission):
            raise Forbidden(f"“{TITLES[code]}” needs the permission {permission}, which you do not have.")


def _chosen(profiles: ProfilePair, code: str, display: DisplayValue | None = None) -> list[Finding]:
    """The findings that offer this fix. Raises RuleForbids naming the fixes that are offered."""
    findings = why(profiles) if display is None else why(profiles, display=display)
    chosen = [finding for finding in findings if finding.fix_with(code) is not None]
    if chosen or code == KEEP_APART:
        return chosen
    codes = [fix.code for finding in findings for fix in finding.fixes if fix.code != KEEP_APART]
    offered = ", ".join(dict.fromkeys([*codes, KEEP_APART]))
    raise RuleForbids(
        f"“{code}” fixes nothing between #{profiles.a.pk} and #{profiles.b.pk}. Offered: {offered}."
    )


def preview_fix(
    profiles: ProfilePair, *, code: str, display: DisplayValue | None = None, actor: Actor, source: Source
) -> FixPreview:
    """What ``apply_fix`` would do; nothing is kept. ``display`` formats values in the sentences.

    Raises what ``apply_fix`` raises.
    """
    chosen = _chosen(profiles, code, display)
    _check_rights(actor, code)
    fixes = [fix for finding in chosen if (fix := finding.fix_with(code)) is not None] or [KEEP_APART_FIX]
    steps = list(dict.fromkeys(fix.text for fix in fixes))
    if not fixes[0].merges:
        return FixPreview(code, TITLES[code], steps[0], False, steps)
    suggestion = suggest_winner(profiles.a.pk, profiles.b.pk)
    merge = preview_merge(
        winner_id=suggestion.winner_id,
        loser_id=suggestion.loser_id,
        actor=actor,
        source=source,
        can_view_pii=actor.can("profiles.view_pii"),
    )
    steps.append(
        f"#{suggestion.loser_id} is merged into #{suggestion.winner_id}; the old id then opens that profile."
    )
    return FixPreview(code, TITLES[code], steps[0], True, steps, merge)


@graph.retried
@transaction.atomic
def apply_fix(
    *,
    a_id: int,
    b_id: int,
    code: str,
    actor: Actor,
    source: Source,
    preview_hash: str | None = None,
) -> AppliedFix:
    """Carry out one of the fixes that ``why`` offers; one that merges can be undone like any merge.

    Findings are computed anew, so only what still holds is fixed. All values with the same fix are fixed
    together. Raises NotFound; RuleForbids (one profile already, not offered, locked); Forbidden naming the
    missing permission; Stale when ``preview_hash`` is no longer that of the two.
    """
    profiles = find_profile_pair(a_id, b_id)
    chosen = _chosen(profiles, code)
    _check_rights(actor, code)
    if code in _WITHOUT_MERGE:
        applied = _WITHOUT_MERGE[code](profiles, chosen, actor, source)
    else:
        applied = _merge(profiles, code, chosen, actor=actor, source=source, preview_hash=preview_hash)
    audit.record(
        "duplicate.fix",
        actor=actor,
        subject=f"profile:{applied.profile_id}",
        detail={
            "code": code,
            "findings": sorted({finding.code for finding in chosen}),
            "other": profiles.b.pk if applied.profile_id == profiles.a.pk else profiles.a.pk,
            "merge_id": applied.merge_id,
        },
    )
    return applied


# --- Merging ----------------------------------------------------------------------------------------------


def _merge(
    profiles: ProfilePair,
    code: str,
    chosen: list[Finding],
    *,
    actor: Actor,
    source: Source,
    preview_hash: str | None,
) -> AppliedFix:
    """Merge first, as previewed, then attach the misplaced values to the survivor."""
    suggestion = suggest_winner(profiles.a.pk, profiles.b.pk)
    merged = merge_profiles(
        winner_id=suggestion.winner_id,
        loser_id=suggestion.loser_id,
        preview_hash=preview_hash,
        actor=actor,
        source=source,
    )
    steps = _attach_values(merged, code, chosen, actor, source)
    message = f"#{merged.loser_id} was merged into #{merged.winner_id}."
    return AppliedFix(
        code, " ".join([message, *steps]), True, merged.winner_id, merged.merge_id, merged.loser_id, steps
    )


def _attach_values(
    merged: Merged, code: str, chosen: list[Finding], actor: Actor, source: Source
) -> list[str]:
    if code == MERGE_HELD:
        return [
            decide_held_merge(held_merge_id=held_merge_id, decision=DECIDE_MERGE, actor=actor).message
            for held_merge_id in dict.fromkeys(
                finding.held_merge_id for finding in chosen if finding.held_merge_id
            )
        ]
    if code not in (PROMOTE, CONFIRM, NORMALIZE):
        return []
    values = {(finding.type, finding.raw): finding for finding in chosen if finding.type and finding.raw}
    matches = resolve(values)
    steps = []
    for (name, value), finding in values.items():
        match = matches.get((name, value))
        if match is not None and match.root_id != merged.winner_id:
            steps.append(f"One {name} belongs to #{match.root_id} and was left there.")
        elif code == CONFIRM:
            confirm_identifier(
                profile_id=merged.winner_id,
                type_name=name,
                raw=value,
                actor=actor,
                source=source,
                may_merge=False,
            )
        else:
            # Attached via the member it was found at, so that an undo returns it there.
            attach_identifier(
                profile_id=merged.winner_id,
                type_name=name,
                raw=value,
                via_id=finding.member_id,
                actor=actor,
                source=source,
            )
    return steps


# --- Staying separate ---------------------------------------------------------------------------------------


def _unlock(profiles: ProfilePair, chosen: list[Finding], actor: Actor, source: Source) -> AppliedFix:
    ids = [finding.profile_id for finding in chosen if finding.profile_id]
    for profile_id in ids:
        set_lock(profile_id=profile_id, is_locked=False, actor=actor, source=source)
    named = " and ".join(f"#{profile_id}" for profile_id in ids)
    return AppliedFix(UNLOCK, f"{named} can be merged again.", False, profiles.a.pk)


def _reopen(profiles: ProfilePair, chosen: list[Finding], actor: Actor, source: Source) -> AppliedFix:
    _decide(profiles, DuplicatePair.Verdict.OPEN, actor)
    return AppliedFix(REOPEN, "The decision was undone; the two are suggested again.", False, profiles.a.pk)


def _keep_apart(profiles: ProfilePair, chosen: list[Finding], actor: Actor, source: Source) -> AppliedFix:
    _decide(profiles, DuplicatePair.Verdict.NOT_DUPLICATE, actor)
    return AppliedFix(KEEP_APART, "Saved: these are two people.", False, profiles.a.pk)


def _decide(profiles: ProfilePair, verdict: str, actor: Actor) -> None:
    set_verdict(a_id=profiles.a.pk, b_id=profiles.b.pk, verdict=verdict, actor=actor)
    clusters.refresh_derived([profiles.a.pk, profiles.b.pk])


_WITHOUT_MERGE: dict[str, Callable[[ProfilePair, list[Finding], Actor, Source], AppliedFix]] = {
    UNLOCK: _unlock,
    REOPEN: _reopen,
    KEEP_APART: _keep_apart,
}
