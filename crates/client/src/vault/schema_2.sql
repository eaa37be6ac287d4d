-- Version 2: accounts whose key changes.

-- Whether the account key is another one since a person last agreed to it.
ALTER TABLE accounts ADD COLUMN key_changed INTEGER NOT NULL DEFAULT 0;

-- The account key that this device is about to put in place of the one that holds.
-- It is here before anybody else can hear of it. One row at most.
CREATE TABLE next_account_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    secret BLOB NOT NULL
) STRICT;
