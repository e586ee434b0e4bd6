"""A range of planned rows → profiles, identifiers, tags, consents and journal, set-based, in one transaction.

Order within a range: lock the profiles and leave out rows whose profile changed since the plan; take ids for new
profiles; write identifiers first (in key order, so that two imports cannot deadlock, and because only they can
meet a concurrent insert); then profiles, tags, consents, the journal. Foreign keys are checked at commit, so that
no profile is written for a row that lost its identifier to another transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from imports.binds import Binds
from imports.columns import OVERWRITE
from imports.models import Import
from imports.plan_spec import PlanSpec
from profiles.builtin_sources import SOURCE_IDS
from profiles.consent.lists import read_lists
from profiles.consent.words import EMAIL, PHONE
from profiles.models import IdentifierType, Profile

PROFILE_CHANGED = "This profile was changed or merged after the plan was made. Plan the row again."
IDENTIFIER_TAKEN = (
    "Another profile got an identifier of this row after the plan was made. Plan the row again."
)


class IdentifiersTaken(Exception):
    """Another profile got identifiers of these rows since the plan."""

    def __init__(self, line_nos: list[int]) -> None:
        super().__init__(line_nos)
        self.line_nos = line_nos


@dataclass(frozen=True, slots=True)
class RowWriter:
    """Writes rows of one import's plan for one actor. Call inside a transaction."""

    import_: Import
    spec: PlanSpec
    user_id: int | None
    key_id: int | None
    # Looks at every identifier for a concurrent insert. Twice the price of plain inserts (measured), so only
    # after a plain one failed.
    is_careful: bool = False

    def write(self, first: int, last: int) -> int:
        """Write the planned rows of lines ``first`` to ``last``; how many profiles were written.

        Raises IntegrityError when any profile got one of their identifiers since the plan; then roll back and call
        a *careful* writer, which raises IdentifiersTaken when it was another profile; then ``leave_out`` those
        rows and call again.
        """
        bounds = {"first": first, "last": last}
        self._leave_out_changed(bounds)
        profiles = self._create_step(bounds)
        if profiles:
            self._write_identifiers()
            self._write_profiles()
            if self.spec.tags:
                self._write_tags()
            if self.spec.has_consents:
                self._write_consents()
            self._write_journal()
        self._write_alternates(bounds)
        return profiles

    def leave_out(self, line_nos: list[int], message: str, outcome: str = "held") -> None:
        """Mark rows, and the other rows of the same profiles, as not written."""
        self._run(
            f"""
            UPDATE {self.import_.partition} SET outcome = %(outcome)s, problems = jsonb_build_array(
                jsonb_build_object('column', NULL, 'value', '', 'message', %(message)s::text))
            WHERE line = ANY(%(line_nos)s) OR (outcome = 'duplicate_in_file' AND head = ANY(%(line_nos)s))
            """,
            {"line_nos": line_nos, "message": message, "outcome": outcome},
        )

    def planned_line_nos(self, first: int, last: int) -> list[int]:
        """The rows of a range that the plan writes."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT line FROM {self.import_.partition} WHERE line BETWEEN %s AND %s"
                " AND outcome IN ('created', 'updated') ORDER BY line",
                [first, last],
            )
            return [line_no for (line_no,) in cursor]

    # --- Profiles to write ----------------------------------------------------------------------------

    def _leave_out_changed(self, bounds: dict[str, Any]) -> None:
        partition = self.import_.partition
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                SELECT p.id FROM profiles_profile p
                WHERE p.id IN (SELECT profile_id FROM {partition}
                    WHERE line BETWEEN %(first)s AND %(last)s AND outcome = 'updated')
                ORDER BY p.id FOR NO KEY UPDATE
                """,
                bounds,
            )
            cursor.execute(
                f"""
                SELECT r.line FROM {partition} r LEFT JOIN profiles_profile p ON p.id = r.profile_id
                WHERE r.line BETWEEN %(first)s AND %(last)s AND r.outcome = 'updated'
                  AND (p.version IS DISTINCT FROM r.version OR p.canonical_id <> p.id OR p.status <> 'live')
                """,
                bounds,
            )
            changed = [line_no for (line_no,) in cursor]
        if changed:
            self.leave_out(changed, PROFILE_CHANGED)

    def _create_step(self, bounds: dict[str, Any]) -> int:
        """``import_step``: each row's profile; new profiles get the next ids and an anonymous id."""
        self._run("DROP TABLE IF EXISTS import_step")
        self._run(
            "CREATE TEMP TABLE import_step (line bigint, is_new boolean, profile_id bigint, anonymous_id text)"
            " ON COMMIT DROP"
        )
        count = self._run(
            f"""
            INSERT INTO import_step
            SELECT line, outcome = 'created',
                CASE WHEN outcome = 'created'
                    THEN nextval('profiles_profile_id_seq') ELSE profile_id END,
                CASE WHEN outcome = 'created' AND NOT coalesce(%(anonymous_id)s = ANY(types), false)
                    THEN gen_random_uuid()::text END
            FROM {self.import_.partition}
            WHERE line BETWEEN %(first)s AND %(last)s AND outcome IN ('created', 'updated') ORDER BY line
            """,
            {**bounds, "anonymous_id": self._anonymous_id_type()},
        )
        self._run("ANALYZE import_step")
        return count

    def _anonymous_id_type(self) -> int:
        return IdentifierType.objects.values_list("pk", flat=True).get(name="anonymous_id")

    # --- Writing --------------------------------------------------------------------------------------

    def _identifiers_sql(self) -> str:
        """Every identifier to write: the rows' own, and an anonymous id for each new profile."""
        return f"""
            SELECT s.line, s.profile_id, u.type_id, u.value, coalesce(u.raw, '') AS raw,
                t.is_unique AND u.clash IS NULL AS resolves
            FROM {self.rows()}
            CROSS JOIN unnest(r.types, r.keys, r.raws, r.clashes) AS u (type_id, value, raw, clash)
            JOIN profiles_identifiertype t ON t.id = u.type_id
            WHERE u.value IS NOT NULL AND u.clash IS DISTINCT FROM s.profile_id
            UNION ALL
            SELECT line, profile_id, %(anonymous_id)s, anonymous_id, '', true FROM import_step WHERE anonymous_id IS NOT NULL
        """

    def _write_identifiers(self) -> None:
        params = {"anonymous_id": self._anonymous_id_type(), "source": SOURCE_IDS["import"]}
        insert = """
            INSERT INTO profiles_identifier (type_id, value, raw, profile_id, source_id, resolves)
            SELECT type_id, value, raw, profile_id, %(source)s, resolves FROM wanted
            ORDER BY type_id, value COLLATE "C", profile_id
        """
        with connection.cursor() as cursor:
            if not self.is_careful:
                cursor.execute(f"WITH wanted AS MATERIALIZED ({self._identifiers_sql()}) {insert}", params)
                return
            cursor.execute(
                f"""
                WITH wanted AS MATERIALIZED ({self._identifiers_sql()}),
                written AS ({insert} ON CONFLICT DO NOTHING RETURNING 1)
                SELECT (SELECT count(*) FROM wanted), (SELECT count(*) FROM written)
                """,
                params,
            )
            wanted, written = cursor.fetchone()
            if wanted == written:
                return
            # What the profile itself got meanwhile is no conflict, what another profile got is.
            cursor.execute(
                f"""
                SELECT DISTINCT w.line FROM ({self._identifiers_sql()}) w JOIN profiles_identifier i
                    ON i.type_id = w.type_id AND i.value = w.value AND i.resolves AND i.profile_id <> w.profile_id
                WHERE w.resolves
                """,
                params,
            )
            if line_nos := [line_no for (line_no,) in cursor]:
                raise IdentifiersTaken(line_nos)

    def _recognized(self) -> str:
        type_ids = ", ".join(map(str, self.spec.recognizing_type_ids)) or "NULL"
        return (
            "EXISTS (SELECT FROM unnest(r.types, r.keys, r.clashes) AS u (type_id, value, clash)"
            f" WHERE u.type_id IN ({type_ids}) AND u.value IS NOT NULL AND u.clash IS NULL)"
        )

    def _write_profiles(self) -> None:
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
            {"source": SOURCE_IDS["import"]},
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
        for name, _ in self.spec.fields:
            cast = "::date" if name == "birth_date" else ""
            sets.append(
                f"{name} = CASE WHEN r.diff ? '{name}' THEN (r.diff #>> '{{{name},1}}'){cast} ELSE p.{name} END, "
            )
        if self.spec.attributes:
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

    def _write_tags(self) -> None:
        rows = self.rows()
        added = f"""
            SELECT s.profile_id, w.name FROM {rows}
            CROSS JOIN unnest(r.tags) AS w (name) WHERE s.is_new
            UNION ALL
            SELECT s.profile_id, w.name FROM {rows}
            CROSS JOIN jsonb_array_elements_text(r.diff #> '{{tags,1}}') AS w (name) WHERE NOT s.is_new
        """
        self._run(
            f"""
            INSERT INTO profiles_tag (name, color, description)
            SELECT DISTINCT ON (lower(c.name)) c.name, 'gray', '' FROM ({added}) c
            WHERE NOT EXISTS (SELECT FROM profiles_tag t WHERE lower(t.name) = lower(c.name))
            ORDER BY lower(c.name) ON CONFLICT DO NOTHING
            """
        )
        self._run(
            f"""
            INSERT INTO profiles_profiletag (profile_id, tag_id, source_id)
            SELECT c.profile_id, t.id, %(source)s FROM ({added}) c
            JOIN profiles_tag t ON lower(t.name) = lower(c.name) ON CONFLICT DO NOTHING
            """,
            {"source": SOURCE_IDS["import"]},
        )
        if self.spec.tags == OVERWRITE or self.import_.options.get("clear_marker"):
            self._run(
                f"""
                DELETE FROM profiles_profiletag l
                USING {rows} CROSS JOIN profiles_profile m CROSS JOIN profiles_tag t
                WHERE NOT s.is_new AND r.diff #> '{{tags,0}}' <> '[]'
                  AND m.canonical_id = s.profile_id AND l.profile_id = m.id AND t.id = l.tag_id
                  AND r.diff #> '{{tags,0}}' ? t.name
                """
            )

    def _write_consents(self) -> None:
        """For new profiles all decisions of the row, for others those the plan's diff has; with the address they have now."""
        lists, options = read_lists(), self.import_.options
        self._run(
            f"""
            INSERT INTO profiles_consent (profile_id, channel, purpose, state, at, wording, reason, proof, address,
                source_id, user_id, key_id)
            SELECT s.profile_id, w.e ->> 0, w.e ->> 1, w.e ->> 2,
                coalesce((w.e ->> 3)::timestamptz, %(at)s), '', CASE WHEN x.is_regrant THEN %(reason)s ELSE '' END,
                jsonb_strip_nulls(jsonb_build_object(
                    'import', %(import)s::bigint, 'line', s.line, 'proof', nullif(w.e ->> 4, ''),
                    'after a no', CASE WHEN x.is_regrant THEN %(proof)s::text END)),
                coalesce(CASE WHEN w.e ->> 0 = ANY(%(by_email)s) THEN p.email
                    WHEN w.e ->> 0 = ANY(%(by_phone)s) THEN p.phone END, ''),
                %(source)s, %(user)s, %(key)s
            FROM {self.rows()}
            JOIN profiles_profile p ON p.id = s.profile_id
            CROSS JOIN jsonb_array_elements(r.consents) AS w (e)
            CROSS JOIN LATERAL (SELECT (w.e ->> 0) || '/' || (w.e ->> 1) || '=' AS label) n
            CROSS JOIN LATERAL (SELECT NOT s.is_new AND w.e ->> 2 = 'granted'
                AND coalesce(r.diff #> '{{consents,0}}' ? (n.label || 'withdrawn'), false) AS is_regrant) x
            WHERE s.is_new OR r.diff #> '{{consents,1}}' ? (n.label || (w.e ->> 2))
            """,
            {
                "at": self.import_.created_at,
                "import": self.import_.pk,
                "reason": options.get("regrant_reason", ""),
                "proof": options.get("regrant_proof", ""),
                "by_email": lists.channels_by(EMAIL),
                "by_phone": lists.channels_by(PHONE),
                "source": SOURCE_IDS["import"],
                "user": self.user_id,
                "key": self.key_id,
            },
        )

    def _write_alternates(self, bounds: dict[str, Any]) -> None:
        """The cells that lost, with the profile their row is about; of a later row of a person made before that one's.

        Once per profile, field and value: a file imported again brings them again.
        """
        self._run(
            f"""
            INSERT INTO profiles_alternate (profile_id, field, value, source_id, import_id, line)
            SELECT p.id, e.key, e.value, %(source)s, %(import)s, r.line
            FROM {self.import_.partition} r
            JOIN {self.import_.partition} hr ON hr.line = coalesce(r.head, r.line)
                AND hr.outcome IN ('created', 'updated', 'unchanged')
            LEFT JOIN import_step s ON s.line = hr.line
            LEFT JOIN profiles_change c ON s.line IS NULL AND hr.outcome = 'created' AND c.cause = 'import'
                AND c.cause_id = %(import)s AND c.kind = 'created' AND c.line = hr.line
            JOIN profiles_profile p ON p.id = coalesce(s.profile_id, c.profile_id, hr.profile_id)
            CROSS JOIN jsonb_each(r.kept) AS e (key, value)
            WHERE r.line BETWEEN %(first)s AND %(last)s AND r.kept IS NOT NULL
              AND r.outcome IN ('created', 'updated', 'unchanged', 'duplicate_in_file') AND e.key NOT IN ('tags', 'consents')
            ORDER BY r.line ON CONFLICT DO NOTHING
            """,
            {**bounds, "source": SOURCE_IDS["import"], "import": self.import_.pk},
        )

    def _write_journal(self) -> None:
        bind = Binds()
        self._run(
            f"""
            INSERT INTO profiles_change (profile_id, via_id, kind, source_id, user_id, key_id, cause, cause_id, line, fields)
            SELECT s.profile_id, r.via_id, CASE WHEN s.is_new THEN 'created' ELSE 'updated' END,
                {bind(SOURCE_IDS["import"])}, {bind(self.user_id)}, {bind(self.key_id)}, 'import', {bind(self.import_.pk)},
                s.line, CASE WHEN s.is_new THEN ({self._created(bind)})::jsonb ELSE r.diff END
            FROM {self.rows()} ORDER BY s.line
            """,
            dict(bind),
        )

    def _created(self, bind: Binds) -> str:
        """The journal's fields of a new profile, as JSON text."""
        pieces = [f"'\"{name}\":[null,' || to_json(r.{name})::text || ']'" for name, _ in self.spec.fields]
        for column in self.spec.attributes:
            key = bind(f'"attributes.{column.name}":[null,')
            pieces.append(f"{key} || (r.attributes -> {bind(column.name)})::text || ']'")
        if self.spec.tags:
            pieces.append(
                "CASE WHEN r.tags IS NOT NULL THEN '\"tags\":[[],' || (SELECT json_agg(t.name ORDER BY w.n)::text"
                " FROM unnest(r.tags) WITH ORDINALITY AS w (name, n)"
                " JOIN profiles_tag t ON lower(t.name) = lower(w.name)) || ']' END"
            )
        if self.spec.has_consents:
            pieces.append(
                "CASE WHEN r.consents IS NOT NULL THEN '\"consents\":[[],' || (SELECT json_agg("
                "(w.e ->> 0) || '/' || (w.e ->> 1) || '=' || (w.e ->> 2))::text"
                " FROM jsonb_array_elements(r.consents) AS w (e)) || ']' END"
            )
        names = " ".join(
            f"WHEN {column.type_id} THEN '{column.type_name}:'" for column in self.spec.identifiers
        )
        identifiers = (
            f"(SELECT string_agg(to_json((CASE u.type_id {names} END) || u.value)::text, ',' ORDER BY u.n)"
            " FROM unnest(r.types, r.keys) WITH ORDINALITY AS u (type_id, value, n) WHERE u.value IS NOT NULL)"
            if self.spec.identifiers
            else "NULL"
        )
        pieces.append(
            "'\"identifiers\":[[],[' || concat_ws(',', "
            + identifiers
            + ", '\"anonymous_id:' || s.anonymous_id || '\"') || ']]'"
        )
        return "'{' || concat_ws(',', " + ", ".join(pieces) + ") || '}'"

    def rows(self) -> str:
        """``import_step`` s joined to its rows r; bounded, so that no statement reads the whole plan."""
        bounds = " AND ".join(
            f"r.line {sign} (SELECT {end}(line) FROM import_step)"
            for sign, end in ((">=", "min"), ("<=", "max"))
        )
        return f"import_step s JOIN {self.import_.partition} r ON r.line = s.line AND {bounds}"

    def _run(self, sql: str, params: dict[str, Any] | None = None) -> int:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return int(cursor.rowcount)
