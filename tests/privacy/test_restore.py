"""Deleted people come back many at a time, exactly as they were; what cannot come back is said before and after."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.errors import Forbidden
from cdp.jobs import run_to_end
from cdp.models import AuditEntry, Job, OutboxMessage, User, Webhook
from profiles.admin import bulk_confirmation
from profiles.api import profiles as api_profiles
from profiles.bulk import run_action
from profiles.consent.ledger import record_consent
from profiles.duplicates.finding import match_queue
from profiles.editing import add_address
from profiles.identity.lookup import find_profile, resolve
from profiles.merging.merge import merge_profiles
from profiles.models import (
    Address,
    Change,
    Consent,
    DuplicatePair,
    Identifier,
    IdentifierType,
    LinkInterval,
    Profile,
    ProfileTag,
)
from profiles.pairs.verdicts import set_verdict
from profiles.privacy.delete import delete_profiles
from profiles.privacy.restore import Taken, deleted_by_job, preview_restore, remarks_of, restore_profiles
from tests.api.caller import Caller
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

Login = Callable[[User], Client]
MOMENT = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few people are a job's work, in several chunks."""
    for module in (run_action, bulk_confirmation, api_profiles):
        monkeypatch.setattr(module, "INLINE", 2)
    monkeypatch.setattr(run_action, "CHUNK", 3)


def rich_people(by: dict[str, Any]) -> list[int]:
    """Five people with all that belongs to one: merged-away profiles, consents, tags, addresses, browsers, pairs."""
    ids = []
    for number in range(5):
        person = make_profile(
            first_name=f"P{number}",
            email=f"p{number}@example.com",
            identifiers=[("customer_id", f"C{number}"), ("anonymous_id", f"browser-{number}")],
            tags=["vip"],
            city="Oslo",
        )
        old = make_profile(email=f"old{number}@example.com")
        merge_profiles(winner_id=person.pk, loser_id=old.pk, **by)
        add_address(profile_id=person.pk, values={"city": "Paris"}, **by)
        record_consent(
            profile_id=person.pk, channel="email", purpose="newsletter", state="granted", at=MOMENT, **by
        )
        kind = IdentifierType.objects.get(name="anonymous_id")
        LinkInterval.objects.create(
            type=kind, value=f"browser-{number}", profile=person, started_at=MOMENT, ended_at=None
        )
        ids.append(person.pk)
    set_verdict(a_id=ids[0], b_id=ids[1], verdict="not_duplicate", actor=by["actor"])
    return ids


# What a deletion and a restoring leave behind themselves, beside the journal.
_MOVES = ("version", "updated_at", "search")


def everything(ids: list[int]) -> list[list[dict[str, Any]]]:
    members = Profile.objects.members_of(*ids).values_list("pk", flat=True)
    tables: list[Any] = [Identifier, Address, Consent, ProfileTag, LinkInterval]
    rows = [list(table.objects.filter(profile_id__in=members).order_by("pk").values()) for table in tables]
    people = Profile.objects.filter(pk__in=members).order_by("pk").values()
    pairs = DuplicatePair.objects.filter(a_id__in=members).order_by("a_id", "b_id")
    return [
        [{key: value for key, value in person.items() if key not in _MOVES} for person in people],
        *rows,
        list(pairs.values("a_id", "b_id", "verdict", "decided_at", "tier")),
    ]


def test_many_come_back_exactly_as_they_were(by_staff: dict[str, Any]) -> None:
    ids = rich_people(by_staff)
    match_queue.work_off()
    before = everything(ids)
    assert all(before)
    delete_profiles(profile_ids=ids, **by_staff)
    assert everything(ids) != before
    done = restore_profiles(profile_ids=ids, **by_staff)
    match_queue.work_off()
    assert (done.profile_ids, done.taken, done.skipped) == (sorted(ids), {}, {})
    assert everything(ids) == before


