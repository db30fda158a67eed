-- How the budget stands.
local requests = {live = 0, history = 0}
for _, one in pairs(waits) do requests[one[2]] = requests[one[2]] + 1 end
return {used, live, lowest or 0, requests.live, requests.history, quiet_until > now and quiet_until or 0, plain.reason or ''}
