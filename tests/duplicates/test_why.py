"""Why two profiles are separate: ten causes through real channels, each with its finding, source and fix,
and merged by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cdp.errors import Forbidden, NotFound, RuleForbids, Stale
from cdp.invariants import violations
from cdp.models import AuditEntry
from profiles.duplicates.why import Finding, apply_fix, find_profile_pair, preview_fix, profiles_of_pair, why
from profiles.duplicates.why.diagnose import value_display
from profiles.editing import set_lock
from profiles.identity.lookup import find_profile
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import DuplicatePair, HeldMerge, Merge
from profiles.pairs.verdicts import set_verdict
from tests.duplicates.causes import ANN, CAUSES, Expected, browser, made, resolves_to, root_of, shop_api, site
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db
By = dict[str, Any]


def findings(expected: Expected) -> list[Finding]:
    return why(find_profile_pair(expected.a, expected.b))


def the_finding(expected: Expected, code: str = "") -> Finding:
    (finding,) = [finding for finding in findings(expected) if finding.code == (code or expected.code)]
    return finding


@pytest.mark.parametrize("name", CAUSES)
def test_each_cause_is_found_with_where_it_is_who_wrote_it_and_what_mends_it(name: str) -> None:
    expected = CAUSES[name]()
    assert expected.a != expected.b
    finding = the_finding(expected)
    assert (finding.value, finding.stored_as, finding.profile_id) == (
        expected.value,
        expected.stored_as,
        expected.profile_id,
    )
    assert (finding.source, finding.via) == (expected.source, expected.via)
    assert finding.at is not None
    fix = finding.fix_with(expected.fix)
    assert fix is not None
    assert fix.source is not None
    assert expected.copy in fix.source.code
    turned = why(find_profile_pair(expected.b, expected.a))
    assert sorted(finding.code for finding in findings(expected)) == sorted(
        finding.code for finding in turned
    )


@pytest.mark.parametrize("name", CAUSES)
def test_the_offered_fix_merges_as_its_preview_says(name: str, by_staff: By) -> None:
    expected = CAUSES[name]()
    preview = preview_fix(find_profile_pair(expected.a, expected.b), code=expected.fix, **by_staff)
    assert preview.merge is not None
    assert preview.merges
    done = apply_fix(
        a_id=expected.a,
        b_id=expected.b,
        code=expected.fix,
        preview_hash=preview.merge.preview_hash,
        **by_staff,
    )
    assert (done.profile_id, done.loser_id) == (preview.merge.winner_id, preview.merge.loser_id)
    assert done.is_merged
    assert done.message.startswith(f"#{done.loser_id} was merged into #{done.profile_id}.")
    assert find_profile(expected.a).root.pk == find_profile(expected.b).root.pk == done.profile_id
    finding_type = {
        "phone_format": None,
        "browsers_never_identified": "anonymous_id",
        "shared_device": "anonymous_id",
    }
    kind = finding_type.get(expected.code, "customer_id" if expected.value.startswith("C-") else "email")
    assert kind is None or resolves_to(kind, expected.value) == done.profile_id
    entry = AuditEntry.objects.get(action="duplicate.fix")
    assert entry.detail["code"] == expected.fix
    assert entry.detail["merge_id"] == done.merge_id
    assert expected.code in entry.detail["findings"]
    assert violations() == []
    with pytest.raises(RuleForbids, match="are one person already"):
        find_profile_pair(expected.a, expected.b)


@pytest.mark.parametrize("name", CAUSES)
def test_the_merge_is_undone_exactly(name: str, by_staff: By) -> None:
    expected = CAUSES[name]()
    done = apply_fix(a_id=expected.a, b_id=expected.b, code=expected.fix, **by_staff)
    unmerge_profiles(merge_id=done.merge_id or 0, **by_staff)
    assert (find_profile(expected.a).root.pk, find_profile(expected.b).root.pk) == (expected.a, expected.b)
    assert the_finding(expected, "decided_apart").fix is not None
    assert violations() == []


@pytest.mark.parametrize("name", CAUSES)
def test_values_are_masked_everywhere(name: str) -> None:
    expected = CAUSES[name]()
    masked = why(find_profile_pair(expected.a, expected.b), display=value_display(False))
    local = expected.value.partition("@")[0] if "@" in expected.value else expected.value
    if expected.value in ("b-1", "t-1"):  # too short to show anything of
        local = f"browser {expected.value}"
    for finding in masked:
        text = " ".join(
            [
                finding.text,
                finding.value,
                finding.via,
                finding.fix.text if finding.fix else "",
                finding.fix.source.code if finding.fix and finding.fix.source else "",
            ]
        )
        assert expected.value not in text, text
        assert f"{local}@" not in text.lower()


# --- Sentences ------------------------------------------------------------------------------------------


def test_the_sentences_say_where_the_value_is_on_both_sides() -> None:
    expected = CAUSES["update_instead_of_identify"]()
    finding = the_finding(expected)
    assert finding.text == (
        f"#{expected.a} has the e-mail {ANN} only in traits.email of an update call; update identifies nobody."
        f" #{expected.b} has it as an identifier from API key “shop backend”, email."
    )
    assert finding.fix is not None
    assert finding.fix.source is not None
    assert finding.fix.text == (
        f"Make E-mail {ANN} an identifier of #{expected.a}: it is merged with #{expected.b}, and from then on the"
        " value identifies the merged profile."
    )
    assert finding.fix.source.text == (
        "traits.email of update identifies nobody. Send it by identify as soon as the person is known."
    )


def test_a_column_names_file_row_and_column() -> None:
    expected = CAUSES["column_mapped_to_an_attribute"]()
    finding = the_finding(expected)
    assert "only as attributes.contact_mail: column “Mail” of “crm.csv” was mapped to it." in finding.text
    assert finding.fix is not None
    assert finding.fix.source is not None
    assert finding.fix.source.text == (
        "In the mapping of “crm.csv”, send column “Mail” to email instead of attributes.contact_mail."
    )


# --- More than the ten ----------------------------------------------------------------------------------


def test_phones_that_can_be_read_are_contact_values_in_two_formats(settings: Any, by_staff: By) -> None:
    settings.CDP_PHONE_REGION = "PL"
    site("Shop backend", "server")("identify", userId="42", traits={"phone": "600 100 200"})
    known = made(shop_api().post("profiles/", {"phone": "+48 600-100-200", "first_name": "Ann"}))
    called = root_of("customer_id:42")
    (finding,) = [
        finding for finding in why(find_profile_pair(called, known)) if finding.code == "phone_format"
    ]
    assert (finding.value, finding.stored_as) == ("+48600100200", "contact_value")
    assert apply_fix(a_id=called, b_id=known, code="normalize_identifier", **by_staff).is_merged


def test_a_phone_written_alike_does_not_resolve_by_its_type() -> None:
    first = make_profile(phone="+48600100200", first_name="Ann")
    second = make_profile(phone="+48600100200", first_name="Ann")
    codes = {item.code for item in why(find_profile_pair(first.pk, second.pk))}
    assert codes == {"contact_type", "made_without_identifier"}


def test_two_known_people_with_one_value_are_a_clash(by_staff: By) -> None:
    send = site("Shop backend", "server")
    send("identify", userId="1", traits={"email": ANN})
    send("identify", userId="2", traits={"email": ANN})
    first, second = root_of("customer_id:1"), root_of("customer_id:2")
    codes = [item.code for item in why(find_profile_pair(first, second))]
    assert codes == ["identifier_clash", "different_ids"]
    assert apply_fix(a_id=first, b_id=second, code="promote_identifier", **by_staff).is_merged
    assert resolves_to("customer_id", "2") == resolves_to("customer_id", "1") == resolves_to("email", ANN)


def test_an_email_that_may_not_identify_names_the_switch() -> None:
    send = site("Kiosk", "server", identifies_by_email=False)
    send("identify", anonymousId="b-1", traits={"email": ANN})
    known = made(shop_api().post("profiles/", {"email": ANN}))
    (finding,) = why(find_profile_pair(browser("b-1"), known))
    assert finding.code == "email_contact_only"
    assert finding.fix is not None
    assert finding.fix.source is not None
    assert '{"identifies_by_email": true}' in finding.fix.source.code


def test_an_unsigned_user_id_is_a_finding() -> None:
    send = site("Shop", needs_user_hash=True)
    send("track", anonymousId="b-1", event="Seen", userId="C-20417")
    site("Shop backend", "server")("identify", userId="C-20417")
    (finding,) = why(find_profile_pair(browser("b-1"), root_of("customer_id:C-20417")))
    assert (finding.code, finding.stored_as, finding.via) == (
        "unsigned_user_id",
        "event_property",
        "track “Seen”, userId",
    )


def test_a_changed_email_is_seen_by_equal_names_as_well(by_staff: By) -> None:
    api = shop_api()
    old = made(api.post("profiles/", {"email": "old@example.com", "first_name": "Ann", "last_name": "Lee"}))
    new = made(api.post("profiles/", {"email": ANN, "first_name": "ann", "last_name": "Lee"}))
    (finding,) = why(find_profile_pair(old, new))
    assert (finding.code, finding.profile_id, finding.value) == ("email_changed", new, ANN)
    done = apply_fix(a_id=old, b_id=new, code="merge_profiles", **by_staff)
    assert resolves_to("email", ANN) == resolves_to("email", "old@example.com") == done.profile_id


def test_a_row_without_an_identifier_names_the_file() -> None:
    from tests.imports.files import applied

    applied("first_name,city\nAnn,Oslo\n", name="fair.csv")
    from profiles.models import Profile

    row = Profile.objects.get(city="Oslo")
    known = make_profile(email=ANN)
    (finding,) = why(find_profile_pair(row.pk, known.pk))
    assert finding.code == "row_without_identifier"
    assert finding.via.startswith("import #")
    assert finding.via.endswith("“fair.csv”, row 2")


def test_a_held_merge_is_a_finding_and_can_be_decided(by_staff: By) -> None:
    send = site("Shop backend", "server", merges_per_hour=1)
    for number in (1, 2):
        send("track", anonymousId=f"b-{number}", event="Seen")
        send("track", userId=str(number), event="Seen")
        send("identify", anonymousId=f"b-{number}", userId=str(number))
    visitor, known = browser("b-2"), root_of("customer_id:2")
    (finding,) = why(find_profile_pair(visitor, known))
    assert (finding.code, finding.value, finding.source) == ("held_join", "b-2", "Shop backend")
    done = apply_fix(a_id=visitor, b_id=known, code="join_held", **by_staff)
    assert (done.is_merged, HeldMerge.objects.get().state) == (True, "merged")


def test_nothing_links_them(by_staff: By) -> None:
    first, second = make_profile(email=ANN), make_profile(email="bob@example.com")
    (finding,) = why(find_profile_pair(first.pk, second.pk))
    assert (finding.code, finding.stored_as) == ("nothing_links", "")
    assert finding.text == (
        f"Nothing links #{first.pk} and #{second.pk}: no identifier, attribute or event of one has a value of the other."
    )
    assert apply_fix(a_id=first.pk, b_id=second.pk, code="merge_profiles", **by_staff).is_merged


def test_a_decision_and_a_lock_come_first_and_are_taken_back(by_staff: By) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    set_verdict(a_id=expected.a, b_id=expected.b, verdict="not_duplicate", actor=by_staff["actor"])
    set_lock(profile_id=expected.b, is_locked=True, **by_staff)
    assert [finding.code for finding in findings(expected)] == [
        "locked",
        "decided_apart",
        "update_not_identify",
    ]
    assert the_finding(expected, "decided_apart").text.startswith("ada decided on ")
    with pytest.raises(
        RuleForbids, match=f"Profile #{expected.b} is locked against merging. Unlock it first."
    ):
        apply_fix(a_id=expected.a, b_id=expected.b, code="promote_identifier", **by_staff)
    assert not apply_fix(a_id=expected.a, b_id=expected.b, code="unlock", **by_staff).is_merged
    assert not apply_fix(a_id=expected.a, b_id=expected.b, code="reopen", **by_staff).is_merged
    assert [finding.code for finding in findings(expected)] == ["update_not_identify"]
    assert apply_fix(a_id=expected.a, b_id=expected.b, code="promote_identifier", **by_staff).is_merged


def test_two_people_on_one_device_are_kept_apart(by_staff: By) -> None:
    expected = CAUSES["shared_device"]()
    done = apply_fix(a_id=expected.a, b_id=expected.b, code="keep_apart", **by_staff)
    assert (done.is_merged, done.message) == (False, "Saved: these are two people.")
    assert DuplicatePair.objects.get().verdict == "not_duplicate"
    assert Merge.objects.count() == 0


def test_a_suggested_pair_is_asked_by_its_number(by_staff: By) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    pair = set_verdict(a_id=expected.a, b_id=expected.b, verdict="open", actor=by_staff["actor"])
    two = profiles_of_pair(DuplicatePair.objects.get().pk)
    assert {two.a.pk, two.b.pk} == {expected.a, expected.b}
    assert pair.verdict == "open"
    with pytest.raises(NotFound, match="There is no pair 0."):
        profiles_of_pair(0)


# --- Refusals -------------------------------------------------------------------------------------------


def test_what_is_not_offered_is_refused_by_name(by_staff: By) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    message = f"“unlock” fixes nothing between #{expected.a} and #{expected.b}. Offered: promote_identifier, keep_apart."
    with pytest.raises(RuleForbids, match=message):
        apply_fix(a_id=expected.a, b_id=expected.b, code="unlock", **by_staff)
    with pytest.raises(RuleForbids, match="“make it so” fixes nothing"):
        preview_fix(find_profile_pair(expected.a, expected.b), code="make it so", **by_staff)


def test_a_change_since_the_preview_stops_it(by_staff: By) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    preview = preview_fix(find_profile_pair(expected.a, expected.b), code=expected.fix, **by_staff)
    assert preview.merge is not None
    set_lock(profile_id=expected.b, is_locked=True, **by_staff)
    set_lock(profile_id=expected.b, is_locked=False, **by_staff)
    with pytest.raises(Stale):
        apply_fix(
            a_id=expected.a,
            b_id=expected.b,
            code=expected.fix,
            preview_hash=preview.merge.preview_hash,
            **by_staff,
        )
    assert Merge.objects.count() == 0


def test_rights_are_asked_by_the_verb(make_user: Callable[..., Any], by_staff: By) -> None:
    from cdp.actors import Actor

    expected = CAUSES["update_instead_of_identify"]()
    mira = {**by_staff, "actor": Actor.of_user(make_user("mira", "marketer"))}
    message = "“Promote to identifier and merge” needs the permission profiles.merge_profile, which you do not have."
    with pytest.raises(Forbidden, match=message):
        apply_fix(a_id=expected.a, b_id=expected.b, code=expected.fix, **mira)
    with pytest.raises(Forbidden, match=message):
        preview_fix(find_profile_pair(expected.a, expected.b), code=expected.fix, **mira)
    assert Merge.objects.count() == 0


# --- Cost -----------------------------------------------------------------------------------------------


def _cost(expected: Expected) -> int:
    two = find_profile_pair(expected.a, expected.b)
    with CaptureQueriesContext(connection) as queries:
        assert why(two)
    return len(queries)


def test_a_pair_costs_the_same_with_one_and_with_a_hundred_of_everything(by_staff: By) -> None:
    expected = CAUSES["email_in_a_track"]()
    before = _cost(expected)
    send = site("Busy")
    for number in range(100):
        send("track", anonymousId="b-1", event="Seen", properties={"email": f"x{number}@example.com"})
    api = shop_api()
    for number in range(30):
        api.put(f"profiles/{expected.b}/identifiers/email/y{number}@example.com/")
    assert _cost(expected) == before <= 9
    assert the_finding(expected).value == ANN
