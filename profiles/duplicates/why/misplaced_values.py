"""Values both profiles have → findings: where each is stored so that it does not resolve (an update, an
event, an attribute …).
"""

from __future__ import annotations

import re

from profiles.duplicates.why import source_fixes
from profiles.duplicates.why.findings import (
    CONTACT,
    HARD,
    PENDING,
    PROPERTY,
    STORED_AS_LABELS,
    DisplayValue,
    Finding,
    Fix,
    PairHistory,
    SharedValue,
    SourceFix,
    ValueTrace,
)
from profiles.duplicates.why.wording import (
    column_of,
    describe_source,
    describe_trace,
    displayed,
    location_of,
    spelling_note,
)
from profiles.models import Change, IdentifierType, Source

PROMOTE, CONFIRM, MERGE, NORMALIZE = (
    "promote_identifier",
    "confirm_identifier",
    "merge_profiles",
    "normalize_identifier",
)


# “+48 …”, “0048 …”, also behind the apostrophe or the bracket that spreadsheets and people put before it.
_NAMES_COUNTRY = re.compile(r"[\s'(]*(\+|00)")


def find(history: PairHistory, shared_values: list[SharedValue], display: DisplayValue) -> list[Finding]:
    """One finding per shared value; two where it resolves on neither side, one for each place."""
    findings = []
    for shared_value in shared_values:
        findings += _of_shared_value(history, shared_value, display)
    return findings


def _of_shared_value(history: PairHistory, shared_value: SharedValue, display: DisplayValue) -> list[Finding]:
    if shared_value.weaker.resolves:
        return [_two_ids(history, shared_value, display)]
    if not history.types[shared_value.type].row.is_unique:
        return [_contact_only(history, shared_value, display)]
    findings = [_misplaced(history, shared_value, shared_value.weaker, shared_value.stronger, display)]
    if not shared_value.stronger.resolves:
        findings.append(
            _misplaced(history, shared_value, shared_value.stronger, shared_value.weaker, display)
        )
    return findings


def _finding(code: str, text: str, trace: ValueTrace, display: DisplayValue, fix: Fix | None) -> Finding:
    origin = trace.origin
    return Finding(
        code=code,
        text=text,
        value=displayed(trace, display),
        stored_as=trace.stored_as,
        profile_id=trace.root_id,
        source=origin.source if origin else "",
        via=describe_trace(trace),
        at=origin.at if origin else None,
        fix=fix,
        type=trace.type,
        raw=trace.value,
        member_id=trace.member_id,
        import_id=origin.import_id if origin else None,
    )


def _promote(
    history: PairHistory, trace: ValueTrace, other_trace: ValueTrace, display: DisplayValue, source: SourceFix
) -> Fix:
    what = f"{history.label(trace.type)} {displayed(trace, display)}"
    return Fix(
        PROMOTE,
        f"Make {what} an identifier of #{trace.root_id}: it is merged with #{other_trace.root_id}, and from then on the"
        " value identifies the merged profile.",
        True,
        source,
    )


def _misplaced(
    history: PairHistory,
    shared_value: SharedValue,
    trace: ValueTrace,
    other_trace: ValueTrace,
    display: DisplayValue,
) -> Finding:
    """Why the value does not resolve to the profile of ``trace``."""
    source = source_fixes.send_as_identifier(history, trace, displayed(trace, display))
    head = f"#{trace.root_id} has the {history.label(shared_value.type).lower()} {displayed(trace, display)}{spelling_note(trace, display)}"
    tail = f"#{other_trace.root_id} has it as {_stored_as_text(other_trace)} from {describe_source(other_trace)}."
    if trace.stored_as == PENDING:
        return _pending(history, trace, other_trace, display, f"{head}, but it waits for confirmation", tail)
    code, why = _cause(history, trace)
    if code == "email_contact_only" and trace.origin is not None:
        source = source_fixes.let_email_identify(history, trace.origin)
    if code == "identifier_clash":
        source = source_fixes.one_id(history, trace)
    if code == "id_in_soft_id":
        source = source_fixes.keep_ids_out_of_browser_id(history, trace, displayed(trace, display))
    if code == "unsigned_user_id":
        source = source_fixes.sign_user_id(trace, displayed(trace, display))
    fix = _promote(history, trace, other_trace, display, source)
    return _finding(code, f"{head} {why} {tail}", trace, display, fix)


def _stored_as_text(trace: ValueTrace) -> str:
    return "an identifier" if trace.resolves else f"{_with_article(STORED_AS_LABELS[trace.stored_as])}"


def _with_article(text: str) -> str:
    return f"an {text}" if text[0] in "aeiou" else f"a {text}"


def _pending(
    history: PairHistory,
    trace: ValueTrace,
    other_trace: ValueTrace,
    display: DisplayValue,
    head: str,
    tail: str,
) -> Finding:
    fix = Fix(
        CONFIRM,
        f"Confirm {history.label(trace.type)} {displayed(trace, display)} at #{trace.root_id} in its owner's name: it is merged"
        f" with #{other_trace.root_id}.",
        True,
        source_fixes.confirm(history, trace, displayed(trace, display)),
    )
    source = trace.origin.source if trace.origin else "its source"
    text = f"{head}: {source} requires double opt-in, and nobody has clicked the link. {tail}"
    return _finding("pending_identifier", text, trace, display, fix)


