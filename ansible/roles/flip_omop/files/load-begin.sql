-- Read before the operator's file. It all happens in one transaction, and the file cannot end it: at a COMMIT of its
-- own the trigger finds the load unfinished, and nothing is kept. An error is told without the row it is about.
\set VERBOSITY terse
BEGIN;
SELECT pg_advisory_xact_lock(hashtext('flip load omop'));
DO $$ BEGIN
    IF to_regnamespace('omop') IS NOT NULL THEN
        RAISE EXCEPTION 'schema omop is there already: records are never loaded over others';
    END IF;
END $$;
CREATE TEMPORARY TABLE flip_load (finished boolean NOT NULL);
CREATE FUNCTION pg_temp.flip_load_is_finished() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NOT (SELECT finished FROM pg_temp.flip_load) THEN
        RAISE EXCEPTION 'the file ends the transaction itself: take BEGIN and COMMIT out of it, then load it again';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER flip_load_is_finished AFTER INSERT ON flip_load DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION pg_temp.flip_load_is_finished();
INSERT INTO flip_load VALUES (false);
