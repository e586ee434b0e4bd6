"""Browsers: two that never said whose they are, one that several people use, and an e-mail that changed in one."""

from __future__ import annotations

from typing import TypeGuard

from profiles.duplicates.why import source_fixes
from profiles.duplicates.why.findings import SOFT, Case, Finding, Fix, Hand, Origin, See, Side, Trace
from profiles.duplicates.why.misplaced_values import MERGE
from profiles.duplicates.why.wording import by_whom, via_of, way_of
from profiles.models import Change, Source

JOIN_BROWSERS, JOIN_HELD = "join_browsers", "join_held"
EMAIL = "email"


def find(case: Case, see: See, *, is_linked: bool) -> list[Finding]:
    """What browsers say about the two. ``is_linked``: another value at both says it already."""
    found = [_hand(case, hand, see) for hand in case.hands]
    codes = {one.code for one in found}
    if not is_linked and "email_changed" not in codes and (finding := _agree_but_email(case, see)):
        found.append(finding)
    if not is_linked and not found:
        found += _never_identified(case, see)
    return found


# --- One browser, two people ----------------------------------------------------------------------------


def _hand(case: Case, hand: Hand, see: See) -> Finding:
    value = see(hand.type, hand.value)
    if hand.kind == "held":
        return _held(case, hand, value)
    if hand.kind == "hands" and _is_one_who_changed(case):
        return _changed(case, see, hand=hand)
    label = case.label(hand.type)
    said = (
        f"{label} {value} was used by both: by #{hand.first_id} first, then by #{hand.then_id}, each with an id of"
        " their own. A browser used by two people joins nobody; what each did stays theirs."
    )
    if hand.kind == "shared":
        said = f"{label} {value} was called a shared device, so it joins nobody."
    trace = _trace(case, hand)
    origin = trace.origin if trace else None
    source = origin.source if origin else hand.source
    fix = Fix(
        JOIN_BROWSERS,
        f"Usually two people: mark them as not duplicates. If #{hand.first_id} and #{hand.then_id} are one person"
        " after all, join them; the browser leads to the one they become.",
        True,
        source_fixes.reset_on_logout(source),
    )
    return Finding(
        "shared_device",
        said,
        value=value,
        stored_as=SOFT,
        profile_id=hand.then_id,
        source=source,
        via=way_of(origin, place="anonymousId") if origin else "",
        at=hand.at,
        fix=fix,
        type=hand.type,
        raw=hand.value,
        held_id=hand.held_id,
    )


def _trace(case: Case, hand: Hand) -> Trace | None:
    """The identifier's row at whoever had it last, else at the other."""
    for side in (case.side(hand.then_id), case.other(hand.then_id)):
        for trace in side.traces:
            if (trace.type, trace.value) == (hand.type, hand.value) and trace.origin is not None:
                return trace
    return None


def _held(case: Case, hand: Hand, value: str) -> Finding:
    label = case.label(hand.type)
    return Finding(
        "held_join",
        f"{label} {value} asked for the two to be joined, and the circuit breaker held it: it led to"
        f" {hand.people or 'too many'} people, or its source joined too many within an hour.",
        value=value,
        stored_as=SOFT,
        profile_id=hand.then_id,
        source=hand.source,
        via="held join",
        at=hand.at,
        fix=Fix(JOIN_HELD, "Join them as the call asked, and answer what waits in Held.", True, None),
        type=hand.type,
        raw=hand.value,
        held_id=hand.held_id,
    )


# --- Another e-mail, nothing that stays -----------------------------------------------------------------


def _main_ids(case: Case, side: Side) -> set[str]:
    """Ids that stay when an e-mail changes: hard, main, and no e-mail."""
    return {
        f"{trace.type}:{trace.value}"
        for trace in side.traces
        if trace.leads
        and trace.place == trace.type != EMAIL
        and (spec := case.types.get(trace.type)) is not None
        and spec.makes_recognized
    }


def _is_one_who_changed(case: Case) -> bool:
    """Different e-mails, no stable id at one of them at least, and no name that objects."""
    emails = [set(side.of_type(EMAIL)) for side in case.sides]
    if not all(emails) or all(_main_ids(case, side) for side in case.sides):
        return False
    return not _names_differ(case)


def _names_differ(case: Case) -> bool:
    if {"first_names", "birth_dates"} & set(case.vetoes):
        return True
    for field in ("first_name", "birth_date"):
        one, other = (getattr(side.root, field) for side in case.sides)
        if one and other and str(one).casefold() != str(other).casefold():
            return True
    return False


