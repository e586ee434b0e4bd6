"""Whose a job is: it works with the rights of the login or key that started it, as they are now, and with no others."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cdp import job_steps
from cdp.actors import Actor
from cdp.api.keys import NewKey, create_key
from cdp.audit_chain import seal, start_verifying
from cdp.errors import Forbidden
from cdp.job_steps import Chunk
from cdp.jobs import cancel_job, pause_job, resume_job, run_to_end, start_job
from cdp.models import ApiKey, AuditEntry, Job, User
from imports.apply import apply_import
from imports.job_controls import cancel_import, pause_import, resume_import
from imports.plan import plan_import
from imports.upload import upload_import
from profiles.builtin_sources import builtin_source
from profiles.bulk import run_action
from profiles.bulk.exports import start_export
from profiles.duplicates.finding.full_scan import start_scan
from profiles.identity.change_rules import recheck_type
from profiles.merging.batches import preview
from profiles.merging.batches.apply import start_batch
from profiles.merging.batches.freeze import BatchPair, make_batch
from profiles.merging.batches.preview import preview_batch
from profiles.merging.batches.undo import undo_batch
from profiles.models import IdentifierType, Merge, MergeBatch, Profile
from profiles.tracking.rejected.replay import dismiss_many
from segments.evaluate.preview_job import start_preview
from segments.rules.parse import parse_rule
from segments.vocabulary import Vocabulary
from tests.api.caller import Caller, refusal
from tests.imports.files import as_file
from tests.profile_factory import make_profile
from tests.tracking.rejected import make_source, reject

pytestmark = pytest.mark.django_db

Login = Callable[[User], Client]
STOPPED = "Stopped before the next step; what was done stays done."


# --- One job of each kind ---------------------------------------------------------------------------------


_serial = itertools.count(1)


def people() -> list[int]:
    return [make_profile(email=f"p{next(_serial)}@example.com").pk for _ in range(4)]


def plan(actor: Actor) -> Job:
    file = as_file("email,first_name\nann@example.com,Ann\nbob@example.com,Bob\n")
    import_ = upload_import(file=file, actor=actor, source=builtin_source("api"))
    file.close()
    return plan_import(import_id=import_.pk, actor=actor)


def apply(actor: Actor) -> Job:
    planned = run_to_end(plan(actor))
    return apply_import(import_id=planned.params["import"], actor=actor)


def change_many(actor: Actor) -> Job:
    source = builtin_source("staff")
    job = run_action.run_bulk(
        action="tag", profile_ids=people(), params={"tags": ["vip"]}, actor=actor, source=source
    ).job
    assert job is not None
    return job


def batch(actor: Actor) -> MergeBatch:
    ids = people()
    pairs = [BatchPair(ids[0], ids[1]), BatchPair(ids[2], ids[3])]
    return make_batch(pairs, actor=actor, source=builtin_source("staff"))


def look_at_merges(actor: Actor) -> Job:
    job = preview_batch(batch_id=batch(actor).pk, actor=actor).job
    assert job is not None
    return job


def merge_many(actor: Actor) -> Job:
    job = start_batch(batch_id=batch(actor).pk, actor=actor, unseen=True).job
    assert job is not None
    return job


def undo_many(actor: Actor) -> Job:
    merged = run_to_end(merge_many(actor))
    job = undo_batch(batch_id=merged.params["batch"], actor=actor).undo_job
    assert job is not None
    return job


def recheck(actor: Actor) -> Job:
    people()
    job = recheck_type(type_id=IdentifierType.objects.get(name="email").pk, actor=actor)
    assert job is not None
    return job


def dismiss(actor: Actor) -> Job:
    source = make_source()
    return dismiss_many(ids=[reject(source).pk for _ in range(2)], actor=actor)


def check_log(actor: Actor) -> Job:
    people()
    seal()
    return start_verifying(actor=actor)


def scan(actor: Actor) -> Job:
    people()
    return start_scan(actor=actor)


def count_people_of_a_rule(actor: Actor) -> Job:
    people()
    rule = parse_rule({"version": 1, "all": [{"type": "anonymous"}]}, Vocabulary())
    return start_preview(rule, actor=actor)


STARTED: dict[str, Callable[[Actor], Job]] = {
    "audit.verify": check_log,
    "duplicates.scan": scan,
    "identity.recheck": recheck,
    "import.apply": apply,
    "import.plan": plan,
    "merges.apply": merge_many,
    "merges.preview": look_at_merges,
    "merges.undo": undo_many,
    "profiles.bulk": change_many,
    "profiles.export": lambda actor: start_export(profile_ids=people(), actor=actor),
    "receipts.resolve": dismiss,
    "segments.preview": count_people_of_a_rule,
}
# Jobs that always work as the system, each with the reason.
OF_THE_SYSTEM = {"segments.fill": "a published rule is filled, whatever becomes of who published it"}


def test_every_kind_of_job_is_in_the_table() -> None:
    assert sorted([*STARTED, *OF_THE_SYSTEM]) == sorted(
        kind for kind in job_steps.handlers if not kind.startswith("test.")
    )


@pytest.fixture(autouse=True)
def _as_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few people are a job's work."""
    monkeypatch.setattr(run_action, "INLINE", 1)
    monkeypatch.setattr(preview, "INLINE", 1)


