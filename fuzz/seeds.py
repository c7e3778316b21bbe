"""Writes the inputs that fuzzing starts from: seeds.py FOLDER makes FOLDER/TARGET/NAME.

What is recorded or written down for other tests is taken from there; only requests and answers on the wire stand here.
"""
import json
import pathlib
import sys

import yaml

ROOT = pathlib.Path(__file__).parent.parent
GOLDEN = ROOT / "crates/inject/tests/golden"
FIXTURES = [ROOT / "crates/inject/tests/fixtures", ROOT / "crates/webhook/tests/fixtures"]

ROLES = "/latest/meta-data/iam/security-credentials"
# Method, path, token, TTL, X-Forwarded-For.
REQUESTS = [
    ("GET", "/"),
    ("GET", f"{ROLES}/"),
    ("GET", f"{ROLES}/my-role"),
    ("HEAD", f"{ROLES}/my-role/"),
    ("GET", f"{ROLES}/my-role", "valid"),
    ("GET", f"/2021-07-15{ROLES.removeprefix('/latest')}/my%2drole", "expired"),
    ("GET", f"/1.0{ROLES.removeprefix('/latest')}//my-role", "valid", "", "10.0.0.1"),
    ("GET", f"{ROLES}/../my-role"),
    ("GET", f"{ROLES}/%2e%2e"),
    ("GET", "/latest/meta-data/instance-id", "AQAEA"),
    ("PUT", "/latest/api/token", "", "21600"),
    ("PUT", "//latest//api/token/", "", "60"),
    ("PUT", "/latest/api/token", "", "60", "10.0.0.1"),
    ("OPTIONS", "/latest/api/token"),
    ("POST", f"{ROLES}/"),
    ("GET", "/v1/credentials"),
    ("GET", "/v1/credentials", "", "", "", "valid", "169.254.169.254"),
    ("GET", "/v1/credentials/", "", "", "10.0.0.1", "valid"),
    ("GET", f"{ROLES}/my-role", "", "", "", "", "rebind.example:80"),
    ("GET", "/latest/"),
    ("GET", "/latest/meta-data/placement/region/"),
    ("GET", "/latest/dynamic/instance-identity/document", "valid"),
]

STS = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
DATE = "Fri, 15 Jan 2027 08:00:00 GMT"
REQUEST_ID = "ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE"
# As in sts_answer.rs.
TOKEN = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
CREDENTIALS = f"""<AssumeRoleWithWebIdentityResponse {STS}><AssumeRoleWithWebIdentityResult>
<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/my-role/shop.web</Arn></AssumedRoleUser>
<Credentials><SessionToken>AQoDYXdzEE0a8ANEXAMPLE==</SessionToken>
<SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey>
<Expiration>2027-01-15T09:00:00Z</Expiration><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


def refusal(code, message):
    return (f"<ErrorResponse {STS}><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            f"<RequestId>{REQUEST_ID}</RequestId></ErrorResponse>")


# Status, Date, Retry-After, x-amzn-RequestId, body.
ANSWERS = [
    ("200", DATE, "", REQUEST_ID, CREDENTIALS),
    ("200", "", "", "", CREDENTIALS.replace("<SecretAccessKey>", "<SecretAccessKey><![CDATA[").replace(
        "</SecretAccessKey>", "]]></SecretAccessKey>").replace("00Z", "00.250+00:00")),
    ("200", DATE, "", "", CREDENTIALS[:400]),
    ("400", DATE, "", REQUEST_ID, refusal("ExpiredTokenException", "Token expired: &lt;now&gt; &#x41;")),
    ("400", DATE, "", TOKEN, refusal("InvalidIdentityToken", f"Not a token: {TOKEN}")),
    ("403", DATE, "", REQUEST_ID, refusal("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")),
    ("400", DATE, "17", REQUEST_ID, refusal("Throttling", "Rate exceeded")),
    ("503", DATE, DATE, "", "<html>Service Unavailable</html>"),
]


# All that a client says on a connection.
HOST = "host: 169.254.169.254"
PUT = f"PUT /latest/api/token HTTP/1.1\r\n{HOST}\r\nx-aws-ec2-metadata-token-ttl-seconds: 60\r\n"
CONNECTIONS = [
    "GET / HTTP/1.0\n\n",
    f"GET {ROLES}/ HTTP/1.1\r\n{HOST}\r\nuser-agent: aws-cli/2\r\n\r\n" * 3,
    f"{PUT}content-length: 5\r\n\r\n12345GET /latest/ HTTP/1.1\r\n{HOST}\r\n\r\n",
    f"{PUT}transfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n5;x=y\r\n12345\r\n0\r\ntrailer: x\r\n\r\n",
    f"{PUT}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    f"{PUT}content-length: 2000\r\n\r\n" + "x" * 2000,
    f"GET http://169.254.169.254/latest/ HTTP/1.1\r\n{HOST}\r\nx-forwarded-for: a\r\nx-forwarded-for: b\r\nconnection: close\r\n\r\n",
    f"HEAD {ROLES}/my-role HTTP/1.1\r\n{HOST}\r\n folded: x\r\nupgrade: h2c\r\n\r\n",
    "CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nhost:\r\ncontent-length: -1\r\n\r\n\0\x7f",
]


def main():
    folder = pathlib.Path(sys.argv[1])

    def write(target, name, text):
        file = folder / target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, newline="")

    for fixture in (file for fixtures in FIXTURES for file in sorted(fixtures.glob("*.json"))):
        review = json.loads(fixture.read_text())
        write("review", fixture.stem, json.dumps(review, separators=(",", ":")))
        if review["request"].get("object"):
            write("inject", fixture.stem, json.dumps(review["request"]["object"], separators=(",", ":")))
    for case in sorted(GOLDEN.iterdir()):
        for number, document in enumerate(yaml.safe_load_all((case / "input.yaml").read_text())):
            write("inject", f"golden-{case.name}-{number}", json.dumps(document, separators=(",", ":"), default=str))
        settings = case / "settings.yaml"
        if settings.exists():
            write("settings", case.name, settings.read_text())
    for number, request in enumerate(REQUESTS):
        write("imds", f"request-{number}", "\n".join(request))
    for number, said in enumerate(CONNECTIONS):
        write("connection", f"said-{number}", said)
    for number, answer in enumerate(ANSWERS):
        write("sts_answer", f"answer-{number}", "\n".join(answer))


main()
