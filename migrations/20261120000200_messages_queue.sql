-- Envelopes, each waiting for one device until it is acknowledged or expires.
--
-- `id` is a UUIDv7 that follows from the send (EnvelopeId::derive), so a send that
-- comes again conflicts with the row it made. The table is partitioned by the time
-- bits of the id, a day each: only the newest indexes are hot, and what no device
-- ever came for goes with its partition, without a DELETE. There is no default
-- partition, since a row in it could never be dropped cheaply; the service makes
-- the days ahead (next migration).
--
-- The columns stand in the order that wastes no bytes on alignment.
CREATE TABLE messages.queue (
    account uuid NOT NULL,
    id uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    device smallint NOT NULL,
    -- The sender asked for less than the longest time, so the row may expire well
    -- before its partition does: it is swept by itself.
    short boolean NOT NULL,
    -- An encoded sotto.socket.v1.Envelope.
    envelope bytea NOT NULL,
    PRIMARY KEY (account, device, id)
) PARTITION BY RANGE (id);

-- Ciphertext does not compress.
ALTER TABLE messages.queue ALTER COLUMN envelope SET STORAGE EXTERNAL;

-- For the sweep. Rows with the default life are not in it, so most sends pay for
-- one index only.
CREATE INDEX queue_short_lives ON messages.queue (expires_at) WHERE short;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA messages TO sotto_messages;
