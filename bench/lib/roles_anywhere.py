"""IAM Roles Anywhere, as far as rolesanywhere-credential-helper needs it: every CreateSession gets credentials for an hour, over TLS as from
the local STS. The signature is not checked: nothing of this is measured but the wait for it.
API: https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-create-session.html
"""
import datetime
import http.server
import json
import ssl
import threading

import ours

REGION = "us-east-1"
ACCOUNT = "123456789012"


class RolesAnywhere:
    def __init__(self, stack):
        self.certificate, self.key = ours.certificate(stack)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        self.url = f"https://127.0.0.1:{server.server_address[1]}"

    def flags(self):
        """What the helper has to know. The certificate is the client's, too."""
        arn = f"arn:aws:rolesanywhere:{REGION}:{ACCOUNT}"
        return ["--endpoint", self.url, "--certificate", self.certificate, "--private-key", self.key, "--trust-anchor-arn",
                f"{arn}:trust-anchor/1", "--profile-arn", f"{arn}:profile/1", "--role-arn", ours.ROLE]

    def environment(self):
        # Go's list of roots.
        return {"SSL_CERT_FILE": str(self.certificate)}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        # The request comes in chunks.
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + 2)
        self.rfile.readline()
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        credentials = {
            "accessKeyId": "ASIAEXAMPLE000000001", "secretAccessKey": "EXAMPLE", "sessionToken": "EXAMPLE",
            "expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        body = json.dumps({"credentialSet": [{"credentials": credentials}]}).encode()
        self.send_response_only(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
