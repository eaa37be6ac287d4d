-- Version 5: groups.

-- The group that a message stands in; its `peer` is whoever wrote it then.
ALTER TABLE messages ADD COLUMN group_id BLOB;
-- Where it stands in the log of the group.
ALTER TABLE messages ADD COLUMN group_seq INTEGER;

-- Whether the account is known from groups alone.
ALTER TABLE accounts ADD COLUMN met_in_group INTEGER NOT NULL DEFAULT 0;

-- What OpenMLS keeps: keys sort by group, and those of the device stand apart.
CREATE TABLE mls_values (
    key BLOB PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

-- Groups that this device is in, or was.
CREATE TABLE groups (
    id BLOB PRIMARY KEY,
    generation INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    -- Counts the times that the MLS state was written.
    version INTEGER NOT NULL DEFAULT 0,
    -- Up to where its log has been taken in.
    cursor INTEGER NOT NULL,
    standing TEXT NOT NULL CHECK (standing IN
        ('invited', 'member', 'leaving', 'awaiting', 'left', 'removed')),
    inviter BLOB,
    -- An encoded GroupPolicy: that of the epoch.
    policy BLOB NOT NULL,
    -- An encoded GroupMetadata, the newest that could be opened.
    metadata BLOB,
    -- Whether the server has the metadata under the key of this epoch.
    sealed INTEGER NOT NULL,
    -- Why the next entry of the log is not followed.
    refused TEXT,
    joined_ms INTEGER NOT NULL
) STRICT;

-- Messages for groups that the server has not answered for, in the order of writing.
CREATE TABLE group_outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id BLOB NOT NULL REFERENCES groups,
    -- A message of the history, or else an encoded content.
    position INTEGER REFERENCES messages,
    content BLOB,
    -- Set when it is first encrypted, and kept from then on.
    client_msg_id BLOB,
    -- An encoded GroupSend, repeated byte for byte until it is answered or its epoch ends.
    sealed BLOB,
    CHECK ((position IS NULL) <> (content IS NULL))
) STRICT;
CREATE INDEX group_outbox_by_group ON group_outbox (group_id, seq);
CREATE INDEX group_outbox_by_position ON group_outbox (position);

-- KeyPackages of this device; their private parts are in `mls_values`.
CREATE TABLE key_packages (
    reference BLOB PRIMARY KEY,
    package BLOB NOT NULL,
    last_resort INTEGER NOT NULL,
    published INTEGER NOT NULL DEFAULT 0,
    made_ms INTEGER NOT NULL
) STRICT;
