-- Tells wrk what to ask, by its own arguments: METHOD BODY-FILE NAME:VALUE… (BODY-FILE may be empty), and prints what came of it as JSON.
function init(args)
    wrk.method = args[1]
    if args[2] ~= "" then
        local file = assert(io.open(args[2], "rb"))
        wrk.body = file:read("*a")
        file:close()
    end
    for index = 3, #args do
        local name, value = args[index]:match("^([^:]+):(.*)$")
        wrk.headers[name] = value
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests": %d, "bytes": %d, "microseconds": %d, "failed": %d, "refused": %d, "p50": %d, "p99": %d}\n',
        summary.requests, summary.bytes, summary.duration, errors.connect + errors.read + errors.write + errors.timeout,
        errors.status, latency:percentile(50), latency:percentile(99)
    ))
end
