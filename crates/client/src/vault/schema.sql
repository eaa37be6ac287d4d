-- The store of one device, version 1. All of it is encrypted with the store key.
-- Times are milliseconds since 1970. Account UUIDs, message and envelope ids are
-- 16 bytes, account ids and link hashes 32.

-- The account and device of this store, and their private keys. One row.
CREATE TABLE self (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    phase TEXT NOT NULL CHECK (phase IN ('made', 'requested', 'certified', 'ready')),
    account BLOB NOT NULL,
    device INTEGER NOT NULL,
    registration_id INTEGER NOT NULL,
    account_secret BLOB, -- on admin devices only
    device_secret BLOB NOT NULL,
    identity_secret BLOB NOT NULL,
    mls_secret BLOB NOT NULL,
    -- The signed genesis while 'made', the op to be approved while 'requested'.
    pending BLOB
) STRICT;

-- Accounts that are known, with the pin of each: the newest head that was verified.
CREATE TABLE accounts (
    uuid BLOB PRIMARY KEY,
    account BLOB NOT NULL UNIQUE,
    seq INTEGER NOT NULL,
    head BLOB NOT NULL,
    frozen INTEGER NOT NULL DEFAULT 0,
    -- The counter of the newest message from here.
    sent INTEGER NOT NULL DEFAULT 0,
    -- Messages up to this position have been read.
    read_to INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Their chains from genesis to the pin, as they were verified.
CREATE TABLE chain_ops (
    uuid BLOB NOT NULL REFERENCES accounts ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    signed BLOB NOT NULL,
    PRIMARY KEY (uuid, seq)
) STRICT, WITHOUT ROWID;

-- Chains that contradict each other, as files that verify by themselves.
CREATE TABLE evidence (
    id INTEGER PRIMARY KEY,
    uuid BLOB NOT NULL REFERENCES accounts ON DELETE CASCADE,
    found_ms INTEGER NOT NULL,
    file BLOB NOT NULL
) STRICT;

-- Ratchets.
CREATE TABLE sessions (
    uuid BLOB NOT NULL,
    device INTEGER NOT NULL,
    record BLOB NOT NULL,
    -- Whether the other side has ever answered in it.
    acknowledged INTEGER NOT NULL DEFAULT 0,
    -- When it was last given up for a message that could not be read.
    reset_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (uuid, device)
) STRICT;

CREATE TABLE one_time_ec (
    id INTEGER PRIMARY KEY,
    record BLOB NOT NULL,
    published INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE signed_ec (
    id INTEGER PRIMARY KEY,
    record BLOB NOT NULL,
    published INTEGER NOT NULL DEFAULT 0,
    made_ms INTEGER NOT NULL,
    replaced_ms INTEGER
) STRICT;

CREATE TABLE kyber (
    id INTEGER PRIMARY KEY,
    record BLOB NOT NULL,
    last_resort INTEGER NOT NULL,
    published INTEGER NOT NULL DEFAULT 0,
    made_ms INTEGER NOT NULL,
    replaced_ms INTEGER
) STRICT;

-- First messages that a last-resort key was used for: each is taken once.
CREATE TABLE kyber_uses (
    kyber INTEGER NOT NULL REFERENCES kyber ON DELETE CASCADE,
    signed_ec INTEGER NOT NULL,
    base_key BLOB NOT NULL,
    PRIMARY KEY (kyber, signed_ec, base_key)
) STRICT, WITHOUT ROWID;

-- The history, by position in the order in which it was shown here.
CREATE TABLE messages (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    conversation BLOB NOT NULL,
    peer BLOB NOT NULL,
    received INTEGER NOT NULL,
    sender BLOB NOT NULL,
    device INTEGER NOT NULL,
    text TEXT,
    unreadable TEXT,
    sent_at_ms INTEGER NOT NULL,
    server_time_ms INTEGER,
    stored_at_ms INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'accepted', 'failed', 'received')),
    failure TEXT,
    -- A message that its sender had to encrypt anew comes in another envelope.
    UNIQUE (sender, device, id),
    CHECK ((text IS NULL) <> (unreadable IS NULL))
) STRICT;
CREATE INDEX messages_by_conversation ON messages (conversation, position);

-- Messages of ours that the server has not answered for, in the order of writing.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    position INTEGER NOT NULL REFERENCES messages,
    peer BLOB NOT NULL REFERENCES accounts,
    -- Set when it is first encrypted, and kept from then on.
    counter INTEGER,
    client_msg_id BLOB,
    -- An encoded Send, repeated byte for byte until it is answered.
    sealed BLOB
) STRICT;
CREATE INDEX outbox_by_peer ON outbox (peer, seq);

-- The next counter that is expected of each sending device.
CREATE TABLE lanes (
    uuid BLOB NOT NULL,
    device INTEGER NOT NULL,
    next INTEGER NOT NULL,
    PRIMARY KEY (uuid, device)
) STRICT, WITHOUT ROWID;

-- Messages that came before one that was sent earlier.
CREATE TABLE held (
    uuid BLOB NOT NULL,
    device INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    content BLOB NOT NULL,
    server_time_ms INTEGER NOT NULL,
    stored_at_ms INTEGER NOT NULL,
    PRIMARY KEY (uuid, device, counter)
) STRICT;
CREATE INDEX held_by_time ON held (until_ms);

-- Envelopes that were handled, so that one that comes again is dropped.
CREATE TABLE seen (
    envelope BLOB PRIMARY KEY,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_by_time ON seen (at_ms);

-- Numbers that only rise: prekey ids, the time of the newest send.
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
