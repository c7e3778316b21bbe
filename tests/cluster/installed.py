"""The webhook that is installed in a cluster, however it is run there."""
import base64

# The chart's names, which are also those of deploy/install.yaml.
NAMESPACE = "imds-system"
NAME = "imds-webhook"
SECRET = "imds-webhook-certificates"


def sum_of_samples(page, *words):
    """Of those of a metrics page that have all these words."""
    lines = page.splitlines()
    return sum(float(line.split()[-1]) for line in lines if not line.startswith("#") and all(word in line for word in words))


class Installed:
    def __init__(self, cluster):
        self.cluster = cluster

    def bundles(self):
        """The authorities that the API server is told to trust, of each webhook: PEM blocks."""
        webhooks = self.cluster.get("mutatingwebhookconfiguration", NAME)["webhooks"]
        texts = [base64.b64decode(webhook["clientConfig"].get("caBundle", "")).decode() for webhook in webhooks]
        mark = "-----END CERTIFICATE-----\n"
        return [{block + mark for block in text.split(mark) if block} for text in texts]

    def authority(self):
        """The one in the Secret; empty where there is none."""
        data = self.cluster.get("secret", SECRET, NAMESPACE).get("data", {})
        return base64.b64decode(data.get("ca.crt", "")).decode()
