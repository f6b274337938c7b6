-- Read after the whole file.
DO $$ BEGIN
    IF to_regclass('omop.person') IS NULL THEN
        RAISE EXCEPTION 'the file made no table omop.person: it must hold the OMOP CDM in schema omop';
    END IF;
END $$;
UPDATE pg_temp.flip_load SET finished = true;
COMMIT;
\echo FLIP: loaded
