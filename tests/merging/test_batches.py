"""Thousands of merges decided together are exactly the merges one by one, and go back together."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp.actors import Actor
from cdp.errors import Conflict, Forbidden, Invalid, NotFound, Refused, RuleForbids
from cdp.invariants import violations
from cdp.job_steps import actor_of
from cdp.jobs import cancel_job, run_to_end, take
from cdp.models import AuditEntry, Job, OutboxMessage, User, Webhook
from profiles.builtin_sources import builtin_source
from profiles.consent.ledger import record_consent
from profiles.editing import add_address, add_event, add_note, update_profile
from profiles.editing.additions import set_lock
from profiles.journal import Cause
from profiles.merging.batches import apply as applying
from profiles.merging.batches import undo
from profiles.merging.batches.apply import discard_batch, start_batch
from profiles.merging.batches.freeze import BatchPair, make_batch
from profiles.merging.batches.preview import preview_batch
from profiles.merging.batches.undo import undo_batch
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import Unmerged, unmerge_many, unmerge_profiles
from profiles.models import Change, DuplicatePair, Merge, MergeBatch, MergeBatchRow, Profile
from profiles.pairs.verdicts import objection, set_verdict
from profiles.privacy.delete import delete_profiles
from tests.merging.worlds import checksums, ensure_attributes
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

By = dict[str, Any]
SPRING, SUMMER = (datetime.datetime(2025, month, 1, tzinfo=datetime.UTC) for month in (3, 6))
# When, by which job and under which number a row was written differs; everything else must not.
_APART = {
    *("updated_at", "created_at", "decided_at", "at", "job_id", "cause_id", "digest", "sealed"),
    *("first_seen_at", "last_seen_at", "recorded_at", "received_at", "occurred_at"),
}
_TABLES = {
    "profiles_profile": "id",
    "profiles_identifier": "id",
    "profiles_profiletag": "id",
    "profiles_address": "id",
    "profiles_consent": "id",
    "profiles_note": "id",
    "profiles_event": "id",
    "profiles_duplicatepair": "id",
    "profiles_merge": "",
    "profiles_change": "",
    "cdp_outboxmessage": "",
    "cdp_auditentry": "",
}


def run(batch: MergeBatch) -> MergeBatch:
    """Work the batch's latest job off here."""
    job = batch.undo_job or batch.job
    assert job is not None
    run_to_end(job)
    return MergeBatch.objects.select_related("job", "undo_job").get(pk=batch.pk)


def batch_of(pairs: Iterable[tuple[int, int]], by: By, **kwargs: Any) -> MergeBatch:
    return make_batch([BatchPair(*pair) for pair in pairs], **by, **kwargs)


def merged(pairs: Iterable[tuple[int, int]], by: By) -> MergeBatch:
    """Made and carried out, nobody looked."""
    return run(start_batch(batch_id=batch_of(pairs, by).pk, actor=by["actor"], unseen=True))


def outcomes(batch: MergeBatch) -> list[tuple[str, str]]:
    return list(batch.rows.order_by("position").values_list("outcome", "reason"))


def story() -> dict[str, list[Any]]:
    """Every row of every table a merge writes, in order, with merges by their turn instead of their number."""
    turns = {
        pk: f"merge {turn}"
        for turn, pk in enumerate(Merge.objects.order_by("pk").values_list("pk", flat=True))
    }
    tables: dict[str, list[Any]] = {}
    with connection.cursor() as cursor:
        for table, key in _TABLES.items():
            merge_verbs = " WHERE action IN ('profile.merge', 'profile.unmerge')"
            where = merge_verbs if table == "cdp_auditentry" else ""
            cursor.execute(f"SELECT to_jsonb(t)::text FROM {table} t{where} ORDER BY id")
            rows = [json.loads(text) for (text,) in cursor.fetchall()]
            tables[table] = [_plain(row, key, turns) for row in rows]
    return tables


