"""``manage.py demo``: about 2,000 made-up people with their histories, once, into an empty database."""

from typing import Any

from django.core.management.base import BaseCommand

from cdp.actors import Actor
from cdp.jobs import run_to_end
from profiles.demo import demo_steps
from profiles.demo.load import load_demo
from profiles.demo.traffic import load_traffic
from profiles.duplicates.finding.full_scan import start_scan


class Command(BaseCommand):
    help = (
        "Fill an empty database with made-up people and their histories. Does nothing when people are there."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        loaded = load_demo()
        if loaded is None:
            self.stdout.write("There are people already; nothing was added.")
            return
        self.stdout.write(
            f"{loaded.profiles:,} made-up people with {loaded.events:,} events, {loaded.consents:,} consents,"
            f" {loaded.notes} notes and {loaded.merges} merges."
        )
        outcomes = load_traffic()
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        self.stdout.write(f"Received a day of tracking calls: {counts}.")
        # After the visitors, so that the list of people begins with people who have a name.
        for step in demo_steps():
            self.stdout.write(step())
        scan = run_to_end(start_scan(actor=Actor.system()))
        self.stdout.write(
            f"Compared everybody: {scan.result['new']} pairs suggested, {scan.result['cases']} groups."
        )
