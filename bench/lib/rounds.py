"""The rounds of bench/run, and what of a server is measured apart from them."""
import contextlib
import http.client
import sys

import load
import measuring


def measure(measured, count, seconds, missing):
    """name -> figures of each round. Who can't be measured is moved from the ones to the others."""
    core, found = load.pinned(load.cores()[0]), {}
    for index in range(count):
        for server in list(measured):
            say(f"round {index + 1} of {count}: {server.name}")

            def leave_out(why):
                measured.remove(server)
                found.pop(server.name, None)
                missing[server.name] = why

            with excused(server, leave_out), load.off_the_servers_core():
                one(server, found, core, seconds)
    return found


def apart_from_load(server, figures, copies):
    """Memory of copies beside each other, and instructions."""
    say(f"{copies} copies, and instructions: {server.name}")
    figures |= {"single": server.single, "copies": None, "instructions": {}}
    if not server.single:
        figures["copies"] = {"count": copies} | measuring.copies(server.start, copies)
    if server.lives:
        # Not everything of others runs under callgrind.
        with excused(server, lambda why: None):
            figures["instructions"] = instructions(server)


@contextlib.contextmanager
def excused(server, otherwise):
    """A server of others may fail: it is said, and something is done about it. Ours may not."""
    try:
        yield
    except (measuring.Failed, OSError, http.client.HTTPException) as error:
        if not server.theirs:
            raise SystemExit(f"bench/run: {error}") from error
        say(f"left out: {error}")
        otherwise(str(error).splitlines()[0])


def one(server, found, core, seconds):
    """One round of one server: started, loaded in each way, ended."""
    figures = found.setdefault(server.name, {
        "group": server.group, "what": server.what, "modes": server.modes, "size": server.size(),
        "asks": {}, "first": [], "idle": [], "loaded": [],
    })
    for close in (False, True):
        modes = [mode for mode in server.modes if load.MODES[mode][1] == close]
        if not modes:
            continue
        with contextlib.ExitStack() as stack:
            running = server.start(stack, core, close)
            asks = server.asks(running)
            # Once a round.
            fresh = modes[0] == server.modes[0]
            if fresh:
                figures["first"].append(running.first)
                figures["idle"].append(measuring.smaps(running.pids()))
            for mode in modes:
                for name, ask in asks.items():
                    once = fresh and mode == modes[0] and name == next(iter(asks))
                    look = (lambda: figures["loaded"].append(measuring.smaps(running.pids()))) if once else None
                    for figure, value in load.measure(running, ask, mode, seconds, look).items():
                        figures["asks"].setdefault(name, {}).setdefault(mode, {}).setdefault(figure, []).append(value)


def instructions(server):
    """User instructions of a request, for each thing that is asked."""
    with contextlib.ExitStack() as stack:
        names = list(server.asks(server.start(stack)))
    return {name: measuring.instructions_each(lambda stack, before: Asked(server, stack, before, name), lambda asked: asked(), *server.lives) for name in names}


class Asked:
    """A server under callgrind whose connection asks for one thing."""

    def __init__(self, server, stack, before, name):
        self.running = server.start(stack, before)
        self.ask = server.asks(self.running)[name]

    def connection(self):
        connection = self.running.connection()
        return lambda: self.ask.on(connection)


def say(line):
    print(f"  {line}", file=sys.stderr, flush=True)