def _plain(row: dict[str, Any], key: str, turns: dict[int, str]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in _APART and (name != "id" or key)}
    if "undone_at" in row:
        kept["undone_at"] = row["undone_at"] is not None
    if row.get("cause") in ("merge", "unmerge"):
        kept["cause_id"] = turns[row["cause_id"]]
    for name in ("detail", "payload"):
        if isinstance(kept.get(name), dict) and "merge_id" in kept[name]:
            kept[name] = {**kept[name], "merge_id": turns[kept[name]["merge_id"]]}
    return kept


def both_ways(pairs: list[tuple[int, int]], by: By) -> tuple[dict[str, Any], dict[str, Any]]:
    """The story after merging one by one and after a batch, each from the same start."""
    stories = []
    for way in (one_by_one, merged):
        with transaction.atomic():
            way(pairs, by)
            assert violations() == []
            stories.append(story())
            transaction.set_rollback(True)
    return stories[0], stories[1]


def one_by_one(pairs: list[tuple[int, int]], by: By) -> None:
    job = Job.objects.create(kind="merges.apply")
    for winner, loser in pairs:
        roots = dict(Profile.objects.filter(pk__in=[winner, loser]).values_list("pk", "canonical_id"))
        if len(roots) == 2 and objection(*roots.values()):
            continue
        try:
            merge_profiles(winner_id=winner, loser_id=loser, cause=Cause("job", job.pk), job_id=job.pk, **by)
        except Refused:
            continue


# --- The same merges --------------------------------------------------------------------------------------


def test_a_batch_writes_what_the_merges_one_by_one_write(by_staff: By) -> None:
    ensure_attributes()
    Webhook.objects.create(name="crm", url="https://crm.example/", topics=["profile.merged"])
    profiles = [
        make_profile(first_name="Ann", email="ann@example.com", likes=["tea"], tags=["vip"]),
        make_profile(first_name="Anna", city="Kraków", birth_date="1990-02-28", likes=["jam"], plan="pro"),
        make_profile(last_name="Lee", phone="+48 600 100 200", tags=["new"]),
        make_profile(first_name="Bob", identifiers=[("customer_id", "1")], country="PL"),
        make_profile(first_name="Bo", language="pl", plan="team"),
        make_profile(first_name="Cy"),
        make_profile(first_name="Di"),
        make_profile(first_name="Ed"),
        make_profile(first_name="Flo"),
    ]
    ann, anna, lee, bob, bo, cy, di, ed, flo = (profile.pk for profile in profiles)
    for pk in (anna, lee, bob):
        add_event(profile_id=pk, name="Page", **by_staff)
        add_note(profile_id=pk, text="Called.", **by_staff)
    add_address(profile_id=bo, values={"city": "Praha"}, **by_staff)
    record_consent(profile_id=anna, channel="email", purpose="news", state="granted", at=SPRING, **by_staff)
    merge_profiles(winner_id=cy, loser_id=di, **by_staff)
    set_lock(profile_id=ed, is_locked=True, **by_staff)
    set_verdict(a_id=ann, b_id=flo, verdict="not_duplicate", actor=by_staff["actor"])
    for a, b in ((ann, anna), (lee, bob), (anna, bob), (ed, flo)):
        DuplicatePair.objects.create(a_id=a, b_id=b)
    pairs = [
        (ann, anna),  # a plain one
        (bob, bo),  # its winner is a loser later on
        (ann, lee),  # two losers of one winner
        (anna, bob),  # a chain, and an id merged away a moment ago
        (di, lee),  # an id merged away long ago; two groups become one
        (cy, bo),  # one person by now
        (ann, ed),  # locked
        (flo, anna),  # somebody said no to one of them
        (bob, bob),
        (ann, 0),
    ]
    single, batched = both_ways(pairs, by_staff)
    for table in _TABLES:
        assert single[table] == batched[table], table
    assert len(single["profiles_merge"]) == 1 + 5


some_word = st.sampled_from([None, "Ann", "Bob", "Cy"])
rows_of = st.lists(
    st.fixed_dictionaries(
        {
            "first_name": some_word,
            "city": some_word,
            "birth_date": st.sampled_from([None, "1990-02-28"]),
            "plan": some_word,
            "points": st.sampled_from([None, 1, 20]),
            "best": st.sampled_from([None, 1, 2]),
            "tier": some_word,
            "likes": st.none() | st.lists(st.sampled_from("abc"), min_size=1, unique=True),
        }
    ),
    min_size=6,
    max_size=6,
)
some_index = st.integers(0, 5)


