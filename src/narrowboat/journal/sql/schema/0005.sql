-- Version 5: the jobs of a label (a batch) are found without looking at all jobs.

CREATE INDEX jobs_by_label ON jobs (label, state, number) WHERE label IS NOT NULL;
