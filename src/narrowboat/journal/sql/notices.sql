-- name: owe
INSERT INTO notices (job, next) VALUES (:job, :now)
ON CONFLICT (job) DO UPDATE SET tries = 0, next = excluded.next;

-- name: due
SELECT notices.job, notices.tries FROM notices JOIN jobs ON jobs.id = notices.job
WHERE notices.next <= :now AND jobs.state IN ('done', 'failed', 'cancelled') ORDER BY notices.next LIMIT :limit;

-- name: postpone
UPDATE notices SET tries = tries + 1, next = :next WHERE job = :job;

-- name: settle
DELETE FROM notices WHERE job = :job;
