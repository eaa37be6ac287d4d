-- The public halves of the keys that sign Sotto tokens. The private halves never
-- leave the memory of the process that made them.
CREATE TABLE keys.token_keys (
    kid text PRIMARY KEY,
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
    -- No token that is signed with it lives longer.
    not_after_ms bigint NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA keys TO sotto_keys;
