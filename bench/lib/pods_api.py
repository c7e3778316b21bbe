"""Pods of a cluster by its API server: created, watched, deleted. Over connections that stay, because a kubectl for each would be measured too."""
import contextlib
import http.client
import json
import ssl
import threading
import time
import urllib.parse

from measuring import Failed


class Pods:
    """The Pods of one namespace. Use it as a context: it watches from then on."""

    def __init__(self, server, certificate_authority, token, namespace):
        self.address = urllib.parse.urlsplit(server)
        self.tls = ssl.create_default_context(cafile=certificate_authority)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.path = f"/api/v1/namespaces/{namespace}/pods"
        self.connection = self._connect(30)
        self.changed = threading.Condition()
        self.ready, self.known, self.failure = {}, {}, None

    def __enter__(self):
        version = self._ask("GET", self.path)["metadata"]["resourceVersion"]
        self.watching = self._connect(None)
        self.watching.request("GET", f"{self.path}?watch=1&resourceVersion={version}", headers=self.headers)
        self.stream = self.watching.getresponse()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.watching.sock.shutdown(2)

    def create(self, document, **how):
        """The Pod as the server has it, or with `dryRun` would."""
        return self._ask("POST", f"{self.path}?{urllib.parse.urlencode(how)}", document)

    def delete(self, name):
        self._ask("DELETE", f"{self.path}/{name}")

    def wait_ready(self, names, seconds):
        """name -> when the watch told that it is ready, on the clock of time.time()."""
        self._wait(lambda: set(names) <= set(self.ready), seconds, lambda: f"not ready: {sorted(set(names) - set(self.ready))}")
        return {name: self.ready[name] for name in names}

    def wait_gone(self, names, seconds):
        self._wait(lambda: not set(names) & set(self.known), seconds, lambda: f"not gone: {sorted(set(names) & set(self.known))}")

    def _wait(self, holds, seconds, otherwise):
        with self.changed:
            if not self.changed.wait_for(lambda: self.failure or holds(), seconds) or self.failure:
                raise Failed(f"{self.failure or 'too late'}: {otherwise()}")

    def _watch(self):
        try:
            for line in self.stream:
                now = time.time()
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise Failed(event["object"])
                with self.changed:
                    self._note(event["type"], event["object"], now)
                    self.changed.notify_all()
            raise Failed("the watch has ended")
        except (Failed, OSError, ValueError, http.client.HTTPException) as error:
            with self.changed:
                self.failure = error
                self.changed.notify_all()

    def _note(self, kind, pod, now):
        name = pod["metadata"]["name"]
        if kind == "DELETED":
            self.known.pop(name, None)
            self.ready.pop(name, None)
            return
        self.known[name] = pod
        conditions = {condition["type"]: condition["status"] for condition in pod["status"].get("conditions", [])}
        if conditions.get("Ready") == "True":
            self.ready.setdefault(name, now)

    def _connect(self, timeout):
        return http.client.HTTPSConnection(self.address.hostname, self.address.port, context=self.tls, timeout=timeout)

    def _ask(self, method, path, document=None):
        self.connection.request(method, path, body=document and json.dumps(document), headers=self.headers)
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status >= 300:
            raise Failed(f"{method} {path}: {answer.status} {body.decode()}")
        return json.loads(body)
