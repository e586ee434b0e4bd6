"""The import's two kinds of job, registered where Celery looks for an app's tasks: plan and apply."""

from cdp.job_steps import Chunk, handler
from imports.apply import apply_chunk, apply_position
from imports.finish import finish_import
from imports.job_controls import APPLY, PLAN
from imports.plan import end_plan, plan_chunk, plan_position


@handler(PLAN, on_end=end_plan, position=plan_position)
def plan(chunk: Chunk) -> bool:
    return plan_chunk(chunk)


@handler(APPLY, on_end=finish_import, position=apply_position)
def apply(chunk: Chunk) -> bool:
    return apply_chunk(chunk)
