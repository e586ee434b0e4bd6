"""The SQL that carries a plan out: one range of lines, every table set-based, in one transaction.

Order within a range: lock the people and hold rows whose person changed since the plan; take ids for new
people; write identifiers first (in key order, so that two imports cannot deadlock, and because only they
can meet somebody else's insert); then profiles, tags, consents, the journal. Foreign keys are checked at
commit, so that no profile is written for a row that lost its identifier to somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from imports.match import Binds
from imports.models import Import
from imports.plan_spec import OVERWRITE, Shape
from profiles.builtin import SOURCES
from profiles.models import IdentifierType, Profile

HELD = "This person was changed or merged after the plan was made. Plan the row again."
TAKEN = "Somebody else was given an identifier of this row after the plan was made. Plan the row again."


class Taken(Exception):
    """Identifiers of these lines were given to somebody else since the plan."""

    def __init__(self, lines: list[int]) -> None:
        super().__init__(lines)
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Writer:
    """Carries out lines of one import's plan for one actor. Call inside a transaction."""

    job: Import
    shape: Shape
    user_id: int | None
    key_id: int | None
    # Looks at every identifier for somebody else's insert. Twice the price of plain inserts (measured), so
    # only after a plain one met another's row.
    is_careful: bool = False

    def write(self, first: int, last: int) -> int:
        """Write the planned lines ``first`` to ``last``; how many people were touched.

        Raises IntegrityError when an identifier was given to anybody since the plan; then roll back and call
        a *careful* writer, which raises Taken when other people hold some of them; then ``hold`` those lines
        and call again.
        """
        bounds = {"first": first, "last": last}
        self._hold_changed(bounds)
        people = self._step(bounds)
        if people:
            self._identifiers()
            self._profiles()
            if self.shape.tags:
                self._tags()
            if self.shape.has_consents:
                self._consents()
            self._journal()
        return people

    def hold(self, lines: list[int], message: str, outcome: str = "held") -> None:
        """Mark lines, and the other lines of the same people, as not written."""
        self._run(
            f"""
            UPDATE {self.job.partition} SET outcome = %(outcome)s, problems = jsonb_build_array(
                jsonb_build_object('column', NULL, 'value', '', 'message', %(message)s::text))
            WHERE line = ANY(%(lines)s) OR (outcome = 'duplicate_in_file' AND head = ANY(%(lines)s))
            """,
            {"lines": lines, "message": message, "outcome": outcome},
        )

    def lines(self, first: int, last: int) -> list[int]:
        """The lines of a range that the plan writes."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT line FROM {self.job.partition} WHERE line BETWEEN %s AND %s"
                " AND outcome IN ('created', 'updated') ORDER BY line",
                [first, last],
            )
            return [line for (line,) in cursor]

    # --- Who ------------------------------------------------------------------------------------------

    def _hold_changed(self, bounds: dict[str, Any]) -> None:
        part = self.job.partition
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                SELECT p.id FROM profiles_profile p
                WHERE p.id IN (SELECT profile_id FROM {part}
                    WHERE line BETWEEN %(first)s AND %(last)s AND outcome = 'updated')
                ORDER BY p.id FOR NO KEY UPDATE
                """,
                bounds,
            )
            cursor.execute(
                f"""
                SELECT r.line FROM {part} r LEFT JOIN profiles_profile p ON p.id = r.profile_id
                WHERE r.line BETWEEN %(first)s AND %(last)s AND r.outcome = 'updated'
                  AND (p.version IS DISTINCT FROM r.version OR p.canonical_id <> p.id OR p.status <> 'live')
                """,
                bounds,
            )
            changed = [line for (line,) in cursor]
        if changed:
            self.hold(changed, HELD)

    def _step(self, bounds: dict[str, Any]) -> int:
        """``import_step``: each line's profile; new people get the next ids and a browser id (I3)."""
        self._run("DROP TABLE IF EXISTS import_step")
        self._run(
            "CREATE TEMP TABLE import_step (line bigint, is_new boolean, profile_id bigint, browser text)"
            " ON COMMIT DROP"
        )
        count = self._run(
            f"""
            INSERT INTO import_step
            SELECT line, outcome = 'created',
                CASE WHEN outcome = 'created'
                    THEN nextval('profiles_profile_id_seq') ELSE profile_id END,
                CASE WHEN outcome = 'created' AND NOT coalesce(%(browser)s = ANY(types), false)
                    THEN gen_random_uuid()::text END
            FROM {self.job.partition}
            WHERE line BETWEEN %(first)s AND %(last)s AND outcome IN ('created', 'updated') ORDER BY line
            """,
            {**bounds, "browser": self._browser_type()},
        )
        self._run("ANALYZE import_step")
        return count

    def _browser_type(self) -> int:
        return IdentifierType.objects.values_list("pk", flat=True).get(name="anonymous_id")

    # --- Writing --------------------------------------------------------------------------------------

    def _wanted(self) -> str:
        """Every identifier to write: the rows' own, and a browser id for each new person."""
        return f"""
            SELECT s.line, s.profile_id, u.type_id, u.value, coalesce(u.raw, '') AS raw,
                t.is_unique AND u.clash IS NULL AS resolves
            FROM {self.rows()}
            CROSS JOIN unnest(r.types, r.keys, r.raws, r.clashes) AS u (type_id, value, raw, clash)
            JOIN profiles_identifiertype t ON t.id = u.type_id
            WHERE u.value IS NOT NULL AND u.clash IS DISTINCT FROM s.profile_id
            UNION ALL
            SELECT line, profile_id, %(browser)s, browser, '', true FROM import_step WHERE browser IS NOT NULL
        """

    def _identifiers(self) -> None:
        params = {"browser": self._browser_type(), "source": SOURCES["import"]}
        insert = """
            INSERT INTO profiles_identifier (type_id, value, raw, profile_id, source_id, resolves)
            SELECT type_id, value, raw, profile_id, %(source)s, resolves FROM wanted
            ORDER BY type_id, value COLLATE "C", profile_id
        """
        with connection.cursor() as cursor:
            if not self.is_careful:
                cursor.execute(f"WITH wanted AS MATERIALIZED ({self._wanted()}) {insert}", params)
                return
            cursor.execute(
                f"""
                WITH wanted AS MATERIALIZED ({self._wanted()}),
                written AS ({insert} ON CONFLICT DO NOTHING RETURNING 1)
                SELECT (SELECT count(*) FROM wanted), (SELECT count(*) FROM written)
                """,
                params,
            )
            wanted, written = cursor.fetchone()
            if wanted == written:
                return
            # What the person was given meanwhile is no conflict, what somebody else was given is.
            cursor.execute(
                f"""
                SELECT DISTINCT w.line FROM ({self._wanted()}) w JOIN profiles_identifier i
                    ON i.type_id = w.type_id AND i.value = w.value AND i.resolves AND i.profile_id <> w.profile_id
                WHERE w.resolves
                """,
                params,
            )
            if lines := [line for (line,) in cursor]:
                raise Taken(lines)

    def _recognized(self) -> str:
        kinds = ", ".join(map(str, self.shape.recognizing)) or "NULL"
        return (
            "EXISTS (SELECT FROM unnest(r.types, r.keys, r.clashes) AS u (kind, value, clash)"
            f" WHERE u.kind IN ({kinds}) AND u.value IS NOT NULL AND u.clash IS NULL)"
        )

    def _profiles(self) -> None:
        names = ", ".join(Profile.FIELDS)
        values = ", ".join(f"r.{name}" for name in Profile.FIELDS)
        rows = self.rows()
        self._run(
            f"""
            INSERT INTO profiles_profile (id, canonical_id, is_recognized, {names}, attributes, source_id,
                first_seen_at, last_seen_at)
            SELECT s.profile_id, s.profile_id, {self._recognized()}, {values}, coalesce(r.attributes, '{{}}'),
                %(source)s, now(), now()
            FROM {rows} WHERE s.is_new ORDER BY s.line
            """,
            {"source": SOURCES["import"]},
        )
        self._run(
            f"""
            UPDATE profiles_profile p SET {self._assignments()}
                is_recognized = p.is_recognized OR {self._recognized()},
                version = p.version + 1, updated_at = now()
            FROM {rows} WHERE NOT s.is_new AND p.id = s.profile_id
            """
        )

    def _assignments(self) -> str:
        sets = []
        for name, _ in self.shape.fields:
            cast = "::date" if name == "birth_date" else ""
            sets.append(
                f"{name} = CASE WHEN r.diff ? '{name}' THEN (r.diff #>> '{{{name},1}}'){cast} ELSE p.{name} END, "
            )
        if self.shape.customs:
            pairs = (
                "FROM jsonb_each(r.diff) AS e (key, value) WHERE starts_with(e.key, 'attributes.')"
                " AND e.value -> 1 {} 'null'"
            )
            sets.append(
                "attributes = (p.attributes || coalesce((SELECT jsonb_object_agg(substr(e.key, 12), e.value -> 1) "
                + pairs.format("<>")
                + "), '{}')) - ARRAY(SELECT substr(e.key, 12) "
                + pairs.format("=")
                + "), "
            )
        return "".join(sets)

    def _tags(self) -> None:
        rows = self.rows()
        came = f"""
            SELECT s.profile_id, w.name FROM {rows}
            CROSS JOIN unnest(r.tags) AS w (name) WHERE s.is_new
            UNION ALL
            SELECT s.profile_id, w.name FROM {rows}
            CROSS JOIN jsonb_array_elements_text(r.diff #> '{{tags,1}}') AS w (name) WHERE NOT s.is_new
        """
        self._run(
            f"""
            INSERT INTO profiles_tag (name, color, description)
            SELECT DISTINCT ON (lower(c.name)) c.name, 'gray', '' FROM ({came}) c
            WHERE NOT EXISTS (SELECT FROM profiles_tag t WHERE lower(t.name) = lower(c.name))
            ORDER BY lower(c.name) ON CONFLICT DO NOTHING
            """
        )
        self._run(
            f"""
            INSERT INTO profiles_profiletag (profile_id, tag_id, source_id)
            SELECT c.profile_id, t.id, %(source)s FROM ({came}) c
            JOIN profiles_tag t ON lower(t.name) = lower(c.name) ON CONFLICT DO NOTHING
            """,
            {"source": SOURCES["import"]},
        )
        if self.shape.tags == OVERWRITE or self.job.options.get("clear_marker"):
            self._run(
                f"""
                DELETE FROM profiles_profiletag l
                USING {rows} CROSS JOIN profiles_profile m CROSS JOIN profiles_tag t
                WHERE NOT s.is_new AND r.diff #> '{{tags,0}}' <> '[]'
                  AND m.canonical_id = s.profile_id AND l.profile_id = m.id AND t.id = l.tag_id
                  AND r.diff #> '{{tags,0}}' ? t.name
                """
            )

    def _consents(self) -> None:
        """New people's as the file says; of others the ones the plan found to be news."""
        self._run(
            f"""
            INSERT INTO profiles_consent (profile_id, channel, purpose, state, at, wording, proof, source_id, user_id)
            SELECT s.profile_id, w.e ->> 0, w.e ->> 1, w.e ->> 2,
                coalesce((w.e ->> 3)::timestamptz, %(at)s), '',
                jsonb_strip_nulls(jsonb_build_object(
                    'import', %(import)s::bigint, 'line', s.line, 'proof', nullif(w.e ->> 4, ''))),
                %(source)s, %(user)s
            FROM {self.rows()}
            CROSS JOIN jsonb_array_elements(r.consents) AS w (e)
            WHERE s.is_new OR r.diff #> '{{consents,1}}' ? ((w.e ->> 0) || '/' || (w.e ->> 1) || '=' || (w.e ->> 2))
            """,
            {
                "at": self.job.created_at,
                "import": self.job.pk,
                "source": SOURCES["import"],
                "user": self.user_id,
            },
        )

    def _journal(self) -> None:
        bind = Binds()
        self._run(
            f"""
            INSERT INTO profiles_change (profile_id, via_id, kind, source_id, user_id, key_id, cause, cause_id, line, fields)
            SELECT s.profile_id, r.via_id, CASE WHEN s.is_new THEN 'created' ELSE 'updated' END,
                {bind(SOURCES["import"])}, {bind(self.user_id)}, {bind(self.key_id)}, 'import', {bind(self.job.pk)},
                s.line, CASE WHEN s.is_new THEN ({self._created(bind)})::jsonb ELSE r.diff END
            FROM {self.rows()} ORDER BY s.line
            """,
            dict(bind),
        )

    def _created(self, bind: Binds) -> str:
        """What the journal tells of a new person, as JSON text."""
        pieces = [f"'\"{name}\":[null,' || to_json(r.{name})::text || ']'" for name, _ in self.shape.fields]
        for custom in self.shape.customs:
            key = bind(f'"attributes.{custom.name}":[null,')
            pieces.append(f"{key} || (r.attributes -> {bind(custom.name)})::text || ']'")
        if self.shape.tags:
            pieces.append(
                "CASE WHEN r.tags IS NOT NULL THEN '\"tags\":[[],' || (SELECT json_agg(t.name ORDER BY w.n)::text"
                " FROM unnest(r.tags) WITH ORDINALITY AS w (name, n)"
                " JOIN profiles_tag t ON lower(t.name) = lower(w.name)) || ']' END"
            )
        if self.shape.has_consents:
            pieces.append(
                "CASE WHEN r.consents IS NOT NULL THEN '\"consents\":[[],' || (SELECT json_agg("
                "(w.e ->> 0) || '/' || (w.e ->> 1) || '=' || (w.e ->> 2))::text"
                " FROM jsonb_array_elements(r.consents) AS w (e)) || ']' END"
            )
        names = " ".join(f"WHEN {slot.type_id} THEN '{slot.type_name}:'" for slot in self.shape.slots)
        own = (
            f"(SELECT string_agg(to_json((CASE u.kind {names} END) || u.value)::text, ',' ORDER BY u.n)"
            " FROM unnest(r.types, r.keys) WITH ORDINALITY AS u (kind, value, n) WHERE u.value IS NOT NULL)"
            if self.shape.slots
            else "NULL"
        )
        pieces.append(
            "'\"identifiers\":[[],[' || concat_ws(',', "
            + own
            + ", '\"anonymous_id:' || s.browser || '\"') || ']]'"
        )
        return "'{' || concat_ws(',', " + ", ".join(pieces) + ") || '}'"

    def rows(self) -> str:
        """The step's lines with their rows, ``s`` and ``r``; bounded, so that no statement reads the whole plan."""
        bounds = " AND ".join(
            f"r.line {sign} (SELECT {end}(line) FROM import_step)"
            for sign, end in ((">=", "min"), ("<=", "max"))
        )
        return f"import_step s JOIN {self.job.partition} r ON r.line = s.line AND {bounds}"

    def _run(self, sql: str, params: dict[str, Any] | None = None) -> int:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return int(cursor.rowcount)
