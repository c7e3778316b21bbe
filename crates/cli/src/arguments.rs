//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use imds_contract::{RoleArn, is_object_name};
use imds_inject::{ServerVersion, image_reference};

use crate::shell_words::quoted;

/// The IMDS emulator from a person's shell
///
/// Where kubectl finds this program in the PATH, `kubectl imds` is the same as `kubectl-imds`.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-imds",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  kubectl imds run                      what an injected Pod sees, on this machine
  kubectl imds inject -f deployment.yaml | kubectl apply -f -
  kubectl imds check                    is the cluster well?
  kubectl imds check web-0 -n shop      is this Pod?
  kubectl imds explain web-0 -n shop    why does STS refuse it?"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Inject(InjectArguments),
    Run(RunArguments),
    Check(CheckArguments),
    Explain(ExplainArguments),
    Completion(CompletionArguments),
    Man(ManArguments),
    /// What a container runtime does last: takes on a container's identity and becomes its program.
    #[command(name = "__container", hide = true)]
    Container(ContainerArguments),
    /// What a shell does last: becomes the user's command.
    #[command(name = "__command", hide = true)]
    Become(CommandArguments),
    /// Whether the network of the Pod on stdin can be had: says why not.
    #[command(name = "__probe", hide = true)]
    Probe,
}

/// Inject the emulator into manifests, as the webhook does into Pods
///
/// Reads Pods and whatever has a Pod template (Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job,
/// CronJob, PodTemplate, List), and prints all documents as one YAML stream. Those that are not injected are printed byte
/// for byte; in the others, comments, order, quotes and layout stay as they are.
///
/// stderr has a line for each workload: what was done, or why not, and what to do. Exits with 64 where the usage was
/// wrong; with 1, and without printing anything, where a file cannot be read or a workload is refused.
#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "read in a terminal")]
#[command(after_help = "\
Examples:
  kubectl imds inject -f deployment.yaml | kubectl apply -f -
  kubectl imds inject -R -f manifests/ --settings settings.yaml --server-version 1.32 > injected.yaml
  helm template my-app | kubectl imds inject --strict -f - > injected.yaml
  kubectl imds inject --skip-refused -f all.yaml          what is refused is passed on
  kubectl imds inject --dry-run -f pod.yaml               the operations alone")]
pub(crate) struct InjectArguments {
    /// A file, a folder of *.yaml, *.yml and *.json, or - for stdin; may be given several times
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Go into the folders' folders too
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// The webhook's settings file [default: its defaults]
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// The image with the programs [default: the settings' image, else the one that deploy/image/build makes]
    #[arg(long, value_name = "IMAGE", value_parser = image_reference)]
    pub(crate) image: Option<String>,
    /// The version of Kubernetes that the manifests are for, for example 1.32: decides on the form of the sidecar where
    /// the settings say `auto` [default: unknown]
    #[arg(long, value_name = "VERSION")]
    pub(crate) server_version: Option<ServerVersion>,
    /// The namespace of what names none
    #[arg(short, long, value_name = "NAME", default_value = "default", value_parser = namespace)]
    pub(crate) namespace: String,
    /// Print the operations (JSON Patch, one list for each document) instead of the manifests
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) errors: ErrorArguments,
}

/// What `inject` takes for an error.
#[derive(Debug, Args)]
pub(crate) struct ErrorArguments {
    /// Print refused workloads as they are, without the emulator, instead of failing. On EC2 such a Pod finds the node's role
    #[arg(long, conflicts_with = "strict")]
    pub(crate) skip_refused: bool,
    /// Make warnings errors too: near misses, and kinds that are not known here but carry the label
    #[arg(long)]
    pub(crate) strict: bool,
}

/// A namespace's name. Source: Kubernetes, "Object Names and IDs", RFC 1123 label names.
fn namespace(text: &str) -> Result<String, String> {
    let legal = text.len() <= 63
        && is_object_name(text)
        && !text.contains('.')
        && !text.starts_with('-')
        && !text.ends_with('-');
    let accepted = "accepted: the name of a namespace: up to 63 lower-case letters, digits and -, for example my-namespace";
    if legal { Ok(text.to_owned()) } else { Err(accepted.to_owned()) }
}

