"""Functions that rules compare with, and triggers that note which profiles changed in what live rules read.

The functions are what ``segments.values`` is in Python. Triggers look at ``segments_watch`` first: while no rule reads what
changed, nothing is queued, and a statement costs one look into a small table.
"""

from django.db import migrations

_FUNCTIONS = r"""
CREATE FUNCTION segments_fold(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length(value) = length(value) THEN lower(value)
        ELSE lower(regexp_replace(normalize(value, NFKD), '[\u0300-\u036f]', '', 'g')) END $$;
CREATE FUNCTION segments_text(value jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(value) IN ('string', 'number', 'boolean') THEN value #>> '{}' END $$;
CREATE FUNCTION segments_number(value jsonb) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE jsonb_typeof(value)
        WHEN 'number' THEN CASE WHEN abs((value #>> '{}')::numeric) < 1e20 THEN round((value #>> '{}')::numeric, 6) END
        WHEN 'string' THEN CASE WHEN value #>> '{}' ~ '^-?[0-9]{1,15}(\.[0-9]{1,15})?$'
            THEN round((value #>> '{}')::numeric, 6) END
    END $$;
CREATE FUNCTION segments_boolean(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(value) = 'boolean' THEN value::text = 'true' END $$;
CREATE FUNCTION segments_date(value jsonb) RETURNS date LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF jsonb_typeof(value) = 'string' AND value #>> '{}' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN
        RETURN make_date(left(value #>> '{}', 4)::int, substr(value #>> '{}', 6, 2)::int, right(value #>> '{}', 2)::int);
    END IF;
    RETURN NULL;
EXCEPTION WHEN datetime_field_overflow THEN RETURN NULL;
END $$;
CREATE FUNCTION segments_time(value jsonb) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    moment timestamptz;
BEGIN
    IF jsonb_typeof(value) = 'string' AND value #>> '{}'
        ~ ('^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?'
            || '(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$') THEN
        moment := (value #>> '{}')::timestamptz;
        RETURN CASE WHEN moment >= '0001-01-01T00:00:00Z' AND moment < '10000-01-01T00:00:00Z' THEN moment END;
    END IF;
    RETURN NULL;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN RETURN NULL;
END $$;
CREATE FUNCTION segments_page_name(properties jsonb, envelope jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(
        CASE WHEN jsonb_typeof(envelope -> 'name') = 'string' THEN nullif(envelope ->> 'name', '') END,
        CASE WHEN jsonb_typeof(properties -> 'name') = 'string' THEN nullif(properties ->> 'name', '') END,
        CASE WHEN jsonb_typeof(envelope #> '{rest,name}') = 'string' THEN nullif(envelope #>> '{rest,name}', '') END,
        '') $$;
"""