def test_the_journal_the_log_and_webhooks_tell_about_each(by_staff: dict[str, Any]) -> None:
    Webhook.objects.create(name="x", url="https://hooks.example.com/", topics=["profile.restored"])
    ids = rich_people(by_staff)
    delete_profiles(profile_ids=ids, **by_staff)
    restore_profiles(profile_ids=ids, **by_staff)
    changes = Change.objects.filter(kind="restored").order_by("profile_id")
    assert list(changes.values_list("profile_id", flat=True)) == sorted(ids)
    assert changes[0].fields == {"status": ["deleted", "live"]}
    assert changes[0].detail["restored"] == sorted(
        Identifier.objects.filter(profile__canonical_id=ids[0], resolves=True).values_list("pk", flat=True)
    )
    subjects = AuditEntry.objects.filter(action="profile.restore").values_list("subject", "detail")
    assert sorted(subjects) == sorted((f"profile:{pk}", {"taken": 0}) for pk in ids)
    assert OutboxMessage.objects.filter(topic="profile.restored").count() == len(ids)


def test_what_cannot_come_back_is_said_before_and_after(by_staff: dict[str, Any]) -> None:
    ann, ben, eve, liv = (
        make_profile(email=f"{name}@example.com", identifiers=[("customer_id", name)])
        for name in ("ann", "ben", "eve", "liv")
    )
    delete_profiles(profile_ids=[ann.pk, ben.pk, eve.pk], **by_staff)
    Profile.objects.filter(pk=eve.pk).update(status="erased")
    other = make_profile(email="ann@example.com")
    ids = [ann.pk, ben.pk, eve.pk, liv.pk, 999_999]
    would = preview_restore(ids)
    assert Profile.objects.filter(status="deleted").count() == 2
    done = restore_profiles(profile_ids=ids, **by_staff)
    assert would == done
    assert done.profile_ids == [ann.pk, ben.pk]
    assert done.taken == {ann.pk: [Taken("email", "ann@example.com", other.pk)]}
    assert remarks_of(done) == [
        f"Profile #{eve.pk} was erased; nothing is left to bring back.",
        f"Profile #{liv.pk} is not deleted.",
        "No profile “999999”.",
        f"#{ann.pk}: the email now belongs to profile #{other.pk} and stays there.",
    ]
    assert find_profile("email:ann@example.com").root == other
    assert find_profile("customer_id:ann").root == ann
    assert restore_profiles(profile_ids=ids, **by_staff).profile_ids == []


@pytest.mark.parametrize("at_once", [True, False])
def test_of_two_who_held_one_value_the_older_profile_gets_it_back(
    at_once: bool, by_staff: dict[str, Any]
) -> None:
    ann = make_profile(email="one@example.com")
    delete_profiles(profile_ids=[ann.pk], **by_staff)
    ben = make_profile(email="one@example.com")
    delete_profiles(profile_ids=[ben.pk], **by_staff)
    taken = {ben.pk: [Taken("email", "one@example.com", ann.pk)]}
    assert preview_restore([ben.pk, ann.pk]).taken == taken
    if at_once:
        assert restore_profiles(profile_ids=[ben.pk, ann.pk], **by_staff).taken == taken
    else:
        assert restore_profiles(profile_ids=[ann.pk], **by_staff).taken == {}
        assert restore_profiles(profile_ids=[ben.pk], **by_staff).taken == taken
    assert resolve([("email", "one@example.com")])["email", "one@example.com"].root_id == ann.pk


def test_a_browser_somebody_else_used_since_stays_theirs(by_staff: dict[str, Any]) -> None:
    ann, ben = make_profile(first_name="Ann"), make_profile(first_name="Ben")
    kind = IdentifierType.objects.get(name="anonymous_id")
    links = []
    for value in ("hers", "shared"):
        Identifier.objects.create(
            profile=ann, type=kind, value=value, raw=value, resolves=True, source=by_staff["source"]
        )
        links.append(LinkInterval.objects.create(type=kind, value=value, profile=ann, started_at=MOMENT))
    delete_profiles(profile_ids=[ann.pk], **by_staff)
    assert not LinkInterval.objects.filter(ended_at=None).exists()
    LinkInterval.objects.create(type=kind, value="shared", profile=ben, started_at=timezone.now())
    restore_profiles(profile_ids=[ann.pk], **by_staff)
    assert list(LinkInterval.objects.filter(profile=ann, ended_at=None)) == [links[0]]


