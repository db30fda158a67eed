-- Nothing of a symbol ($1) was wanted or answered; its horizon stays.
UPDATE coverage SET covered = '{}', wanted = '{}', audited_until = NULL WHERE symbol_id = $1