# What the journal calls the cause of a change → what memberships call it; its row, or that of the journal.
_CAUSE = """CASE a.kind WHEN 'merged' THEN 'merge' WHEN 'unmerged' THEN 'unmerge' ELSE CASE WHEN a.cause IN ('import', 'import_undo') THEN 'import' WHEN a.cause = 'event' THEN 'event' ELSE 'change' END END"""
_JOURNAL = f"""
CREATE FUNCTION segments_note_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM segments_watch) THEN
        RETURN NULL;
    END IF;
    INSERT INTO segments_queueentry (profile_id, reads, cause, cause_id)
    SELECT a.profile_id, CASE WHEN a.kind = 'updated' THEN w.tokens ELSE ARRAY['*'] END,
        {_CAUSE}, coalesce(a.cause_id, a.id)
    FROM added a LEFT JOIN LATERAL (
        SELECT array_agg(w.token) AS tokens FROM segments_watch w
        WHERE w.token IN (SELECT 'field:' || name FROM jsonb_object_keys(a.fields) AS k (name)
            UNION ALL SELECT 'import:' || a.cause_id WHERE a.cause = 'import')
    ) w ON a.kind = 'updated'
    WHERE a.kind <> 'updated' OR w.tokens IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER segments_note AFTER INSERT ON profiles_change
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION segments_note_changes();
"""
_EVENTS = "".join(
    f"""
CREATE FUNCTION segments_note_events_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM segments_watch WHERE token LIKE 'event:%') THEN
        RETURN NULL;
    END IF;
    INSERT INTO segments_queueentry (profile_id, reads, cause, cause_id)
    SELECT t.profile_id, array_agg(DISTINCT w.token), '{cause}', {ref}
    FROM touched t JOIN segments_watch w ON w.token IN ('event:' || t.name_id, 'event:*') GROUP BY t.profile_id;
    RETURN NULL;
END $$;
CREATE TRIGGER segments_note_{name} AFTER {what} ON profiles_event
    REFERENCING {table} TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION segments_note_events_{name}();
"""
    for name, what, table, cause, ref in (
        ("added", "INSERT", "NEW", "event", "max(t.id)"),
        ("gone", "DELETE", "OLD", "retention", "NULL::bigint"),
    )
)
# Visits move last_seen_at without a journal entry.
_SEEN = """
CREATE FUNCTION segments_note_seen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM segments_watch WHERE token = 'seen') THEN
        INSERT INTO segments_queueentry (profile_id, reads, cause, cause_id)
        VALUES (NEW.canonical_id, ARRAY['seen'], 'event', NULL);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER segments_note_seen AFTER UPDATE OF first_seen_at, last_seen_at ON profiles_profile FOR EACH ROW
    WHEN ((OLD.first_seen_at, OLD.last_seen_at) IS DISTINCT FROM (NEW.first_seen_at, NEW.last_seen_at))
    EXECUTE FUNCTION segments_note_seen();
"""
# A cart changes with its events; their deletion alone changes what was in it.
_CARTS = "".join(
    f"""
CREATE FUNCTION segments_note_carts_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM segments_watch WHERE token = 'cart') THEN
        RETURN NULL;
    END IF;
    INSERT INTO segments_queueentry (profile_id, reads, cause, cause_id)
    SELECT DISTINCT t.profile_id, ARRAY['cart'], '{cause}', NULL::bigint FROM touched t{where};
    RETURN NULL;
END $$;
CREATE TRIGGER segments_note_carts_{name} AFTER {what} ON {on}
    REFERENCING {table} TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION segments_note_carts_{name}();
"""
    for name, what, on, table, cause, where in (
        ("added", "INSERT", "profiles_cart", "NEW", "event", ""),
        ("changed", "UPDATE", "profiles_cart", "NEW", "event", ""),
        ("gone", "DELETE", "profiles_cart", "OLD", "retention", ""),
        ("emptied", "DELETE", "profiles_event", "OLD", "retention", " WHERE t.properties ? 'cart_id'"),
    )
)
# Both sides of a pair that came into the review queue, went out of it, or is another tier there.
_NOTE_PAIRS = """
CREATE FUNCTION segments_note_pairs_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM segments_watch WHERE token = 'duplicate') THEN
        INSERT INTO segments_queueentry (profile_id, reads, cause, cause_id)
        SELECT p.canonical_id, ARRAY['duplicate'], 'other', max(d.id)
        FROM ({rows}) d JOIN profiles_profile p ON p.id IN (d.a_id, d.b_id) GROUP BY p.canonical_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER segments_note_{name} AFTER {what} ON profiles_duplicatepair
    REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION segments_note_pairs_{name}();
"""
_PAIRS = "".join(
    _NOTE_PAIRS.format(name=name, what=what, tables=tables, rows=f"SELECT n.id, n.a_id, n.b_id FROM {rows}")
    for name, what, tables, rows in (
        ("added", "INSERT", "NEW TABLE AS touched", "touched n WHERE n.verdict = 'open'"),
        ("gone", "DELETE", "OLD TABLE AS touched", "touched n WHERE n.verdict = 'open'"),
        (
            "changed",
            "UPDATE",
            "OLD TABLE AS before NEW TABLE AS touched",
            "touched n JOIN before o ON o.id = n.id WHERE 'open' IN (o.verdict, n.verdict)"
            " AND (o.verdict, o.tier) IS DISTINCT FROM (n.verdict, n.tier)",
        ),
    )
)


class Migration(migrations.Migration):
    dependencies = [("segments", "0001_initial"), ("profiles", "0002_match_queue")]
    operations = [
        migrations.RunSQL(
            _FUNCTIONS + _JOURNAL + _EVENTS + _SEEN + _CARTS + _PAIRS,
            """
            DROP TRIGGER segments_note ON profiles_change; DROP FUNCTION segments_note_changes;
            DROP TRIGGER segments_note_added ON profiles_event; DROP FUNCTION segments_note_events_added;
            DROP TRIGGER segments_note_gone ON profiles_event; DROP FUNCTION segments_note_events_gone;
            DROP TRIGGER segments_note_seen ON profiles_profile; DROP FUNCTION segments_note_seen;
            DROP TRIGGER segments_note_carts_added ON profiles_cart; DROP FUNCTION segments_note_carts_added;
            DROP TRIGGER segments_note_carts_changed ON profiles_cart; DROP FUNCTION segments_note_carts_changed;
            DROP TRIGGER segments_note_carts_gone ON profiles_cart; DROP FUNCTION segments_note_carts_gone;
            DROP TRIGGER segments_note_carts_emptied ON profiles_event; DROP FUNCTION segments_note_carts_emptied;
            DROP TRIGGER segments_note_added ON profiles_duplicatepair; DROP FUNCTION segments_note_pairs_added;
            DROP TRIGGER segments_note_gone ON profiles_duplicatepair; DROP FUNCTION segments_note_pairs_gone;
            DROP TRIGGER segments_note_changed ON profiles_duplicatepair; DROP FUNCTION segments_note_pairs_changed;
            DROP FUNCTION segments_page_name; DROP FUNCTION segments_fold; DROP FUNCTION segments_text; DROP FUNCTION segments_number;
            DROP FUNCTION segments_boolean; DROP FUNCTION segments_date; DROP FUNCTION segments_time;
            """,
        )
    ]