def test_thousands_take_as_many_statements_as_one(
    by_staff: dict[str, Any], django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    ids = [make_profile(email=f"p{number}@example.com").pk for number in range(40)]
    delete_profiles(profile_ids=ids, **by_staff)
    with django_assert_num_queries(3):
        assert preview_restore(ids).count == 40
    with django_assert_max_num_queries(16):
        assert restore_profiles(profile_ids=ids[:1], **by_staff).count == 1
    with django_assert_max_num_queries(16):
        assert restore_profiles(profile_ids=ids, **by_staff).count == 39


def test_two_restorings_at_once_restore_once(two_connections: Any, by_staff: dict[str, Any]) -> None:
    ann = make_profile(email="ann@example.com")
    delete_profiles(profile_ids=[ann.pk], **by_staff)
    results = two_connections(*[lambda: restore_profiles(profile_ids=[ann.pk], **by_staff)] * 2)
    assert sorted(result.count for result in results) == [0, 1]
    assert Change.objects.filter(kind="restored").count() == 1


# --- The job --------------------------------------------------------------------------------------------------


def deleted_many(actor: Actor, by: dict[str, Any]) -> tuple[Job, list[int]]:
    ids = [make_profile(email=f"p{number}@example.com").pk for number in range(7)]
    job = run_action.run_bulk(action="delete", profile_ids=ids, actor=actor, source=by["source"]).job
    assert job is not None
    return run_to_end(job), ids


def test_a_job_that_deleted_is_undone_by_a_job(
    ada: User, as_user: Login, by_staff: dict[str, Any], small_steps: None
) -> None:
    job, ids = deleted_many(Actor.of_user(ada), by_staff)
    assert deleted_by_job(job.pk) == ids
    # One came back and was deleted by somebody else; one is back; one's address is taken.
    restore_profiles(profile_ids=ids[:2], **by_staff)
    delete_profiles(profile_ids=ids[:1], **by_staff)
    other = make_profile(email="p2@example.com")
    assert deleted_by_job(job.pk) == ids[2:]
    client = as_user(ada)
    page = client.get(reverse("admin:cdp_job_change", args=[job.pk])).content.decode()
    url = reverse("admin:profiles_profile_restore_deleted_by", args=[job.pk])
    assert f'<a class="btn" href="{url}">Restore 5 people…</a>' in page
    form = client.get(url).content.decode()
    assert "5 people will be as before" in form
    remark = f"#{ids[2]}: the email now belongs to profile #{other.pk} and stays there."
    assert remark in form
    frozen = form.partition('name="frozen" value="')[2].partition('"')[0]
    started = client.post(url, {"frozen": frozen})
    undo = run_to_end(Job.objects.latest("pk"))
    assert started.headers["Location"] == reverse("admin:cdp_job_change", args=[undo.pk])
    assert (undo.title, undo.state, undo.done) == ("Restore 5 people", "done", 5)
    assert (undo.result, undo.errors) == ({"people_changed": 5}, [remark])
    assert set(Profile.objects.live().values_list("pk", flat=True)) == {*ids[1:], other.pk}
    causes = Change.objects.filter(kind="restored", cause="job").values_list("cause_id", flat=True)
    assert [*causes] == [undo.pk] * 5
    page = client.get(reverse("admin:cdp_job_change", args=[undo.pk])).content.decode()
    assert "admin/profiles/profile/restore/" not in page
    again = client.get(url, follow=True)
    assert f"Nobody whom job #{job.pk} deleted is still deleted." in again.content.decode()


def test_the_list_of_deleted_people_restores_ticked_ones_and_all(
    ada: User, mira: User, as_user: Login, by_staff: dict[str, Any]
) -> None:
    ids = [make_profile(first_name=f"P{number}").pk for number in range(3)]
    live = make_profile(first_name="Live")
    delete_profiles(profile_ids=ids, **by_staff)
    client, url = as_user(ada), reverse("admin:profiles_profile_bulk", args=["restore"])
    page = client.get(reverse("admin:profiles_profile_deleted")).content.decode()
    assert f'formaction="{url}">Restore…</button>' in page
    assert url not in client.get(reverse("admin:profiles_profile_changelist")).content.decode()
    assert as_user(mira).post(url, {"ids": ids}).status_code == 403
    form = client.post(url, {"ids": [ids[0], live.pk]}).content.decode()
    assert "Restore 1 person</button>" in form
    frozen = form.partition('name="frozen" value="')[2].partition('"')[0]
    done = client.post(url, {"frozen": frozen}, follow=True).content.decode()
    assert "1 person restored." in done
    form = client.post(url, {"everyone": "1", "filters": "q=P1"}).content.decode()
    assert "Restore 1 person</button>" in form
    form = client.post(url, {"everyone": "1", "filters": ""}).content.decode()
    assert "Restore 2 people</button>" in form
    frozen = form.partition('name="frozen" value="')[2].partition('"')[0]
    client.post(url, {"frozen": frozen})
    assert Profile.objects.live().count() == 4


def test_who_may_delete_many_does_not_therefore_restore_many(
    make_user: Callable[..., User], by_staff: dict[str, Any], as_user: Login
) -> None:
    leo = make_user("leo", "viewer")
    ann = make_profile()
    delete_profiles(profile_ids=[ann.pk], **by_staff)
    url = reverse("admin:profiles_profile_bulk", args=["restore"])
    for codes in (["bulk_restore"], ["restore_profile"]):
        leo.user_permissions.set(Permission.objects.filter(codename__in=codes))
        assert as_user(leo).post(url, {"ids": [ann.pk]}).status_code == 403
    with pytest.raises(Forbidden, match="^leo may not restore for many people at once.$"):
        run_action.run_bulk(
            action="restore",
            profile_ids=[ann.pk],
            actor=Actor.of_user(User.objects.get(pk=leo.pk)),
            source=by_staff["source"],
        )
    leo.user_permissions.set(Permission.objects.filter(codename__in=["bulk_restore", "restore_profile"]))
    assert as_user(leo).post(url, {"ids": [ann.pk]}).status_code == 200


# --- The API --------------------------------------------------------------------------------------------------


def caller(*scopes: str) -> Caller:
    return Caller(create_key(name="a key", scopes=list(scopes), actor=Actor.system()))


def test_the_api_restores_many(by_staff: dict[str, Any], small_steps: None) -> None:
    ids = [make_profile(email=f"p{number}@example.com").pk for number in range(5)]
    delete_profiles(profile_ids=ids, **by_staff)
    other = make_profile(email="p0@example.com")
    api = caller("privacy", "pii")
    taken = {"restored_id": ids[0], "type": "email", "value": "p0@example.com", "profile_id": other.pk}
    would = api.post("profiles/restore/?dry_run=true", {"ids": ids})
    assert (would.status_code, would.json()["restored"], would.json()["taken"]) == (200, ids, [taken])
    assert Profile.objects.filter(status="deleted").count() == 5
    two = api.post("profiles/restore/", {"ids": [ids[0], other.pk]}).json()
    assert two == {
        "restored": [ids[0]],
        "skipped": [{"id": other.pk, "message": f"Profile #{other.pk} is not deleted."}],
        "taken": [taken],
    }
    started = api.post("profiles/restore/", {"ids": ids})
    assert (started.status_code, started.json()["title"]) == (202, "Restore 5 people")
    job = run_to_end(Job.objects.get(pk=started.json()["id"]))
    assert (job.result, job.errors) == ({"people_changed": 4}, [f"Profile #{ids[0]} is not deleted."])


def test_the_api_undoes_a_job_that_deleted(by_staff: dict[str, Any], small_steps: None) -> None:
    job, ids = deleted_many(Actor.system(), by_staff)
    api = caller("privacy")
    started = api.post("profiles/restore/", {"job": job.pk})
    assert started.status_code == 202
    run_to_end(Job.objects.get(pk=started.json()["id"]))
    assert Profile.objects.live().count() == len(ids)
    gone = api.post("profiles/restore/", {"job": job.pk})
    assert (gone.status_code, gone.json()["detail"]) == (
        404,
        f"Nobody whom job #{job.pk} deleted is still deleted.",
    )


def test_the_api_says_what_is_missing(by_staff: dict[str, Any]) -> None:
    both = caller("privacy").post("profiles/restore/", {"ids": [1], "job": 1})
    assert both.json()["errors"][0]["message"] == "Name people by “ids”, or the “job” that deleted them."
    refused = caller("profiles:write").post("profiles/restore/", {"ids": [1]})
    assert (refused.status_code, refused.json()["detail"]) == (
        403,
        "The API key “a key” needs the scope privacy for this.",
    )
