"""Programs that run beside each other for the length of a test, with a folder for what they write."""
import contextlib
import http.client
import os
import pathlib
import subprocess
import sys
import tempfile
import time

# Past this nothing is slow, but stuck.
STUCK = 60


class Processes:
    def __init__(self, stack):
        self.stack = stack
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.bare = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self, name, command, environment={}):
        log = self.stack.enter_context(open(self.log(name), "w"))
        command = [str(word) for word in command]
        process = subprocess.Popen(command, env=self.bare | environment, cwd=self.folder, stdout=log, stderr=log)
        self.stack.callback(lambda: (process.kill(), process.wait()))

    def log(self, name):
        return self.folder / f"{name}.log"

    def until(self, what, reached, log, meanwhile=lambda: None):
        """Waits until this is so; the program that writes the log is the one to blame."""
        end = time.monotonic() + STUCK
        while time.monotonic() < end:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if reached():
                    return
            meanwhile()
            time.sleep(0.05)
        sys.exit(f"waited {STUCK} s in vain until {what}\n{self.log(log).read_text()[-3000:]}")

    def until_answers(self, name, port, path):
        self.until(f"{name} answers on port {port}", lambda: ask(port, "GET", path)[0] == 200, name)


def ask(port, method, path, body=None, headers={}, host="127.0.0.1"):
    connection = http.client.HTTPConnection(host, port, timeout=5)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def emulator(processes, programs, **settings):
    """The emulator with these settings, in place of an injected Pod's, once it has credentials."""
    bare = {"AWS_ROLE_SESSION_NAME": "default.nginx"}
    processes.start("imds-emulator", [programs / "imds-emulator"], bare | settings)
    processes.until_answers("imds-emulator", 1339, "/readyz")


def local_sts(processes, programs, trust, *flags):
    """The local STS, which trusts this (`ROLE=SUBJECT`), once it is up: its URL, and the file of a Pod's token."""
    state = processes.folder / "sts"
    processes.start("local-sts", [programs / "local-sts", "--plain-http", "--state", state, "--role", trust, *flags])
    processes.until("local-sts is up", (state / "url").exists, "local-sts")
    return (state / "url").read_text().strip(), state / "token" / "token"
