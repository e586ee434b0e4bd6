"""A rule whose count takes longer than anybody waits → a job with the exact count in its result."""

from __future__ import annotations

from typing import Any

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.job_steps import Chunk, JobFailed, handler
from cdp.jobs import start_job
from cdp.limits import TooSlow
from cdp.models import Job
from segments.evaluate.preview import count_people, what_keeps_out
from segments.rules.parse import parse_rule
from segments.rules.tree import Rule
from segments.vocabulary import Vocabulary

KIND = "segments.preview"
PERMISSION = "segments.view_segment"
MILLISECONDS = 10 * 60 * 1_000
KEEPS_OUT = 3


def start_preview(rule: Rule, *, actor: Actor) -> Job:
    """Count in the background; the result is ``preview_result``."""
    return start_job(
        kind=KIND,
        actor=actor,
        params={"rules": rule.json},
        title="Count the people a rule means",
        permission=PERMISSION,
        unit="counts",
        total=1,
    )


@handler(KIND)
def step(chunk: Chunk) -> bool:
    """Everything at once, since a count cannot be divided; within the chunk, whose lock keeps other workers away."""
    try:
        with chunk.commit(done=1) as progress:
            rule = parse_rule(chunk.params["rules"], Vocabulary())
            progress.result = preview_result(rule, milliseconds=MILLISECONDS)
    except Invalid as error:
        raise JobFailed(error.message) from error
    except TooSlow as error:
        raise JobFailed("The count took too long and was stopped. Narrow the rule.") from error
    return False


def preview_result(rule: Rule, *, milliseconds: int) -> dict[str, Any]:
    """What counting gives within the time, and what keeps people out within ``KEEPS_OUT`` times that: it reads everybody.

    ``{"count", "recognized", "anonymous", "sample_ids", "text", "ms", "conditions"}``, JSON-ready.
    Raises TooSlow.
    """
    counted = count_people(rule, milliseconds=milliseconds)
    kept = what_keeps_out(rule, milliseconds=KEEPS_OUT * milliseconds)
    return {
        "count": counted.people,
        "recognized": counted.recognized,
        "anonymous": counted.anonymous,
        "sample_ids": list(counted.sample_ids),
        "text": rule.words,
        "ms": counted.ms,
        "conditions": [
            {
                "pointer": part.pointer,
                "text": line.text,
                "pass": line.passed,
                "alone_out": line.alone_out,
                "fails": line.fails,
            }
            for part, line in zip(rule.group.live_parts, kept, strict=True)
        ],
    }
