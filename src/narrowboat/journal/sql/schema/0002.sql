-- Version 2: what a peak cost, and whether it was the first try of its input; two more ends of an attempt.

ALTER TABLE peaks ADD COLUMN seconds REAL NOT NULL DEFAULT 0;    -- that the attempt took
ALTER TABLE peaks ADD COLUMN again   INTEGER NOT NULL DEFAULT 0; -- an attempt of the same input was killed before

-- SQLite can't change a CHECK: the table is made again, and the view that reads it.
DROP VIEW job_rows;
CREATE TABLE attempts_now (
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
                    ('done', 'failed', 'overrun', 'fault', 'killed', 'squeezed', 'stopped', 'cancelled',
                     'interrupted')),
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
INSERT INTO attempts_now SELECT * FROM attempts;
DROP TABLE attempts;
ALTER TABLE attempts_now RENAME TO attempts;
CREATE INDEX attempts_by_job ON attempts (job);
CREATE INDEX attempts_by_step ON attempts (step);
CREATE INDEX attempts_open ON attempts (job) WHERE ended IS NULL;
CREATE INDEX attempts_left_over ON attempts (id) WHERE left_over;
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