def _agree_but_email(case: Case, see: See) -> Finding | None:
    """The same without a browser: full names agree, e-mails differ, nothing that stays."""
    one, other = (
        [(name or "").casefold() for name in (side.root.first_name, side.root.last_name)]
        for side in case.sides
    )
    agree = all(one) and one == other
    return _changed(case, see) if agree and _is_one_who_changed(case) else None


def _changed(case: Case, see: See, *, hand: Hand | None = None) -> Finding:
    newest = max(
        (trace for side in case.sides for trace in side.traces if trace.leads and trace.place == EMAIL),
        key=lambda trace: trace.origin.at.timestamp() if trace.origin and trace.origin.at else 0,
    )
    other = case.other(newest.root_id)
    old = next(trace for trace in other.traces if trace.leads and trace.place == EMAIL)
    old_value, value = see(EMAIL, old.value), see(EMAIL, newest.value)
    shared = f" in the same browser ({see(hand.type, hand.value)})" if hand else ""
    names = "" if hand else " Their names are the same."
    text = (
        f"#{other.id} came with the e-mail {old_value} ({by_whom(old)}), #{newest.root_id} with {value}{shared},"
        f" and no id that stays says that it is one person.{names} An e-mail of somebody who has one already makes"
        " somebody new."
    )
    origin = newest.origin
    return Finding(
        "email_changed",
        text,
        value=value,
        stored_as=newest.stored_as,
        profile_id=newest.root_id,
        source=origin.source if origin else "",
        via=via_of(newest),
        at=origin.at if origin else None,
        fix=Fix(
            MERGE,
            f"Join #{other.id} and #{newest.root_id}: both e-mails lead to them from then on."
            + (" If two people share that browser, mark them as not duplicates instead." if hand else ""),
            True,
            source_fixes.stable_id(case, origin, value),
        ),
        type=EMAIL,
        raw=newest.value,
        member_id=newest.member_id,
    )


# --- Nobody ever said who it is ---------------------------------------------------------------------------


def _never_identified(case: Case, see: See) -> list[Finding]:
    unknown = [side for side in case.sides if not side.root.is_recognized]
    if not unknown:
        return []
    nameless = [_nameless(case, side, made) for side in unknown if _is_no_visitor(made := side.made)]
    if nameless:
        return nameless
    side = unknown[0]
    browsers = [next(iter(one.held(SOFT)), None) for one in case.sides]
    trace = browsers[case.sides.index(side)]
    origin = trace.origin if trace and trace.origin else side.made
    if len(unknown) == 2:
        shown = [see(one.type, one.value) for one in browsers if one is not None]
        text = (
            f"Two browsers ({' and '.join(shown)}), and neither ever said whose it is: #{case.a.id} and #{case.b.id}"
            " are anonymous visitors, and nothing they sent names anybody."
        )
        code = "browsers_never_identified"
    else:
        value = see(trace.type, trace.value) if trace else ""
        text = (
            f"#{side.id} is an anonymous visitor: browser {value} never said whose it is, so it cannot be known that"
            f" it is #{case.other(side.id).id}."
        )
        code = "browser_never_identified"
    return [
        Finding(
            code,
            text,
            value=see(trace.type, trace.value) if trace else "",
            stored_as=SOFT,
            profile_id=side.id,
            source=origin.source if origin else "",
            via=way_of(origin, place="anonymousId") if origin and origin.door != Source.Door.STAFF else "",
            at=origin.at if origin else None,
            fix=Fix(
                JOIN_BROWSERS,
                f"If you know that they are one person, join #{case.a.id} and #{case.b.id}: both browsers lead to them"
                " from then on.",
                True,
                source_fixes.identify_visitor(case, origin),
            ),
            type=trace.type if trace else "",
            raw=trace.value if trace else "",
        )
    ]


def _is_no_visitor(made: Origin | None) -> TypeGuard[Origin]:
    """Made by a file, the API or staff: its browser id was made up, and says nothing."""
    return made is not None and not made.is_tracked


def _nameless(case: Case, side: Side, made: Origin) -> Finding:
    is_row = made.cause == Change.Cause.IMPORT
    text = f"#{side.id} was made without an identifier that leads to a person, so it could lead to nobody."
    if is_row:
        text = f"#{side.id} was made by a row of “{made.file}” that names no identifier, so it could lead to nobody."
    return Finding(
        "row_without_identifier" if is_row else "made_without_identifier",
        text,
        profile_id=side.id,
        source=made.source,
        via=way_of(made),
        at=made.at,
        fix=Fix(
            MERGE,
            f"If they are one person, join #{case.a.id} and #{case.b.id}.",
            True,
            source_fixes.map_identifier(made) if is_row else source_fixes.name_somebody(case),
        ),
        import_id=made.import_id,
    )
