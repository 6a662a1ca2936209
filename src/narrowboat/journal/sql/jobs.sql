-- name: next_number
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'jobs'), 0) + 1;

-- name: insert
INSERT INTO jobs (number, id, pipeline, identity, source, options, label, hidden, created)
VALUES (:number, :id, :pipeline, :identity, CAST(:source AS TEXT), :options, CAST(:label AS TEXT), :hidden, :now);

-- name: hidden
SELECT hidden FROM jobs WHERE id = :job;

-- name: id_of_identity
SELECT id FROM jobs WHERE identity = :identity;

-- name: row
SELECT * FROM job_rows WHERE id = :job;

-- name: ids_from
SELECT id FROM jobs WHERE id >= :prefix AND id < :prefix || '~' ORDER BY id LIMIT 4;

-- name: oldest_first
SELECT * FROM job_rows
WHERE (:pipeline IS NULL OR pipeline = :pipeline)
  AND (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))
ORDER BY number LIMIT :limit;

-- name: newest
-- Chosen from the index alone, so that rows of job_rows are made only for those that are shown.
SELECT * FROM job_rows WHERE number IN (
    SELECT number FROM jobs WHERE state IN (SELECT value FROM json_each(:states))
    ORDER BY number DESC LIMIT :limit
) ORDER BY number DESC;

-- name: how_many
SELECT count(*) FROM jobs WHERE state IN (SELECT value FROM json_each(:states));

-- name: newest_of_label
SELECT * FROM job_rows WHERE number IN (
    SELECT number FROM jobs
    WHERE label = CAST(:label AS TEXT) AND state IN (SELECT value FROM json_each(:states))
    ORDER BY number DESC LIMIT :limit
) ORDER BY number DESC;

-- name: how_many_of_label
SELECT count(*) FROM jobs WHERE label = CAST(:label AS TEXT) AND state IN (SELECT value FROM json_each(:states));

-- name: page
-- Newest first, from below a number on; chosen from the index alone where that can be.
SELECT * FROM job_rows WHERE number IN (
    SELECT number FROM jobs
    WHERE state IN (SELECT value FROM json_each(:states))
      AND (:pipeline IS NULL OR pipeline = :pipeline)
      AND (:label IS NULL OR label = CAST(:label AS TEXT))
      AND (:before IS NULL OR number < :before)
    ORDER BY number DESC LIMIT :limit
) ORDER BY number DESC;

-- name: how_many_of
SELECT count(*) FROM jobs
WHERE state IN (SELECT value FROM json_each(:states))
  AND (:pipeline IS NULL OR pipeline = :pipeline)
  AND (:label IS NULL OR label = CAST(:label AS TEXT));

-- name: number_of
SELECT number FROM jobs WHERE id = :job;

-- name: ended_before
SELECT id FROM jobs WHERE ended < :at AND state IN ('done', 'failed', 'cancelled') ORDER BY number LIMIT :limit;

-- name: ids_in
SELECT id FROM jobs
WHERE state IN (SELECT value FROM json_each(:states)) AND (:label IS NULL OR label = CAST(:label AS TEXT))
ORDER BY number;

-- name: relabel
UPDATE jobs SET label = CAST(:label AS TEXT) WHERE id = :job AND label IS NOT CAST(:label AS TEXT);

-- name: batches
SELECT label, state, count(*) AS jobs, min(created) AS first, max(coalesce(ended, started, created)) AS last,
       max(number) AS newest
FROM jobs WHERE label IS NOT NULL GROUP BY label, state ORDER BY label, state;

-- name: running_of_batches
SELECT id, label FROM jobs WHERE state = 'running' AND label IS NOT NULL;

-- name: counts
SELECT state, count(*) AS n FROM jobs GROUP BY state;

-- name: claim
UPDATE jobs
SET state = 'running', token = token + 1, owner = :owner, lease_until = :until,
    started = coalesce(started, :now), ended = NULL, reason = NULL
WHERE id = :job AND (state = 'queued' OR (state = 'running' AND lease_until <= :now))
RETURNING token;

-- name: holder
SELECT state, token, owner, lease_until FROM jobs WHERE id = :job;

-- name: renew
UPDATE jobs SET lease_until = :until WHERE id = :job;

-- name: release
UPDATE jobs SET state = 'queued', owner = NULL, lease_until = NULL WHERE id = :job;

-- name: end
UPDATE jobs
SET state = :state, reason = :reason, ended = :now, owner = NULL, lease_until = NULL,
    cancel_requested = 0, supervisor_deaths = 0
WHERE id = :job;

-- name: ask_cancel
UPDATE jobs SET cancel_requested = 1 WHERE id = :job AND state = 'running';

-- name: queue_again
UPDATE jobs
SET state = 'queued', reason = NULL, ended = NULL, owner = NULL, lease_until = NULL,
    cancel_requested = 0, supervisor_deaths = 0, options = coalesce(:options, options)
WHERE id = :job;

-- name: needed_below
-- Sources of jobs that may still be worked on. Of those that failed, not where the source was at fault.
SELECT DISTINCT source FROM jobs
WHERE substr(source, 1, length(CAST(:folder AS TEXT))) = CAST(:folder AS TEXT)
  AND (state IN ('queued', 'running') OR (state = 'failed' AND json_extract(reason, '$.code') IS NOT 'source'));

-- name: set_source
UPDATE jobs SET source = CAST(:source AS TEXT) WHERE id = :job;

-- name: set_options
UPDATE jobs SET options = :options WHERE id = :job;

-- name: forgive
UPDATE attempts SET forgiven = 1 WHERE job = :job;

-- name: forget_steps
DELETE FROM steps WHERE job = :job;

-- name: forget_start
UPDATE jobs SET started = NULL WHERE id = :job;

-- name: unwrite_outputs
UPDATE outputs SET bytes = NULL WHERE job = :job;

-- name: forget
DELETE FROM jobs WHERE id = :job;

-- name: close_attempts
UPDATE attempts SET ended = :now, outcome = :outcome WHERE job = :job AND ended IS NULL;

-- name: count_deaths
UPDATE jobs SET supervisor_deaths = supervisor_deaths + 1
WHERE state = 'running' AND id IN (SELECT job FROM attempts WHERE ended IS NULL);

-- name: interrupt_attempts
UPDATE attempts
SET ended = :now, outcome = 'interrupted', supervisor_died = 1, left_over = pid IS NOT NULL
WHERE ended IS NULL;

-- name: recover_cancelled
UPDATE jobs
SET state = 'cancelled', reason = :reason, ended = :now, owner = NULL, lease_until = NULL,
    cancel_requested = 0, supervisor_deaths = 0
WHERE state = 'running' AND cancel_requested;

-- name: recover_running
UPDATE jobs SET state = 'queued', owner = NULL, lease_until = NULL WHERE state = 'running';
