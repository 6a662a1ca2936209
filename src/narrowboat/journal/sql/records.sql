-- name: add_peak
INSERT INTO peaks
    (step_key, version, engine, features, declared_bytes, reserved_bytes, peak_bytes, censored, again, seconds, at)
VALUES
    (:step_key, :version, :engine, :features, :declared_bytes, :reserved_bytes, :peak_bytes, :censored, :again, :seconds,
     :now);

-- name: trim_peaks
DELETE FROM peaks
WHERE step_key = :step_key AND version = :version AND engine = :engine
  AND id <= (SELECT id FROM peaks WHERE step_key = :step_key AND version = :version AND engine = :engine
             ORDER BY id DESC LIMIT 1 OFFSET :keep);

-- name: peaks
SELECT * FROM peaks
WHERE step_key = :step_key AND version = :version AND engine = :engine
ORDER BY id DESC LIMIT :limit;

-- name: peaks_of_others
SELECT * FROM peaks
WHERE step_key = :step_key AND version <> :version AND engine = :engine
ORDER BY id DESC LIMIT :limit;

-- name: measured_steps
SELECT step_key, version, engine FROM peaks
GROUP BY step_key, version, engine ORDER BY step_key, engine, max(id) DESC;

-- name: own_scratch
INSERT INTO scratch (path, job) VALUES (CAST(:path AS TEXT), :job)
ON CONFLICT (path) DO UPDATE SET job = excluded.job;

-- name: scratch_of
SELECT path FROM scratch WHERE job = :job ORDER BY path;

-- name: disown_scratch
DELETE FROM scratch WHERE path = CAST(:path AS TEXT);

-- name: orphaned_scratch
SELECT path FROM scratch LEFT JOIN jobs ON jobs.id = scratch.job
WHERE jobs.id IS NULL OR jobs.state IN ('done', 'failed', 'cancelled')
ORDER BY path;

-- name: output_owner
SELECT job FROM outputs WHERE path = CAST(:path AS TEXT);

-- name: want_output
INSERT INTO outputs (path, job, format, shape) VALUES (CAST(:path AS TEXT), :job, :format, :shape)
ON CONFLICT (path) DO UPDATE SET shape = excluded.shape, bytes = NULL
WHERE job = excluded.job AND shape IS NOT excluded.shape;

-- name: mark_output
UPDATE outputs SET bytes = :bytes WHERE job = :job AND path = CAST(:path AS TEXT);

-- name: outputs
SELECT format, path, bytes FROM outputs WHERE job = :job ORDER BY format, path;

-- name: log
INSERT INTO history (job, at, message) VALUES (:job, :now, CAST(:message AS TEXT));

-- name: history
SELECT at, message FROM (SELECT id, at, message FROM history WHERE job = :job ORDER BY id DESC LIMIT :limit)
ORDER BY id;
