-- Version 3: what of a job's options an output was written with.

ALTER TABLE outputs ADD COLUMN shape TEXT;    -- JSON; null where no option changes it
