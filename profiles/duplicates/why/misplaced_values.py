"""A value both have, stored where it leads to nobody: in an update, an event, a column, under attributes, waiting."""

from __future__ import annotations

from profiles.duplicates.why import source_fixes
from profiles.duplicates.why.findings import (
    CONTACT,
    HARD,
    PENDING,
    PROPERTY,
    STORED_WORDS,
    Case,
    Finding,
    Fix,
    Link,
    See,
    SourceFix,
    Trace,
)
from profiles.duplicates.why.wording import by_whom, column_of, place_of, shown, spelled, via_of
from profiles.models import Change, IdentifierType, Source

PROMOTE, CONFIRM, MERGE, NORMALIZE = (
    "promote_identifier",
    "confirm_identifier",
    "merge_profiles",
    "normalize_identifier",
)


def find(case: Case, links: list[Link], see: See) -> list[Finding]:
    """One finding per value both have; two where it leads to neither, one for each place."""
    found = []
    for link in links:
        found += _of_link(case, link, see)
    return found


def _of_link(case: Case, link: Link, see: See) -> list[Finding]:
    if link.weak.leads:
        return [_two_ids(case, link, see)]
    if not case.types[link.type].row.is_unique:
        return [_not_telling(case, link, see)]
    told = [_at(case, link, link.weak, link.strong, see)]
    if not link.strong.leads:
        told.append(_at(case, link, link.strong, link.weak, see))
    return told


def _finding(code: str, text: str, trace: Trace, see: See, fix: Fix | None) -> Finding:
    origin = trace.origin
    return Finding(
        code=code,
        text=text,
        value=shown(trace, see),
        stored_as=trace.stored_as,
        profile_id=trace.root_id,
        source=origin.source if origin else "",
        via=via_of(trace),
        at=origin.at if origin else None,
        fix=fix,
        type=trace.type,
        raw=trace.value,
        member_id=trace.member_id,
        import_id=origin.import_id if origin else None,
    )


def _promote(case: Case, trace: Trace, other: Trace, see: See, source: SourceFix) -> Fix:
    what = f"{case.label(trace.type)} {shown(trace, see)}"
    return Fix(
        PROMOTE,
        f"Make {what} an identifier of #{trace.root_id}: it is joined with #{other.root_id}, and the value leads to"
        " both from then on.",
        True,
        source,
    )


def _at(case: Case, link: Link, trace: Trace, other: Trace, see: See) -> Finding:
    """Why the value does not lead to the person of ``trace``."""
    source = source_fixes.send_as_identifier(case, trace, shown(trace, see))
    head = (
        f"#{trace.root_id} has the {case.label(link.type).lower()} {shown(trace, see)}{spelled(trace, see)}"
    )
    tail = f"#{other.root_id} has it as {_as(other)} from {by_whom(other)}."
    if trace.stored_as == PENDING:
        return _pending(case, trace, other, see, f"{head}, but it waits to be confirmed", tail)
    code, why = _cause(case, trace)
    if code == "email_contact_only" and trace.origin is not None:
        source = source_fixes.let_email_identify(case, trace.origin)
    if code == "identifier_clash":
        source = source_fixes.one_id(case, trace)
    if code == "unsigned_user_id":
        source = source_fixes.sign_user_id(trace, shown(trace, see))
    fix = _promote(case, trace, other, see, source)
    return _finding(code, f"{head} {why} {tail}", trace, see, fix)


def _as(trace: Trace) -> str:
    return "an identifier" if trace.leads else f"{_article(STORED_WORDS[trace.stored_as])}"


