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


class Promises:
    """Tests that run in their order, in one cluster; each is named for what it promises."""

    def __init__(self):
        self.tests = []

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

    def keep(self, make_suite, programs):
        """Runs them; the exit code. What the programs said is told where one fails."""
        try:
            suite = make_suite()
            for test, holds in self.tests:
                name = test.__name__.replace("_", " ")
                if not holds(suite):
                    print(f"  - not on this cluster: {name}", flush=True)
                    continue
                start = time.monotonic()
                test(suite)
                print(f"  ✔ {name} ({time.monotonic() - start:.1f} s)", flush=True)
        except (Failed, subprocess.SubprocessError, OSError, KeyError, ValueError) as error:
            print(f"  ✘ {error if isinstance(error, Failed) else repr(error)}")
            print("\n".join(programs.tails()))
            return 1
        return 0
