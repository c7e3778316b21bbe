//! What a cluster is asked, in kubectl's words. Each reads; the one that creates is a dry run. Pure.

use imds_contract::annotation::{ENABLED_LABEL, ENABLED_VALUE};

use crate::arguments::PodName;

/// One call of kubectl.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// The kubeconfig as it applies; answered without the cluster.
    Config,
    Version,
    /// What the cluster calls itself in tokens.
    Issuer,
    Configurations,
    /// `ValidatingAdmissionPolicies` and their bindings, in one list.
    Policies,
    Namespaces,
    Namespace(String),
    /// The `providerID` of every node, a line each.
    Nodes,
    /// The `providerID` of one, and the UUID of its system, a line each.
    Node(String),
    NetworkPolicies {
        namespace: String,
    },
    /// Pods whose label says `True`.
    Labelled(Scope),
    /// All other Pods: a line each, see [`Question::OTHERS`].
    Others(Scope),
    Workloads(Kind, Scope),
    /// Events of Pods that could not be created.
    FailedCreates(Scope),
    Service {
        namespace: String,
        name: String,
    },
    Deployments {
        namespace: String,
    },
    Pods {
        namespace: String,
    },
    /// The authority in a Secret; nothing else of it.
    Authority {
        namespace: String,
        secret: String,
    },
    /// Creates nothing: what would become of this Pod.
    DryRun {
        namespace: String,
        document: String,
    },
    /// In the context's namespace where none is given.
    Pod {
        namespace: Option<String>,
        name: String,
    },
    /// A page that a container of a Pod serves, by way of the API server.
    Page {
        namespace: String,
        pod: String,
        port: u16,
        path: &'static str,
    },
    Log {
        namespace: String,
        pod: String,
        container: &'static str,
    },
    Events {
        namespace: String,
        pod: String,
    },
}

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    All,
    Namespace(String),
}

/// What makes Pods. What has an owner says what its owner says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    CronJob,
    Job,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::CronJob, Self::Job];

    fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
            Self::CronJob => "cronjobs",
            Self::Job => "jobs",
        }
    }
}

impl Scope {
    fn words(&self) -> String {
        match self {
            Self::All => "--all-namespaces".to_owned(),
            Self::Namespace(name) => in_namespace(name),
        }
    }

    fn what(&self) -> String {
        match self {
            Self::All => "of all namespaces".to_owned(),
            Self::Namespace(name) => format!("of namespace {name}"),
        }
    }
}

fn in_namespace(name: &str) -> String {
    format!("--namespace={name}")
}

impl Question {
    /// A Pod, in the context's namespace where none is given.
    pub(crate) fn pod(namespace: Option<&str>, name: &PodName) -> Self {
        Self::Pod { namespace: namespace.map(str::to_owned), name: name.as_str().to_owned() }
    }

    /// Tab-separated fields of [`Question::Others`]: namespace, name, labels, annotations and owners; the last three in JSON, or
    /// empty. A tenth of what whole Pods would be.
    const OTHERS: &str = r#"--output=jsonpath={range .items[*]}{.metadata.namespace}{"\t"}{.metadata.name}{"\t"}{.metadata.labels}{"\t"}{.metadata.annotations}{"\t"}{.metadata.ownerReferences}{"\n"}{end}"#;

    const NODES: &str = r#"--output=jsonpath={range .items[*]}{.spec.providerID}{"\n"}{end}"#;

    const NODE: &str = r#"--output=jsonpath={.spec.providerID}{"\n"}{.status.nodeInfo.systemUUID}"#;

