-- $1 leases that their worker keeps, $2 until when.
UPDATE fetch_leases SET expires_at = $2
WHERE id IN (SELECT id FROM fetch_leases WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE)
