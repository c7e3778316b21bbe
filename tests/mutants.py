"""Deliberate breaks of the schedule and of the cache, each of which the simulation has to catch.

    tests/mutants.py            all
    tests/mutants.py NUMBER…    some

A mutant is a text of a file and what it is replaced by, in a copy of the workspace; `cargo test --test simulation` has to fail on it, and
by a broken promise: one that does not compile has caught nothing. The copy has a target folder of its own: in a shared one cargo
would take the mutant's library for the checkout's.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = pathlib.Path("crates/emulator/src")
SCHEDULE, CREDENTIALS, REFRESH, IMDS = (SOURCE / name for name in ("schedule.rs", "credentials.rs", "refresh.rs", "imds/mod.rs"))

# What is broken, where, and how.
MUTANTS = [
    ("refreshes late", SCHEDULE, "0.40..0.50", "0.80..0.90"),
    ("sees only boot time when it asks what is due", SCHEDULE,
     "let left = by_wall.min(self.due.boot.saturating_sub(now.boot));", "let left = self.due.boot.saturating_sub(now.boot);"),
    ("sees only wall time when it asks what is due", SCHEDULE,
     "let left = by_wall.min(self.due.boot.saturating_sub(now.boot));", "let left = by_wall;"),
    ("sleeps until it is due", SCHEDULE, "Step::Wait(left.min(LONGEST_SLEEP))", "Step::Wait(left)"),
    ("waits ever longer after failures", SCHEDULE, ".min(cap);", ".min(cap * 100);"),
    ("does not wait after a failure", SCHEDULE, "let wait = backoff(remedy, self.failures, retry_after, left, random);", "let wait = Duration::ZERO;"),
    ("waits as long as STS says, however long", SCHEDULE, "retry_after.unwrap_or_default().min(Duration::from_mins(5))", "retry_after.unwrap_or_default()"),
    ("refreshes by the life that was given, not by what is left", SCHEDULE, "left.saturating_sub(life.mul_f64(1.0 - share))", "life.mul_f64(share)"),
    ("lets the later of both ends count", CREDENTIALS, "now.wall < self.end.wall && now.boot < self.end.boot", "now.wall < self.end.wall || now.boot < self.end.boot"),
    ("believes the wall clock alone", CREDENTIALS, "now.wall < self.end.wall && now.boot < self.end.boot", "now.wall < self.end.wall"),
    ("believes boot time alone", CREDENTIALS, "now.wall < self.end.wall && now.boot < self.end.boot", "now.boot < self.end.boot"),
    ("forgets how long the answer was on its way", CREDENTIALS, "let left = life.saturating_sub(on_the_way);", "let left = life;"),
    ("takes whole seconds for exact ones", CREDENTIALS, "const RESOLUTION: Duration = Duration::from_secs(1);", "const RESOLUTION: Duration = Duration::ZERO;"),
    ("believes in lives longer than were asked for", CREDENTIALS, "let life = life.min(asked.saturating_sub(RESOLUTION));", ""),
    ("believes any Date", CREDENTIALS, ".filter(|life| *life <= asked + IMPLAUSIBLE)", ""),
    ("invents an Expiration", CREDENTIALS,
     "humantime::format_rfc3339_seconds(credentials.expiration),\n    );", "humantime::format_rfc3339_seconds(credentials.expiration + Duration::from_mins(15)),\n    );"),
    ("lets worse credentials replace better ones", REFRESH, "if held.as_deref().is_some_and(worse) {", "if held.as_deref().is_some_and(worse) && false {"),
    ("drops credentials when STS fails", REFRESH, "state.failure = Some(Arc::new(failure));", "state.failure = Some(Arc::new(failure)); state.credentials = None;"),
    ("is not woken by readers who find nothing", REFRESH, "self.wake.notify_one();", ""),
    ("serves what has ended", IMDS, "let valid = credentials.filter(|credentials| credentials.are_valid(now));\n        match (resource, valid)",
     "let valid = credentials;\n        match (resource, valid)"),
]


def copy_of_the_workspace(folder):
    tracked = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            # Newer than what the target folder holds: the last run's mutant.
            shutil.copy(ROOT / name, target)


def simulate(folder):
    """Whether the promises held, and what was printed."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(ROOT / "target" / "mutants"), "RUST_BACKTRACE": "0"}
    command = ["cargo", "test", "--quiet", "--package", "imds-emulator", "--test", "simulation"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def main():
    wanted = [int(number) for number in sys.argv[1:]] or range(1, len(MUTANTS) + 1)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        copy_of_the_workspace(folder)
        held, said = simulate(folder)
        if not held:
            sys.exit(f"the simulation fails on what is there:\n{said}")
        for number in wanted:
            what, path, before, after = MUTANTS[number - 1]
            begun = time.monotonic()
            whole = (folder / path).read_text()
            if whole.count(before) != 1:
                sys.exit(f"mutant {number}: {path} does not hold this once: {before}")
            (folder / path).write_text(whole.replace(before, after))
            held, said = simulate(folder)
            (folder / path).write_text(whole)
            broken = next((line for line in said.splitlines() if line.startswith("seed ")), None)
            caught = not held and broken is not None
            failed += not caught
            why = broken if caught else "nobody noticed" if held else said[-2000:]
            print(f"  {'✔' if caught else '✘'} {number}. {what} ({time.monotonic() - begun:.0f} s)\n      {why[:200]}", flush=True)
    print(f"mutants: {len(wanted) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
