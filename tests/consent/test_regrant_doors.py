"""A yes of somebody who had said no: at each door with its own right, a reason and a proof, and who recorded it."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from datetime import UTC
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cdp.actors import Actor
from cdp.errors import Forbidden, Invalid
from cdp.models import AuditEntry, User
from imports.mappings import map_import, save_mapping
from imports.models import Import, SavedMapping
from profiles.consent.ledger import current_consents, record_consent
from profiles.models import Consent, Profile
from profiles.privacy.gdpr_export import export_profile
from tests.api.caller import Caller, refusal
from tests.imports.files import applied, apply, outcomes, plan, planned, upload
from tests.profile_factory import make_profile
from tests.tracking.calls import make_sender, send_item

pytestmark = pytest.mark.django_db

T0 = datetime.datetime(2025, 3, 3, 12, tzinfo=UTC)
NO = "This person said no to e-mail newsletter on 3 Mar 2025."
REASONS = "asked_in_writing, asked_by_phone, asked_in_person, double_opt_in, mistake, other"
Login = Callable[[User], Client]


@pytest.fixture
def ann(by_system: dict[str, Any]) -> Profile:
    """She said no."""
    ann = make_profile(first_name="Ann", email="ann@example.com", identifiers=[("customer_id", "1")])
    record_consent(
        profile_id=ann.pk, channel="email", purpose="newsletter", state="withdrawn", at=T0, **by_system
    )
    return ann


def state_of(profile: Profile) -> str:
    return current_consents([profile.pk])[profile.pk]["email", "newsletter"].state


# --- The card ------------------------------------------------------------------------------------------


def on_card(client: Client, profile: Profile, **fields: str) -> str:
    sent = {"channel": "email", "purpose": "newsletter", "state": "granted", **fields}
    answer = client.post(reverse("admin:profiles_profile_consent", args=[profile.pk]), sent, follow=True)
    return answer.content.decode()


def test_a_marketer_cannot_turn_a_no_into_a_yes(ann: Profile, mira: User, as_user: Login) -> None:
    client = as_user(mira)
    page = client.get(reverse("admin:profiles_profile_change", args=[ann.pk])).content.decode()
    assert NO in page
    assert 'name="reason"' not in page
    assert "Recording a yes now needs the right “Record a yes of somebody who said no”." in page
    said = on_card(client, ann, reason="other", proof="she told me")
    assert (
        f"{NO} Recording a yes now needs the permission profiles.regrant_consent. Your role does not include it."
        in said
    )
    assert state_of(ann) == "withdrawn"
    # A no, and a yes to something else, are as they were.
    assert "email / newsletter is withdrawn now." in on_card(client, ann, state="withdrawn")
    assert "email / surveys is granted now." in on_card(client, ann, purpose="surveys")


def test_the_privacy_officer_says_why_and_the_card_says_who(
    ann: Profile, make_user: Callable[..., User], vic: User, as_user: Login
) -> None:
    client = as_user(make_user("pia", "privacy officer"))
    card = reverse("admin:profiles_profile_change", args=[ann.pk])
    page = client.get(card).content.decode()
    assert f'data-no="email/newsletter">{NO}</p>' in page
    assert '<option value="asked_in_writing">They asked for it again in writing</option>' in page
    assert f"{NO} Give the reason for a yes now: one of {REASONS}." in on_card(client, ann)
    assert f"{NO} Give the proof of the yes" in on_card(client, ann, reason="asked_in_writing", proof=" ")
    assert state_of(ann) == "withdrawn"
    done = on_card(client, ann, reason="asked_in_writing", proof="Letter to Ann, ticket 4711")
    assert "email / newsletter is granted now." in done
    decisions = done.split("<summary>All decisions</summary>")[1].split("</details>")[0]
    assert (
        "Recorded by pia. They asked for it again in writing. Proof: how: recorded by staff, Letter to Ann"
        in (decisions)
    )
    assert "recorded by pia" in done.split('id="origin-consent-1"')[1].split("</dd>")[0]
    masked = as_user(vic).get(card).content.decode()
    assert "Recorded by pia" in masked
    assert "ticket 4711" not in masked


# --- The API ----------------------------------------------------------------------------------------------


def test_over_the_api_it_needs_the_scope_a_reason_and_a_proof(
    ann: Profile, with_scopes: Callable[..., Caller]
) -> None:
    path = f"profiles/{ann.pk}/consents/"
    body = {"channel": "email", "purpose": "newsletter", "state": "granted"}
    again = {**body, "reason": "double_opt_in", "proof": {"ip": "192.0.2.7", "at": "2025-04-01"}}
    writer = with_scopes("profiles:read", "profiles:write", "pii", name="shop")
    assert refusal(writer.post(path, again)) == (
        403,
        f"{NO} Recording a yes now needs the permission profiles.regrant_consent. A key needs the scope privacy for it.",
    )
    privacy = with_scopes("profiles:read", "profiles:write", "privacy", "pii", name="privacy desk")
    refused = privacy.post(path, body)
    assert refusal(refused) == (400, f"{NO} Give the reason for a yes now: one of {REASONS}.")
    assert [error["pointer"] for error in refused.data["errors"]] == ["/reason", "/proof"]
    refused = privacy.post(path, {**again, "reason": "just because"})
    assert refusal(refused) == (400, f"“just because” is none of the reasons: {REASONS}.")
    nested = {"email": "ann@example.com", "consents": [body]}
    assert [e["pointer"] for e in privacy.post("profiles/?upsert=true", nested).data["errors"]] == [
        "/consents/0/reason",
        "/consents/0/proof",
    ]
    assert Consent.objects.count() == 1
    done = privacy.post(path, again)
    assert done.status_code == 201
    assert (done.data["reason"], done.data["recorded_by"], done.data["current"]["reachable"]) == (
        "double_opt_in",
        "privacy desk",
        True,
    )
    ledger = writer.get(path).data
    assert [row["recorded_by"] for row in ledger["results"]] == ["privacy desk", None]
    without_pii = with_scopes("profiles:read", name="reader")
    assert without_pii.get(path).data["results"][0]["proof"] == {"ip": "•••", "at": "•••"}
    profile = writer.get(f"profiles/{ann.pk}/").data
    assert profile["reachable"] == {"email": {"newsletter": True}}
    assert profile["consents"] == ledger["current"]
    assert "reachable_why" not in profile


def test_the_api_says_why_somebody_is_not_reachable(ann: Profile, api: Caller) -> None:
    consent = api.get(f"profiles/{ann.pk}/").data["consents"][0]
    assert (consent["reachable"], consent["reason"]) == (False, "They said no on 3 Mar 2025.")
    found = api.get(f"profiles/{ann.pk}/?include=reachable_why").data
    assert found["reachable"] == {"email": {"newsletter": False}}
    assert found["reachable_why"] == {"email": {"newsletter": "They said no on 3 Mar 2025."}}
    assert refusal(api.get(f"profiles/{ann.pk}/?include=moon")) == (400, "include is reachable_why.")


# --- Tracking ---------------------------------------------------------------------------------------------


def test_a_server_says_why(ann: Profile) -> None:
    server = make_sender("server")
    decision = {"userId": "1", "channel": "email", "purpose": "newsletter", "state": "granted"}
    bare = send_item(server, "consent", **decision)
    assert (bare.outcome, bare.code, bare.message) == (
        "conflict",
        "consent_upgrade",
        f"{NO} Give the reason for a yes now: one of {REASONS}.",
    )
    bare = send_item(server, "consent", reason="asked_in_person", **decision)
    assert bare.message == f"{NO} Give the proof of the yes: where and how they agreed again."
    wrong = send_item(server, "consent", reason="why not", proof="form", **decision)
    assert (wrong.outcome, wrong.code) == ("invalid", "bad_consent")
    assert state_of(ann) == "withdrawn"
    done = send_item(server, "consent", reason="asked_in_person", proof={"form": "/join"}, **decision)
    assert done.outcome == "applied"
    assert state_of(ann) == "granted"
    row = Consent.objects.order_by("pk").last()
    assert (row.reason, row.proof["proof"], row.address) == (
        "asked_in_person",
        {"form": "/join"},
        "ann@example.com",
    )


# --- Imports ----------------------------------------------------------------------------------------------

MAPPING = {
    "email": "email",
    "newsletter": "consent.email.newsletter",
    "at": "consent.email.newsletter.at",
    "proof": "consent.email.newsletter.proof",
}
FILE = (
    "email,newsletter,at,proof\nann@example.com,yes,2025-04-01,sheet 7\n"
    "ben@example.com,yes,2025-01-01,sheet 8\neve@example.com,yes,2025-04-01,sheet 9\n"
)
LEFT_OUT = (
    "This person withdrew the consent, so it stays withdrawn. An import ends a no only with a reason and a proof, given by"
    " somebody who may."
)
LATER = "This person withdrew the consent after the yes in this file, so it stays withdrawn."
OPTIONS = {"regrant_reason": "asked_in_writing", "regrant_proof": "Sheets of the fair in Poznań"}


@pytest.fixture
def ben(by_system: dict[str, Any]) -> Profile:
    """He said no, too, after the yes in the file."""
    ben = make_profile(first_name="Ben", email="ben@example.com")
    record_consent(
        profile_id=ben.pk, channel="email", purpose="newsletter", state="withdrawn", at=T0, **by_system
    )
    return ben


def messages(import_: Import) -> list[str]:
    return [warning["message"] for warning in import_.warnings if warning["code"] == "value"]


def test_a_yes_of_a_file_is_left_out_and_listed(ann: Profile, ben: Profile) -> None:
    import_ = planned(FILE, mapping=MAPPING)
    assert outcomes(import_) == {2: "unchanged", 3: "unchanged", 4: "created"}
    assert LEFT_OUT in messages(import_)
    import_ = apply(import_)
    assert LEFT_OUT in messages(import_)
    assert (state_of(ann), state_of(ben)) == ("withdrawn", "withdrawn")


def test_with_reason_proof_and_right_it_ends_the_noes_before_it(
    ann: Profile, ben: Profile, make_user: Callable[..., User]
) -> None:
    dan = make_user("dan", "data admin")
    import_ = planned(FILE, mapping=MAPPING, options=OPTIONS, user=dan)
    assert outcomes(import_) == {2: "updated", 3: "unchanged", 4: "created"}
    assert messages(import_) == [LATER]
    assert Consent.objects.count() == 2, "nothing is changed by a plan"
    import_ = apply(import_, user=dan)
    assert (state_of(ann), state_of(ben)) == ("granted", "withdrawn")
    row = Consent.objects.get(profile=ann, state="granted")
    assert (row.reason, row.user, row.address) == ("asked_in_writing", dan, "ann@example.com")
    assert row.proof == {
        "import": import_.pk,
        "line": 2,
        "proof": "sheet 7",
        "after a no": "Sheets of the fair in Poznań",
    }
    new = Consent.objects.get(profile__email="eve@example.com")
    assert (new.reason, new.address, "after a no" in new.proof) == ("", "eve@example.com", False)
    entry = AuditEntry.objects.get(action="import.apply")
    assert entry.detail["regrant_reason"] == "asked_in_writing"
    decision = export_profile(profile_id=ann.pk, actor=Actor.of_user(dan))["consents"]["decisions"][-1]
    assert (decision["reason"], decision["recorded_by"], decision["address"]) == (
        "They asked for it again in writing",
        "dan",
        "ann@example.com",
    )
    # The same file again changes nothing.
    again = planned(FILE, mapping=MAPPING, options=OPTIONS, user=dan)
    assert outcomes(again) == {2: "unchanged", 3: "unchanged", 4: "unchanged"}


def test_an_import_asks_for_the_right_when_it_is_planned_and_when_it_is_applied(
    ann: Profile, mira: User, make_user: Callable[..., User]
) -> None:
    dan = make_user("dan", "data admin")
    sentence = (
        "Recording a yes of people who had said no needs the permission profiles.regrant_consent. Your role does not"
        " include it. Leave out the options regrant_reason and regrant_proof."
    )
    import_ = upload(FILE, mapping=MAPPING, options=OPTIONS, user=mira)
    with pytest.raises(Forbidden) as forbidden:
        plan(import_, user=mira)
    assert forbidden.value.message == sentence
    import_ = planned(FILE, mapping=MAPPING, options=OPTIONS, user=dan)
    with pytest.raises(Forbidden) as forbidden:
        apply(import_, user=mira)
    assert forbidden.value.message == sentence
    for half, problem in (
        ("regrant_proof", "Also give the proof of a yes after a no: where and how they agreed again."),
        ("regrant_reason", f"Also give the reason for a yes after a no: one of {REASONS}."),
    ):
        with pytest.raises(Invalid) as refused:
            map_import(import_id=import_.pk, mapping=MAPPING, options={half: ""}, actor=Actor.of_user(dan))
        assert (refused.value.problems[0]["field"], refused.value.message) == (f"options.{half}", problem)
    with pytest.raises(Invalid, match="Choose one of asked_in_writing, "):
        upload(FILE, options={"regrant_reason": "because"})
    assert state_of(ann) == "withdrawn"


def test_the_reason_is_said_of_one_file_and_not_kept_with_its_mapping(
    ann: Profile, make_user: Callable[..., User]
) -> None:
    dan = make_user("dan", "data admin")
    import_ = planned(FILE, mapping=MAPPING, options=OPTIONS, user=dan)
    options = {**OPTIONS, "policy": "overwrite"}
    save_mapping(import_id=import_.pk, name="Fair", options=options, actor=Actor.of_user(dan))
    assert SavedMapping.objects.get().options == {"policy": "overwrite"}


def test_the_columns_page_asks_whoever_may(
    ann: Profile, make_user: Callable[..., User], as_user: Login
) -> None:
    dan = make_user("dan", "data admin")
    import_ = upload(FILE, mapping=MAPPING, user=dan)
    page = reverse("admin:imports_import_columns", args=[import_.pk])
    assert 'name="regrant_reason"' in as_user(dan).get(page).content.decode()
    plain = upload("email,city\nann@example.com,Oslo\n", user=dan)
    other = reverse("admin:imports_import_columns", args=[plain.pk])
    assert 'name="regrant_reason"' not in as_user(dan).get(other).content.decode()
    applied(FILE, mapping=MAPPING, options=OPTIONS, user=dan)
    assert state_of(ann) == "granted"
