"""The demo database → a CSV file of newsletter sign-ups, imported like any upload, so that the pages have content."""

from __future__ import annotations

import csv
import io
from random import Random

from django.core.files.uploadedfile import SimpleUploadedFile

from cdp.actors import Actor
from cdp.jobs import run_to_end
from imports.apply import apply_import
from imports.plan import plan_import
from imports.upload import upload_import
from profiles.builtin_sources import builtin_source
from profiles.demo.people import make_people
from profiles.models import Profile

NAME = "newsletter-signups-autumn.csv"
HEADERS = ["first_name", "last_name", "email", "city", "country", "newsletter_topics", "tags"]
SEED = 7
# The new profiles fill the first page of the list of people.
NEW, KNOWN = 60, 40


def newsletter_file(known: list[Profile]) -> bytes:
    """Sign-ups of known profiles (some with something new) and of new ones, and a few rows that are rejected."""
    random = Random(SEED)  # noqa: S311  (made-up data, the same every time)
    rows = [
        [
            row.first_name,
            row.last_name,
            row.email,
            row.city,
            row.country,
            random.choice(("Home", "Outdoor")),
            "newsletter",
        ]
        for row in known
    ]
    for person in make_people(random, recognized=NEW, anonymous=0, twins=0):
        values = person.values
        mail = values["email"].partition("@")[0] + "@letters.example"  # unique, whatever the seeds
        topic = random.choice(("Shoes", "Home", "Outdoor"))
        named = [values[name] for name in ("first_name", "last_name")]
        rows.append([*named, mail, values["city"], values["country"], topic, "newsletter"])
    random.shuffle(rows)
    rows[20][2] = "no at sign.example.com"
    rows[45][2] = "two@at@example.com"
    rows[70][4] = "Atlantis"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADERS)
    writer.writerows(rows)
    return text.getvalue().encode()


def import_newsletter() -> str:
    """Upload, plan and apply the file in this process. Returns the sentence ``manage.py demo`` prints."""
    known = Profile.objects.live().filter(email__isnull=False, is_recognized=True).order_by("pk")[:KNOWN]
    actor = Actor.system()
    import_ = upload_import(
        file=SimpleUploadedFile(NAME, newsletter_file(list(known)), "text/csv"),
        options={"policy": "fill_if_empty"},
        actor=actor,
        source=builtin_source("import"),
    )
    run_to_end(plan_import(import_id=import_.pk, actor=actor))
    run_to_end(apply_import(import_id=import_.pk, actor=actor))
    import_.refresh_from_db()
    counts = import_.counts
    return f"Imported {import_.name}: {counts['created']} created, {counts['updated']} updated."
