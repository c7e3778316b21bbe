"""The metrics, the alert rules and the dashboard, in the eyes of promtool and of a real Prometheus that scrapes a local run.

    run.py PROMETHEUS PROMTOOL
"""
import contextlib
import math
import pathlib
import re
import sys
import tempfile

import yaml

import documented
from dashboard import Dashboard, queries
from local_run import ROOT, RULES, LocalRun, ask
from prometheus import Promtool, QueryError

TESTS = ROOT / "tests/metrics/alerts_test.yaml"
SECONDS = 40
# What others show, and Prometheus itself.
FOREIGN = {
    "ALERTS", "apiserver_admission_webhook_fail_open_count", "apiserver_admission_webhook_rejection_count", "kube_pod_container_info",
    "kube_pod_init_container_info", "kube_pod_labels", "kube_pod_status_phase",
}
# These need more time than there is, or nothing goes wrong that they are about.
QUIET = {"ImdsRefreshFailing", "ImdsWebhookAbsent", "ImdsWebhookCertificateExpiring"}

failures = []


def check(what, *faults):
    """The faults are what is wrong with it: none is well."""
    faults = [fault for fault in faults if fault and fault is not True]
    print(f"  {'✘' if faults else '✔'} {what}" + "".join(f"\n      {fault}" for fault in faults), flush=True)
    failures.extend(faults)


def main():
    prometheus, promtool = sys.argv[1], Promtool(sys.argv[2])
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    dashboard = Dashboard()
    check_rules(promtool, rules)
    check_scrape_configs(promtool)
    check("the dashboard is one that Grafana shows well", *dashboard.faults())
    with contextlib.ExitStack() as stack:
        run = LocalRun(stack, prometheus, SECONDS, scrape_interval=1)
        run.play()
        check_pages(promtool, run)
        check_names(run, rules, dashboard)
        check_queries(run, dashboard)
        check_alerts(run)
    print(f"metrics: {len(failures)} faults")
    sys.exit(bool(failures))


def check_rules(promtool, rules):
    check("promtool check rules", *promtool.faults("check", "rules", RULES))
    check("promtool test rules", *promtool.faults("test", "rules", TESTS))
    alerts = {rule["alert"]: (rule["labels"]["severity"], True) for rule in rules}
    check("docs/metrics.md tells of every alert, with its severity and a heading", *differences(alerts, documented.alerts()))
    runbooks = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules}
    check("each leads to its heading", *(
        url == f"docs/metrics.md#{alert.lower()}" or f"{alert} leads to {url}" for alert, url in runbooks.items()))
    tested = [one for test in yaml.safe_load(TESTS.read_text())["tests"] for one in test["alert_rule_test"]]
    for fires in (True, False):
        missing = alerts.keys() - {one["alertname"] for one in tested if bool(one["exp_alerts"]) == fires}
        check(f"each has a test where it {'fires' if fires else 'does not fire'}", *(f"not {alert}" for alert in missing))


def check_scrape_configs(promtool):
    jobs = documented.scrape_configs()
    for job in jobs:
        # Debian builds Prometheus without discovery in Kubernetes.
        job["static_configs"] = [{"targets": ["pod:80"]} for _ in job.pop("kubernetes_sd_configs")]
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "prometheus.yml")
        config.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "scrape_configs": jobs}))
        check("promtool check config, of docs/metrics.md with other targets", *promtool.faults("check", "config", config))


def check_pages(promtool, run):
    admin = [admin for _, admin in run.emulators.values()]
    for program, ports in {"imds-emulator": admin, "imds-webhook": [run.webhook]}.items():
        pages = [ask(port, "GET", "/metrics")[1] for port in ports]
        check(f"promtool check metrics, {program}", *(fault for page in pages for fault in promtool.faults("check", "metrics", stdin=page)))
        seen = {name: kind for page in pages for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE)}
        check(f"{program} serves the metrics of docs/metrics.md and no other", *differences(seen, documented.families(program)))


def check_names(run, rules, dashboard):
    """Every metric in a query is one of ours or a known one of others, and was scraped."""
    ours = documented.families("imds-emulator") | documented.families("imds-webhook")
    series = {f"{name}{suffix}" for name, kind in ours.items() for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))}
    scraped = set(run.prometheus.get("label/__name__/values"))
    asked = [query for panel in dashboard.panels for _, query in queries(panel, run.variables())]
    asked += [rule["expr"] for rule in rules] + documented.questions()
    named = {name for query in asked for name in re.findall(r"\b(?:imds|process|kube|apiserver)_\w+|\bALERTS\b", unquoted(query))}
    check(f"the {len(named)} metrics in {len(asked)} queries are known and scraped",
          *(f"unknown: {name}" for name in named - series - FOREIGN), *(f"not scraped: {name}" for name in named - scraped))


def unquoted(query):
    return re.sub(r'"[^"]*"', "", query)


def check_queries(run, dashboard):
    for panel in dashboard.panels:
        faults = [no_data(run, query, target["instant"]) for target, query in queries(panel, run.variables())]
        check(f"panel {panel['title']}", *faults)
    for query in documented.questions():
        check(query, no_data(run, query, instant=True))


def no_data(run, query, instant):
    """What is wrong with a query that has no figure to show. Behind `or vector(0)` nought is none."""
    try:
        if instant:
            values = [float(series["value"][1]) for series in run.prometheus.query(query, run.end)]
        else:
            found = run.prometheus.query_range(query, run.start, run.end, run.scrape_interval)
            values = [float(value) for series in found for _, value in series["values"]]
    except QueryError as error:
        return str(error)
    figures = [value for value in values if math.isfinite(value) and (value or "or vector(0)" not in query)]
    return "" if figures else f"no data: {query}"


def check_alerts(run):
    rules = {rule["name"]: rule for rule in run.prometheus.rules()}
    check("Prometheus evaluates every rule", *(rule["health"] == "ok" or rule.get("lastError") for rule in rules.values()))
    # Before the first scrape the webhook was absent.
    shown = run.prometheus.query_range("ALERTS", run.start + 2 * run.scrape_interval, run.end, run.scrape_interval)
    seen = {series["metric"]["alertname"] for series in shown}
    expected = rules.keys() - QUIET
    check(f"{', '.join(sorted(expected))}: pending or firing, and no other alert", *(f"{alert}: seen or expected, not both" for alert in expected ^ seen))


def differences(ones, others):
    keys = sorted(ones.keys() | others.keys())
    return [f"{key}: {ones.get(key)}, but {others.get(key)}" for key in keys if ones.get(key) != others.get(key)]


main()