    /// kubectl's arguments.
    pub(crate) fn words(&self) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let json = "--output=json";
        let mut scoped = Vec::new();
        let fixed = match self {
            Self::Config => words(&["config", "view", "--minify", json]),
            Self::Version => words(&["get", "--raw", "/version"]),
            Self::Issuer => words(&["get", "--raw", "/.well-known/openid-configuration"]),
            Self::Configurations => {
                words(&["get", "mutatingwebhookconfigurations.admissionregistration.k8s.io", json])
            }
            Self::Policies => words(&[
                "get",
                "validatingadmissionpolicies.admissionregistration.k8s.io,validatingadmissionpolicybindings.admissionregistration.k8s.io",
                json,
            ]),
            Self::Namespaces => words(&["get", "namespaces", json]),
            Self::Namespace(name) => words(&["get", "namespace", name, json]),
            Self::Nodes => words(&["get", "nodes", Self::NODES]),
            Self::Node(name) => words(&["get", "node", name, Self::NODE]),
            Self::NetworkPolicies { namespace } => {
                words(&["get", "networkpolicies.networking.k8s.io", &in_namespace(namespace), json])
            }
            Self::Labelled(scope) => {
                scoped.push(scope.words());
                words(&["get", "pods", &format!("--selector={ENABLED_LABEL}={ENABLED_VALUE}"), json])
            }
            Self::Others(scope) => {
                scoped.push(scope.words());
                words(&["get", "pods", &format!("--selector={ENABLED_LABEL}!={ENABLED_VALUE}"), Self::OTHERS])
            }
            Self::Workloads(kind, scope) => {
                scoped.push(scope.words());
                words(&["get", kind.plural(), json])
            }
            Self::FailedCreates(scope) => {
                scoped.push(scope.words());
                words(&["get", "events", "--field-selector=reason=FailedCreate", json])
            }
            Self::Service { namespace, name } => {
                words(&["get", "service", name, &in_namespace(namespace), json])
            }
            Self::Deployments { namespace } => words(&["get", "deployments", &in_namespace(namespace), json]),
            Self::Pods { namespace } => words(&["get", "pods", &in_namespace(namespace), json]),
            Self::Authority { namespace, secret } => words(&[
                "get",
                "secret",
                secret,
                &in_namespace(namespace),
                r"--output=jsonpath={.data.ca\.crt}",
            ]),
            Self::DryRun { namespace, document: _ } => words(&[
                "create",
                "--dry-run=server",
                "--validate=false",
                &in_namespace(namespace),
                "--filename=-",
                json,
            ]),
            Self::Pod { namespace, name } => {
                scoped.extend(namespace.as_deref().map(in_namespace));
                words(&["get", "pod", name, json])
            }
            Self::Page { namespace, pod, port, path } => words(&[
                "get",
                "--raw",
                &format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}"),
            ]),
            Self::Log { namespace, pod, container } => words(&[
                "logs",
                pod,
                &in_namespace(namespace),
                &format!("--container={container}"),
                "--tail=200",
            ]),
            Self::Events { namespace, pod } => words(&[
                "get",
                "events",
                &in_namespace(namespace),
                &format!("--field-selector=involvedObject.kind=Pod,involvedObject.name={pod}"),
                json,
            ]),
        };
        fixed.into_iter().chain(scoped).collect()
    }

    /// What kubectl reads.
    pub(crate) fn stdin(&self) -> Option<&str> {
        match self {
            Self::DryRun { document, .. } => Some(document),
            _ => None,
        }
    }

    /// What is asked for, as a person would say it.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Config => "the kubeconfig".to_owned(),
            Self::Version => "the API server's version".to_owned(),
            Self::Issuer => "the issuer of the cluster's tokens".to_owned(),
            Self::Configurations => "the MutatingWebhookConfigurations".to_owned(),
            Self::Policies => "the ValidatingAdmissionPolicies and their bindings".to_owned(),
            Self::Namespaces => "the namespaces".to_owned(),
            Self::Namespace(name) => format!("the namespace {name}"),
            Self::Nodes => "the nodes".to_owned(),
            Self::Node(name) => format!("the node {name}"),
            Self::NetworkPolicies { namespace } => format!("the NetworkPolicies in {namespace}"),
            Self::Labelled(scope) => format!("the labelled Pods {}", scope.what()),
            Self::Others(scope) => format!("the other Pods {}", scope.what()),
            Self::Workloads(kind, scope) => format!("the {} {}", kind.plural(), scope.what()),
            Self::FailedCreates(scope) => format!("the events {}", scope.what()),
            Self::Service { namespace, name } => format!("the Service {name} in {namespace}"),
            Self::Deployments { namespace } => format!("the Deployments in {namespace}"),
            Self::Pods { namespace } => format!("the Pods in {namespace}"),
            Self::Authority { namespace, secret } => {
                format!("the authority in the Secret {secret} in {namespace}")
            }
            Self::DryRun { namespace, .. } => format!("a dry run of creating a labelled Pod in {namespace}"),
            Self::Pod { name, .. } => format!("the Pod {name}"),
            Self::Page { pod, port, path, .. } => format!("{path} of the Pod {pod}, port {port}"),
            Self::Log { pod, container, .. } => format!("the log of {container} in the Pod {pod}"),
            Self::Events { pod, .. } => format!("the events of the Pod {pod}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_changed_in_the_cluster() {
        let text = || "x".to_owned();
        let mut all = vec![
            Question::Config,
            Question::Version,
            Question::Issuer,
            Question::Configurations,
            Question::Policies,
            Question::Namespaces,
            Question::Namespace(text()),
            Question::Nodes,
            Question::Node(text()),
            Question::NetworkPolicies { namespace: text() },
            Question::Service { namespace: text(), name: text() },
            Question::Deployments { namespace: text() },
            Question::Pods { namespace: text() },
            Question::Authority { namespace: text(), secret: text() },
            Question::DryRun { namespace: text(), document: text() },
            Question::Pod { namespace: None, name: text() },
            Question::Page { namespace: text(), pod: text(), port: 1, path: "/metrics" },
            Question::Log { namespace: text(), pod: text(), container: "x" },
            Question::Events { namespace: text(), pod: text() },
        ];
        for scope in [Scope::All, Scope::Namespace(text())] {
            all.extend(Kind::ALL.map(|kind| Question::Workloads(kind, scope.clone())));
            all.push(Question::Labelled(scope.clone()));
            all.push(Question::Others(scope.clone()));
            all.push(Question::FailedCreates(scope));
        }
        for question in &all {
            // Who adds a variant here adds it above.
            match question {
                Question::Config
                | Question::Version
                | Question::Issuer
                | Question::Configurations
                | Question::Policies
                | Question::Namespaces
                | Question::Namespace(_)
                | Question::Nodes
                | Question::Node(_)
                | Question::NetworkPolicies { .. }
                | Question::Labelled(_)
                | Question::Others(_)
                | Question::Workloads(..)
                | Question::FailedCreates(_)
                | Question::Service { .. }
                | Question::Deployments { .. }
                | Question::Pods { .. }
                | Question::Authority { .. }
                | Question::DryRun { .. }
                | Question::Pod { .. }
                | Question::Page { .. }
                | Question::Log { .. }
                | Question::Events { .. } => {}
            }
            let words = question.words();
            match words[0].as_str() {
                "get" | "logs" => {}
                "config" => assert_eq!(words[1], "view"),
                "create" => assert!(words.contains(&"--dry-run=server".to_owned()), "{words:?}"),
                other => panic!("{other} is no way of looking"),
            }
            assert_eq!(question.stdin().is_some(), words.contains(&"--filename=-".to_owned()));
        }
    }

    #[test]
    fn of_a_secret_nothing_but_the_authority_is_read() {
        let words = Question::Authority { namespace: "n".to_owned(), secret: "s".to_owned() }.words();
        assert_eq!(words, ["get", "secret", "s", "--namespace=n", r"--output=jsonpath={.data.ca\.crt}"]);
    }
}
