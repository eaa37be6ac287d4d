-- Version 3: messages of every kind, what comes back on them, and what is sent besides
-- them. Tables whose checks change are copied.

CREATE TABLE messages_3 (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    conversation BLOB NOT NULL,
    peer BLOB NOT NULL,
    received INTEGER NOT NULL,
    sender BLOB NOT NULL,
    device INTEGER NOT NULL,
    text TEXT,
    unreadable TEXT,
    -- A content of another kind than text, encoded as it came or will go.
    content BLOB,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    reply_author BLOB,
    reply_id BLOB,
    edited_ms INTEGER,
    -- Seconds from being read to being deleted, and the time that this comes to.
    expire_after_s INTEGER,
    expires_ms INTEGER,
    read_ms INTEGER,
    sent_at_ms INTEGER NOT NULL,
    server_time_ms INTEGER,
    stored_at_ms INTEGER NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('queued', 'accepted', 'delivered', 'read', 'failed', 'received')),
    failure TEXT,
    -- The Send that the server accepted, and the numbers of its devices, a byte each:
    -- what it takes to call back copies that still wait.
    client_msg_id BLOB,
    sent_to BLOB,
    -- A message that its sender had to encrypt anew comes in another envelope.
    UNIQUE (sender, device, id),
    CHECK ((text IS NOT NULL) + (unreadable IS NOT NULL) + (content IS NOT NULL) + deleted = 1)
) STRICT;
INSERT INTO messages_3 (position, id, conversation, peer, received, sender, device, text,
        unreadable, read_ms, sent_at_ms, server_time_ms, stored_at_ms, state, failure)
    SELECT m.position, m.id, m.conversation, m.peer, m.received, m.sender, m.device, m.text,
        m.unreadable,
        CASE WHEN m.received AND m.position <= coalesce(a.read_to, 0) THEN m.stored_at_ms END,
        m.sent_at_ms, m.server_time_ms, m.stored_at_ms, m.state, m.failure
    FROM messages m LEFT JOIN accounts a ON a.account = m.peer;

-- What the server has not answered for, in the order of writing.
CREATE TABLE outbox_3 (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    -- A message of the history, or else an encoded content.
    position INTEGER REFERENCES messages,
    content BLOB,
    peer BLOB NOT NULL REFERENCES accounts,
    -- As in socket.proto.
    class INTEGER NOT NULL DEFAULT 0,
    ttl_s INTEGER NOT NULL DEFAULT 0,
    -- Whether one's other devices are told, once it is accepted.
    tell_own INTEGER NOT NULL DEFAULT 0,
    -- Set when it is first encrypted, and kept from then on.
    counter INTEGER,
    client_msg_id BLOB,
    -- An encoded Send, repeated byte for byte until it is answered.
    sealed BLOB,
    CHECK ((position IS NULL) <> (content IS NULL))
) STRICT;
INSERT INTO outbox_3 (seq, position, peer, tell_own, counter, client_msg_id, sealed)
    SELECT seq, position, peer, 1, counter, client_msg_id, sealed FROM outbox;

DROP TABLE outbox;
DROP TABLE messages;
ALTER TABLE messages_3 RENAME TO messages;
ALTER TABLE outbox_3 RENAME TO outbox;
CREATE INDEX messages_by_conversation ON messages (conversation, position);
CREATE INDEX messages_by_id ON messages (id);
CREATE INDEX messages_unread ON messages (conversation) WHERE received AND read_ms IS NULL;
CREATE INDEX messages_by_end ON messages (expires_ms) WHERE expires_ms IS NOT NULL;
CREATE INDEX outbox_by_peer ON outbox (peer, seq);
CREATE INDEX outbox_by_position ON outbox (position);
ALTER TABLE accounts DROP COLUMN read_to;

-- Copies at the server that are to be called back.
CREATE TABLE retractions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    client_msg_id BLOB NOT NULL,
    peer BLOB NOT NULL,
    devices BLOB NOT NULL
) STRICT;

-- Messages that are gone: deleted for everybody or for oneself, or their time was up.
-- A copy that comes later is not shown.
CREATE TABLE tombstones (
    author BLOB NOT NULL,
    id BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (author, id)
) STRICT, WITHOUT ROWID;

-- Texts that messages had or have; the message may come after its edit.
CREATE TABLE edits (
    author BLOB NOT NULL,
    target BLOB NOT NULL,
    edit BLOB NOT NULL,
    written_ms INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (author, target, edit)
) STRICT, WITHOUT ROWID;

-- The newest of each account on each message; without an emoji it was taken back.
CREATE TABLE reactions (
    conversation BLOB NOT NULL,
    author BLOB NOT NULL,
    target BLOB NOT NULL,
    account BLOB NOT NULL,
    emoji TEXT,
    written_ms INTEGER NOT NULL,
    id BLOB NOT NULL,
    PRIMARY KEY (conversation, author, target, account)
) STRICT, WITHOUT ROWID;

-- Likewise; numbers of options, a byte each.
CREATE TABLE votes (
    conversation BLOB NOT NULL,
    author BLOB NOT NULL,
    target BLOB NOT NULL,
    account BLOB NOT NULL,
    options BLOB NOT NULL,
    written_ms INTEGER NOT NULL,
    id BLOB NOT NULL,
    PRIMARY KEY (conversation, author, target, account)
) STRICT, WITHOUT ROWID;

-- Receipts for messages of ours. `uuid` and `device` say who sent them.
CREATE TABLE receipts (
    message BLOB NOT NULL,
    uuid BLOB NOT NULL,
    device INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('delivered', 'read')),
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (message, uuid, device, kind)
) STRICT, WITHOUT ROWID;

-- Receipts that are to be sent, some time after what they tell of.
CREATE TABLE receipts_due (
    uuid BLOB NOT NULL REFERENCES accounts,
    kind TEXT NOT NULL CHECK (kind IN ('delivered', 'read')),
    message BLOB NOT NULL,
    due_ms INTEGER NOT NULL,
    PRIMARY KEY (uuid, kind, message)
) STRICT, WITHOUT ROWID;

-- Messages that were read on another device before they came here.
CREATE TABLE read_marks (
    author BLOB NOT NULL,
    id BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (author, id)
) STRICT, WITHOUT ROWID;

-- What devices of others said of themselves, and until when it holds.
CREATE TABLE presence (
    uuid BLOB NOT NULL,
    device INTEGER NOT NULL,
    typing_until_ms INTEGER,
    online_until_ms INTEGER,
    last_seen_ms INTEGER,
    PRIMARY KEY (uuid, device)
) STRICT, WITHOUT ROWID;

-- What contacts may see of us.
CREATE TABLE grants (
    uuid BLOB PRIMARY KEY,
    typing INTEGER NOT NULL,
    presence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The timer of each conversation that ever had one: the newest change counts.
CREATE TABLE timers (
    conversation BLOB PRIMARY KEY,
    seconds INTEGER NOT NULL,
    set_ms INTEGER NOT NULL,
    id BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Switches, where they are not at their default.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Whether a counted content was encrypted in the session: only then may ephemeral ones
-- be, since the first that a device sees tells it where the count begins.
ALTER TABLE sessions ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
