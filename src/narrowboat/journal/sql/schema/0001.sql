-- Version 1. Times are seconds since the epoch, sizes are bytes, *_json columns and the texts named in
-- comments as JSON are JSON. Look at job_rows first.

CREATE TABLE jobs (
    number            INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used twice, also after a job is forgotten
    id                TEXT NOT NULL UNIQUE,                -- what people type; made from number
    pipeline          TEXT NOT NULL,
    identity          TEXT NOT NULL UNIQUE,                -- pipeline + source's content + options that matter
    source            TEXT NOT NULL,
    options           TEXT NOT NULL,                       -- JSON
    label             TEXT,
    state             TEXT NOT NULL DEFAULT 'queued'
                      CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    reason            TEXT,                                -- JSON of the error
    created           REAL NOT NULL,
    started           REAL,
    ended             REAL,
    token             INTEGER NOT NULL DEFAULT 0,          -- fencing: a write with an older one is refused
    owner             TEXT,
    lease_until       REAL,
    cancel_requested  INTEGER NOT NULL DEFAULT 0,
    supervisor_deaths INTEGER NOT NULL DEFAULT 0           -- in a row, without a new item
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state, number);

CREATE TABLE steps (
    id         INTEGER PRIMARY KEY,
    job        TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    key        TEXT NOT NULL,
    name       TEXT NOT NULL,
    version    TEXT NOT NULL,
    input_hash TEXT NOT NULL,
    state      TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done')),
    result     TEXT,                                       -- JSON
    items      INTEGER NOT NULL DEFAULT 0,                 -- committed so far: the next one's seq
    cursor     TEXT,                                       -- JSON, of the last item
    UNIQUE (job, key)
) STRICT;

CREATE TABLE items (
    step  INTEGER NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
    seq   INTEGER NOT NULL,                                -- 0, 1, 2, ... without a gap
    value TEXT NOT NULL,                                   -- JSON
    PRIMARY KEY (step, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    id              INTEGER PRIMARY KEY,
    job             TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    step            INTEGER NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
    first_item      INTEGER NOT NULL,                      -- items of the step that were there when it started
    declared_bytes  INTEGER NOT NULL,
    reserved_bytes  INTEGER NOT NULL,
    cores           INTEGER NOT NULL,
    started         REAL NOT NULL,
    ended           REAL,
    outcome         TEXT CHECK (outcome IN
                    ('done', 'failed', 'overrun', 'fault', 'stopped', 'cancelled', 'interrupted')),
    error           TEXT,                                  -- JSON of the error
    peak_bytes      INTEGER,
    items           INTEGER,
    seconds         REAL,
    pid             INTEGER,
    start_ticks     INTEGER,                               -- with pid: which process it was
    pgid            INTEGER,
    supervisor_died INTEGER NOT NULL DEFAULT 0,            -- it was open when the supervisor died
    left_over       INTEGER NOT NULL DEFAULT 0,            -- its process may be alive still
    forgiven        INTEGER NOT NULL DEFAULT 0             -- no longer counts towards giving up
) STRICT;
CREATE INDEX attempts_by_job ON attempts (job);
CREATE INDEX attempts_by_step ON attempts (step);
CREATE INDEX attempts_open ON attempts (job) WHERE ended IS NULL;
CREATE INDEX attempts_left_over ON attempts (id) WHERE left_over;

CREATE TABLE peaks (                                       -- outlives its job: what the estimator learns from
    id             INTEGER PRIMARY KEY,
    step_key       TEXT NOT NULL,
    version        TEXT NOT NULL,
    engine         TEXT NOT NULL,
    features       TEXT NOT NULL,                          -- JSON
    declared_bytes INTEGER NOT NULL,
    reserved_bytes INTEGER NOT NULL,
    peak_bytes     INTEGER NOT NULL,
    censored       INTEGER NOT NULL,                       -- killed: it would have used at least this much
    at             REAL NOT NULL
) STRICT;
CREATE INDEX peaks_by_step ON peaks (step_key, version, engine, id);

CREATE TABLE scratch (                                     -- outlives its job until the files are gone
    path TEXT PRIMARY KEY,
    job  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX scratch_by_job ON scratch (job);

CREATE TABLE outputs (
    path    TEXT PRIMARY KEY,
    job     TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    format  TEXT NOT NULL,
    bytes   INTEGER                                        -- null until it is written
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
    id      INTEGER PRIMARY KEY,
    job     TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    at      REAL NOT NULL,
    message TEXT NOT NULL
) STRICT;
CREATE INDEX history_by_job ON history (job, id);

CREATE VIEW job_rows AS
SELECT
    id, pipeline, identity, source, options, label, state, reason, created, started, ended,
    (SELECT count(*) FROM attempts WHERE attempts.job = jobs.id) AS attempts,
    (SELECT count(*) FROM attempts WHERE attempts.job = jobs.id AND outcome = 'overrun') AS overruns,
    (SELECT coalesce(sum(items), 0) FROM steps WHERE steps.job = jobs.id) AS items,
    (SELECT coalesce(sum(kept), 0) FROM
        (SELECT max(first_item) AS kept FROM attempts WHERE attempts.job = jobs.id GROUP BY step)
    ) AS items_resumed,
    supervisor_deaths, cancel_requested, token, number
FROM jobs;
