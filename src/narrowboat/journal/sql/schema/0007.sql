-- Version 7: sources that could not be fetched lately.

CREATE TABLE failed_sources (                              -- outlives its jobs; gone with the first success
    key      TEXT PRIMARY KEY,                             -- SHA-256 of what tells the source from others
    shown    TEXT NOT NULL,                                -- without secrets
    failures INTEGER NOT NULL,                             -- in a row
    error    TEXT NOT NULL,                                -- JSON of the last
    told     TEXT,                                         -- the validator that it had then; null when not known
    first    REAL NOT NULL,
    last     REAL NOT NULL,
    until    REAL                                          -- it is left alone until then; null: it may be tried
) STRICT, WITHOUT ROWID;
CREATE INDEX failed_sources_by_time ON failed_sources (last);
