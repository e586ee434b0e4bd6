"""What to change where the data comes from: the exact call or mapping, with the values of the case, to be copied."""

from __future__ import annotations

import json
import shlex
from typing import Any

from profiles.duplicates.why.findings import Case, Origin, SourceFix, Trace
from profiles.duplicates.why.wording import column_of, place_of
from profiles.models import Change, Source
from profiles.values.attributes import CUSTOM

SHELL, SCRIPT, JSON = "shell", "javascript", "json"
EMAIL, PHONE, CUSTOMER = "email", "phone", "customer_id"


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def script(*parts: Any) -> str:
    """One call of the snippet."""
    return f"cdp.push({as_json([*parts])});"


def track_call(case: Case, kind: str, body: dict[str, Any]) -> str:
    """A tracking call of a server, for the shell."""
    return (
        f'curl -u "$WRITE_KEY:" -H "Content-Type: application/json" "{case.base_url}/v1/{kind}" \\\n'
        f"  -d {shlex.quote(as_json(body))}"
    )


def api_call(case: Case, method: str, path: str, body: dict[str, Any]) -> str:
    """A call of the API, for the shell."""
    return (
        f'curl -X {method} -H "Authorization: Bearer $API_KEY" -H "Content-Type: application/json" \\\n'
        f'  "{case.base_url}/api/v1/{path}" -d {shlex.quote(as_json(body))}'
    )


def send_as_identifier(case: Case, trace: Trace, shown: str) -> SourceFix:
    """How the value should have been sent, by the door it came through."""
    origin = trace.origin
    if origin is not None and origin.cause == Change.Cause.IMPORT:
        return _map_column(case, trace, origin)
    if origin is not None and origin.is_tracked:
        return _identify(case, trace, origin, shown)
    if origin is not None and (origin.is_key or origin.door == Source.Door.API):
        return _write_identifier(case, trace, shown)
    return SourceFix(
        f"Add it under Identifiers on the card as {case.label(trace.type)}, not as an attribute: attributes lead to"
        " nobody."
    )


def _map_column(case: Case, trace: Trace, origin: Origin) -> SourceFix:
    column = column_of(trace)
    to = trace.type if trace.type in (EMAIL, PHONE, CUSTOMER) else f"identifier.{trace.type}"
    if not column:
        return SourceFix(
            f"Give the file a column that goes to {to}.", JSON, as_json({case.label(trace.type): {"to": to}})
        )
    return SourceFix(
        f"In the mapping of “{origin.file}”, send column “{column}” to {to} instead of {trace.place}.",
        JSON,
        as_json({column: {"to": to}}),
        import_id=origin.import_id,
    )


def _identify(case: Case, trace: Trace, origin: Origin, shown: str) -> SourceFix:
    said = f"{origin.call} “{origin.event}”" if origin.call == "track" else origin.call
    text = f"{place_of(trace)} of {said} identifies nobody. Say who it is by identify as soon as it is known."
    if origin.call == "identify":
        text = f"{place_of(trace)} of identify is no identifier. Send it where identify reads one."
    if origin.door == Source.Door.WEB and trace.type in (EMAIL, PHONE, CUSTOMER):
        parts = [shown] if trace.type == CUSTOMER else [{trace.type: shown}]
        return SourceFix(text, SCRIPT, script("identify", *parts))
    return SourceFix(text, SHELL, track_call(case, "identify", identify_body(trace.type, shown, origin)))


def identify_body(type_name: str, value: str, origin: Origin | None) -> dict[str, Any]:
    """An identify call about the same browser or user."""
    body: dict[str, Any] = {}
    if origin is not None and origin.user_id and type_name != CUSTOMER:
        body["userId"] = origin.user_id
    elif origin is not None and origin.anonymous_id:
        body["anonymousId"] = origin.anonymous_id
    if type_name == CUSTOMER:
        return {**body, "userId": value}
    if type_name in (EMAIL, PHONE):
        return {**body, "traits": {type_name: value}}
    return {**body, "context": {"externalIds": [{"type": type_name, "id": value}]}}


def _write_identifier(case: Case, trace: Trace, shown: str) -> SourceFix:
    if trace.type in (EMAIL, PHONE):
        body: dict[str, Any] = {trace.type: shown}
        where = f"“{trace.type}”"
    else:
        body = {"identifiers": [{"type": trace.type, "value": shown}]}
        where = "“identifiers”"
    name = place_of(trace)
    who = f"API key “{trace.origin.who}”" if trace.origin and trace.origin.is_key else "the caller"
    text = f"{who[0].upper()}{who[1:]} should send it under {where} instead of {name}; ids there lead to the person."
    return SourceFix(text, SHELL, api_call(case, "POST", "profiles/?upsert=true", body))


def confirm(case: Case, trace: Trace, shown: str) -> SourceFix:
    """The last step of a double opt-in."""
    return SourceFix(
        "The page behind the link in your confirmation mail must say that the address was confirmed.",
        SHELL,
        api_call(case, "POST", "identifiers/confirm/", {"type": trace.type, "value": shown}),
    )


def let_email_identify(case: Case, origin: Origin) -> SourceFix:
    return SourceFix(
        f"The source “{origin.source}” is set so that an e-mail identifies nobody. Switch it on if it should.",
        SHELL,
        api_call(case, "PATCH", f"sources/{origin.source_id}/", {"identifies_by_email": True}),
    )


