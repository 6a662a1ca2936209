-- Version 6: addresses are kept without what lets somebody in; see journal/addresses.py.

ALTER TABLE jobs ADD COLUMN hidden INTEGER;    -- 1: the whole address is in HOME/addresses; 0: source is all there is;
                                               -- null: written by an earlier version, and not looked at yet
CREATE INDEX jobs_not_looked_at ON jobs (number) WHERE hidden IS NULL;
