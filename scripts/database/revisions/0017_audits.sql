-- Minutes that were answered with nothing while they were young are asked for once more; docs/adr/0018-repair.md.

ALTER TABLE coverage ADD COLUMN audited_until timestamptz;
COMMENT ON COLUMN coverage.audited_until IS
    'Every covered minute before this was last asked for when it was at least a day old; NULL where nobody has looked yet.';
