-- Invites, where `keys.registration.mode` asks for one. Who reads this table can use
-- none of them: it holds hashes.
CREATE TABLE keys.invites (
    -- SHA-256 of the invite's 15 bytes.
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    -- Accounts that can still be opened with it.
    uses_left integer NOT NULL CHECK (uses_left >= 0),
    expires_at_ms bigint NOT NULL
);

CREATE INDEX invites_by_end ON keys.invites (expires_at_ms);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA keys TO sotto_keys;
