-- The schema and the role of the groups service, as those of the others were made.
DO $$
BEGIN
    BEGIN
        CREATE ROLE sotto_groups NOLOGIN;
    EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    CREATE SCHEMA groups;
    GRANT USAGE ON SCHEMA groups TO sotto_groups;
END
$$;