def _cause(history: PairHistory, trace: ValueTrace) -> tuple[str, str]:
    """(code, the rest of the sentence) for a value that does not resolve."""
    origin = trace.origin
    location = location_of(trace)
    if trace.is_in_soft_id:
        soft = history.label(trace.location).lower()
        return "id_in_soft_id", f"only as its {soft}, which identifies a browser and not a person."
    if trace.stored_as == PROPERTY and trace.location == "/userId":
        return "unsigned_user_id", "only as a userId that was not signed, so it was not used."
    if origin is not None and origin.call == "update":
        return "update_not_identify", f"only in {location} of an update call; update identifies nobody."
    if trace.stored_as == PROPERTY:
        call = f"{origin.call} “{origin.event}”" if origin and origin.event else "an event"
        return "identifier_in_event", f"only in {location} of {call}; events identify nobody."
    if origin is not None and origin.cause == Change.Cause.IMPORT and trace.stored_as != CONTACT:
        column = column_of(trace)
        named = f"column “{column}”" if column else "a column"
        return (
            "import_column_attribute",
            f"only as {trace.location}: {named} of “{origin.file}” was mapped to it.",
        )
    if trace.stored_as == CONTACT:
        return _contact(trace)
    if origin is not None and origin.call:
        return "id_in_attributes", f"only as {location} of {origin.call}, which is stored as an attribute."
    return "id_in_attributes", f"only under {trace.location}, and attributes identify nobody."


def _contact(trace: ValueTrace) -> tuple[str, str]:
    origin = trace.origin
    if (
        origin is not None
        and origin.call == "identify"
        and trace.type == "email"
        and not origin.identifies_by_email
    ):
        return (
            "email_contact_only",
            f"for contact only: the source “{origin.source}” is set so that an e-mail identifies nobody.",
        )
    return (
        "identifier_clash",
        "for contact only: when it arrived it already identified another person, and no call or file merges two people"
        " who are both recognized.",
    )


# --- Both resolve, or neither may -----------------------------------------------------------------------


def _two_ids(history: PairHistory, shared_value: SharedValue, display: DisplayValue) -> Finding:
    """One e-mail as two identifiers that are not equal: different case, or different types."""
    weak, strong = shared_value.weaker, shared_value.stronger
    is_same_type = weak.location == strong.location
    code = "email_case" if is_same_type else "email_as_other_id"
    kinds = (
        history.label(weak.location)
        if is_same_type
        else f"{history.label(weak.location)} here, {history.label(strong.location)} there"
    )
    why = (
        f"written in upper and lower case, which differ in a {history.label(weak.location).lower()}"
        if is_same_type
        else "as identifiers of two types, which are never compared"
    )
    text = (
        f"Both are called by the e-mail {displayed(weak, display)} as {kinds}, {why}: #{weak.root_id} by {describe_source(weak)},"
        f" #{strong.root_id} by {describe_source(strong)}."
    )
    fix = Fix(
        NORMALIZE,
        f"Merge #{weak.root_id} and #{strong.root_id}; from then on both spellings and the e-mail itself identify the merged profile.",
        True,
        source_fixes.one_spelling(
            history, weak if weak.location != "email" else strong, displayed(weak, display)
        ),
    )
    return _finding(code, text, weak, display, fix)


def _contact_only(history: PairHistory, shared_value: SharedValue, display: DisplayValue) -> Finding:
    """A type that is for contact only, as the phone is by default."""
    weak, strong = shared_value.weaker, shared_value.stronger
    label = history.label(shared_value.type)
    national = _without_country_code(history, shared_value)
    text = f"Both have the {label.lower()} {displayed(weak, display)}"
    if national is not None:
        text += (
            f", written in two formats: at #{weak.root_id} by {describe_source(weak)}{spelling_note(weak, display)},"
            f" at #{strong.root_id} by {describe_source(strong)}{spelling_note(strong, display)}"
        )
        if weak.stored_as not in (CONTACT, HARD):
            text += f". At #{weak.root_id} it could not be read as a number, so it is {_stored_as_text(weak)} only"
    text += f". A {label.lower()} identifies nobody here, since several people may share one."
    about = national or weak
    source = (
        source_fixes.international_phone(history, about, displayed(about, display))
        if national is not None
        else _send_identifier(history, shared_value)
    )
    fix = Fix(
        NORMALIZE if national is not None else MERGE,
        f"If they are one person, merge #{weak.root_id} and #{strong.root_id}"
        + (
            f"; the number is kept once, as {displayed(weak, display)}."
            if national is not None
            else "; both keep everything."
        ),
        True,
        source,
    )
    code = "contact_type" if national is None else "phone_format"
    return _finding(code, text, about, display, fix)


def _without_country_code(history: PairHistory, shared_value: SharedValue) -> ValueTrace | None:
    """The one of two spellings of a phone that says no country, where the other does: whoever wrote it should.

    Blanks and hyphens are nobody's fault; they are read away.
    """
    if history.types[shared_value.type].row.normalizer != IdentifierType.Normalizer.PHONE:
        return None
    traces = (shared_value.weaker, shared_value.stronger)
    national = [trace for trace in traces if not _NAMES_COUNTRY.match(trace.raw or trace.value)]
    return national[0] if len(national) == 1 else None


def _send_identifier(history: PairHistory, shared_value: SharedValue) -> SourceFix:
    origin = shared_value.weaker.origin
    is_from_system = origin is not None and origin.channel in (
        Source.Channel.WEB,
        Source.Channel.API,
        Source.Channel.IMPORT,
    )
    return SourceFix(
        f"Send a customer_id or an e-mail with every {history.label(shared_value.type).lower()}: these identify one person."
        if is_from_system
        else f"A {history.label(shared_value.type).lower()} may be shared; ask for an e-mail, too."
    )