/// Run a command on this machine as if in an injected Pod
///
/// Injects the Pod, starts a local STS that really checks the Pod's token and issues plainly fake keys, and runs the
/// injected programs, with the very settings of the injected spec, in a network namespace of their own. The command then
/// finds IMDS at 169.254.169.254 and nothing else: there is no other network in there. With interception `endpoint` it
/// finds IMDS by environment variables, and 169.254.169.254 is unreachable. Needs no cluster, no AWS account and no root.
///
/// The steps are told on stderr; stdout is the command's. Exits with the command's code (128 + N where signal N ended
/// it), 64 where the usage was wrong, 1 where something else was.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl imds run                                        show what IMDSv1 and IMDSv2 clients see
  kubectl imds run -- curl http://169.254.169.254/latest/meta-data/iam/security-credentials/
  kubectl imds run -f pod.yaml -- bash
  kubectl imds run --keep                                 and look around from other terminals")]
pub(crate) struct RunArguments {
    /// The Pod's YAML or JSON, - for stdin [default: the manifest of GKE on AWS's page on its IMDS emulator]
    #[arg(short = 'f', long = "filename", value_name = "POD")]
    pub(crate) pod: Option<PathBuf>,
    /// The webhook's settings file [default: its defaults]
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// Stay up afterwards until Ctrl-C, and print commands that go in there
    #[arg(long)]
    pub(crate) keep: bool,
    /// Show the programs' own output
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Make no network namespace: serve on a port of 127.0.0.1 that clients are told by an environment variable
    /// (interception `endpoint`), as where namespaces are forbidden. The command keeps this machine's network
    #[arg(long)]
    pub(crate) no_namespace: bool,
    /// The command, run with the first container's environment [default: show what an IMDSv1 and an IMDSv2 client see]
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// Look at a cluster, or at one Pod, as a doctor would
///
/// Without POD: whether the webhook is registered, reached and trusted, its replicas and certificate, namespaces that refuse
/// an interception, Pods that run without the emulator, labels that are almost right. With POD: whether it is injected
/// rightly, what became of its credentials, who reads them and how, and what in its containers is found before IMDS.
///
/// Each check is a line, with what mends it beneath. Nothing is changed: the one Pod that is created is a dry run. What you
/// may not read is said. The cluster is asked by running kubectl.
///
/// Exits with 0 where all is well, 1 where something is wrong, 2 where it could not be looked at, or not at all of it, 64
/// where the usage was wrong.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl imds check                      the cluster that kubectl means
  kubectl imds check -n shop              of its namespaces, this one
  kubectl imds check web-0 -n shop        one Pod
  kubectl imds check -o json | jq '.findings[] | select(.level != \"well\")'")]
pub(crate) struct CheckArguments {
    /// A Pod's name [default: the cluster as a whole]
    #[arg(value_name = "POD")]
    pub(crate) pod: Option<PodName>,
    /// Look at all namespaces; the same as neither POD nor --namespace
    #[arg(short = 'A', long, conflicts_with_all = ["pod", "namespace"])]
    pub(crate) all_namespaces: bool,
    /// How the findings are printed
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// Explain why STS refuses, and print the trust policy that it would take
///
/// Takes a Pod, whose emulator tells what STS said and of which token; or a token's file, of which claims are read and
/// neither signature nor token is ever printed; or the text of an error of STS, from the emulator's log, an AWS SDK or the
/// AWS CLI. Says which of issuer, audience, subject, thumbprint, role, account, region and session duration is wrong as far
/// as can be told, and prints the trust policy and the commands that put it right.
///
/// Exits with 0 where there is an explanation, 1 where there is none, 2 where the Pod could not be looked at, 64 where the
/// usage was wrong.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl imds explain web-0 -n shop
  kubectl imds explain --error 'Not authorized to perform sts:AssumeRoleWithWebIdentity'
  kubectl logs web-0 -n shop -c aws-imds-emulator | kubectl imds explain
  kubectl create token my-sa --audience sts.amazonaws.com |
    kubectl imds explain --token-file - --role-arn arn:aws:iam::123456789012:role/my-example-role")]
pub(crate) struct ExplainArguments {
    /// A Pod's name
    #[arg(value_name = "POD", conflicts_with_all = ["token_file", "error"])]
    pub(crate) pod: Option<PodName>,
    /// A file with a service account's token, - for stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// What STS, an SDK or the emulator's log says [default: stdin, where it is no terminal]
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
    /// The role that was asked for [default: the Pod's]
    #[arg(long, value_name = "ARN")]
    pub(crate) role_arn: Option<RoleArn>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl-imds completion bash > ~/.local/share/bash-completion/completions/kubectl-imds
  kubectl-imds completion zsh  > ~/.zfunc/_kubectl-imds      (~/.zfunc has to be in fpath)
  kubectl-imds completion fish > ~/.config/fish/completions/kubectl-imds.fish")]
pub(crate) struct CompletionArguments {
    /// Whose
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Write the man pages, a file for each command, into a folder
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl-imds man ~/.local/share/man/man1 && man kubectl-imds-check")]
pub(crate) struct ManArguments {
    /// The folder, which has to exist
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}

/// How the cluster is reached: handed on to kubectl as it is.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ClusterArguments {
    /// The namespace [default: the context's]
    #[arg(short, long, value_name = "NAME", value_parser = namespace)]
    pub(crate) namespace: Option<String>,
    /// The context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The kubeconfig
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The user to impersonate
    #[arg(long, value_name = "USER")]
    pub(crate) r#as: Option<String>,
    /// A group to impersonate; may be given several times
    #[arg(long, value_name = "GROUP")]
    pub(crate) as_group: Vec<String>,
    /// The program kubectl
    #[arg(long, value_name = "FILE", default_value = "kubectl")]
    pub(crate) kubectl: PathBuf,
    /// How long to wait for an answer, each time, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) timeout: u16,
}

impl ClusterArguments {
    /// Commands, each a line, with the flags that say which cluster they are for.
    pub(crate) fn in_commands(&self, lines: &str) -> String {
        let kubeconfig =
            self.kubeconfig.as_ref().map(|file| format!(" --kubeconfig {}", quoted(&file.to_string_lossy())));
        let context = self.context.as_ref().map(|context| format!(" --context {}", quoted(context)));
        let flags: String = kubeconfig.into_iter().chain(context).collect();
        let line = |line: &str| match line.strip_prefix("kubectl ") {
            // A plugin's flags stand behind its name.
            Some(rest) if rest.starts_with("imds ") => format!("{line}{flags}"),
            Some(rest) => format!("kubectl{flags} {rest}"),
            None => line.to_owned(),
        };
        lines.lines().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person
    Text,
    /// For a program
    Json,
}

/// The name of a Pod; `pod/NAME` is taken too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodName(String);

impl PodName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PodName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = ["pod/", "pods/", "po/"].iter().find_map(|kind| text.strip_prefix(kind)).unwrap_or(text);
        if let Some((kind, _)) = name.split_once('/') {
            return Err(format!(
                "this is a {kind}, and one of its Pods is meant: kubectl get pods lists them"
            ));
        }
        if !is_object_name(name) {
            return Err("accepted: the name of a Pod".to_owned());
        }
        Ok(Self(name.to_owned()))
    }
}

#[derive(Debug, Args)]
pub(crate) struct ContainerArguments {
    /// The process without which this one must not live on.
    #[arg(long)]
    pub(crate) parent: i32,
    /// The user to become, where that is possible.
    #[arg(long)]
    pub(crate) user: Option<u32>,
    /// The group to become.
    #[arg(long, requires = "user")]
    pub(crate) group: Option<u32>,
    /// A capability to keep.
    #[arg(long)]
    pub(crate) capability: Vec<String>,
    /// The program's file.
    #[arg(last = true, required = true)]
    pub(crate) program: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct CommandArguments {
    /// The process without which this one must not live on.
    #[arg(long)]
    pub(crate) parent: i32,
    /// The command.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_keeps_its_own_flags() {
        let arguments =
            Arguments::try_parse_from(["kubectl-imds", "run", "--keep", "--", "aws", "--keep"]).unwrap();
        let Command::Run(run) = arguments.command else { panic!("run") };
        assert!(run.keep);
        assert_eq!(run.command, ["aws", "--keep"]);
    }