# --- What happens in the middle -----------------------------------------------------------------------------


def deactivated(user: User, key: ApiKey | None, job: Job) -> str:
    User.objects.filter(pk=user.pk).update(is_active=False)
    return f"The login “{user}” is deactivated."


def staff_status_taken(user: User, key: ApiKey | None, job: Job) -> str:
    User.objects.filter(pk=user.pk).update(is_staff=False)
    return f"The login “{user}” is no staff login any more."


def right_taken(user: User, key: ApiKey | None, job: Job) -> str:
    app, _, codename = job.permission.partition(".")
    role = user.groups.get()
    role.permissions.remove(Permission.objects.get(content_type__app_label=app, codename=codename))
    return f"{user} may no longer do this."


def role_taken(user: User, key: ApiKey | None, job: Job) -> str:
    user.groups.clear()
    return f"{user} may no longer do this."


def key_revoked(user: User, key: ApiKey | None, job: Job) -> str:
    ApiKey.objects.filter(pk=getattr(key, "pk", None)).update(revoked_at=timezone.now())
    return "The API key “shop” was revoked."


def owner_of_key_deactivated(user: User, key: ApiKey | None, job: Job) -> str:
    User.objects.filter(pk=user.pk).update(is_active=False)
    return (
        f"The API key “shop” belongs to the login “{user}”, which is deactivated."
        " Hand the key over to another login, or revoke it."
    )


def scope_taken(user: User, key: ApiKey | None, job: Job) -> str:
    ApiKey.objects.filter(pk=getattr(key, "pk", None)).update(scopes=[])
    return "shop may no longer do this."


def starter_gone(user: User, key: ApiKey | None, job: Job) -> str:
    Job.objects.filter(pk=job.pk).update(user=None, key=None)
    return "The login or API key it was started with is gone."


CAUSES: dict[str, tuple[bool, Callable[[User, ApiKey | None, Job], str]]] = {
    "login_inactive": (False, deactivated),
    "login_not_staff": (False, staff_status_taken),
    "permission_lost": (False, right_taken),
    "permission_lost with the role": (False, role_taken),
    "key_revoked": (True, key_revoked),
    "key_owner_inactive": (True, owner_of_key_deactivated),
    "permission_lost by a key": (True, scope_taken),
    "unknown": (False, starter_gone),
}


@pytest.fixture
def leo(make_user: Callable[..., User]) -> User:
    """Has every right, all by one role, so that each can be taken, and all together."""
    leo = make_user("leo")
    role = Group.objects.create(name="everything")
    role.permissions.set(Permission.objects.all())
    leo.groups.add(role)
    return leo


@pytest.fixture
def shop(leo: User) -> NewKey:
    return create_key(name="shop", scopes=["all"], actor=Actor.of_user(leo))


