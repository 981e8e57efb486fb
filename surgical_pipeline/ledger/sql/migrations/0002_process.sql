-- Which process works on a run, told so that a reused pid cannot pass for it: boot, pid namespace and start time of
-- the process (ledger/process.py). NULL: not known, and the heartbeat alone tells.
ALTER TABLE sync_runs ADD COLUMN process VARCHAR;