    #[test]
    fn a_pod_is_named_and_nothing_else() {
        for (text, name) in [("web-0", "web-0"), ("pod/web-0", "web-0"), ("pods/a.b", "a.b")] {
            assert_eq!(text.parse(), Ok(PodName(name.to_owned())));
        }
        for wrong in ["", "deployment/web", "Web", "a b", "../x", "pod/", "a?b"] {
            assert!(wrong.parse::<PodName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn commands_are_for_the_cluster_that_was_looked_at() {
        let cluster = ClusterArguments { context: Some("kind".to_owned()), ..ClusterArguments::default() };
        let lines = "kubectl get pods\nkubectl imds check web\nhelm upgrade x\n    kubectl";
        let expected = "kubectl --context kind get pods\nkubectl imds check web --context kind\nhelm upgrade x\n    kubectl";
        assert_eq!(cluster.in_commands(lines), expected);
        assert_eq!(ClusterArguments::default().in_commands(lines), lines);
        let cluster = ClusterArguments {
            context: Some("a;b".to_owned()),
            kubeconfig: Some("/my files/it's".into()),
            ..ClusterArguments::default()
        };
        assert_eq!(
            cluster.in_commands("kubectl get pods"),
            r"kubectl --kubeconfig '/my files/it'\''s' --context 'a;b' get pods"
        );
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }
}
