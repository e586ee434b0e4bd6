"""The history of two profiles → findings about browsers: never identified, used by several people, or with
a changed e-mail.
"""

from __future__ import annotations

from typing import TypeGuard

from profiles.duplicates.why import source_fixes
from profiles.duplicates.why.findings import (
    KEEP_APART,
    SOFT,
    BrowserHandover,
    DisplayValue,
    Finding,
    Fix,
    PairHistory,
    ProfileTraces,
    ValueOrigin,
    ValueTrace,
)
from profiles.duplicates.why.misplaced_values import MERGE
from profiles.duplicates.why.wording import describe_origin, describe_source, describe_trace
from profiles.identity.presets import EMAIL
from profiles.models import Change, Source

MERGE_BROWSERS, MERGE_HELD = "join_browsers", "join_held"


def find(history: PairHistory, display: DisplayValue, *, has_shared_value: bool) -> list[Finding]:
    """Findings about browsers. ``has_shared_value``: another shared value explains the two already."""
    findings = [_of_handover(history, handover, display) for handover in history.handovers]
    codes = {finding.code for finding in findings}
    if (
        not has_shared_value
        and "email_changed" not in codes
        and (finding := _agree_but_email(history, display))
    ):
        findings.append(finding)
    if not has_shared_value and not findings:
        findings += _never_identified(history, display)
    return findings


# --- One browser, two people ----------------------------------------------------------------------------


def _of_handover(history: PairHistory, handover: BrowserHandover, display: DisplayValue) -> Finding:
    value = display(handover.type, handover.value)
    if handover.kind == "held":
        return _of_held_merge(history, handover, value)
    if handover.kind == "hands" and _looks_like_changed_email(history):
        return _changed(history, display, handover=handover)
    label = history.label(handover.type)
    text = (
        f"{label} {value} was used by both: by #{handover.first_id} first, then by #{handover.then_id}, each with an id of"
        " their own. A browser that two people use merges nobody; what each of them did stays with them."
    )
    if handover.kind == "shared":
        text = f"{label} {value} was marked as a shared device, so it merges nobody."
    trace = _trace(history, handover)
    origin = trace.origin if trace else None
    source = origin.source if origin else handover.source
    reset = source_fixes.reset_on_logout(source)
    keep_apart = Fix(
        KEEP_APART,
        "Usually these are two people: mark them as not duplicates, and no import or call merges them from then on.",
        False,
        reset,
    )
    merge = Fix(
        MERGE_BROWSERS,
        f"If #{handover.first_id} and #{handover.then_id} are one person with two ids, merge them; the browser then"
        " belongs to the merged profile.",
        True,
        reset,
    )
    # One full name at one browser is more often one person.
    fix, alternative = (merge, keep_apart) if _names_agree(history) else (keep_apart, merge)
    return Finding(
        "shared_device",
        text,
        value=value,
        stored_as=SOFT,
        profile_id=handover.then_id,
        source=source,
        via=describe_origin(origin, location="anonymousId") if origin else "",
        at=handover.at,
        fix=fix,
        type=handover.type,
        raw=handover.value,
        held_merge_id=handover.held_merge_id,
        alternative=alternative,
    )


def _trace(history: PairHistory, handover: BrowserHandover) -> ValueTrace | None:
    """The identifier's trace at its last holder, else at the first."""
    for side in (history.side(handover.then_id), history.other(handover.then_id)):
        for trace in side.traces:
            if (trace.type, trace.value) == (handover.type, handover.value) and trace.origin is not None:
                return trace
    return None


def _of_held_merge(history: PairHistory, handover: BrowserHandover, value: str) -> Finding:
    label = history.label(handover.type)
    return Finding(
        "held_join",
        f"{label} {value} would have merged the two, but the merge waits for a decision: it was used by"
        f" {handover.profile_count or 'too many'} people, or its source merged too many within an hour.",
        value=value,
        stored_as=SOFT,
        profile_id=handover.then_id,
        source=handover.source,
        via="waiting merge",
        at=handover.at,
        fix=Fix(MERGE_HELD, "Merge the two, and decide what else waits for this value.", True, None),
        type=handover.type,
        raw=handover.value,
        held_merge_id=handover.held_merge_id,
    )


