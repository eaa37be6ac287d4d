-- Accounts, their chains, and what follows from the chains.
--
-- Every primary key begins with the account where there is one, so that the schema
-- can be spread over several servers by it. Times are milliseconds since 1970, as
-- the protocol has them.

-- The head of a chain, and the row that is locked to append to it.
CREATE TABLE keys.accounts (
    account uuid PRIMARY KEY,
    -- The whole name, of which `account` is the first half. No second account may
    -- have the same first half.
    account_id bytea NOT NULL CHECK (octet_length(account_id) = 32),
    head_seq bigint NOT NULL CHECK (head_seq >= 0),
    head_hash bytea NOT NULL CHECK (octet_length(head_hash) = 32),
    registered_at_ms bigint NOT NULL
);

-- The chain itself. What was signed is stored as it came and never written again.
CREATE TABLE keys.chain_ops (
    account uuid NOT NULL REFERENCES keys.accounts ON DELETE CASCADE,
    seq bigint NOT NULL CHECK (seq >= 0),
    -- An encoded sotto.identity.v1.SignedOp.
    signed_op bytea NOT NULL,
    link_hash bytea NOT NULL CHECK (octet_length(link_hash) = 32),
    -- Our clock, not the op's: the rate limit counts by it.
    received_at_ms bigint NOT NULL,
    PRIMARY KEY (account, seq)
);

-- The devices that the chain certifies, those that it has revoked included.
CREATE TABLE keys.devices (
    account uuid NOT NULL REFERENCES keys.accounts ON DELETE CASCADE,
    device smallint NOT NULL CHECK (device BETWEEN 1 AND 127),
    device_key bytea NOT NULL CHECK (octet_length(device_key) = 32),
    identity_key bytea NOT NULL CHECK (octet_length(identity_key) = 33),
    registration_id integer NOT NULL,
    -- Null where the certificate has no end.
    not_after_ms bigint,
    -- The op that revoked it; null while it lives.
    revoked_at_seq bigint,
    PRIMARY KEY (account, device)
);

-- Names. The skeleton is what a name looks like at a glance; whoever claims one
-- spelling of it holds them all, for good.
CREATE TABLE keys.handles (
    skeleton text PRIMARY KEY,
    handle text NOT NULL UNIQUE,
    account uuid NOT NULL REFERENCES keys.accounts ON DELETE CASCADE,
    -- False for a name that the account went by before.
    current boolean NOT NULL,
    claimed_at_ms bigint NOT NULL
);

CREATE INDEX handles_of_account ON keys.handles (account);
CREATE UNIQUE INDEX one_current_handle ON keys.handles (account) WHERE current;

-- Which user of which app an account belongs to.
CREATE TABLE keys.bindings (
    app text NOT NULL,
    -- The app's own name for its user.
    subject text NOT NULL,
    account uuid NOT NULL REFERENCES keys.accounts ON DELETE CASCADE,
    bound_at_ms bigint NOT NULL,
    PRIMARY KEY (app, subject)
);

CREATE INDEX bindings_of_account ON keys.bindings (account, app);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA keys TO sotto_keys;
