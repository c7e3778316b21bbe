//! What kubectl once said, read from a file and changed by a test: the faults are put into true answers. The program under test
//! runs a kubectl that says this.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};

/// One call of kubectl.
#[derive(Debug, Clone, Deserialize)]
struct Call {
    words: Vec<String>,
    code: i32,
    stdout: String,
    stderr: String,
    /// Nothing comes.
    #[serde(default)]
    never: bool,
}

/// All calls of a run. `recordings/README.md` says where they come from.
#[derive(Debug, Clone)]
pub struct Recording(Vec<Call>);

/// What the program asks of all nodes, and of the one that the recorded Pods run on.
pub const NODES: &str = r#"get nodes --output=jsonpath={range .items[*]}{.spec.providerID}{"\n"}{end}"#;
/// What it asks of Pods without the label.
pub const OTHERS: &str = r#"--output=jsonpath={range .items[*]}{.metadata.namespace}{"\t"}{.metadata.name}{"\t"}{.metadata.labels}{"\t"}{.metadata.annotations}{"\t"}{.metadata.ownerReferences}{"\n"}{end}"#;
/// What it asks of a new Pod in the namespace of the recorded Pods.
pub const DRY_RUN: &str =
    "create --dry-run=server --validate=false --namespace=imds-test --filename=- --output=json";
pub const NODE: &str =
    r#"get node node --output=jsonpath={.spec.providerID}{"\n"}{.status.nodeInfo.systemUUID}"#;
/// What it asks where a client may reach the node's IMDS.
pub const NETWORK_POLICIES: &str =
    "get networkpolicies.networking.k8s.io --namespace=imds-test --output=json";

/// How the program ended, and what it said.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// kubectl's arguments, a line for each call.
    pub asked: String,
}

impl Recording {
    fn read(name: &str) -> Self {
        let file = folder().join("recordings").join(name);
        let mut recording = Self(serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap());
        // Nodes were not asked about when it was recorded; a kubelet without a cloud provider names none.
        recording.also(NODES, "\n");
        recording.also(NODE, "");
        // Nor was a new Pod tried beside the recorded one: it gets the same injection.
        let pod = recording.0.iter().find(|call| call.words.join(" ").starts_with("get pod "));
        if let Some(pod) = pod.map(|call| call.stdout.clone()) {
            recording.also(DRY_RUN, &pod);
        }
        recording
    }

    /// As it was recorded.
    pub fn old_cluster() -> Self {
        Self::read("cluster.json")
    }

