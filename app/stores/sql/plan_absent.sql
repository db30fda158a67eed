-- Leases whose worker has no session that holds its lock (presence.py): it died, or its connection did.
SELECT id FROM fetch_leases AS l
WHERE NOT EXISTS (
    SELECT FROM pg_locks AS p
    WHERE p.locktype = 'advisory' AND p.classid = 7310005 AND p.objsubid = 2 AND p.granted
        AND p.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND p.objid = (hashtext(l.worker)::bigint & 4294967295)::oid
)
