"""The clients, and what is expected of each. Everything here is compared with what the clients do."""
import dataclasses
import pathlib
import subprocess

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
PROGRAMS = HERE / "programs"
BUILT = ROOT / "target" / "debug"
VENV = ROOT / ".venv"
# One environment for each client that cannot share its packages with the others.
VENVS = VENV / "clients"

V1 = ("role v1", "document v1")
V2 = ("token", "role v2", "document v2")
# With the contents of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, and as clients ask that do not know it.
CONTAINER = ("container",)
WITHOUT_FILE = ("container without its file",)


@dataclasses.dataclass(frozen=True)
class Client:
    name: str
    command: tuple
    version: tuple
    # What a fresh process asks for, in this order.
    asks: tuple = V2
    # `program` answers a line for each that it reads (programs/answers.py); `script` prints one answer and ends; `s3` uses an
    # S3, in whose requests its key is seen.
    kind: str = "program"
    # Whether it tells when the credentials end.
    expiry: bool = True
    # Whether it reads AWS_EC2_METADATA_SERVICE_ENDPOINT, port and all.
    endpoint: bool = True
    # What it asks where AWS_CONTAINER_CREDENTIALS_FULL_URI is set as well; nothing of its own where it goes by IMDS.
    container: tuple = CONTAINER
    # By how many seconds it then tells an end that is early.
    container_early: int = 0
    # For how many seconds it uses expired credentials that were about to expire when it got them.
    late: int = 0
    # For the page: why it is refused where it is, and what else is to be known.
    note: str = ""

    def asks_in(self, interception, http_tokens):
        """What a fresh process asks for in such a Pod. There is a container endpoint only where IMDSv1 is allowed."""
        if interception != "endpoint":
            return self.asks
        if http_tokens == "optional" and self.container:
            return self.container
        return self.asks if self.endpoint else ()


def words(*parts):
    return tuple(str(part) for part in parts)


def python(venv, program):
    return words(venv / "bin" / "python", "-W", "ignore", PROGRAMS / program)


def of_pip(venv, package):
    code = f"import importlib.metadata; print(importlib.metadata.version('{package}'))"
    return words(venv / "bin" / "python", "-c", code)


def of_npm(package):
    return words(VENV / "bin" / "node", "-p", f"require('{PROGRAMS}/js/node_modules/{package}/package.json').version")


def of_debian(package):
    return words("dpkg-query", "-W", "-f", "${source:Upstream-Version}", package)


def of_cargo(package):
    return words("sed", "-n", f'/^name = "{package}"$/{{n; s/version = "\\(.*\\)"/\\1/p}}', ROOT / "Cargo.lock")


def of_go(modules, package):
    return words("sed", "-n", f"s|^\\s*{package} v\\(\\S*\\).*|\\1|p", PROGRAMS / "go" / modules)


def of_maven(program, package):
    pom = PROGRAMS / "java" / program / "pom.xml"
    return words("sed", "-n", f"/<artifactId>{package}</{{n; s|.*<version>\\(.*\\)</version>.*|\\1|p}}", pom)


def node(program, *arguments):
    return words(VENV / "bin" / "node", PROGRAMS / "js" / program, *arguments)


def script(program, *arguments):
    return words("sh", PROGRAMS / program, *arguments)


def go(program, built="clients-go"):
    return words(BUILT / built / program)


def java(program, main):
    folder = BUILT / "clients-java" / program
    # With a quick start. No performance data: they are in /tmp, named for the process, and all Pods here have one /tmp and the same numbers.
    flags = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
    return words("java", *flags, "-cp", f"{folder}:{folder}/*", main)


KNOWS_NEITHER = {"endpoint": False, "container": ()}
SIGNS = {"kind": "s3", "expiry": False}
IMDSV1_ONLY = "Speaks IMDSv1 only and knows neither variable."

OF_GOOGLE = "Workload identity federation: signs a request for Google with the role's credentials."

