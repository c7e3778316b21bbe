"""What is expected of a client in a Pod, and whether what was seen is that. Pure."""
import datetime

# In the order of the table, not of the play.
STATES = ("there", "not ready", "tried again", "STS down", "refreshed")

WORKS = "works"
NOT_READY = "answered 503"
UNAUTHORIZED = "answered 401"
NOT_FOUND = "asks nothing"

# A client that gets nothing has said so by then, in seconds, its own start on a busy machine included. By
# itself none takes more than 5.
GIVES_UP = 20


def expected(client, interception, http_tokens, state):
    asks = client.asks_in(interception, http_tokens)
    if not asks:
        return NOT_FOUND
    if http_tokens == "required" and any(request.endswith("v1") for request in asks):
        return UNAUTHORIZED
    return NOT_READY if state == "not ready" else WORKS


def asked(seen):
    """What it asked IMDS for on the way to credentials. What else it asks for, such as a zone, it can do without."""
    return [[request, status] for request, status in seen["requests"] if not request.startswith("/")]


def outcome(seen):
    """What came of it, in the same words."""
    statuses = {status for _, status in asked(seen)}
    if seen["key"]:
        return WORKS
    if not statuses:
        return NOT_FOUND
    refused = {NOT_READY: {200, 503}, UNAUTHORIZED: {401}}
    return next((word for word, allowed in refused.items() if statuses - {200} and statuses <= allowed), f"answered {statuses}")


def problems(client, interception, http_tokens, seen):
    """All that was not as expected, a line each."""
    for state in STATES:
        expectation = expected(client, interception, http_tokens, state)
        for problem in check(client, client.asks_in(interception, http_tokens), state, expectation, seen[state]):
            yield f"{state}, expected: {expectation}. {problem}; saw {seen[state]}"


def check(client, asks, state, expectation, seen):
    if seen["hung"]:
        yield "it hung"
    if seen["code"] is not None and seen["code"] < 0:
        yield f"it died of signal {-seen['code']}"
    if outcome(seen) != expectation:
        yield f"came of it: {outcome(seen)}"
    elif expectation == WORKS:
        yield from check_credentials(client, asks, state, seen)
    else:
        yield from check_refusal(client, seen)


def check_credentials(client, asks, state, seen):
    served = seen["served"]
    if seen["key"] != served["key"]:
        yield f"the emulator serves {served['key']}"
    if seen["code"] not in (None, 0):
        yield f"it ended with {seen['code']}"
    # Credentials that end soon are stretched by some clients, and asked for more than once by others.
    if state == "there":
        end = seconds(served["expiry"]) - (client.container_early if asks == client.container else 0)
        if client.expiry and seen["expiry"] != end:
            yield f"its credentials should end at {end}"
        if asked(seen) != [[request, 200] for request in asks]:
            yield f"it should ask {', '.join(asks)}, and each should be answered 200"


def check_refusal(client, seen):
    if client.kind != "program" and seen["code"] == 0:
        yield "it says that all is well"
    if seen["seconds"] > GIVES_UP:
        yield f"it should give up in {GIVES_UP} s"


def seconds(expiry):
    return int(datetime.datetime.fromisoformat(expiry.replace("Z", "+00:00")).timestamp())