# --- Another e-mail, no stable id -----------------------------------------------------------------------


def _main_ids(history: PairHistory, side: ProfileTraces) -> set[str]:
    """Ids that stay when an e-mail changes: main hard identifiers other than e-mails."""
    return {
        f"{trace.type}:{trace.value}"
        for trace in side.traces
        if trace.resolves
        and trace.location == trace.type != EMAIL
        and (spec := history.types.get(trace.type)) is not None
        and spec.makes_recognized
    }


def _looks_like_changed_email(history: PairHistory) -> bool:
    """E-mails differ, at least one profile has no stable id, and no name objects."""
    emails = [set(side.of_type(EMAIL)) for side in history.sides]
    if not all(emails) or all(_main_ids(history, side) for side in history.sides):
        return False
    return not _names_differ(history)


def _names_differ(history: PairHistory) -> bool:
    if {"first_names", "birth_dates"} & set(history.vetoes):
        return True
    for field in ("first_name", "birth_date"):
        left, right = (getattr(side.root, field) for side in history.sides)
        if left and right and str(left).casefold() != str(right).casefold():
            return True
    return False


def _names_agree(history: PairHistory) -> bool:
    """Both have the same first and last name, and no birth date objects."""
    left, right = (
        [(name or "").casefold() for name in (side.root.first_name, side.root.last_name)]
        for side in history.sides
    )
    return all(left) and left == right and not _names_differ(history)


def _agree_but_email(history: PairHistory, display: DisplayValue) -> Finding | None:
    """The same without a shared browser: full names agree, e-mails differ, no stable id."""
    return (
        _changed(history, display) if _names_agree(history) and _looks_like_changed_email(history) else None
    )


def _changed(
    history: PairHistory, display: DisplayValue, *, handover: BrowserHandover | None = None
) -> Finding:
    newest = max(
        (
            trace
            for side in history.sides
            for trace in side.traces
            if trace.resolves and trace.location == EMAIL
        ),
        key=lambda trace: trace.origin.at.timestamp() if trace.origin and trace.origin.at else 0,
    )
    other_profile = history.other(newest.root_id)
    old = next(trace for trace in other_profile.traces if trace.resolves and trace.location == EMAIL)
    old_value, value = display(EMAIL, old.value), display(EMAIL, newest.value)
    shared = f" in the same browser ({display(handover.type, handover.value)})" if handover else ""
    names = "" if handover else " Their names are the same."
    text = (
        f"#{other_profile.id} came with the e-mail {old_value} ({describe_source(old)}), #{newest.root_id} with {value}{shared},"
        f" and no permanent id shows that it is one person.{names} A second e-mail without such an id creates"
        " a new profile."
    )
    origin = newest.origin
    return Finding(
        "email_changed",
        text,
        value=value,
        stored_as=newest.stored_as,
        profile_id=newest.root_id,
        source=origin.source if origin else "",
        via=describe_trace(newest),
        at=origin.at if origin else None,
        fix=Fix(
            MERGE,
            f"Merge #{other_profile.id} and #{newest.root_id}: from then on both e-mails identify the merged profile."
            + (" If two people share that browser, mark them as not duplicates instead." if handover else ""),
            True,
            source_fixes.stable_id(history, origin, value),
        ),
        type=EMAIL,
        raw=newest.value,
        member_id=newest.member_id,
    )


# --- Never identified ---------------------------------------------------------------------------------------


