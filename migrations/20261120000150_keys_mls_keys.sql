-- The key that a device signs with in groups, as its chain certifies it. Null in rows of
-- before this column, and in those that an older process still writes: a job fills them in
-- out of the chain, and who reads one in the meantime replays it. A later migration may
-- demand it.
ALTER TABLE keys.devices
    ADD COLUMN mls_key bytea CHECK (octet_length(mls_key) = 32);

-- What is left for the job. It is empty once the job is done.
CREATE INDEX devices_without_mls_key ON keys.devices (account) WHERE mls_key IS NULL;
