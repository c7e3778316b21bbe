"""deploy/chart/monitoring/dashboard.json: its panels, and their queries as Grafana would send them."""
import json
import pathlib
import re

FILE = pathlib.Path(__file__).parent.parent.parent / "deploy/chart/monitoring/dashboard.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


class Dashboard:
    def __init__(self):
        self.model = json.loads(FILE.read_text())
        self.panels = [panel for panel in self.model["panels"] if panel["type"] != "row"]

    def faults(self):
        """What Grafana would accept and nobody would like."""
        model, panels = self.model, self.model["panels"]
        names = {variable["name"] for variable in model["templating"]["list"]}
        found = [
            {"datasource", "namespace"} <= names or "no variable for the data source, or none for the namespace",
            model["schemaVersion"] >= 39 or "an old schema",
            len({panel["id"] for panel in panels}) == len(panels) or "two panels have one id",
            len({panel["title"] for panel in panels if panel["type"] == "row"}) >= 4 or "rows are missing",
        ]
        for panel in self.panels:
            title = panel["title"]
            spot = panel["gridPos"]
            overlapping = [other["title"] for other in panels if other is not panel and overlap(spot, other["gridPos"])]
            found += [
                not overlapping or f"{title} overlaps {overlapping}",
                spot["x"] + spot["w"] <= 24 or f"{title} is wider than the page",
                bool(panel.get("description")) or f"{title} has no description",
                "unit" in panel["fieldConfig"]["defaults"] or f"{title} has no unit",
                panel["datasource"] == SOURCE or f"{title} has a data source of its own",
                len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) or f"{title}: two targets have one refId",
            ]
            for target in panel["targets"]:
                query = target["expr"]
                found += [
                    target["datasource"] == SOURCE or f"{title}: a target has a data source of its own",
                    "imds_emulator_" not in query or '{namespace=~"$namespace"' in query or ',namespace=~"$namespace"' in query
                    or f"{title} shows every namespace",
                    target["instant"] == (panel["type"] != "timeseries") or f"{title}: instant is for what is no line",
                ]
        return [fault for fault in found if fault is not True]


def queries(panel, variables):
    """A panel's targets, each with its query, the variables in their places."""
    for target in panel["targets"]:
        yield target, re.sub(r"\$(\w+)", lambda match: variables[match[1]], target["expr"])


def overlap(one, other):
    return all(one[at] < other[at] + other[size] and other[at] < one[at] + one[size] for at, size in (("x", "w"), ("y", "h")))