def _never_identified(history: PairHistory, display: DisplayValue) -> list[Finding]:
    unknown = [side for side in history.sides if not side.root.is_recognized]
    if not unknown:
        return []
    nameless = [
        _nameless(history, side, created_by)
        for side in unknown
        if _is_no_visitor(created_by := side.created_by)
    ]
    if nameless:
        return nameless
    if hidden := _email_as_browser_id(history, unknown, display):
        return hidden
    side = unknown[0]
    browser_traces = [next(iter(profile.stored_as(SOFT)), None) for profile in history.sides]
    trace = browser_traces[history.sides.index(side)]
    origin = trace.origin if trace and trace.origin else side.created_by
    if len(unknown) == 2:
        displayed = [
            display(profile.type, profile.value) for profile in browser_traces if profile is not None
        ]
        text = (
            f"Two browsers ({' and '.join(displayed)}), and neither was ever identified: #{history.a.id} and #{history.b.id}"
            " are anonymous visitors, and nothing they sent names anybody."
        )
        code = "browsers_never_identified"
    else:
        value = display(trace.type, trace.value) if trace else ""
        text = (
            f"#{side.id} is an anonymous visitor: browser {value} was never identified, so nothing shows that"
            f" it is #{history.other(side.id).id}."
        )
        code = "browser_never_identified"
    return [
        Finding(
            code,
            text,
            value=display(trace.type, trace.value) if trace else "",
            stored_as=SOFT,
            profile_id=side.id,
            source=origin.source if origin else "",
            via=describe_origin(origin, location="anonymousId")
            if origin and origin.channel != Source.Channel.STAFF
            else "",
            at=origin.at if origin else None,
            fix=Fix(
                MERGE_BROWSERS,
                f"If you know that they are one person, merge #{history.a.id} and #{history.b.id}: from then on both browsers belong to the"
                " merged profile.",
                True,
                source_fixes.identify_visitor(history, origin),
            ),
            type=trace.type if trace else "",
            raw=trace.value if trace else "",
        )
    ]


def _email_as_browser_id(
    history: PairHistory, unknown: list[ProfileTraces], display: DisplayValue
) -> list[Finding]:
    """Visitors whose browser's id is an e-mail address: whoever sent it believed that it identifies them."""
    findings = []
    for side in unknown:
        trace = next((trace for trace in side.stored_as(SOFT) if trace.is_in_soft_id), None)
        if trace is None:
            continue
        value, label = display(trace.type, trace.value), history.label(trace.type)
        origin = trace.origin
        findings.append(
            Finding(
                "id_in_soft_id",
                f"#{side.id} is an anonymous visitor: the {label.lower()} {value} came only as its"
                f" {history.label(trace.location).lower()}, which identifies a browser and not a person. No identifier of"
                f" #{history.other(side.id).id} is the same.",
                value=value,
                stored_as=SOFT,
                profile_id=side.id,
                source=origin.source if origin else "",
                via=describe_trace(trace),
                at=origin.at if origin else None,
                fix=Fix(
                    MERGE_BROWSERS,
                    f"If you know that they are one person, merge #{history.a.id} and #{history.b.id}.",
                    True,
                    source_fixes.keep_ids_out_of_browser_id(history, trace, value),
                ),
                type=trace.location,
                raw=trace.raw,
            )
        )
    return findings


def _is_no_visitor(created_by: ValueOrigin | None) -> TypeGuard[ValueOrigin]:
    """Whether a file, the API or staff made the profile: then its browser id was generated and says
    nothing.
    """
    return created_by is not None and not created_by.is_tracked


def _nameless(history: PairHistory, side: ProfileTraces, created_by: ValueOrigin) -> Finding:
    is_row = created_by.cause == Change.Cause.IMPORT
    text = f"#{side.id} was created without an identifier, so nothing could match it to another profile."
    if is_row:
        text = f"#{side.id} was created by a row of “{created_by.file}” without an identifier, so nothing could match it to another profile."
    return Finding(
        "row_without_identifier" if is_row else "made_without_identifier",
        text,
        profile_id=side.id,
        source=created_by.source,
        via=describe_origin(created_by),
        at=created_by.at,
        fix=Fix(
            MERGE,
            f"If they are one person, merge #{history.a.id} and #{history.b.id}.",
            True,
            source_fixes.map_identifier(created_by) if is_row else source_fixes.name_somebody(history),
        ),
        import_id=created_by.import_id,
    )