@settings(max_examples=20)
@given(rows_of, st.lists(st.tuples(some_index, some_index), min_size=1, max_size=8), st.integers(1, 3))
def test_random_chains_are_the_same_whatever_the_chunk(rows: Any, program: Any, size: int) -> None:
    by = {"actor": Actor.system(), "source": builtin_source("staff")}
    before = applying.CHUNK
    applying.CHUNK = size
    try:
        with transaction.atomic():
            ensure_attributes()
            ids = [make_profile(last_name=f"No {n}", **row).pk for n, row in enumerate(rows)]
            single, batched = both_ways(list(dict.fromkeys((ids[a], ids[b]) for a, b in program)), by)
            assert single == batched
            transaction.set_rollback(True)
    finally:
        applying.CHUNK = before


# --- Looking, surprises -----------------------------------------------------------------------------------


def test_the_preview_is_what_will_happen(by_staff: By) -> None:
    ensure_attributes()
    ann = make_profile(first_name="Ann", likes=["tea"])
    anna = make_profile(first_name="Anna", city="Oslo", likes=["jam"], tags=["vip", "new"])
    old = make_profile(first_name="A.", city="Rome")
    bob, bo = make_profile(first_name="Bob"), make_profile(first_name="Bob")
    locked = make_profile()
    set_lock(profile_id=locked.pk, is_locked=True, **by_staff)
    for pk, state, at in (
        (ann.pk, "granted", SPRING),
        (anna.pk, "withdrawn", SUMMER),
        (old.pk, "granted", SPRING),
    ):
        record_consent(profile_id=pk, channel="email", purpose="news", state=state, at=at, **by_staff)
    pairs = [(ann.pk, anna.pk), (anna.pk, old.pk), (bob.pk, bo.pk), (bo.pk, bob.pk), (bob.pk, locked.pk)]
    batch = batch_of(pairs, by_staff)
    assert (batch.state, batch.title, batch.size) == ("checking", "Merge 5 pairs", 5)
    before = checksums()
    seen = preview_batch(batch_id=batch.pk, actor=by_staff["actor"])
    assert seen.state == "ready"
    assert checksums() == before
    assert {
        key: seen.preview[key] for key in ("merges", "people", "skipped", "fields", "filled", "consents")
    } == {
        "merges": 3,
        "people": 2,
        "skipped": {"one": 1, "locked": 1},
        "fields": {"first_name": 2, "city": 1},
        "filled": {"city": 1},
        # Ann and Anna; then what holds of them together, and the old one.
        "consents": 2,
    }
    assert (seen.preview["moved"]["tags"], seen.preview["moved"]["profiles"]) == (2, 3)
    done = run(start_batch(batch_id=batch.pk, actor=by_staff["actor"]))
    assert (done.state, done.counts) == ("done", {"merged": 3, "skipped": 0})
    assert outcomes(done) == [
        ("merged", ""),
        ("merged", ""),
        ("merged", ""),
        ("skipped", f"Profiles #{bo.pk} and #{bob.pk} are already merged: both are profile #{bob.pk}."),
        ("skipped", f"Profile #{locked.pk} is locked against merging. Unlock it first."),
    ]
    with pytest.raises(Conflict, match="“Merge 5 pairs” is done; it cannot be started."):
        start_batch(batch_id=batch.pk, actor=by_staff["actor"])
    with pytest.raises(Conflict, match="“Merge 5 pairs” is done; it was looked at already."):
        preview_batch(batch_id=batch.pk, actor=by_staff["actor"])


