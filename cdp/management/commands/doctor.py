"""``manage.py doctor``: is this installation well, and if not, what to do about it."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict, dataclass, field
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.management.base import BaseCommand, CommandError

from cdp import lockout
from cdp.access_checks import database_role_is_limited, files_are_private
from cdp.invariants import Violation, invariants, repair
from cdp.plurals import counted
from cdp.readiness import readiness


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``state`` is ok, advice or broken; only broken ones fail the command."""

    part: str
    name: str
    state: str = "ok"
    problem: str = ""
    fix: str = ""
    sample_ids: list[int] = field(default_factory=list)


class Command(BaseCommand):
    help = "Check settings, services and every invariant of the data. Ends with 1 when something is broken."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help="One JSON object instead of lines for people."
        )
        parser.add_argument(
            "--fix", action="store_true", help="First derive again what is derived from other rows."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        mended = repair() if options["fix"] else 0
        findings = [*check_settings(), *check_services(), *check_logins(), *check_data()]
        broken = [finding for finding in findings if finding.state == "broken"]
        if options["json"]:
            report = {
                "ok": not broken,
                "mended": mended,
                "findings": [asdict(finding) for finding in findings],
            }
            self.stdout.write(json.dumps(report, ensure_ascii=False, indent=2))
        else:
            self._print_findings(findings, mended)
        if broken:
            things = "1 thing is" if len(broken) == 1 else f"{len(broken)} things are"
            raise CommandError(f"{things} broken.", returncode=1)

    def _print_findings(self, findings: list[Finding], mended: int) -> None:
        if mended:
            self.stdout.write(f"Derived again: {_rows(mended)}.")
        part = ""
        for finding in findings:
            if finding.part != part:
                part = finding.part
                self.stdout.write(self.style.MIGRATE_HEADING(part))
            paint = {"ok": self.style.SUCCESS, "advice": self.style.WARNING, "broken": self.style.ERROR}
            self.stdout.write(f"  {paint[finding.state](finding.state.ljust(6))}  {finding.name}")
            for line in (finding.problem, finding.fix):
                if line:
                    self.stdout.write(f"          {line}")


def check_settings() -> list[Finding]:
    """Django's system checks; those for production too, but on a developer's own machine. Who else may read files and
    change the audit log is asked everywhere.
    """
    deployed = not (settings.DEBUG or settings.CDP_LOCAL or settings.TESTING)
    found = checks.run_checks(include_deployment_checks=deployed, databases=["default"])
    if not deployed:
        found += [*files_are_private(None), *database_role_is_limited(None)]
    findings = [
        Finding(
            "Settings",
            message.id or "check",
            "broken" if message.is_serious(checks.ERROR) else "advice",
            str(message.msg),
            str(message.hint or ""),
        )
        for message in found
        if not message.is_silenced()
    ]
    return findings or [Finding("Settings", "nothing to say")]


def check_services() -> list[Finding]:
    """What ``/readyz`` looks at. Advice only: a stopped worker does no harm to the data."""
    return [
        Finding("Services", name) if state == "ok" else Finding("Services", name, "advice", state)
        for name, state in readiness().items()
    ]


def check_logins() -> list[Finding]:
    """Who is locked out after wrong passwords: advice, since it passes by itself."""
    locks = lockout.locks()
    name = "locked after wrong passwords"
    if not locks:
        return [Finding("Logins", name)]
    fix = "Ask them what happened; manage.py login unlock NAME lets one in at once."
    problem = f"{counted(len(locks), 'logins')}; manage.py login locked names them."
    return [Finding("Logins", name, "advice", problem, fix, sorted(locks)[:10])]


def check_data() -> list[Finding]:
    return [_finding(name, check()) for name, check in invariants.items()]


def _finding(name: str, violation: Violation | None) -> Finding:
    if violation is None:
        return Finding("Data", name)
    shown = ", ".join(map(str, violation.sample_ids))
    problem = f"{_rows(violation.count)}, for example {shown}."
    return Finding("Data", name, "broken", problem, violation.fix, violation.sample_ids)


def _rows(number: int) -> str:
    return counted(number, "rows")