def figures() -> tuple[Any, ...]:
    people = Profile.objects.order_by("pk").values_list("pk", "version", "status", "canonical_id")
    return (*people, Merge.objects.count())


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("kind", STARTED)
def test_a_job_ends_forbidden_when_its_starter_may_no_longer(
    kind: str, cause: str, leo: User, shop: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_key, happen = CAUSES[cause]
    actor = Actor.of_key(ApiKey.objects.get(pk=shop.key.pk)) if is_key else Actor.of_user(leo)
    job = STARTED[kind](actor)
    before, real = figures(), job_steps.handlers[kind]
    sentences: list[str] = []

    def interrupted(chunk: Chunk) -> bool:
        """What happens while a worker is in the middle of its first step."""
        if not sentences:
            sentences.append(happen(leo, shop.key, job))
        return real.step(chunk)

    monkeypatch.setitem(job_steps.handlers, kind, replace(real, step=interrupted))
    job = run_to_end(job)
    assert (job.state, job.done, job.problem) == ("failed", 0, f"{sentences[0]} {STOPPED}")
    assert figures() == before
    entry = AuditEntry.objects.get(action="job.forbidden", subject=f"job:{job.pk}")
    assert entry.detail == {
        "kind": kind,
        "permission": job.permission,
        "done": 0,
        "reason": cause.partition(" ")[0],
    }
    assert entry.actor == ("shop" if is_key else "nobody" if cause == "unknown" else "leo")
    # Nor does anybody else's right bring it back to life.
    boss = Actor.of_user(User.objects.create_superuser("boss"))
    with pytest.raises(Forbidden) as refused:
        resume_job(job_id=job.pk, actor=boss)
    assert refused.value.message == (
        f"{sentences[0]} A job works with the rights of whoever started it, so this one cannot go on."
        " Start the work again with a login that may do it."
    )


@pytest.mark.parametrize("kind", STARTED)
def test_a_job_is_not_even_begun_for_somebody_who_is_gone(
    kind: str, leo: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = STARTED[kind](Actor.of_user(leo))
    steps: list[Chunk] = []

    def step(chunk: Chunk) -> bool:
        steps.append(chunk)
        return False

    monkeypatch.setitem(job_steps.handlers, kind, replace(job_steps.handlers[kind], step=step))
    User.objects.filter(pk=leo.pk).update(is_active=False)
    job = run_to_end(job)
    assert (job.state, job.problem, steps) == ("failed", f"The login “leo” is deactivated. {STOPPED}", [])


@pytest.mark.parametrize("kind", STARTED)
def test_while_they_may_it_runs_to_the_end(kind: str, leo: User) -> None:
    assert run_to_end(STARTED[kind](Actor.of_user(leo))).state == "done"
    job = run_to_end(STARTED[kind](Actor.system()))
    assert (job.state, job.is_system, job.starter) == ("done", True, "system")


# --- Pausing, resuming, canceling ---------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [pause_job, resume_job, cancel_job])
@pytest.mark.parametrize("kind", STARTED)
def test_who_steers_a_job_needs_its_own_right(
    kind: str, verb: Callable[..., Job], leo: User, make_user: Callable[..., User]
) -> None:
    job = STARTED[kind](Actor.of_user(leo))
    Job.objects.filter(pk=job.pk).update(state="paused" if verb is resume_job else "queued")
    before = Job.objects.get(pk=job.pk).state
    app, _, codename = job.permission.partition(".")
    right = Permission.objects.get(content_type__app_label=app, codename=codename)
    change_jobs = Permission.objects.get(content_type__app_label="cdp", codename="change_job")
    steward, clerk, both = make_user("steward"), make_user("clerk"), make_user("both")
    steward.user_permissions.set([change_jobs])
    clerk.user_permissions.set([right])
    both.user_permissions.set([change_jobs, right])
    with pytest.raises(Forbidden, match="^steward may not do this: the job needs the right “"):
        verb(job_id=job.pk, actor=Actor.of_user(steward))
    with pytest.raises(Forbidden, match="^Only the person who started a job, or somebody with the right"):
        verb(job_id=job.pk, actor=Actor.of_user(clerk))
    with pytest.raises(Forbidden, match="^The login or API key it was started with is gone.$"):
        verb(job_id=job.pk, actor=Actor("anonymous", "unknown"))
    assert Job.objects.get(pk=job.pk).state == before
    assert verb(job_id=job.pk, actor=Actor.of_user(both)).state != before


def test_a_job_of_nobody_is_not_resumed_as_the_system(leo: User, mira: User, as_user: Login) -> None:
    job = STARTED["profiles.bulk"](Actor.of_user(leo))
    before = figures()
    Job.objects.filter(pk=job.pk).update(user=None, state="failed")
    client = as_user(mira)
    answer = client.post(reverse("admin:cdp_job_resume", args=[job.pk]))
    assert answer.status_code == 403
    assert "The login or API key it was started with is gone." in answer.content.decode()
    assert Job.objects.get(pk=job.pk).state == "failed"
    page = client.get(reverse("admin:cdp_job_change", args=[job.pk])).content.decode()
    assert "started by a login that is gone" in page
    assert figures() == before


def test_a_page_shows_the_switches_to_those_who_may(leo: User, mira: User, ada: User, as_user: Login) -> None:
    job = STARTED["identity.recheck"](Actor.of_user(leo))
    url = reverse("admin:cdp_job_change", args=[job.pk])
    assert "Cancel job" in as_user(ada).get(url).content.decode()
    looked = as_user(mira).get(url)  # may change jobs, not identity rules
    assert (looked.status_code, "Cancel job" in looked.content.decode()) == (200, False)
    refused = as_user(mira).post(reverse("admin:cdp_job_cancel", args=[job.pk]))
    assert refused.status_code == 403
    assert "mira may not do this: the job needs the right “" in refused.content.decode()
    assert not AuditEntry.objects.filter(action="job.cancel").exists()


def test_the_api_asks_the_same(leo: User, mira: User, as_user: Login) -> None:
    job = STARTED["identity.recheck"](Actor.of_user(leo))
    caller = Caller(None, as_user(mira))
    for verb in ("pause", "resume", "cancel"):
        status, sentence = refusal(caller.post(f"jobs/{job.pk}/{verb}/"))
        assert (status, sentence[:45]) == (403, "mira may not do this: the job needs the right")
    assert Job.objects.get(pk=job.pk).state == "queued"


def test_imports_are_steered_by_the_rule_of_jobs(leo: User, make_user: Callable[..., User]) -> None:
    dan, eva = make_user("dan", "data admin"), make_user("eva")
    eva.user_permissions.set(
        Permission.objects.filter(codename__in=["add_import", "change_import", "view_import"])
    )
    job = plan(Actor.of_user(leo))
    import_id = job.params["import"]
    by_eva, by_dan = Actor.of_user(eva), Actor.of_user(dan)
    for verb in (pause_import, resume_import, cancel_import):
        Job.objects.filter(pk=job.pk).update(state="paused" if verb is resume_import else "queued")
        with pytest.raises(Forbidden, match="^Only the person who started a job, or somebody with"):
            verb(import_id=import_id, actor=by_eva)
        verb(import_id=import_id, actor=by_dan)
    # A plan that waits is its uploader's, by the same rule.
    waiting = run_to_end(plan(Actor.of_user(leo))).params["import"]
    with pytest.raises(Forbidden, match="^Only the person who started a job, or somebody with"):
        cancel_import(import_id=waiting, actor=by_eva)
    assert cancel_import(import_id=waiting, actor=by_dan).state == "canceled"
    own = run_to_end(plan(by_eva)).params["import"]
    assert cancel_import(import_id=own, actor=by_eva).state == "canceled"


def test_only_the_system_is_the_system(leo: User) -> None:
    assert Actor.system().can("profiles.bulk_delete")
    for actor in (Actor("anonymous", "leo"), Actor.nobody()):
        assert not actor.can("profiles.view_profile")
    assert start_job(kind="test.unknown", actor=Actor.of_user(leo)).is_system is False
    assert start_job(kind="test.unknown", actor=Actor.system()).is_system is True
