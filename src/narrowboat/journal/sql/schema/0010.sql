-- Version 10: what watching feeds remembers.

CREATE TABLE seen (                                        -- episodes that need not be looked at again
    key  TEXT NOT NULL,                                    -- of the feed and what is asked of it, as in rounds
    guid BLOB NOT NULL,                                    -- the beginning of its hash
    PRIMARY KEY (key, guid)
) STRICT, WITHOUT ROWID;

CREATE TABLE watched (                                     -- jobs that watching has made
    job       TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    key       TEXT NOT NULL,
    published REAL                                         -- seconds since the epoch, as the feed says
) STRICT, WITHOUT ROWID;
CREATE INDEX watched_by_key ON watched (key);
