-- KeyPackages (RFC 9420 section 10): what it takes to add a device to a group. They lie on
-- the shelf of their device, and go with it.
--
-- `ref` is the hash by which RFC 9420 names a KeyPackage (section 5.2), so two with the same
-- ref are the same. `not_after_ms` is where its lifetime ends, which is a part of what was
-- hashed. It stands in front in the keys: what ends first is handed out first.

CREATE TABLE keys.one_time_key_packages (
    account uuid NOT NULL,
    device smallint NOT NULL,
    not_after_ms bigint NOT NULL,
    ref bytea NOT NULL CHECK (octet_length(ref) = 32),
    key_package bytea NOT NULL CHECK (octet_length(key_package) <= 2048),
    PRIMARY KEY (account, device, not_after_ms, ref),
    FOREIGN KEY (account, device) REFERENCES keys.shelves ON DELETE CASCADE
);

CREATE INDEX one_time_key_packages_by_end ON keys.one_time_key_packages (not_after_ms);

CREATE TABLE keys.last_resort_key_packages (
    account uuid NOT NULL,
    device smallint NOT NULL,
    not_after_ms bigint NOT NULL,
    ref bytea NOT NULL CHECK (octet_length(ref) = 32),
    key_package bytea NOT NULL CHECK (octet_length(key_package) <= 2048),
    PRIMARY KEY (account, device),
    FOREIGN KEY (account, device) REFERENCES keys.shelves ON DELETE CASCADE
);

CREATE INDEX last_resort_key_packages_by_end ON keys.last_resort_key_packages (not_after_ms);

-- Those that were handed out or replaced, for as long as they could be published again. No
-- key refers to the shelf: claims write here, and would wait for who takes the shelf down,
-- while that one waits for them.
CREATE TABLE keys.spent_key_packages (
    account uuid NOT NULL,
    device smallint NOT NULL,
    not_after_ms bigint NOT NULL,
    ref bytea NOT NULL CHECK (octet_length(ref) = 32),
    PRIMARY KEY (account, device, not_after_ms, ref)
);

CREATE INDEX spent_key_packages_by_end ON keys.spent_key_packages (not_after_ms);

-- As with prekeys: public keys do not compress, and a shelf is emptied as fast as it is
-- filled.
ALTER TABLE keys.one_time_key_packages ALTER COLUMN key_package SET STORAGE EXTERNAL;
ALTER TABLE keys.last_resort_key_packages ALTER COLUMN key_package SET STORAGE EXTERNAL;
ALTER TABLE keys.one_time_key_packages SET (autovacuum_vacuum_scale_factor = 0.05);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA keys TO sotto_keys;