def sign_user_id(trace: Trace, shown: str) -> SourceFix:
    return SourceFix(
        "Render context.userHash with the page, so that the userId of the browser counts.",
        SCRIPT,
        script("identify", shown, {}, {"userHash": "{{ cdp_user_hash }}"}),
    )


def one_spelling(case: Case, trace: Trace, shown: str) -> SourceFix:
    """E-mails as ids: lower case them, or send them where case makes no difference."""
    origin = trace.origin
    text = (
        f"E-mails are sent as {case.label(trace.place)}, where case counts. Send them as traits.email, where it does"
        " not, or in lower case always."
    )
    if origin is not None and origin.cause == Change.Cause.IMPORT and (column := column_of(trace)):
        return SourceFix(text, JSON, as_json({column: {"to": EMAIL}}), import_id=origin.import_id)
    if origin is not None and origin.is_tracked:
        if origin.door == Source.Door.WEB:
            return SourceFix(text, SCRIPT, script("identify", {EMAIL: shown}))
        body = {"traits": {EMAIL: shown}}
        if origin.anonymous_id:
            body["anonymousId"] = origin.anonymous_id  # type: ignore[assignment]
        return SourceFix(text, SHELL, track_call(case, "identify", body))
    return SourceFix(text, SHELL, api_call(case, "POST", "profiles/?upsert=true", {EMAIL: shown}))


def international_phone(case: Case, trace: Trace, shown: str) -> SourceFix:
    """A number with its country code, by the door it came through."""
    origin = trace.origin
    text = "Send phone numbers with “+” and country code, or set CDP_PHONE_REGION to the country of those without."
    if origin is not None and origin.cause == Change.Cause.IMPORT:
        return SourceFix(
            text, JSON, as_json({column_of(trace) or "Phone": {"to": PHONE}}), import_id=origin.import_id
        )
    if origin is not None and origin.is_tracked:
        if origin.door == Source.Door.WEB:
            return SourceFix(text, SCRIPT, script("identify", {PHONE: shown}))
        return SourceFix(text, SHELL, track_call(case, "identify", identify_body(PHONE, shown, origin)))
    return SourceFix(text, SHELL, api_call(case, "POST", "profiles/?upsert=true", {PHONE: shown}))


def stable_id(case: Case, origin: Origin | None, shown: str) -> SourceFix:
    """An id that stays when the e-mail changes, sent with it."""
    text = "Send an id of yours that never changes with every e-mail; then a new e-mail is one more of the same person."
    who = "YOUR-CUSTOMER-ID"
    if origin is not None and origin.cause == Change.Cause.IMPORT:
        return SourceFix(text, JSON, as_json({"Customer id": {"to": CUSTOMER}}), import_id=origin.import_id)
    if origin is not None and origin.is_tracked:
        if origin.door == Source.Door.WEB:
            return SourceFix(text, SCRIPT, script("identify", who, {EMAIL: shown}))
        return SourceFix(text, SHELL, track_call(case, "identify", {"userId": who, "traits": {EMAIL: shown}}))
    body = {EMAIL: shown, "identifiers": [{"type": CUSTOMER, "value": who}]}
    return SourceFix(text, SHELL, api_call(case, "POST", "profiles/?upsert=true", body))


def identify_visitor(case: Case, origin: Origin | None) -> SourceFix:
    """Say who it is when they log in, order or sign up."""
    text = (
        "Call identify when they log in, order or sign up: then every browser of theirs leads to one person."
    )
    who, email = "YOUR-CUSTOMER-ID", {EMAIL: "their@e-mail.example"}
    if origin is not None and origin.is_tracked and origin.door != Source.Door.WEB:
        body = {"anonymousId": origin.anonymous_id, "userId": who, "traits": email}
        return SourceFix(text, SHELL, track_call(case, "identify", body))
    return SourceFix(text, SCRIPT, script("identify", who, email))


def reset_on_logout(origin_source: str) -> SourceFix:
    where = f" on {origin_source}" if origin_source else ""
    return SourceFix(
        f"Call reset when somebody logs out{where}, so that the next person gets a browser id of their own.",
        SCRIPT,
        script("reset"),
    )


def map_identifier(origin: Origin) -> SourceFix:
    """An import that named nobody."""
    columns = [
        column
        for column, entry in origin.mapping.items()
        if isinstance(entry, dict) and str(entry.get("to", "")).startswith(CUSTOM)
    ]
    text = f"Map a column of “{origin.file}” to email or customer_id; rows without one make a new profile each time."
    return SourceFix(
        text, JSON, as_json({columns[0] if columns else "E-mail": {"to": EMAIL}}), import_id=origin.import_id
    )


def name_somebody(case: Case) -> SourceFix:
    """Whoever makes people by the API or by hand without saying who they are."""
    body = {EMAIL: "their@e-mail.example", "identifiers": [{"type": CUSTOMER, "value": "YOUR-CUSTOMER-ID"}]}
    return SourceFix(
        "Name an e-mail or a customer_id when somebody is added; without one every call makes somebody new.",
        SHELL,
        api_call(case, "POST", "profiles/?upsert=true", body),
    )


def one_id(case: Case, trace: Trace) -> SourceFix:
    """One value came with two ids."""
    origin = trace.origin
    where = f"{place_of(trace)} of {origin.call}" if origin is not None and origin.is_tracked else trace.place
    return SourceFix(
        f"{where} came with two ids. Let the system it comes from give one person one id, and send the id with every"
        f" {case.label(trace.type).lower()}."
    )
