"""The local STS as a Pod of the cluster. It verifies the cluster's own tokens, with the keys that the API server publishes."""
import json

from images import CLIENT
from injection import EXAMPLE_ROLE
from promises import wait_for

NAME, PORT = "local-sts", 8000


class StsPod:
    """Running, and ready to give the example's role to these service accounts (NAMESPACE:NAME)."""

    def __init__(self, cluster, namespace, accounts):
        self.cluster, self.namespace = cluster, namespace
        issuer = json.loads(cluster.kubectl("get", "--raw", "/.well-known/openid-configuration").stdout)["issuer"]
        jwks = cluster.kubectl("get", "--raw", "/openid/v1/jwks").stdout
        for document in (
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": namespace}, "data": {"jwks.json": jwks}},
        ):
            cluster.kubectl("create", "--filename=-", document=document)
        wait_for("a default service account", lambda: cluster.exists("serviceaccount", "default", namespace))
        roles = [f"--role={EXAMPLE_ROLE}={account}" for account in accounts]
        cluster.kubectl("create", "--filename=-", document={
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": NAME, "namespace": namespace},
            "spec": {
                "automountServiceAccountToken": False,
                "containers": [{
                    "name": NAME, "image": CLIENT, "imagePullPolicy": "IfNotPresent",
                    "command": ["/local-sts", "--plain-http", f"--listen=0.0.0.0:{PORT}", "--state=/state",
                                f"--issuer={issuer}", "--jwks=/cluster/jwks.json", *roles],
                    "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
                    "volumeMounts": [{"name": "cluster", "mountPath": "/cluster"}, {"name": "state", "mountPath": "/state"}],
                }],
                "volumes": [{"name": "cluster", "configMap": {"name": NAME}}, {"name": "state", "emptyDir": {}}],
            },
        })
        cluster.wait_ready(NAME, namespace)
        self.url = f"http://{cluster.get('pod', NAME, namespace)['status']['podIP']}:{PORT}"

    def exchanges(self, session):
        """What became of the requests for credentials under this session name."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{NAME}:{PORT}/proxy/_local/exchanges"
        return [exchange for exchange in json.loads(self.cluster.kubectl("get", "--raw", path).stdout)
                if exchange["session_name"] == session]
