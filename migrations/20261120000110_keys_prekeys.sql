-- Public prekeys: what a stranger needs to begin a session with a device.

-- One row for each live device. It goes when the device is revoked, and every
-- prekey of the device goes with it; an upload that comes too late finds no row to
-- hang its keys on. Uploads of a device lock it; claims do not.
CREATE TABLE keys.shelves (
    account uuid NOT NULL,
    device smallint NOT NULL,
    -- The highest id ever accepted, of each kind; 0 where none was. Whatever is at
    -- or below it and not stored has been handed out or replaced.
    highest_signed_ec integer NOT NULL DEFAULT 0,
    highest_one_time_ec integer NOT NULL DEFAULT 0,
    highest_last_resort_kyber integer NOT NULL DEFAULT 0,
    highest_one_time_kyber integer NOT NULL DEFAULT 0,
    PRIMARY KEY (account, device),
    FOREIGN KEY (account, device) REFERENCES keys.devices ON DELETE CASCADE
);

CREATE TABLE keys.signed_ec_prekeys (
    account uuid NOT NULL,
    device smallint NOT NULL,
    key_id integer NOT NULL CHECK (key_id > 0),
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 33),
    signature bytea NOT NULL CHECK (octet_length(signature) = 64),
    published_at_ms bigint NOT NULL,
    PRIMARY KEY (account, device),
    FOREIGN KEY (account, device) REFERENCES keys.shelves ON DELETE CASCADE
);

CREATE TABLE keys.one_time_ec_prekeys (
    account uuid NOT NULL,
    device smallint NOT NULL,
    key_id integer NOT NULL CHECK (key_id > 0),
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 33),
    PRIMARY KEY (account, device, key_id),
    FOREIGN KEY (account, device) REFERENCES keys.shelves ON DELETE CASCADE
);

CREATE TABLE keys.last_resort_kyber_prekeys (
    account uuid NOT NULL,
    device smallint NOT NULL,
    key_id integer NOT NULL CHECK (key_id > 0),
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 1569),
    signature bytea NOT NULL CHECK (octet_length(signature) = 64),
    published_at_ms bigint NOT NULL,
    PRIMARY KEY (account, device),
    FOREIGN KEY (account, device) REFERENCES keys.shelves ON DELETE CASCADE
);

CREATE TABLE keys.one_time_kyber_prekeys (
    account uuid NOT NULL,
    device smallint NOT NULL,
    key_id integer NOT NULL CHECK (key_id > 0),
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 1569),
    signature bytea NOT NULL CHECK (octet_length(signature) = 64),
    PRIMARY KEY (account, device, key_id),
    FOREIGN KEY (account, device) REFERENCES keys.shelves ON DELETE CASCADE
);

-- Public keys are as good as random: compressing them is work for nothing. A row
-- stays under the 2 KB from which Postgres would move it out of line, so a claim
-- marks one row and rewrites none.
ALTER TABLE keys.last_resort_kyber_prekeys ALTER COLUMN public_key SET STORAGE EXTERNAL;
ALTER TABLE keys.one_time_kyber_prekeys ALTER COLUMN public_key SET STORAGE EXTERNAL;

-- Both are emptied as fast as they are filled: the planner and the index must hear
-- of it before a fifth of the table is dead.
ALTER TABLE keys.one_time_ec_prekeys SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE keys.one_time_kyber_prekeys SET (autovacuum_vacuum_scale_factor = 0.05);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA keys TO sotto_keys;
