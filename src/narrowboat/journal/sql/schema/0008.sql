-- Version 8: feeds. Keys are hashes, for addresses of feeds hold secrets.

CREATE TABLE feeds (
    key      TEXT PRIMARY KEY,                             -- of the feed's address
    identity TEXT NOT NULL                                 -- what its episodes are told by, for good
) STRICT, WITHOUT ROWID;

CREATE TABLE rounds (                                      -- of watching
    key      TEXT PRIMARY KEY,                             -- of the feed and what is asked of it
    etag     TEXT,                                         -- both as its server said when all of it was taken in last
    modified TEXT,
    at       REAL NOT NULL
) STRICT, WITHOUT ROWID;
