-- The days of messages.queue: made ahead and dropped by the messages service.
--
-- The service's role has no right to create or drop a table. These functions do it
-- for the owner of the schema, and do nothing else. They find their objects by full
-- name only (search_path), so that whoever calls them cannot slip in others.
--
-- Partitions need no grants: every statement goes through the parent.

-- The smallest UUID whose time bits (RFC 9562 section 5.7) are those of a day's
-- first millisecond. `day` counts from 1970-01-01 UTC.
CREATE FUNCTION messages.first_id_of_day(day bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT
RETURN rpad(lpad(to_hex(day * 86400000), 12, '0'), 32, '0')::uuid;

-- Makes the partitions of the days from `from_ms` to `until_ms` (milliseconds since
-- 1970, both included) that do not exist. Returns how many it made.
--
-- A partition is attached rather than created in place: that takes a lock which
-- lets reads and writes of the other days go on. Replicas that call at the same
-- time wait for one another, and the later ones find nothing to do.
CREATE FUNCTION messages.create_queue_partitions(from_ms bigint, until_ms bigint) RETURNS integer
LANGUAGE plpgsql STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
AS $$
DECLARE
    first_day CONSTANT bigint := from_ms / 86400000;
    last_day CONSTANT bigint := until_ms / 86400000;
    day bigint;
    name text;
    made integer := 0;
BEGIN
    IF last_day - first_day NOT BETWEEN 0 AND 60 THEN
        RAISE EXCEPTION 'between 1 and 61 days at a time' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    PERFORM pg_advisory_xact_lock(hashtextextended('messages.queue partitions', 0));
    FOR day IN first_day..last_day LOOP
        name := 'queue_' || to_char(date '1970-01-01' + day::integer, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(format('messages.%I', name)) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE messages.%I (LIKE messages.queue INCLUDING STORAGE)', name
        );
        EXECUTE format(
            'ALTER TABLE messages.queue ATTACH PARTITION messages.%I FOR VALUES FROM (%L) TO (%L)',
            name, messages.first_id_of_day(day), messages.first_id_of_day(day + 1)
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Drops the partitions of the days that ended at or before `before_ms`, with all
-- that is in them. Returns how many.
--
-- Dropping one takes the whole queue for a moment, and whoever waits for that lock
-- makes everybody behind it wait too. So it does not wait long: it fails with
-- `lock_not_available`, and the next call tries again.
CREATE FUNCTION messages.drop_queue_partitions(before_ms bigint) RETURNS integer
LANGUAGE plpgsql STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '300ms'
AS $$
DECLARE
    first_kept CONSTANT text :=
        'queue_' || to_char(date '1970-01-01' + (before_ms / 86400000)::integer, 'YYYYMMDD');
    name text;
    dropped integer := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('messages.queue partitions', 0)) THEN
        RETURN 0;
    END IF;
    FOR name IN
        SELECT partition.relname
        FROM pg_inherits
        JOIN pg_class AS partition ON partition.oid = pg_inherits.inhrelid
        WHERE pg_inherits.inhparent = 'messages.queue'::regclass
          AND partition.relname COLLATE "C" < first_kept
    LOOP
        EXECUTE format('DROP TABLE messages.%I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

REVOKE ALL ON FUNCTION
    messages.create_queue_partitions(bigint, bigint),
    messages.drop_queue_partitions(bigint)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    messages.create_queue_partitions(bigint, bigint),
    messages.drop_queue_partitions(bigint)
TO sotto_messages;
