//! A check of the cluster: [`plan`] says what to ask, [`judge`] what the answers come to. Both are pure.

mod admission;
mod certificate;
mod clouds;
pub(super) mod finding;
mod guard;
mod namespaces;
mod pods;
mod refused;
mod replicas;
mod webhook;

use std::time::SystemTime;

use imds_contract::Interception;
use imds_inject::ServerVersion;
use serde_json::{Map, Value};

use super::finding::Finding;
use super::findings::Findings;
use crate::facts::object::{list, text};
use crate::facts::registration::{Registration, Target, labels_of_name, namespace_labels};
use crate::kubectl::{Answers, Failure, Kind, Question, Scope};
use finding::ClusterFinding;

pub(super) use admission::question as dry_run;

/// Source: docs/install.md.
const OLDEST: ServerVersion = ServerVersion { major: 1, minor: 24 };

/// What is to be asked next; nothing once all is known. `namespace` is the one that the command line names.
pub(super) fn plan(namespace: Option<&str>, answers: &Answers) -> Vec<Question> {
    // Alone: whoever has to log in does it once. What does not answer this one answers nothing.
    if !answers.have(&Question::Version) {
        return vec![Question::Config, Question::Version];
    }
    if answers.end().is_some()
        || matches!(answers.said(&Question::Version), Some(Err(Failure::TimedOut { .. })))
    {
        return Vec::new();
    }
    let scope = namespace.map_or(Scope::All, |name| Scope::Namespace(name.to_owned()));
    let mut questions = vec![Question::Configurations, namespaces::question(namespace), Question::Issuer];
    questions.extend(about_pods(&scope));
    if questions.iter().any(|question| !answers.have(question)) {
        return questions;
    }
    let view = View::of(namespace, answers);
    // Who may not look everywhere may look at home.
    if view.scope != scope {
        questions.extend(about_pods(&view.scope));
    }
    if let Some(registration) = &view.registration {
        if !view.is_absent {
            questions.push(admission::question(&view.home));
        }
        questions.push(Question::Nodes);
        if let Some(Target::Service { namespace, name }) = registration.target() {
            questions.push(Question::Service { namespace: namespace.clone(), name });
            questions.push(Question::Deployments { namespace: namespace.clone() });
            questions.push(Question::Pods { namespace });
        }
        questions.extend(replicas::questions(registration, answers));
        questions.extend(certificate::questions(registration, answers));
        questions.extend(guard::question(view.server));
    }
    questions
}

fn about_pods(scope: &Scope) -> Vec<Question> {
    let kinds = Kind::ALL.map(|kind| Question::Workloads(kind, scope.clone()));
    let others = [
        Question::Labelled(scope.clone()),
        Question::Others(scope.clone()),
        Question::FailedCreates(scope.clone()),
    ];
    others.into_iter().chain(kinds).collect()
}

/// What the answers come to, in the order in which they are told.
pub(super) fn judge(namespace: Option<&str>, answers: &Answers, now: SystemTime) -> Vec<Finding> {
    let view = View::of(namespace, answers);
    let mut judge = Judge { answers, view: &view, now, findings: Findings::default() };
    judge.server();
    webhook::judge(&mut judge);
    if let Some(namespace) = view.context_absent.clone() {
        judge.found(ClusterFinding::ContextNamespaceAbsent { namespace });
    }
    if view.is_absent {
        judge.found(ClusterFinding::NamespaceAbsent { namespace: view.home.clone() });
    }
    let admitted = admission::judge(&mut judge);
    replicas::judge(&mut judge);
    certificate::judge(&mut judge);
    guard::judge(&mut judge);
    let interception = admitted.as_ref().map_or_else(Interception::default, |admitted| admitted.interception);
    clouds::judge(&mut judge, interception);
    if view.is_absent {
        // Whatever it is asked about, it holds nothing.
        judge.issuer();
        return judge.findings.done();
    }
    namespaces::judge(&mut judge, interception);
    pods::judge(&mut judge, admitted.as_ref());
    refused::judge(&mut judge, interception);
    judge.issuer();
    judge.findings.done()
}

/// What several judges want to know.
struct View {
    registrations: Vec<Registration>,
    registration: Option<Registration>,
    namespaces: Vec<Namespace>,
    server: Option<ServerVersion>,
    /// Where Pods and what makes them are looked at.
    scope: Scope,
    /// The namespace of the dry run.
    home: String,
    /// Whether the command line names a namespace that does not exist.
    is_absent: bool,
    /// The context's namespace, where it does not exist.
    context_absent: Option<String>,
}

struct Namespace {
    name: String,
    labels: Map<String, Value>,
}

impl Namespace {
    fn of(namespace: &Value) -> Option<Self> {
        Some(Self {
            name: text(namespace, "/metadata/name")?.to_owned(),
            labels: namespace_labels(namespace),
        })
    }
}

