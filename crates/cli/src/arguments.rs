//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use imds_inject::ServerVersion;

/// The IMDS emulator from a person's shell.
#[derive(Debug, Parser)]
#[command(name = "kubectl-imds", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Inject(InjectArguments),
    Run(RunArguments),
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
/// wrong; with 1, and without printing anything, where a file cannot be read or, with --strict, a workload is refused.
#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "read in a terminal")]
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
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    /// The version of Kubernetes that the manifests are for, for example 1.32: decides on the form of the sidecar where
    /// the settings say `auto` [default: unknown]
    #[arg(long, value_name = "VERSION")]
    pub(crate) server_version: Option<ServerVersion>,
    /// The namespace of what names none
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub(crate) namespace: String,
    /// Print the operations (JSON Patch, one list for each document) instead of the manifests
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Fail if a workload is refused, and print nothing then
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Run a command on this machine as if in an injected Pod
///
/// Injects the Pod, starts a local STS that really checks the Pod's token and issues plainly fake keys, and runs the
/// injected programs, with the very settings of the injected spec, in a network namespace of their own. The command then
/// finds IMDS at 169.254.169.254 and nothing else: there is no other network in there. Needs no cluster, no AWS
/// account and no root.
///
/// The steps are told on stderr; stdout is the command's. Exits with the command's code (128 + N where signal N ended
/// it), 64 where the usage was wrong, 1 where something else was.
#[derive(Debug, Args)]
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
    /// (interception `endpoint`), as where namespaces are forbidden
    #[arg(long)]
    pub(crate) no_namespace: bool,
    /// The command, run with the first container's environment [default: show what an IMDSv1 and an IMDSv2 client see]
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
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
    fn the_definition_is_sound() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }
}
