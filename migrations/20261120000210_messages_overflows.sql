-- Devices whose queue was full, and what was turned away because of it. There are few:
-- a row for each device that has not been told yet, or only a short time ago.
CREATE TABLE messages.overflows (
    account uuid NOT NULL,
    -- The first time since the device was last told.
    since timestamptz NOT NULL,
    -- When the device was first told of what the row says now; null while it was not.
    told_at timestamptz,
    turned_away bigint NOT NULL CHECK (turned_away > 0),
    device smallint NOT NULL,
    PRIMARY KEY (account, device)
);

-- For the sweep.
CREATE INDEX overflows_told ON messages.overflows (told_at) WHERE told_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON messages.overflows TO sotto_messages;
