"""Triggers that note whom to compare anew: the database itself, so that no door can forget it.

New rows are noted by one statement per statement, and only those that say something about a person; anonymous
visitors cost nothing. The triggers on updates are ones of columns: a visit, which moves last_seen_at, fires none.
"""

from django.db import migrations

TRAITS = ("first_name", "last_name", "email", "phone", "birth_date", "city", "street", "postcode")
WATCHED = (*TRAITS, "canonical_id", "status", "is_locked", "attributes")

_ADDED = f"""
CREATE FUNCTION profiles_note_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_matchqueue (profile_id)
    SELECT id FROM added WHERE coalesce({", ".join(f"{name}::text" for name in TRAITS)}) IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER note_added AFTER INSERT ON profiles_profile
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION profiles_note_added();
"""
_CHANGED = f"""
CREATE FUNCTION profiles_note_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_matchqueue (profile_id) VALUES (NEW.canonical_id);
    IF OLD.canonical_id <> NEW.canonical_id THEN
        INSERT INTO profiles_matchqueue (profile_id) VALUES (OLD.canonical_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_changed AFTER UPDATE OF {", ".join(WATCHED)} ON profiles_profile FOR EACH ROW
    WHEN (({", ".join(f"OLD.{name}" for name in WATCHED)}) IS DISTINCT FROM ({", ".join(f"NEW.{name}" for name in WATCHED)}))
    EXECUTE FUNCTION profiles_note_changed();
"""
_IDENTIFIER_CHANGED = """
CREATE FUNCTION profiles_note_identifier_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM profiles_identifiertype WHERE id IN (OLD.type_id, NEW.type_id) AND strength = 'hard') THEN
        INSERT INTO profiles_matchqueue (profile_id) VALUES (NEW.profile_id);
        IF OLD.profile_id <> NEW.profile_id THEN
            INSERT INTO profiles_matchqueue (profile_id) VALUES (OLD.profile_id);
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_changed AFTER UPDATE OF resolves, is_pending, profile_id, type_id, value ON profiles_identifier
    FOR EACH ROW WHEN ((OLD.resolves, OLD.is_pending, OLD.profile_id, OLD.type_id, OLD.value)
        IS DISTINCT FROM (NEW.resolves, NEW.is_pending, NEW.profile_id, NEW.type_id, NEW.value))
    EXECUTE FUNCTION profiles_note_identifier_changed();
"""
# Suggestions of doors are to be scored; a verdict changes the case its pair is in, or brings the pair back.
_PAIRS = """
CREATE FUNCTION profiles_note_pair() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_matchqueue (profile_id) VALUES (NEW.a_id), (NEW.b_id);
    RETURN NULL;
END $$;
CREATE TRIGGER note_suggested AFTER INSERT ON profiles_duplicatepair FOR EACH ROW
    WHEN (NEW.verdict = 'open' AND NEW.found_by IN ('door', 'person')) EXECUTE FUNCTION profiles_note_pair();
CREATE TRIGGER note_decided AFTER UPDATE OF verdict ON profiles_duplicatepair FOR EACH ROW
    WHEN (OLD.verdict <> NEW.verdict AND (NEW.verdict = 'open' OR OLD.case_id IS NOT NULL))
    EXECUTE FUNCTION profiles_note_pair();
"""
# Identifiers of soft types (browsers) say nothing about who somebody is.
_HARD = "type_id IN (SELECT id FROM profiles_identifiertype WHERE strength = 'hard')"
_IDENTIFIERS = "".join(
    f"""
CREATE FUNCTION profiles_note_identifiers_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_matchqueue (profile_id) SELECT DISTINCT profile_id FROM touched WHERE {_HARD};
    RETURN NULL;
END $$;
CREATE TRIGGER note_{name} AFTER {event} ON profiles_identifier
    REFERENCING {table} TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION profiles_note_identifiers_{name}();
"""
    for name, event, table in (("added", "INSERT", "NEW"), ("gone", "DELETE", "OLD"))
)


class Migration(migrations.Migration):
    dependencies = [("profiles", "0001_initial")]
    operations = [
        migrations.RunSQL(
            _ADDED + _CHANGED + _IDENTIFIERS + _IDENTIFIER_CHANGED + _PAIRS,
            """
            DROP TRIGGER note_added ON profiles_profile; DROP FUNCTION profiles_note_added;
            DROP TRIGGER note_changed ON profiles_profile; DROP FUNCTION profiles_note_changed;
            DROP TRIGGER note_added ON profiles_identifier; DROP FUNCTION profiles_note_identifiers_added;
            DROP TRIGGER note_gone ON profiles_identifier; DROP FUNCTION profiles_note_identifiers_gone;
            DROP TRIGGER note_changed ON profiles_identifier; DROP FUNCTION profiles_note_identifier_changed;
            DROP TRIGGER note_suggested ON profiles_duplicatepair; DROP TRIGGER note_decided ON profiles_duplicatepair;
            DROP FUNCTION profiles_note_pair;
            """,
        )
    ]
