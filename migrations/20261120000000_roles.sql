-- One schema and one role for each service that has tables.
--
-- The roles cannot log in: a service connects as whoever the operator gave it and
-- then takes on its role, so that it can reach its own schema and nothing else.
-- Roles belong to the whole cluster, so another database may have made them.
DO $$
DECLARE
    service text;
BEGIN
    FOREACH service IN ARRAY ARRAY['keys', 'messages'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE sotto_%s NOLOGIN', service);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
        EXECUTE format('CREATE SCHEMA %I', service);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO sotto_%s', service, service);
    END LOOP;
END
$$;
