-- Version 11: who is to be told that a job has ended; see service/webhooks.py.

CREATE TABLE notices (                                     -- gone when it was told, or given up
    job   TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    tries INTEGER NOT NULL DEFAULT 0,
    next  REAL NOT NULL                                    -- not before; and not before the job has ended
) STRICT, WITHOUT ROWID;