def test_a_long_batch_is_looked_at_by_a_job_with_the_same_result(
    by_staff: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    from profiles.merging.batches import preview as looking

    profiles = [make_profile(city=city).pk for city in ("Oslo", "Rome", "Bonn", "Linz", "Graz")]
    pairs = [
        (profiles[0], profiles[1]),
        (profiles[2], profiles[3]),
        (profiles[1], profiles[3]),
        (profiles[2], profiles[4]),
    ]
    short = preview_batch(batch_id=batch_of(pairs, by_staff).pk, actor=by_staff["actor"])
    monkeypatch.setattr(looking, "INLINE", 1)
    monkeypatch.setattr(looking, "PAGE", 1)
    started = preview_batch(batch_id=batch_of(pairs, by_staff).pk, actor=by_staff["actor"])
    assert (started.state, started.preview) == ("checking", {})
    long = run(started)
    assert (long.state, long.preview) == ("ready", short.preview)
    assert long.preview["merges"] == 4
    columns = ("winner_version", "loser_version", "outcome")
    assert list(long.rows.values_list(*columns)) == list(short.rows.values_list(*columns))


def test_surprises_are_skipped_and_the_rest_goes_on(by_staff: By) -> None:
    ann, *others = [make_profile().pk for _ in range(8)]
    changed, deleted, vetoed, apart, fine, late, gone = others
    batch = batch_of([(ann, loser) for loser in others], by_staff)
    preview_batch(batch_id=batch.pk, actor=by_staff["actor"])
    update_profile(profile_id=changed, values={"city": "Oslo"}, **by_staff)
    delete_profiles(profile_ids=[deleted], reason="", **by_staff)
    DuplicatePair.objects.create(a_id=ann, b_id=vetoed, veto="birth_dates")
    set_verdict(a_id=ann, b_id=apart, verdict="not_duplicate", actor=by_staff["actor"])
    merge_profiles(winner_id=make_profile().pk, loser_id=late, **by_staff)
    Profile.objects.filter(pk=gone).update(status="erased")
    done = run(start_batch(batch_id=batch.pk, actor=by_staff["actor"]))
    said = outcomes(done)
    assert [outcome for outcome, _ in said] == ["skipped"] * 4 + ["merged"] + ["skipped"] * 2
    assert said[0][1] == f"Profile #{ann} or #{changed} changed since the preview."
    assert said[1][1] == f"Profile #{deleted} is deleted. Restore it first."
    assert (
        said[2][1]
        == f"#{ann} and #{vetoed}: Their birth dates differ by more than a typing mistake: two people."
    )
    assert said[3][1].endswith(f"that #{ann} and #{apart} are not duplicates.")
    assert said[5][1] == f"Profile #{ann} or #{late} changed since the preview."
    assert said[6][1] == f"Profile #{gone} is erased and cannot be merged."
    assert [row.code for row in done.rows.all()] == [
        *("changed", "gone", "veto", "not_duplicate", "", "changed", "gone")
    ]
    assert done.counts == {"merged": 1, "skipped": 6}
    assert Merge.objects.get(job=done.job).loser_id == fine
    entry = AuditEntry.objects.filter(action="merge.batch.start").get()
    assert (entry.subject, entry.detail) == (f"merge_batch:{done.pk}", {"job": done.job_id})


def test_merging_by_the_batch_itself_is_no_change_since_the_look(
    by_staff: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "CHUNK", 1)
    a, b, c, d, e = (make_profile().pk for _ in range(5))
    batch = batch_of([(a, b), (a, c), (b, d), (e, a)], by_staff)
    preview_batch(batch_id=batch.pk, actor=by_staff["actor"])
    done = run(start_batch(batch_id=batch.pk, actor=by_staff["actor"]))
    assert {outcome for outcome, _ in outcomes(done)} == {"merged"}
    assert set(Profile.objects.values_list("canonical_id", flat=True)) == {e}


def test_what_cannot_be_made_or_started(by_staff: By, sam: User, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, c = (make_profile().pk for _ in range(3))
    by_sam = {**by_staff, "actor": Actor.of_user(sam)}
    with pytest.raises(Forbidden, match="^sam may not merge many people at once.$"):
        batch_of([(a, b)], by_sam)
    with pytest.raises(Invalid, match="^Choose at least one pair to merge.$"):
        batch_of([], by_staff)
    monkeypatch.setattr("profiles.merging.batches.freeze.LIMIT", 1)
    assert batch_of([(a, b), (a, b)], by_staff).size == 1
    with pytest.raises(Invalid, match="^These are more than 1 pairs. Narrow the choice, or split the file.$"):
        batch_of([(a, b), (b, c)], by_staff)
    batch = MergeBatch.objects.get()
    with pytest.raises(Conflict, match="^“Merge 1 pair” is being checked; it cannot be started.$"):
        start_batch(batch_id=batch.pk, actor=by_staff["actor"])
    with pytest.raises(NotFound, match="^There is no batch 0 of merges.$"):
        start_batch(batch_id=0, actor=by_staff["actor"])
    preview_batch(batch_id=batch.pk, actor=by_staff["actor"])
    for verb in (start_batch, discard_batch, undo_batch, preview_batch):
        with pytest.raises(Forbidden):
            verb(batch_id=batch.pk, actor=by_sam["actor"])
    with pytest.raises(Conflict, match="^Nothing of “Merge 1 pair” is merged, so there is nothing to undo.$"):
        undo_batch(batch_id=batch.pk, actor=by_staff["actor"])
    assert discard_batch(batch_id=batch.pk, actor=by_staff["actor"]).state == "discarded"
    with pytest.raises(Conflict, match="^“Merge 1 pair” is discarded; it cannot be started.$"):
        start_batch(batch_id=batch.pk, actor=by_staff["actor"])
    assert not Merge.objects.exists()


def test_the_queues_pairs_get_the_suggested_winner(by_staff: By) -> None:
    plain, mailed, known = (
        make_profile(),
        make_profile(email="ann@example.com"),
        make_profile(identifiers=[("customer_id", "1")]),
    )
    DuplicatePair.objects.create(a_id=plain.pk, b_id=mailed.pk, score=9)
    DuplicatePair.objects.create(a_id=plain.pk, b_id=known.pk, score=5)
    batch = make_batch(DuplicatePair.objects.order_by("-score"), **by_staff)
    assert list(batch.rows.values_list("winner_id", "loser_id")) == [
        (mailed.pk, plain.pk),
        (known.pk, plain.pk),
    ]
    done = run(start_batch(batch_id=batch.pk, actor=by_staff["actor"], unseen=True))
    assert outcomes(done) == [("merged", ""), ("merged", "")]
    assert set(DuplicatePair.objects.values_list("verdict", flat=True)) == {"merged"}
    assert Profile.objects.get(pk=mailed.pk).canonical_id == known.pk


# --- Cost -------------------------------------------------------------------------------------------------


def test_a_chunk_of_a_hundred_takes_as_many_queries_as_one_of_one(by_staff: By) -> None:
    topics = ["profile.merged", "profile.unmerged"]
    Webhook.objects.create(name="crm", url="https://crm.example/", topics=topics)

    def queries(count: int) -> tuple[int, int]:
        pairs = [(make_profile().pk, make_profile().pk) for _ in range(count)]
        batch = batch_of(pairs, by_staff)
        preview_batch(batch_id=batch.pk, actor=by_staff["actor"])
        started = start_batch(batch_id=batch.pk, actor=by_staff["actor"])
        merging = counted(applying.step, started.job_id)
        assert Merge.objects.active().filter(job=started.job_id).count() == count
        MergeBatch.objects.filter(pk=batch.pk).update(state="done")
        undoing = counted(undo.step, undo_batch(batch_id=batch.pk, actor=by_staff["actor"]).undo_job_id)
        assert not Merge.objects.active().filter(job=started.job_id).exists()
        return merging, undoing

    def counted(step: Callable[[Any], bool], job_id: int | None) -> int:
        assert job_id is not None
        chunk = take(job_id)
        assert chunk is not None
        actor_of(chunk.job)
        with CaptureQueriesContext(connection) as seen:
            assert step(chunk) is False
        return len(seen)

    queries(1)
    few, many = queries(1), queries(100)
    assert few == many
    assert few[0] <= 32
    assert few[1] <= 28


# --- Undo -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("chunk", "depth"), [(250, 25), (250, 1), (4, 2), (1, 1)])
def test_the_undo_of_a_batch_restores_every_table(
    by_staff: By, monkeypatch: pytest.MonkeyPatch, chunk: int, depth: int
) -> None:
    monkeypatch.setattr(undo, "CHUNK", chunk)
    monkeypatch.setattr(undo, "DEPTH", depth)
    ensure_attributes()
    Webhook.objects.create(name="crm", url="https://crm.example/", topics=["profile.unmerged"])
    profiles = [
        make_profile(
            first_name=f"Ann {n}", city="Oslo" if n % 2 else None, likes=["tea", str(n)], tags=[f"t{n % 3}"]
        )
        for n in range(9)
    ]
    for profile in profiles[::3]:
        add_event(profile_id=profile.pk, name="Page", **by_staff)
    a, b, c, d, e, f, g, h, i = (profile.pk for profile in profiles)
    before = checksums()
    done = merged([(a, b), (c, d), (a, c), (b, e), (f, g), (h, f), (i, h), (a, i), (a, a)], by_staff)
    assert done.counts == {"merged": 8, "skipped": 1}
    assert checksums() != before
    undone = run(undo_batch(batch_id=done.pk, actor=by_staff["actor"]))
    assert (undone.state, undone.undone_at is not None) == ("undone", True)
    assert undone.counts == {"merged": 8, "skipped": 1, "undone": 8, "kept": 0}
    assert checksums() == before
    assert violations() == []
    assert not Merge.objects.active().exists()
    assert OutboxMessage.objects.filter(topic="profile.unmerged").count() == 8
    # Nobody looked at each: their pairs are open again, and nobody decided about them.
    assert set(DuplicatePair.objects.values_list("verdict", "user", "key", "decided_at")) <= {
        ("open", None, None, None)
    }
    with pytest.raises(
        Conflict, match="^Nothing of “Merge 9 pairs” is merged, so there is nothing to undo.$"
    ):
        undo_batch(batch_id=done.pk, actor=by_staff["actor"])


def test_an_undo_of_several_writes_what_undos_one_by_one_write(by_staff: By) -> None:
    ensure_attributes()
    Webhook.objects.create(name="crm", url="https://crm.example/", topics=["profile.unmerged"])
    ids = [
        make_profile(first_name=f"Ann {n}", city="Oslo" if n % 2 else None, likes=["tea", str(n)]).pk
        for n in range(8)
    ]
    a, b, c, d, e, f, g, h = ids
    for pk in (b, d, f):
        add_event(profile_id=pk, name="Page", **by_staff)
    merges = [
        merge_profiles(winner_id=winner, loser_id=loser, **by_staff).merge_id
        for winner, loser in [(a, b), (c, d), (a, c), (e, f), (g, h)]
    ]
    DuplicatePair.objects.create(a_id=b, b_id=d, verdict="merged")
    update_profile(profile_id=a, values={"city": "Bergen"}, via_id=d, **by_staff)
    update_profile(profile_id=a, values={"attributes.likes": ["tea", "jam"]}, **by_staff)
    update_profile(profile_id=e, values={"attributes.plan": "pro"}, via_id=f, **by_staff)
    delete_profiles(profile_ids=[g], reason="", **by_staff)
    chosen = [merges[0], merges[3], merges[4], merges[2], merges[0], 0]

    def alone() -> list[Unmerged | Refused]:
        results: list[Unmerged | Refused] = []
        for merge_id in dict.fromkeys(chosen):
            try:
                results.append(unmerge_profiles(merge_id=merge_id, **by_staff))
            except Refused as refused:
                results.append(refused)
        return results

    def at_once() -> list[Unmerged | Refused]:
        done = unmerge_many(merge_ids=chosen, **by_staff)
        return [done[merge_id] for merge_id in dict.fromkeys(chosen)]

    stories = []
    for way in (alone, at_once):
        with transaction.atomic():
            said = [
                (type(result), result.message)
                if isinstance(result, Refused)
                else (result.winner_id, result.loser_id, result.fields, result.kept, result.returned)
                for result in way()
            ]
            assert violations() == []
            told = story()
            for pair in told["profiles_duplicatepair"]:
                del pair["id"]
            # Which of different profiles was first is another matter.
            rows = {table: sorted(map(json.dumps, found)) for table, found in told.items()}
            stories.append((said, rows))
            transaction.set_rollback(True)
    first, second = stories
    assert first[0] == second[0]
    for table in _TABLES:
        assert first[1][table] == second[1][table], table
    assert stories[0][0][2] == (RuleForbids, f"Profile #{g} is deleted. Restore it first.")
    assert stories[0][0][4] == (NotFound, "There is no merge 0.")
    assert len([row for row in stories[0][1]["profiles_change"] if "unmerge" in row]) == 6


def test_the_undo_says_what_it_could_not_take_back_and_what_stays(by_staff: By) -> None:
    ann = make_profile(first_name="Ann").pk
    anna, bob, bo, cy, cyr = (make_profile(city=city).pk for city in ("Oslo", "Rome", "Rom", "Bonn", "Köln"))
    done = merged([(ann, anna), (bob, bo), (cy, cyr)], by_staff)
    update_profile(profile_id=ann, values={"city": "Bergen"}, **by_staff)
    delete_profiles(profile_ids=[bob], reason="", **by_staff)
    unmerge_profiles(merge_id=Merge.objects.get(loser_id=cyr).pk, **by_staff)
    undone = run(undo_batch(batch_id=done.pk, actor=by_staff["actor"]))
    assert undone.counts == {"merged": 3, "skipped": 0, "undone": 2, "kept": 1}
    said = outcomes(undone)
    assert [row.code for row in undone.rows.all()] == ["stays", "", "before"]
    assert said[0][0] == "undone"
    assert said[0][1].startswith("Stays: city (changed by ada on ")
    assert said[1:] == [
        ("kept", f"Profile #{bob} is deleted. Restore it first."),
        ("undone", "It had been undone before."),
    ]
    # Restored, it can be taken back as well.
    from profiles.privacy.restore import restore_profile

    restore_profile(profile_id=bob, **by_staff)
    again = run(undo_batch(batch_id=done.pk, actor=by_staff["actor"]))
    assert again.rows.get(loser_id=bo).outcome == "undone"
    assert not Merge.objects.active().exists()


def test_a_batch_stopped_half_way_goes_back_as_far_as_it_came(
    by_staff: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "CHUNK", 1)
    profiles = [make_profile().pk for _ in range(6)]
    before = checksums()
    batch = batch_of(zip(profiles[::2], profiles[1::2], strict=True), by_staff)
    started = start_batch(batch_id=batch.pk, actor=by_staff["actor"], unseen=True)
    chunk = take(started.job_id)
    assert chunk is not None
    assert applying.step(chunk) is True
    with pytest.raises(Conflict, match="^“Merge 3 pairs” is merging. Wait for its end, or cancel it.$"):
        undo_batch(batch_id=batch.pk, actor=by_staff["actor"])
    cancel_job(job_id=started.job_id, actor=by_staff["actor"])
    Job.objects.filter(pk=started.job_id).update(lease_until=SPRING)
    stopped = run(MergeBatch.objects.get(pk=batch.pk))
    assert (stopped.state, stopped.counts) == ("stopped", {"merged": 1, "skipped": 0})
    assert [outcome for outcome, _ in outcomes(stopped)] == ["merged", "waiting", "waiting"]
    run(undo_batch(batch_id=batch.pk, actor=by_staff["actor"]))
    assert checksums() == before
    assert MergeBatchRow.objects.filter(outcome="waiting").count() == 2


def test_whoever_lost_the_right_stops_the_job(by_staff: By, make_user: Callable[..., User]) -> None:
    dan = make_user("dan", "data admin")
    a, b = make_profile().pk, make_profile().pk
    by_dan = {**by_staff, "actor": Actor.of_user(dan)}
    batch = start_batch(batch_id=batch_of([(a, b)], by_dan).pk, actor=by_dan["actor"], unseen=True)
    dan.groups.clear()
    stopped = run(batch)
    assert stopped.state == "stopped"
    assert stopped.job is not None
    assert stopped.job.problem.startswith("dan may no longer do this.")
    assert not Merge.objects.exists()
    assert not Change.objects.filter(kind="merged").exists()
