-- Groups: where each stands, who is in it, and the log of what was said and done.
--
-- Every key begins with the group, so that the tables can be cut up by it.

-- One short row a group, which each message and each commit updates: who holds it decides
-- on the order. What is large about a group stands in `states`.
CREATE TABLE groups.groups (
    group_id uuid PRIMARY KEY,
    -- How often the group was reset.
    generation bigint NOT NULL DEFAULT 0,
    -- Of MLS, in this generation.
    epoch bigint NOT NULL DEFAULT 0,
    -- Of the last entry of the log. Never falls, not even with a reset.
    seq bigint NOT NULL DEFAULT 1,
    -- Of the first entry that the log still holds.
    kept_from_seq bigint NOT NULL DEFAULT 1,
    -- The entry with which this generation began, and the SHA-256 of the GroupInfo that it
    -- began with: a request that comes again is known by it.
    began_seq bigint NOT NULL DEFAULT 1,
    began_with bytea NOT NULL CHECK (octet_length(began_with) = 32),
    CHECK (generation BETWEEN 0 AND 4294967295 AND epoch >= 0 AND kept_from_seq <= seq + 1)
) WITH (fillfactor = 70);

-- The devices that are, or were, in a group.
CREATE TABLE groups.members (
    group_id uuid NOT NULL REFERENCES groups.groups ON DELETE CASCADE,
    account uuid NOT NULL,
    device smallint NOT NULL,
    leaf_index integer NOT NULL CHECK (leaf_index >= 0),
    -- The entry with which the device came, and the one with which it went, if it did.
    joined_seq bigint NOT NULL,
    removed_seq bigint,
    -- The last entry that the device has stored.
    cursor bigint NOT NULL,
    PRIMARY KEY (group_id, account, device)
) WITH (fillfactor = 80);

-- Which groups a device is in.
CREATE INDEX members_of_device ON groups.members (account, device);

-- A leaf is one device's.
CREATE UNIQUE INDEX members_leaves ON groups.members (group_id, leaf_index)
    WHERE removed_seq IS NULL;

-- What happened, in the one order that all members see. `kind` as in
-- sotto.socket.v1.GroupEntryKind.
CREATE TABLE groups.log (
    group_id uuid NOT NULL REFERENCES groups.groups ON DELETE CASCADE,
    seq bigint NOT NULL,
    generation bigint NOT NULL,
    epoch bigint NOT NULL,
    server_time_ms bigint NOT NULL,
    client_msg_id uuid,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 5),
    message bytea NOT NULL,
    sealed_metadata bytea,
    PRIMARY KEY (group_id, seq)
);

-- Ciphertext does not compress.
ALTER TABLE groups.log ALTER COLUMN message SET STORAGE EXTERNAL;
ALTER TABLE groups.log ALTER COLUMN sealed_metadata SET STORAGE EXTERNAL;

-- A message that comes again is not stored again.
CREATE UNIQUE INDEX log_client_msg_ids ON groups.log (group_id, client_msg_id)
    WHERE client_msg_id IS NOT NULL;

-- What is no message: what a device lacks whose epoch is over, and the proposals that the
-- next commit has to contain.
CREATE INDEX log_handshakes ON groups.log (group_id, seq) WHERE kind <> 1;

-- For what is too old to be kept. Rows come in about the order of their time.
CREATE INDEX log_times ON groups.log USING brin (server_time_ms);

-- The public state of MLS of each group, as the service follows it.
CREATE TABLE groups.states (
    group_id uuid PRIMARY KEY REFERENCES groups.groups ON DELETE CASCADE,
    generation bigint NOT NULL,
    epoch bigint NOT NULL,
    -- What openmls stores of a PublicGroup, encoded by postcard.
    state bytea NOT NULL,
    -- An MLSMessage with the GroupInfo of this epoch, without the tree.
    group_info bytea NOT NULL,
    -- The epoch under whose key the metadata are sealed.
    metadata_epoch bigint NOT NULL,
    sealed_metadata bytea NOT NULL
);

ALTER TABLE groups.states ALTER COLUMN state SET STORAGE EXTERNAL;
ALTER TABLE groups.states ALTER COLUMN group_info SET STORAGE EXTERNAL;
ALTER TABLE groups.states ALTER COLUMN sealed_metadata SET STORAGE EXTERNAL;

-- Welcomes that wait for their devices, each cut to what its device can read.
CREATE TABLE groups.welcomes (
    account uuid NOT NULL,
    device smallint NOT NULL,
    group_id uuid NOT NULL REFERENCES groups.groups ON DELETE CASCADE,
    generation bigint NOT NULL,
    -- The epoch that it leads into, and the entry that began it.
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    made_at_ms bigint NOT NULL,
    welcome bytea NOT NULL,
    PRIMARY KEY (account, device, group_id, generation, epoch)
);

ALTER TABLE groups.welcomes ALTER COLUMN welcome SET STORAGE EXTERNAL;

CREATE INDEX welcomes_of_group ON groups.welcomes (group_id, generation, epoch);
CREATE INDEX welcomes_times ON groups.welcomes (made_at_ms);

-- The ratchet trees that waiting Welcomes need, compressed by zstd.
CREATE TABLE groups.trees (
    group_id uuid NOT NULL REFERENCES groups.groups ON DELETE CASCADE,
    generation bigint NOT NULL,
    epoch bigint NOT NULL,
    made_at_ms bigint NOT NULL,
    tree bytea NOT NULL,
    PRIMARY KEY (group_id, generation, epoch)
);

ALTER TABLE groups.trees ALTER COLUMN tree SET STORAGE EXTERNAL;

CREATE INDEX trees_times ON groups.trees (made_at_ms);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA groups TO sotto_groups;