    /// A cluster in which all is well: as recorded, and what a supported server says beside it.
    pub fn cluster() -> Self {
        let mut cluster = Self::old_cluster();
        cluster.edit("get --raw /version", |version| version["gitVersion"] = json!("v1.30.8"));
        cluster.edit("openid-configuration", |document| document["issuer"] = json!(ISSUER));
        cluster.edit("get namespaces", |list| {
            let namespaces = list["items"].as_array_mut().unwrap();
            namespaces.retain(|namespace| !REFUSING.contains(&name(namespace)));
            for namespace in namespaces {
                let name = name(namespace).to_owned();
                namespace["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
            }
        });
        cluster.certificate_ends_in(Duration::from_hours(61 * 24 + 1));
        cluster.0.extend(Self::read("policies.json").0);
        cluster
    }

    /// An injected Pod, as recorded: its app uses both versions of IMDS.
    pub fn pod_with_imdsv1() -> Self {
        Self::read("pod.json")
    }

    /// An injected Pod in which all is well.
    pub fn pod() -> Self {
        let mut pod = Self::pod_with_imdsv1();
        for call in pod.calls("/proxy/metrics") {
            let lines =
                call.stdout.lines().filter(|line| !line.contains("\"v1\"") && !line.contains("imdsv1"));
            call.stdout = lines.collect::<Vec<_>>().join("\n");
        }
        pod
    }

    /// A Pod whose service account the role does not trust.
    pub fn denied() -> Self {
        Self::read("denied.json")
    }

    /// A Pod with further roles, of which the second is refused.
    pub fn chained() -> Self {
        Self::read("chained.json")
    }

    /// The calls whose words have this part; there has to be one.
    fn calls(&mut self, part: &str) -> impl Iterator<Item = &mut Call> {
        assert!(self.has(part), "not recorded: {part}");
        self.0.iter_mut().filter(move |call| call.words.join(" ").contains(part))
    }

    /// The answer is another one.
    pub fn edit(&mut self, part: &str, change: impl Fn(&mut Value)) {
        for call in self.calls(part) {
            let mut answer = serde_json::from_str(&call.stdout).unwrap();
            change(&mut answer);
            call.stdout = answer.to_string();
        }
    }

    /// The text of the answer is another one.
    pub fn replace(&mut self, part: &str, from: &str, to: &str) {
        for call in self.calls(part) {
            assert!(call.stdout.contains(from), "{from:?} is not in {}", call.stdout);
            call.stdout = call.stdout.replace(from, to);
        }
    }

    /// The answer is this.
    pub fn says(&mut self, part: &str, stdout: &str) {
        for call in self.calls(part) {
            (call.code, call.stdout) = (0, stdout.to_owned());
        }
    }

    /// There is no answer, and kubectl says this.
    pub fn fails(&mut self, part: &str, stderr: &str) {
        for call in self.calls(part) {
            (call.code, call.stdout, call.stderr) = (1, String::new(), stderr.to_owned());
        }
    }

    /// There is no answer at all.
    pub fn hangs(&mut self, part: &str) {
        self.calls(part).for_each(|call| call.never = true);
    }

    /// One more call, as if recorded.
    pub fn also(&mut self, words: &str, stdout: &str) {
        let words = words.split(' ').map(str::to_owned).collect();
        self.0.push(Call { words, code: 0, stdout: stdout.to_owned(), stderr: String::new(), never: false });
    }

    /// Whether a call whose words have this part was recorded.
    pub fn has(&self, part: &str) -> bool {
        self.0.iter().any(|call| call.words.join(" ").contains(part))
    }

    /// This is why there are no credentials, in place of what it once was; the log is gone.
    pub fn refuses(&mut self, said: &str) {
        for call in self.calls("/proxy/startupz") {
            let (before, rest) = call.stdout.split_once("STS answered").unwrap();
            let (_, request) = rest.split_once(" (request").unwrap();
            call.stdout = format!("{before}{said} (request{request}");
        }
        self.says("--container=aws-imds-emulator --tail", "");
    }

    /// The emulator of the Pod `stranger` has this variable.
    pub fn sets(&mut self, variable: &str, value: &str) {
        self.edit("get pod stranger", |pod| {
            let env = &mut named(&mut pod["spec"]["containers"], "aws-imds-emulator")["env"];
            let env = env.as_array_mut().unwrap();
            env.retain(|known| known["name"] != variable);
            env.push(json!({"name": variable, "value": value}));
        });
    }

    /// As if the cluster's issuer were published.
    pub fn with_public_issuer(mut self) -> Self {
        for call in &mut self.0 {
            call.stdout = call.stdout.replace("https://kubernetes.default.svc", ISSUER);
        }
        self
    }

    /// In the metrics of the webhook's replicas.
    pub fn certificate_ends_in(&mut self, time: Duration) {
        let end = (now() + time).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let family = "imds_webhook_certificate_expiration_timestamp_seconds ";
        for call in self.calls("imds-system/pods/imds-webhook-") {
            let line = |line: &str| match line.strip_prefix(family) {
                Some(_) => format!("{family}{end}\n"),
                None => format!("{line}\n"),
            };
            call.stdout = call.stdout.lines().map(line).collect();
        }
    }

    /// The program, with this kubectl.
    pub fn run(&self, arguments: &[&str]) -> Run {
        let recording = self.written();
        let mut command = program();
        command.args(arguments).arg("--kubectl").arg(folder().join("kubectl"));
        let output = command.env("RECORDING", recording.path()).stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            asked: fs::read_to_string(recording.path().join("asked")).unwrap_or_default(),
        }
    }

    /// The same on a terminal, by `script` of util-linux: all that is seen there.
    pub fn run_on_a_terminal(&self, arguments: &str, no_color: Option<&str>) -> String {
        let recording = self.written();
        let line = format!(
            "{} {arguments} --kubectl {}",
            env!("CARGO_BIN_EXE_kubectl-imds"),
            folder().join("kubectl").display()
        );
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        command.env("RECORDING", recording.path()).env_remove("NO_COLOR").stdin(Stdio::null());
        command.envs(no_color.map(|value| ("NO_COLOR", value)));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    /// As the stand-in for kubectl reads it.
    fn written(&self) -> tempfile::TempDir {
        let recording = tempfile::tempdir().unwrap();
        for (number, Call { words, code, stdout, stderr, never }) in self.0.iter().enumerate() {
            let call = recording.path().join(format!("call-{number}"));
            fs::create_dir(&call).unwrap();
            let write = |name: &str, text: &str| fs::write(call.join(name), text).unwrap();
            write("words", &format!("{}\n", words.join(" ")));
            write("code", &if *never { "never\n".to_owned() } else { format!("{code}\n") });
            write("stdout", stdout);
            write("stderr", stderr);
        }
        recording
    }
}

/// What the cluster calls itself in tokens, where all is well.
pub const ISSUER: &str = "https://oidc.example.com/my-cluster";

/// Namespaces of the recorded cluster that enforce a Pod Security Standard.
const REFUSING: [&str; 2] = ["imds-test-baseline", "imds-test-restricted"];

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-imds"));
    command.env_remove("NO_COLOR");
    command
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnosis")
}

#[expect(clippy::disallowed_methods, reason = "the program under test looks at the clock, too")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// The item of a list with this name.
pub fn item<'a>(list: &'a mut Value, of_name: &str) -> &'a mut Value {
    list["items"].as_array_mut().unwrap().iter_mut().find(|item| name(item) == of_name).unwrap()
}

/// The one of these with this name.
pub fn named<'a>(list: &'a mut Value, of_name: &str) -> &'a mut Value {
    list.as_array_mut().unwrap().iter_mut().find(|item| item["name"] == of_name).unwrap()
}
