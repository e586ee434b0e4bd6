"""The consents of a batch of rows → the decisions each row adds to its person's, and the yes that a no forbids, as SQL.

Parts of the statement of ``match``: ``c`` is the cleaned row, ``h`` its match with the members of the profile, and
``w.e`` one of its decisions, ``[channel, purpose, state, at, proof]``.
"""

from __future__ import annotations

from imports.binds import Binds
from imports.plan_spec import PlanSpec

# The code of the notice about a yes that is not taken because the person withdrew.
KEPT_NO = "no_stays"
NO_STAYS_NO = (
    "This person withdrew the consent, so it stays withdrawn. An import ends a no only with a reason and a proof, given"
    " by somebody who may."
)
NO_IS_LATER = "This person withdrew the consent after the yes in this file, so it stays withdrawn."

# The state now of what the decision ``w.e`` = [channel, purpose, …] is about; as profiles.consent.ledger.decide.
_CURRENT_STATE = """
    (SELECT CASE WHEN count(*) = 0 THEN NULL
        WHEN max(x.at) FILTER (WHERE x.state = 'granted') > coalesce(
            max(coalesce(x.at, x.recorded_at)) FILTER (WHERE x.state <> 'granted'), '-infinity')
        THEN 'granted' ELSE 'withdrawn' END
    FROM profiles_consent x WHERE x.profile_id = ANY(h.members)
        AND x.channel = w.e ->> 0 AND x.purpose = w.e ->> 1)"""

# When that no was taken, at the latest.
_NO_AT = """
    (SELECT max(coalesce(x.at, x.recorded_at)) FROM profiles_consent x WHERE x.profile_id = ANY(h.members)
        AND x.channel = w.e ->> 0 AND x.purpose = w.e ->> 1 AND x.state = 'withdrawn')"""


def _is_regrant(spec: PlanSpec, bind: Binds) -> str:
    """Whether the decision ``w.e`` is a yes after the no it would end, and this import may end one."""
    if spec.regrant_at is None:
        return "false"
    at = f"coalesce((w.e ->> 3)::timestamptz, {bind(spec.regrant_at)}::timestamptz)"
    return f"(w.e ->> 2 = 'granted' AND {at} > coalesce({_NO_AT}, '-infinity'))"


def consents_piece(spec: PlanSpec, bind: Binds) -> str:
    """Decisions to add. A *no* is always taken; a *yes* for profiles without any decision, and where it may end a no."""
    return f"""
    CASE WHEN c.consents IS NOT NULL THEN (
        SELECT '"consents":[' || coalesce(jsonb_agg(label || now) FILTER (WHERE now IS NOT NULL), '[]')::text
            || ',' || jsonb_agg(label || state)::text || ']'
        FROM (
            SELECT w.e ->> 0 || '/' || (w.e ->> 1) || '=' AS label, w.e ->> 2 AS state, {_CURRENT_STATE} AS now,
                {_is_regrant(spec, bind)} AS is_regrant,
                EXISTS (
                    SELECT FROM profiles_consent x WHERE x.profile_id = ANY(h.members)
                        AND x.channel = w.e ->> 0 AND x.purpose = w.e ->> 1
                        AND x.state = w.e ->> 2 AND x.at = (w.e ->> 3)::timestamptz
                ) AS is_known
            FROM jsonb_array_elements(c.consents) AS w (e)
        ) y WHERE NOT is_known AND (now IS NULL OR (state = 'withdrawn' AND now = 'granted')
            OR (is_regrant AND now = 'withdrawn'))
    ) END"""


def consent_notices(spec: PlanSpec, bind: Binds) -> str:
    """The row's notices, with one for each yes that the person's own no forbids."""
    if not spec.has_consents:
        return "c.notices"
    message = NO_STAYS_NO if spec.regrant_at is None else NO_IS_LATER
    refused = (
        f"(SELECT jsonb_agg(jsonb_build_object('column', w.e ->> 0 || '/' || (w.e ->> 1), 'value', w.e ->> 2,"
        f" 'code', '{KEPT_NO}', 'message', {bind(message)}::text)) FROM jsonb_array_elements(c.consents) AS w (e)"
        f" WHERE w.e ->> 2 = 'granted' AND {_CURRENT_STATE} = 'withdrawn' AND NOT {_is_regrant(spec, bind)})"
    )
    return (
        f"CASE WHEN c.consents IS NULL OR h.target IS NULL THEN c.notices"
        f" ELSE nullif(coalesce(c.notices, '[]') || coalesce({refused}, '[]'), '[]') END"
    )
