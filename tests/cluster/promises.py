"""How a promise is kept or found broken."""
import subprocess
import time


class Failed(Exception):
    """What was promised did not hold."""


def check(holds, what):
    if not holds:
        raise Failed(what)


def wait_for(what, condition, seconds=60, alive=None, seen=lambda: ""):
    """The first true value of `condition`, asked again and again; `alive` is a process without which waiting is in vain, `seen`
    what there is to say when it was in vain.
    """
    end = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        check(alive is None or alive.poll() is None, f"{what}: the program has ended")
        if time.monotonic() >= end:
            raise Failed(f"{what}: not within {seconds} s\n{seen()}".rstrip())
        time.sleep(0.2)


def name_of(test):
    return test.__name__.replace("_", " ")


class Promises:
    """Tests that run in their order, in one cluster; each is named for what it promises, and returns what it measured, if anything."""

    def __init__(self, *parts):
        """Those of each part, in this order."""
        self.tests = [test for part in parts for test in part.tests]

    def __call__(self, test):
        """Marks a test."""
        self.tests.append((test, lambda suite: True))
        return test

    def where(self, holds):
        """Marks a test of what only some clusters have: those of which `holds(suite)` is true. The others are told of."""
        def mark(test):
            self.tests.append((test, holds))
            return test
        return mark

    def names(self):
        return [name_of(test) for test, _ in self.tests]

    def keep(self, make_suite, programs, record=lambda suite, outcomes: None):
        """Runs them; the exit code. What the programs said is told where one fails. Where none does, `record` is given what became
        of each: by its name, whether this cluster has what it is about.
        """
        outcomes = {}
        try:
            suite = make_suite()
            for test, holds in self.tests:
                name = name_of(test)
                if not holds(suite):
                    outcomes[name] = False
                    print(f"  - not on this cluster: {name}", flush=True)
                    continue
                start = time.monotonic()
                measured = test(suite)
                print(f"  ✔ {name} ({time.monotonic() - start:.1f} s){f': {measured}' if measured else ''}", flush=True)
                outcomes[name] = True
            record(suite, outcomes)
        except (Failed, subprocess.SubprocessError, OSError, KeyError, ValueError) as error:
            print(f"  ✘ {error if isinstance(error, Failed) else repr(error)}")
            print("\n".join(programs.tails()))
            return 1
        return 0