CLIENTS = (
    Client(
        "botocore (boto3)", python(VENV, "botocore_default.py"), of_pip(VENV, "botocore"),
        note="Keeps credentials that had under 17 to 25 minutes left beyond their end; the emulator serves none that short while "
        "STS can be reached. The run moves its clock by half an hour before it is asked again."),
    Client(
        "botocore, token request blocked", python(VENV, "botocore_v1.py"), of_pip(VENV, "botocore"), asks=V1,
        note="Its token request is answered 403, as by a proxy between: it falls back to IMDSv1."),
    Client(
        "botocore of 2016", python(VENVS / "botocore-2016", "botocore_2016.py"), of_pip(VENVS / "botocore-2016", "botocore"),
        asks=V1, **KNOWS_NEITHER, note=IMDSV1_ONLY),
    Client("boto 2", python(VENV, "boto2.py"), of_pip(VENV, "boto"), asks=V1, **KNOWS_NEITHER, note=IMDSV1_ONLY),
    Client(
        "aiobotocore", python(VENVS / "aiobotocore", "aiobotocore_default.py"), of_pip(VENVS / "aiobotocore", "aiobotocore"),
        note="As botocore."),
    Client("AWS CLI v1", script("aws-cli.sh", VENVS / "awscli" / "bin" / "aws"), of_pip(VENVS / "awscli", "awscli"), **SIGNS),
    Client(
        "AWS CLI v2", script("aws-cli.sh", "/usr/bin/aws"), of_debian("awscli"), container=WITHOUT_FILE, **SIGNS,
        note="Reads the endpoint variable because the injected value ends in `/`: this version joins the path to it as it is."),
    Client(
        "AWS SDK for JavaScript v3", node("sdk-v3.mjs"), of_npm("@aws-sdk/credential-providers"),
        note="With under 5 minutes left it gives the old credentials once more, and asks for new ones meanwhile."),
    Client(
        "AWS SDK for JavaScript v2", node("sdk-v2.cjs", "aws-sdk"), of_npm("aws-sdk"),
        note="Given credentials with under 15 seconds left it never calls back, an error of its own."),
    Client(
        "AWS SDK for JavaScript v2 of 2019", node("sdk-v2.cjs", "aws-sdk-2.400.0"), of_npm("aws-sdk-2.400.0"), asks=V1,
        endpoint=False, container=WITHOUT_FILE, note="Speaks IMDSv1 only; of the variables it knows the container's."),
    Client(
        "AWS SDK for Rust (aws-config)", words(BUILT / "client-aws-config"), of_cargo("aws-config"), container=(),
        note="Its IMDS provider, asked by itself; the SDK's default chain asks the container's before."),
    Client("AWS SDK for Go v1", go("sdk-v1"), of_go("go.mod", "github.com/aws/aws-sdk-go"), expiry=False),
    Client(
        "AWS SDK for Go v1 of 2022", go("sdk-v1", "clients-go-2022"), of_go("go-2022.mod", "github.com/aws/aws-sdk-go"),
        container=WITHOUT_FILE, expiry=False, note="Debian 12 has this version."),
    Client(
        "AWS SDK for Go v2", go("sdk-v2"), of_go("go.mod", "github.com/aws/aws-sdk-go-v2"), container_early=300,
        note="Container credentials end five minutes early for it."),
    Client(
        "AWS SDK for Go v2 of 2022", go("sdk-v2", "clients-go-2022"), of_go("go-2022.mod", "github.com/aws/aws-sdk-go-v2"),
        container=WITHOUT_FILE, container_early=300, note="As the newest version. Debian 12 has this one."),
    Client(
        "minio-go", go("minio"), of_go("go.mod", "github.com/minio/minio-go/v7"), expiry=False, endpoint=False,
        note="Of the variables it knows the container's."),
    Client(
        "minio-go of 2022", go("minio", "clients-go-2022"), of_go("go-2022.mod", "github.com/minio/minio-go/v7"), expiry=False,
        endpoint=False, container=WITHOUT_FILE, note="As the newest version. Debian 12 has this one."),
    Client(
        "AWS SDK for Java v1", java("sdk-v1", "SdkV1"), of_maven("sdk-v1", "aws-java-sdk-core"), expiry=False,
        asks=("token", "role v2", "token", "document v2"), late=70,
        note="Requests a session token before each request. Once credentials have under 15 minutes left it asks for new ones only every 50 to "
        "70 seconds, and uses the old ones meanwhile, even expired; the emulator serves none that short while STS can be reached."),
    Client("AWS SDK for Java v2", java("sdk-v2", "SdkV2"), of_maven("sdk-v2", "auth")),
    Client(
        "AWS SDK for Ruby", words("/usr/bin/ruby", PROGRAMS / "ruby.rb"), of_debian("ruby-aws-sdk-core"), **KNOWS_NEITHER,
        note="Takes the endpoint variable's host and ignores its port."),
    Client(
        "google-auth for Python", python(VENVS / "google-auth", "google_auth.py"), of_pip(VENVS / "google-auth", "google-auth"),
        expiry=False, **KNOWS_NEITHER, note=OF_GOOGLE),
    Client(
        "google-auth-library for Node.js", node("google-auth.mjs"), of_npm("google-auth-library"), expiry=False, **KNOWS_NEITHER,
        note=OF_GOOGLE),
    Client(
        "polars (object_store)", python(VENVS / "polars", "polars_csv.py"), of_pip(VENVS / "polars", "polars"), endpoint=False, **SIGNS,
        note="Of the variables it knows the container's. Where boto3 is installed polars takes its credentials."),
    Client(
        "DuckDB (aws, httpfs)", python(VENVS / "duckdb", "duckdb_s3.py"), of_pip(VENVS / "duckdb", "duckdb"), asks=V2 * 2, container=(),
        **SIGNS, note="A secret with `PROVIDER credential_chain, CHAIN 'instance'`, by the AWS SDK for C++. Asks twice."),
    Client("chdb (ClickHouse)", python(VENVS / "chdb", "chdb_s3.py"), of_pip(VENVS / "chdb", "chdb"), **SIGNS),
    Client("s3cmd", script("s3cmd.sh"), of_debian("s3cmd"), **SIGNS, **KNOWS_NEITHER, note="Knows neither variable."),
    Client(
        "s3fs", script("s3fs.sh"), of_debian("s3fs"), asks=("role v1", "token", "document v2"), **SIGNS, **KNOWS_NEITHER,
        note="With `iam_role=auto` it asks for the role without a session token, whatever comes after. It gives up after two "
        "minutes; in the run, with `retries=1`, after 4 seconds."),
    Client(
        "curl in a script", script("curl.sh"), of_debian("curl"), kind="script", **KNOWS_NEITHER,
        note="Asks the address that is in the script."),
    Client(
        "wget in a script", script("wget.sh"), of_debian("wget"), asks=V1, kind="script", **KNOWS_NEITHER,
        note="As curl; this script is of the time before IMDSv2."),
)


def version(client):
    return subprocess.run(client.version, check=True, capture_output=True, text=True).stdout.strip()
