-- name: start
INSERT INTO attempts (job, step, first_item, declared_bytes, reserved_bytes, cores, started)
SELECT :job, id, items, :declared_bytes, :reserved_bytes, :cores, :now FROM steps
WHERE id = :step AND job = :job
RETURNING id;

-- name: process
UPDATE attempts SET pid = :pid, start_ticks = :start_ticks, pgid = :pgid WHERE id = :attempt;

-- name: end
UPDATE attempts
SET ended = :now, outcome = :outcome, error = :error, peak_bytes = :peak_bytes, items = :items, seconds = :seconds
WHERE id = :attempt AND ended IS NULL;

-- name: of_job
SELECT attempts.*, steps.key AS step_key FROM attempts JOIN steps ON steps.id = attempts.step
WHERE attempts.job = :job ORDER BY attempts.id;

-- name: left_over
SELECT attempts.*, steps.key AS step_key FROM attempts JOIN steps ON steps.id = attempts.step
WHERE left_over ORDER BY attempts.id;

-- name: reaped
UPDATE attempts SET left_over = 0 WHERE id = :attempt;

-- name: faults_in_a_row
-- Items only ever grow, so an attempt that started at today's count was not followed by a new item.
SELECT count(*) FROM attempts
WHERE step = :step AND job = :job AND NOT forgiven
  AND (outcome = 'fault' OR (outcome = 'interrupted' AND NOT supervisor_died))
  AND first_item = (SELECT items FROM steps WHERE id = :step);

-- name: kills_in_a_row
SELECT count(*) FROM attempts
WHERE step = :step AND job = :job AND NOT forgiven AND outcome = 'killed'
  AND first_item = (SELECT items FROM steps WHERE id = :step);