def _article(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _pending(case: Case, trace: Trace, other: Trace, see: See, head: str, tail: str) -> Finding:
    fix = Fix(
        CONFIRM,
        f"Confirm {case.label(trace.type)} {shown(trace, see)} at #{trace.root_id} in its owner's name: it is joined"
        f" with #{other.root_id}.",
        True,
        source_fixes.confirm(case, trace, shown(trace, see)),
    )
    source = trace.origin.source if trace.origin else "its source"
    text = f"{head}: {source} asks for a double opt-in, and nobody clicked the link. {tail}"
    return _finding("pending_identifier", text, trace, see, fix)


def _cause(case: Case, trace: Trace) -> tuple[str, str]:
    """(code, the rest of the sentence) of a value that leads nowhere."""
    origin = trace.origin
    where = place_of(trace)
    if trace.stored_as == PROPERTY and trace.place == "/userId":
        return "unsigned_user_id", "only as a userId that was not signed, so it was not used."
    if origin is not None and origin.call == "update":
        return "update_not_identify", f"only because update said so in {where}; update recognizes nobody."
    if trace.stored_as == PROPERTY:
        said = f"{origin.call} “{origin.event}”" if origin and origin.event else "an event"
        return "identifier_in_event", f"only in {where} of {said}; events recognize nobody."
    if origin is not None and origin.cause == Change.Cause.IMPORT and trace.stored_as != CONTACT:
        column = column_of(trace)
        named = f"column “{column}”" if column else "a column"
        return (
            "import_column_attribute",
            f"only as {trace.place}: {named} of “{origin.file}” was mapped to it.",
        )
    if trace.stored_as == CONTACT:
        return _contact(trace)
    if origin is not None and origin.call:
        return "id_in_attributes", f"only as {where} of {origin.call}, which is kept as an attribute."
    return "id_in_attributes", f"only under {trace.place}, and attributes lead to nobody."


def _contact(trace: Trace) -> tuple[str, str]:
    origin = trace.origin
    if (
        origin is not None
        and origin.call == "identify"
        and trace.type == "email"
        and not origin.identifies_by_email
    ):
        return (
            "email_contact_only",
            f"for contact only: the source “{origin.source}” does not let an e-mail identify.",
        )
    return (
        "identifier_clash",
        "for contact only: when it came it led to somebody else already, and no call or file joins two people who are"
        " both known.",
    )


# --- Both lead, or neither may --------------------------------------------------------------------------


def _two_ids(case: Case, link: Link, see: See) -> Finding:
    """The same e-mail as two identifiers that are not equal: other case, or another type."""
    weak, strong = link.weak, link.strong
    same = weak.place == strong.place
    code = "email_case" if same else "email_as_other_id"
    kinds = (
        case.label(weak.place) if same else f"{case.label(weak.place)} here, {case.label(strong.place)} there"
    )
    why = (
        f"written in another case, and case counts in a {case.label(weak.place).lower()}"
        if same
        else "as identifiers of two types, which never meet"
    )
    text = (
        f"Both are called by the e-mail {shown(weak, see)} as {kinds}, {why}: #{weak.root_id} by {by_whom(weak)},"
        f" #{strong.root_id} by {by_whom(strong)}."
    )
    fix = Fix(
        NORMALIZE,
        f"Join #{weak.root_id} and #{strong.root_id}; both spellings and the e-mail itself lead to them from then on.",
        True,
        source_fixes.one_spelling(case, weak if weak.place != "email" else strong, shown(weak, see)),
    )
    return _finding(code, text, weak, see, fix)


def _not_telling(case: Case, link: Link, see: See) -> Finding:
    """A type that is for contact only, such as the phone as it ships."""
    weak, strong = link.weak, link.strong
    label = case.label(link.type)
    is_phone = case.types[link.type].row.normalizer == IdentifierType.Normalizer.PHONE
    differ = is_phone and weak.raw != strong.raw
    code = "phone_format" if differ else "contact_type"
    text = f"Both have the {label.lower()} {shown(weak, see)}"
    if differ:
        text += (
            f", written in two formats: at #{weak.root_id} by {by_whom(weak)}{spelled(weak, see)},"
            f" at #{strong.root_id} by {by_whom(strong)}{spelled(strong, see)}"
        )
        if weak.stored_as not in (CONTACT, HARD):
            text += f". At #{weak.root_id} it could not be read as a number, so it is {_as(weak)} only"
    text += f". A {label.lower()} leads to nobody here, since several people may share one."
    plain = weak if weak.raw != weak.value else strong
    source = (
        source_fixes.international_phone(case, plain, shown(weak, see)) if differ else _let_lead(case, link)
    )
    fix = Fix(
        NORMALIZE if differ else MERGE,
        f"If they are one person, join #{weak.root_id} and #{strong.root_id}"
        + (f"; the number is kept once, as {shown(weak, see)}." if differ else "; both keep everything."),
        True,
        source,
    )
    return _finding(code, text, plain, see, fix)


def _let_lead(case: Case, link: Link) -> SourceFix:
    origin = link.weak.origin
    shop = origin is not None and origin.door in (Source.Door.WEB, Source.Door.API, Source.Door.IMPORT)
    return SourceFix(
        f"Send a customer_id or an e-mail with every {case.label(link.type).lower()}: these lead to one person."
        if shop
        else f"A {case.label(link.type).lower()} may be shared; ask for an e-mail, too."
    )
