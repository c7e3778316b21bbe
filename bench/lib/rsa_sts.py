"""A local STS behind a chain of RSA certificates, as AWS's endpoints have: the server's, an intermediate authority's, and a root that the
client brings. local-sts has one certificate with a P-256 key, which costs more to verify."""
import http.client
import http.server
import pathlib
import ssl
import subprocess
import tempfile
import threading


class Sts:
    """Hands every request on to the local STS."""

    def __init__(self, stack, sts):
        self.sts = sts
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.make_certificates()
        upstream = sts.environment()["AWS_ENDPOINT_URL_STS"].removeprefix("https://").rstrip("/")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(upstream))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "chain.pem", self.folder / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        self.port = server.server_address[1]

    def environment(self, port=0):
        own = {"AWS_ENDPOINT_URL_STS": f"https://127.0.0.1:{self.port}", "AWS_CA_BUNDLE": str(self.folder / "root.pem")}
        return self.sts.environment(port) | own

    def make_certificates(self):
        authority = "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"
        self.certificate("root", None, authority)
        self.certificate("intermediate", "root", authority)
        self.certificate("server", "intermediate", ("basicConstraints=CA:FALSE", "subjectAltName=IP:127.0.0.1", "extendedKeyUsage=serverAuth"))
        chain = (self.folder / f"{name}.pem" for name in ("server", "intermediate"))
        (self.folder / "chain.pem").write_text("".join(path.read_text() for path in chain))

    def certificate(self, name, issuer, extensions):
        key, certificate = self.folder / f"{name}.key", self.folder / f"{name}.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}", "-keyout", key, "-out", certificate]
        command += [part for extension in extensions for part in ("-addext", extension)]
        command += ["-CA", self.folder / f"{issuer}.pem", "-CAkey", self.folder / f"{issuer}.key"] if issuer else []
        subprocess.run(command, check=True, capture_output=True)


def handler(upstream):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            # Between the two it is not the certificates that are measured.
            connection = http.client.HTTPSConnection(upstream, context=ssl._create_unverified_context())
            connection.request("POST", self.path, body, dict(self.headers))
            answer = connection.getresponse()
            text = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    return Handler
