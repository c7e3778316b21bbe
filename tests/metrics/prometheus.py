"""Prometheus and promtool, as Debian packages them, and Prometheus's HTTP API."""
import json
import pathlib
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import yaml


class Promtool:
    def __init__(self, program):
        self.program = program

    def faults(self, *arguments, stdin=None):
        """What promtool has to say against it; nothing where all is well."""
        done = subprocess.run([self.program, *map(str, arguments)], input=stdin, capture_output=True, text=True)
        return [] if done.returncode == 0 else [(done.stdout + done.stderr).strip()]


class Prometheus:
    """Scrapes and evaluates at this interval."""

    def __init__(self, program, processes, rules, scrape_configs, interval):
        folder = processes.folder / "prometheus"
        folder.mkdir()
        every = {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
        config = {"global": every, "rule_files": [str(rules)], "scrape_configs": scrape_configs}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        processes.start("prometheus", [
            pathlib.Path(program).resolve(), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}", "--web.listen-address=127.0.0.1:0"])
        log = processes.log("prometheus")
        listening = re.compile(r'msg="Listening on" address=127\.0\.0\.1:(\d+)')
        processes.until("Prometheus listens", lambda: listening.search(log.read_text()), "prometheus")
        self.port = int(listening.search(log.read_text())[1])
        processes.until_answers("prometheus", self.port, "/-/ready")

    def get(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise QueryError(json.load(error)["error"]) from error

    def query(self, query, at):
        return self.get("query", query=query, time=at)["result"]

    def query_range(self, query, start, end, step):
        return self.get("query_range", query=query, start=start, end=end, step=step)["result"]

    def targets(self):
        return self.get("targets", state="active")["activeTargets"]

    def rules(self):
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]


class QueryError(Exception):
    """Prometheus does not take the query."""
