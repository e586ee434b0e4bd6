"""Why two are separate (D3): ten causes through the real doors, each with its finding, source and fix, and joined by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cdp.errors import Forbidden, NotFound, RuleForbids, Stale
from cdp.invariants import violations
from cdp.models import AuditEntry
from profiles.duplicates.why import Finding, apply_fix, find_two, preview_fix, two_of_pair, why
from profiles.duplicates.why.diagnose import seen_by
from profiles.editing import set_lock
from profiles.identity.resolve import find_profile
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import DuplicatePair, HeldJoin, Merge
from profiles.pairs.verdicts import set_verdict
from tests.duplicates.causes import ANN, CAUSES, Told, browser, leads_to, made, shop_api, site, who
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db
By = dict[str, Any]


def findings(told: Told) -> list[Finding]:
    return why(find_two(told.a, told.b))


def the(told: Told, code: str = "") -> Finding:
    (found,) = [one for one in findings(told) if one.code == (code or told.code)]
    return found


@pytest.mark.parametrize("name", CAUSES)
def test_each_cause_is_found_with_where_it_is_who_wrote_it_and_what_mends_it(name: str) -> None:
    told = CAUSES[name]()
    assert told.a != told.b
    found = the(told)
    assert (found.value, found.stored_as, found.profile_id) == (told.value, told.stored_as, told.profile_id)
    assert (found.source, found.via) == (told.source, told.via)
    assert found.at is not None
    assert found.fix is not None
    assert found.fix.code == told.fix
    assert found.fix.source is not None
    assert told.copy in found.fix.source.code
    turned = why(find_two(told.b, told.a))
    assert sorted(one.code for one in findings(told)) == sorted(one.code for one in turned)


@pytest.mark.parametrize("name", CAUSES)
def test_the_offered_fix_joins_them_as_its_preview_says(name: str, by_staff: By) -> None:
    told = CAUSES[name]()
    preview = preview_fix(find_two(told.a, told.b), code=told.fix, **by_staff)
    assert preview.merge is not None
    assert preview.joins
    done = apply_fix(
        a_id=told.a, b_id=told.b, code=told.fix, preview_hash=preview.merge.preview_hash, **by_staff
    )
    assert (done.profile_id, done.loser_id) == (preview.merge.winner_id, preview.merge.loser_id)
    assert done.joined
    assert done.message.startswith(f"#{done.loser_id} was joined into #{done.profile_id}.")
    assert find_profile(told.a).root.pk == find_profile(told.b).root.pk == done.profile_id
    finding_type = {
        "phone_format": None,
        "browsers_never_identified": "anonymous_id",
        "shared_device": "anonymous_id",
    }
    kind = finding_type.get(told.code, "customer_id" if told.value.startswith("C-") else "email")
    assert kind is None or leads_to(kind, told.value) == done.profile_id
    entry = AuditEntry.objects.get(action="duplicate.fix")
    assert entry.detail["code"] == told.fix
    assert entry.detail["merge_id"] == done.merge_id
    assert told.code in entry.detail["findings"]
    assert violations() == []
    with pytest.raises(RuleForbids, match="are one person already"):
        find_two(told.a, told.b)


@pytest.mark.parametrize("name", CAUSES)
def test_the_join_is_taken_back_exactly(name: str, by_staff: By) -> None:
    told = CAUSES[name]()
    done = apply_fix(a_id=told.a, b_id=told.b, code=told.fix, **by_staff)
    unmerge_profiles(merge_id=done.merge_id or 0, **by_staff)
    assert (find_profile(told.a).root.pk, find_profile(told.b).root.pk) == (told.a, told.b)
    assert the(told, "decided_apart").fix is not None
    assert violations() == []


@pytest.mark.parametrize("name", CAUSES)
def test_values_are_masked_everywhere(name: str) -> None:
    told = CAUSES[name]()
    masked = why(find_two(told.a, told.b), see=seen_by(False))
    local = told.value.partition("@")[0] if "@" in told.value else told.value
    if told.value in ("b-1", "t-1"):  # too short to show anything of
        local = f"browser {told.value}"
    for one in masked:
        said = " ".join(
            [
                one.text,
                one.value,
                one.via,
                one.fix.text if one.fix else "",
                one.fix.source.code if one.fix and one.fix.source else "",
            ]
        )
        assert told.value not in said, said
        assert f"{local}@" not in said.lower()


# --- Sentences ------------------------------------------------------------------------------------------


def test_the_sentences_say_where_the_value_is_on_both_sides() -> None:
    told = CAUSES["update_instead_of_identify"]()
    found = the(told)
    assert found.text == (
        f"#{told.a} has the e-mail {ANN} only because update said so in traits.email; update recognizes nobody."
        f" #{told.b} has it as an identifier from API key “shop backend”, email."
    )
    assert found.fix is not None
    assert found.fix.source is not None
    assert found.fix.text == (
        f"Make E-mail {ANN} an identifier of #{told.a}: it is joined with #{told.b}, and the value leads to both from"
        " then on."
    )
    assert found.fix.source.text == (
        "traits.email of update identifies nobody. Say who it is by identify as soon as it is known."
    )


def test_a_column_names_file_row_and_column() -> None:
    told = CAUSES["column_mapped_to_an_attribute"]()
    found = the(told)
    assert "only as attributes.contact_mail: column “Mail” of “crm.csv” was mapped to it." in found.text
    assert found.fix is not None
    assert found.fix.source is not None
    assert found.fix.source.text == (
        "In the mapping of “crm.csv”, send column “Mail” to email instead of attributes.contact_mail."
    )


# --- More than the ten ----------------------------------------------------------------------------------


def test_phones_that_can_be_read_are_contact_values_in_two_formats(settings: Any, by_staff: By) -> None:
    settings.CDP_PHONE_REGION = "PL"
    site("Shop backend", "server")("identify", userId="42", traits={"phone": "600 100 200"})
    other = made(shop_api().post("profiles/", {"phone": "+48 600-100-200", "first_name": "Ann"}))
    told = who("customer_id:42")
    (found,) = [one for one in why(find_two(told, other)) if one.code == "phone_format"]
    assert (found.value, found.stored_as) == ("+48600100200", "contact_value")
    assert apply_fix(a_id=told, b_id=other, code="normalize_identifier", **by_staff).joined


def test_the_same_phone_written_alike_leads_nobody_by_its_type() -> None:
    one = make_profile(phone="+48600100200", first_name="Ann")
    other = make_profile(phone="+48600100200", first_name="Ann")
    found = {item.code for item in why(find_two(one.pk, other.pk))}
    assert found == {"contact_type", "made_without_identifier"}


def test_two_known_people_with_one_value_are_a_clash(by_staff: By) -> None:
    send = site("Shop backend", "server")
    send("identify", userId="1", traits={"email": ANN})
    send("identify", userId="2", traits={"email": ANN})
    one, other = who("customer_id:1"), who("customer_id:2")
    codes = [item.code for item in why(find_two(one, other))]
    assert codes == ["identifier_clash", "different_ids"]
    assert apply_fix(a_id=one, b_id=other, code="promote_identifier", **by_staff).joined
    assert leads_to("customer_id", "2") == leads_to("customer_id", "1") == leads_to("email", ANN)


def test_an_email_that_may_not_identify_names_the_switch() -> None:
    send = site("Kiosk", "server", identifies_by_email=False)
    send("identify", anonymousId="b-1", traits={"email": ANN})
    known = made(shop_api().post("profiles/", {"email": ANN}))
    (found,) = why(find_two(browser("b-1"), known))
    assert found.code == "email_contact_only"
    assert found.fix is not None
    assert found.fix.source is not None
    assert '{"identifies_by_email": true}' in found.fix.source.code


def test_an_unsigned_user_id_is_told() -> None:
    send = site("Shop", needs_user_hash=True)
    send("track", anonymousId="b-1", event="Seen", userId="C-20417")
    site("Shop backend", "server")("identify", userId="C-20417")
    (found,) = why(find_two(browser("b-1"), who("customer_id:C-20417")))
    assert (found.code, found.stored_as, found.via) == (
        "unsigned_user_id",
        "event_property",
        "track “Seen”, userId",
    )


def test_a_changed_email_is_seen_by_equal_names_as_well(by_staff: By) -> None:
    api = shop_api()
    old = made(api.post("profiles/", {"email": "old@example.com", "first_name": "Ann", "last_name": "Lee"}))
    new = made(api.post("profiles/", {"email": ANN, "first_name": "ann", "last_name": "Lee"}))
    (found,) = why(find_two(old, new))
    assert (found.code, found.profile_id, found.value) == ("email_changed", new, ANN)
    done = apply_fix(a_id=old, b_id=new, code="merge_profiles", **by_staff)
    assert leads_to("email", ANN) == leads_to("email", "old@example.com") == done.profile_id


def test_a_row_without_an_identifier_names_the_file() -> None:
    from tests.imports.files import applied

    applied("first_name,city\nAnn,Oslo\n", name="fair.csv")
    from profiles.models import Profile

    row = Profile.objects.get(city="Oslo")
    known = make_profile(email=ANN)
    (found,) = why(find_two(row.pk, known.pk))
    assert found.code == "row_without_identifier"
    assert found.via.startswith("import #")
    assert found.via.endswith("“fair.csv”, row 2")


def test_a_join_the_circuit_breaker_held_is_told_and_answered(by_staff: By) -> None:
    send = site("Shop backend", "server", merges_per_hour=1)
    for number in (1, 2):
        send("track", anonymousId=f"b-{number}", event="Seen")
        send("track", userId=str(number), event="Seen")
        send("identify", anonymousId=f"b-{number}", userId=str(number))
    visitor, known = browser("b-2"), who("customer_id:2")
    (found,) = why(find_two(visitor, known))
    assert (found.code, found.value, found.source) == ("held_join", "b-2", "Shop backend")
    done = apply_fix(a_id=visitor, b_id=known, code="join_held", **by_staff)
    assert (done.joined, HeldJoin.objects.get().state) == (True, "merged")


def test_nothing_links_them(by_staff: By) -> None:
    one, other = make_profile(email=ANN), make_profile(email="bob@example.com")
    (found,) = why(find_two(one.pk, other.pk))
    assert (found.code, found.stored_as) == ("nothing_links", "")
    assert found.text == (
        f"Nothing links #{one.pk} and #{other.pk}: no identifier, attribute or event of one has a value of the other."
    )
    assert apply_fix(a_id=one.pk, b_id=other.pk, code="merge_profiles", **by_staff).joined


def test_a_decision_and_a_lock_come_first_and_are_taken_back(by_staff: By) -> None:
    told = CAUSES["update_instead_of_identify"]()
    set_verdict(a_id=told.a, b_id=told.b, verdict="not_duplicate", actor=by_staff["actor"])
    set_lock(profile_id=told.b, is_locked=True, **by_staff)
    assert [one.code for one in findings(told)] == ["locked", "decided_apart", "update_not_identify"]
    assert the(told, "decided_apart").text.startswith("ada decided on ")
    with pytest.raises(RuleForbids, match=f"Profile #{told.b} is locked against merging. Unlock it first."):
        apply_fix(a_id=told.a, b_id=told.b, code="promote_identifier", **by_staff)
    assert not apply_fix(a_id=told.a, b_id=told.b, code="unlock", **by_staff).joined
    assert not apply_fix(a_id=told.a, b_id=told.b, code="reopen", **by_staff).joined
    assert [one.code for one in findings(told)] == ["update_not_identify"]
    assert apply_fix(a_id=told.a, b_id=told.b, code="promote_identifier", **by_staff).joined


def test_two_people_on_one_device_are_kept_apart(by_staff: By) -> None:
    told = CAUSES["shared_device"]()
    done = apply_fix(a_id=told.a, b_id=told.b, code="keep_apart", **by_staff)
    assert (done.joined, done.message) == (False, "Remembered: these are two people.")
    assert DuplicatePair.objects.get().verdict == "not_duplicate"
    assert Merge.objects.count() == 0


def test_a_suggested_pair_is_asked_by_its_number(by_staff: By) -> None:
    told = CAUSES["update_instead_of_identify"]()
    pair = set_verdict(a_id=told.a, b_id=told.b, verdict="open", actor=by_staff["actor"])
    two = two_of_pair(DuplicatePair.objects.get().pk)
    assert {two.a.pk, two.b.pk} == {told.a, told.b}
    assert pair.verdict == "open"
    with pytest.raises(NotFound, match="There is no pair 0."):
        two_of_pair(0)


# --- Refusals -------------------------------------------------------------------------------------------


def test_what_is_not_offered_is_refused_by_name(by_staff: By) -> None:
    told = CAUSES["update_instead_of_identify"]()
    message = (
        f"“unlock” mends nothing between #{told.a} and #{told.b}. Offered: promote_identifier, keep_apart."
    )
    with pytest.raises(RuleForbids, match=message):
        apply_fix(a_id=told.a, b_id=told.b, code="unlock", **by_staff)
    with pytest.raises(RuleForbids, match="“make it so” mends nothing"):
        preview_fix(find_two(told.a, told.b), code="make it so", **by_staff)


def test_a_change_since_the_preview_stops_it(by_staff: By) -> None:
    told = CAUSES["update_instead_of_identify"]()
    preview = preview_fix(find_two(told.a, told.b), code=told.fix, **by_staff)
    assert preview.merge is not None
    set_lock(profile_id=told.b, is_locked=True, **by_staff)
    set_lock(profile_id=told.b, is_locked=False, **by_staff)
    with pytest.raises(Stale):
        apply_fix(
            a_id=told.a, b_id=told.b, code=told.fix, preview_hash=preview.merge.preview_hash, **by_staff
        )
    assert Merge.objects.count() == 0


def test_rights_are_asked_by_the_verb(make_user: Callable[..., Any], by_staff: By) -> None:
    from cdp.actors import Actor

    told = CAUSES["update_instead_of_identify"]()
    mira = {**by_staff, "actor": Actor.of_user(make_user("mira", "marketer"))}
    message = (
        "“Promote to identifier and join” needs the permission profiles.merge_profile, which you do not have."
    )
    with pytest.raises(Forbidden, match=message):
        apply_fix(a_id=told.a, b_id=told.b, code=told.fix, **mira)
    with pytest.raises(Forbidden, match=message):
        preview_fix(find_two(told.a, told.b), code=told.fix, **mira)
    assert Merge.objects.count() == 0


# --- Cost -----------------------------------------------------------------------------------------------


def _cost(told: Told) -> int:
    two = find_two(told.a, told.b)
    with CaptureQueriesContext(connection) as queries:
        assert why(two)
    return len(queries)


def test_a_pair_costs_the_same_with_one_and_with_a_hundred_of_everything(by_staff: By) -> None:
    told = CAUSES["email_in_a_track"]()
    before = _cost(told)
    send = site("Busy")
    for number in range(100):
        send("track", anonymousId="b-1", event="Seen", properties={"email": f"x{number}@example.com"})
    api = shop_api()
    for number in range(30):
        api.put(f"profiles/{told.b}/identifiers/email/y{number}@example.com/")
    assert _cost(told) == before <= 9
    assert the(told).value == ANN
