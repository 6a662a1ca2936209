-- Version 9: what a client's own word for a request stood for; see service/idempotency.py.

CREATE TABLE requests (
    key     TEXT PRIMARY KEY,                              -- a hash of the word and of who sent it
    request TEXT NOT NULL,                                 -- a hash of what was asked
    job     TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    created REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_job ON requests (job);
