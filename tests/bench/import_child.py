"""`python -m tests.bench.import_child FILE POLICY`: one import from upload to the last chunk, timed."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import django

django.setup()

from django.core.files.uploadedfile import TemporaryUploadedFile  # noqa: E402

from cdp.actors import Actor  # noqa: E402
from cdp.jobs import run_to_end  # noqa: E402
from imports.apply import apply_import  # noqa: E402
from imports.plan import plan_import  # noqa: E402
from imports.upload import upload_import  # noqa: E402
from profiles.builtin_sources import builtin_source  # noqa: E402


def peak_memory() -> float:
    """MB of this very process; getrusage starts at what the process that started this one had grown to."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(path: str, policy: str) -> None:
    actor = Actor.system()
    size = 0
    with TemporaryUploadedFile("people.csv", "text/csv", 0, None) as file, open(path, "rb") as source:
        while block := source.read(1 << 20):
            file.write(block)
            size += len(block)
        file.size = size
        file.seek(0)
        options = {"policy": policy}
        job = upload_import(file=file, options=options, actor=actor, source=builtin_source("api"))
    seconds = {}
    for name, verb in (("plan", plan_import), ("apply", apply_import)):
        started = time.perf_counter()
        work = run_to_end(verb(import_id=job.pk, actor=actor))
        seconds[name] = time.perf_counter() - started
        assert work.state == "done", (work.state, work.problem)
        job.refresh_from_db()
        assert job.counts["failed"] == 0, "an import of refused rows tells nothing"
    memory = peak_memory()
    print(json.dumps({**seconds, "counts": job.counts, "memory": memory}))


if __name__ == "__main__":
    main(*sys.argv[1:])