impl View {
    fn of(namespace: Option<&str>, answers: &Answers) -> Self {
        let answer = |question| answers.value(&question).unwrap_or_default();
        let registrations = Registration::all(&answer(Question::Configurations));
        let registration = registrations.first().cloned();
        let namespaces = match namespaces::question(namespace) {
            all @ Question::Namespaces => namespaces_of(&answer(all)),
            one => Namespace::of(&answer(one)).into_iter().collect(),
        };
        let version = answer(Question::Version);
        let server = text(&version, "/gitVersion").and_then(|version| version.parse().ok());
        let of_context = text(&answer(Question::Config), "/contexts/0/context/namespace").map(str::to_owned);
        let is_unknown =
            |name: &String| !namespaces.is_empty() && namespaces.iter().all(|known| known.name != *name);
        let context_absent = of_context.clone().filter(|name| namespace.is_none() && is_unknown(name));
        let is_absent = matches!(
            answers.said(&namespaces::question(namespace)),
            Some(Err(Failure::NotFound { .. })) if namespace.is_some()
        );
        let here = namespace.map(str::to_owned).or(of_context).unwrap_or_else(|| "default".to_owned());
        let everywhere = answers.said(&Question::Labelled(Scope::All));
        let scope = match (namespace, everywhere) {
            (Some(name), _) => Scope::Namespace(name.to_owned()),
            (None, Some(Err(Failure::Forbidden { .. }))) => Scope::Namespace(here.clone()),
            (None, _) => Scope::All,
        };
        let home = if namespace.is_some() { here } else { home(&here, registration.as_ref(), &namespaces) };
        Self { registrations, registration, namespaces, server, scope, home, is_absent, context_absent }
    }

    /// Its labels; of one that is not known, what follows from its name.
    fn labels(&self, namespace: &str) -> Map<String, Value> {
        labels(&self.namespaces, namespace)
    }

    fn is_left_out(&self, namespace: &str) -> bool {
        let asks = |registration: &Registration| registration.asks_about_namespace(&self.labels(namespace));
        !self.registration.as_ref().is_some_and(asks)
    }
}

fn namespaces_of(items: &Value) -> Vec<Namespace> {
    list(items, "/items").iter().filter_map(Namespace::of).collect()
}

fn labels(namespaces: &[Namespace], name: &str) -> Map<String, Value> {
    let known = namespaces.iter().find(|known| known.name == name);
    known.map_or_else(|| labels_of_name(name), |known| known.labels.clone())
}

/// Where the webhook is asked: the namespace at hand, else `default`, else any.
fn home(here: &str, registration: Option<&Registration>, namespaces: &[Namespace]) -> String {
    let Some(registration) = registration else { return here.to_owned() };
    let exists = |name: &str| namespaces.is_empty() || namespaces.iter().any(|known| known.name == name);
    let asked = |name: &str| exists(name) && registration.asks_about_namespace(&labels(namespaces, name));
    let names = namespaces.iter().map(|known| known.name.as_str());
    [here, "default"].into_iter().chain(names).find(|name| asked(name)).unwrap_or(here).to_owned()
}

/// The judges' pen.
struct Judge<'a> {
    answers: &'a Answers,
    view: &'a View,
    now: SystemTime,
    findings: Findings,
}

impl Judge<'_> {
    fn found(&mut self, finding: ClusterFinding) {
        self.findings.add(finding);
    }

    /// The answer in JSON. That there is none is a finding, too.
    fn json(&mut self, question: &Question) -> Option<Value> {
        match self.answers.json(question)? {
            Ok(value) => Some(value),
            Err(failure) => {
                self.unseen(question, &failure);
                None
            }
        }
    }

    /// The answer as text. That there is none is a finding, too.
    fn text(&mut self, question: &Question) -> Option<String> {
        match self.answers.said(question)? {
            Ok(said) => Some(said.stdout.clone()),
            Err(failure) => {
                self.unseen(question, &failure);
                None
            }
        }
    }

    fn unseen(&mut self, question: &Question, failure: &Failure) {
        self.findings.unseen(question, failure);
    }

    /// The objects of a list; `None` where there is no answer, which is a finding, too.
    fn items(&mut self, question: &Question) -> Option<Vec<Value>> {
        let mut list = self.json(question)?;
        Some(match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        })
    }

    fn server(&mut self) {
        let Some(version) = self.json(&Question::Version) else { return };
        let version = text(&version, "/gitVersion").unwrap_or("of an unknown version").to_owned();
        let config = self.answers.value(&Question::Config).unwrap_or_default();
        let context = text(&config, "/current-context").or_else(|| text(&config, "/contexts/0/name"));
        let place = context.map(|context| format!(", context {context}")).unwrap_or_default();
        self.found(match self.view.server {
            Some(server) if server < OLDEST => {
                ClusterFinding::ServerOld { version, oldest: OLDEST.to_string(), place }
            }
            _ => ClusterFinding::Server { version, place },
        });
    }

    fn issuer(&mut self) {
        let Some(document) = self.json(&Question::Issuer) else { return };
        let issuer = text(&document, "/issuer").unwrap_or_default().to_owned();
        self.found(if crate::facts::issuer::is_private(&issuer) {
            ClusterFinding::IssuerPrivate { issuer }
        } else {
            ClusterFinding::Issuer { issuer }
        });
    }
}
