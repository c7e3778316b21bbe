//! A file's documents: decided on, edited, and what is to be said about them. Pure.

use anyhow::{Context as _, anyhow, bail};
use imds_contract::visible;
use imds_inject::{
    Decision, Operation, ServerVersion, Settings, WorkloadDecision, decide_document, unknown_kinds,
};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::encoding::MARK;
use super::source::Source;
use crate::yaml;

/// What the manifests are for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) settings: &'a Settings,
    /// Of what names none.
    pub(super) namespace: &'a str,
    pub(super) server: Option<ServerVersion>,
}

/// What became of a file.
#[derive(Debug)]
pub(super) struct Injected {
    pub(super) text: String,
    /// Its bytes, where nothing in it is injected.
    pub(super) untouched: Option<Vec<u8>>,
    /// As a YAML stream: a list of operations for each document that has some.
    pub(super) operations: String,
    pub(super) found: Vec<Found>,
}

/// A line of the report.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) text: String,
    pub(super) grade: Grade,
}

/// What a line of the report means for what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grade {
    /// Injected, or left as it is.
    Well,
    /// An error with `--strict`.
    Warning,
    /// An error without `--skip-refused`.
    Refused,
}

/// Injects all workloads of a file. The error names the file.
pub(super) fn inject(target: &Target<'_>, source: Source) -> anyhow::Result<Injected> {
    let Source { name, text, .. } = &source;
    let stream = yaml::parse(text).map_err(|error| anyhow!("{name}: {error}"))?;
    let (mut edited, mut operations, mut found) = (String::new(), Vec::new(), Vec::new());
    if let Some(fault) = &source.fault {
        let text = format!("{name}: warning: {fault}; kubectl reads U+FFFD instead");
        found.push(Found { text, grade: Grade::Warning });
    }
    let mut end = 0;
    for (index, document) in stream.documents.iter().enumerate() {
        let place = format!("{name}, document {}", index + 1);
        let value = document.root.to_json();
        let mut patch = Vec::new();
        for decided in decide_document(target.settings, &value, target.namespace, target.server) {
            let who = who(&decided);
            found.extend(report(&place, &who, &decided));
            if let Decision::Inject(injection) = decided.decision {
                patch.extend(injection.operations);
            }
        }
        for unknown in unknown_kinds(&value) {
            let who = if unknown.name.is_empty() { String::new() } else { format!(" {}", unknown.name) };
            let text = format!("{place}: warning{who}: {unknown}");
            found.push(Found { text, grade: Grade::Warning });
        }
        let original = text.get(document.range.clone()).unwrap_or_default();
        if let Some((_, twice)) = document.twice.first() {
            let text = format!("{place}: warning: {twice}: kubectl takes the last one");
            found.push(Found { text, grade: Grade::Warning });
        }
        if patch.is_empty() {
            edited.push_str(original);
        } else {
            if let Some(twice) = document.twice_at(patch.iter().map(|operation| operation.path.as_str())) {
                bail!("{name}: {twice}");
            }
            if let Some(fault) =
                source.fault.as_ref().filter(|_| original.contains(char::REPLACEMENT_CHARACTER))
            {
                bail!("{name}: {fault}");
            }
            let edit = yaml::edit(text, document, &patch).with_context(|| place.clone())?;
            edited.push_str(&edit.text);
            if edit.anew {
                let text = format!(
                    "{place}: warning: this document could not be edited in place (anchors, tags and CR line ends are in the way) and is written anew: its comments and its layout are lost"
                );
                found.push(Found { text, grade: Grade::Warning });
            }
            // A file's name may hold a line break, and end the comment.
            operations.push(format!("# {}\n{}", visible(&place), yaml::to_yaml(&as_json(&patch))));
        }
        end = document.range.end;
    }
    edited.push_str(text.get(end..).unwrap_or_default());
    let untouched = operations.is_empty().then_some(source.original);
    Ok(Injected { text: edited, untouched, operations: join(operations), found })
}

fn as_json(patch: &[Operation]) -> Value {
    // Operations are text and JSON: there is nothing in them that JSON has not.
    serde_json::to_value(patch).unwrap_or_default()
}

/// One line for the decision, one for each warning.
fn report(place: &str, who: &str, decided: &WorkloadDecision) -> Vec<Found> {
    let (text, grade) = match &decided.decision {
        Decision::Inject(injection) => (format!("{} {who}: {injection}", injection.extent), Grade::Well),
        Decision::Skip(reason) => (format!("left as it is {who}: {reason}"), Grade::Well),
        Decision::Refuse(reason) => (format!("refused {who}: {reason}"), Grade::Refused),
    };
    let decision = Found { text: format!("{place}: {text}"), grade };
    let warning =
        |warning| Found { text: format!("{place}: warning {who}: {warning}"), grade: Grade::Warning };
    std::iter::once(decision).chain(decided.warnings.iter().map(warning)).collect()
}

fn who(decided: &WorkloadDecision) -> String {
    let WorkloadDecision { kind, name, namespace, .. } = decided;
    let name = if name.is_empty() { "(without a name)" } else { name };
    format!("{}/{name} in {namespace}", kind.to_lowercase())
}

/// What is printed of the files: the bytes of one in which nothing is injected, else all as one stream that kubectl reads to its end.
pub(super) fn stream(mut files: Vec<Injected>) -> Vec<u8> {
    if let [Injected { untouched: Some(bytes), .. }] = files.as_mut_slice() {
        return std::mem::take(bytes);
    }
    let stream = join(files.into_iter().map(|file| file.text));
    let unmarked = stream.trim_start_matches(MARK);
    let stream = if is_taken_for_json(unmarked) { format!("---\n{unmarked}") } else { stream };
    stream.into_bytes()
}

/// The operations of all files, as one stream.
pub(super) fn operations(files: Vec<Injected>) -> String {
    join(files.into_iter().map(|file| file.operations))
}

/// Whether kubectl, which goes by the first character, would read JSON alone where there is more.
fn is_taken_for_json(stream: &str) -> bool {
    let mut values = serde_json::Deserializer::from_str(stream).into_iter::<IgnoredAny>();
    stream.trim_start().starts_with('{') && values.any(|value| value.is_err())
}

/// Streams as one stream.
fn join(texts: impl IntoIterator<Item = String>) -> String {
    let mut stream = String::new();
    for text in texts {
        if stream.is_empty() {
            stream = text;
            continue;
        }
        // A byte order mark says something at the beginning alone.
        let text = text.trim_start_matches(MARK);
        if !stream.ends_with('\n') {
            stream.push('\n');
        }
        stream.push_str(separator(text));
        stream.push_str(text);
    }
    stream
}

/// What has to stand before another stream.
fn separator(text: &str) -> &'static str {
    let is_said = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    match text.lines().find(is_said) {
        // Directives belong to the document after them: the one before has to be ended.
        Some(line) if line.starts_with('%') => "...\n",
        Some(line)
            if line
                .strip_prefix("---")
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) =>
        {
            ""
        }
        Some(_) => "---\n",
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = include_str!("../../../../examples/pod.yaml");

    fn inject_text(text: &str) -> Injected {
        let settings = Settings::new("registry.example/imds:1");
        let target = Target { settings: &settings, namespace: "default", server: None };
        inject(&target, Source::new("x.yaml".to_owned(), text.into())).unwrap()
    }

    fn texts(injected: &Injected) -> Vec<&str> {
        injected.found.iter().map(|found| found.text.as_str()).collect()
    }

    #[test]
    fn only_what_is_injected_changes() {
        let others =
            "# one\nkind: ConfigMap\ndata: {a: 'yes'}\n--- # none\n\n---\n[values, without, kind]\n---\n";
        let after = "\n---\nkind: Pod # not ours\nmetadata: {name: other}\nspec: {containers: [{name: c}]}\n...\n# end\n";
        let injected = inject_text(&format!("{others}{POD}{after}"));
        let middle = injected.text.strip_prefix(others).unwrap().strip_suffix(after).unwrap();
        let added = |line: &&str| !POD.lines().any(|old| old == *line);
        let kept: Vec<&str> = middle.lines().filter(|line| !added(line)).collect();
        assert_eq!(kept, POD.lines().collect::<Vec<_>>(), "every line of the Pod, in its order");
        let found = texts(&injected);
        assert!(
            found[0].starts_with(
                "x.yaml, document 4: injected pod/nginx in default: role arn:aws:iam::123456789012:role/"
            ),
            "{found:?}"
        );
        assert!(
            found[1].starts_with("x.yaml, document 5: left as it is pod/other in default: the label"),
            "{found:?}"
        );
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn what_is_injected_already_stays_as_it_is() {
        let once = inject_text(POD).text;
        let twice = inject_text(&once);
        assert_eq!(twice.text, once);
        assert!(twice.operations.is_empty() && texts(&twice)[0].contains("left as it is"), "{twice:?}");
    }

    #[test]
    fn a_refused_workload_stays_as_it_is_and_is_told() {
        let text = POD.replace("spec:\n", "spec:\n hostNetwork: yes\n");
        let injected = inject_text(&text);
        assert_eq!(injected.text, text);
        assert!(
            injected.found[0].grade == Grade::Refused
                && injected.found[0].text.contains("refused pod/nginx in default: ")
        );
    }

    #[test]
    fn the_operations_are_a_json_patch() {
        let injected = inject_text(&format!("a: 1\n---\n{POD}"));
        let stream = yaml::parse(&injected.operations).unwrap();
        let [document] = stream.documents.as_slice() else { panic!("{}", injected.operations) };
        let patch = document.root.to_json();
        assert!(injected.operations.starts_with("# x.yaml, document 2\n- op: add\n  path: /spec/volumes\n"));
        let pod = yaml::parse(POD).unwrap().documents[0].root.to_json();
        let after = yaml::parse(&injected.text).unwrap().documents[1].root.to_json();
        let operations: Vec<Operation> = patch
            .as_array()
            .unwrap()
            .iter()
            .map(|operation| Operation {
                path: operation["path"].as_str().unwrap().to_owned(),
                value: operation["value"].clone().into(),
            })
            .collect();
        let mut patched = pod;
        imds_inject::apply(&mut patched, &operations).unwrap();
        assert_eq!(patched, after);
    }

    #[test]
    fn a_list_is_injected_item_by_item() {
        let pod = format!("    {}\n", POD.trim_end().replace('\n', "\n    "));
        let refused = pod.replace("role-arn: \"arn:", "role-arn: \"");
        let injected =
            inject_text(&format!("apiVersion: v1\nkind: List\nitems:\n  -\n{pod}  -\n{refused}  -\n{pod}"));
        let decisions: Vec<bool> = injected.found.iter().map(|found| found.grade == Grade::Refused).collect();
        assert_eq!(decisions, [false, true, false]);
        assert_eq!(injected.text.matches("serviceAccountToken").count(), 2);
        assert!(injected.text.contains(&refused), "{}", injected.text);
    }

    #[test]
    fn lost_comments_are_told() {
        let pod = POD.replace("annotations:", "annotations: &a # c") + "copy: *a\n";
        let injected = inject_text(&pod);
        assert!(
            texts(&injected)[1].contains("document 1: warning: this document could not be edited in place"),
            "{injected:?}"
        );
        assert!(!injected.text.contains("# c"));
    }

    #[test]
    fn a_stream_that_begins_with_json_and_goes_on_says_that_it_is_yaml() {
        let file = |text: &str, injected: bool| Injected {
            text: text.to_owned(),
            untouched: (!injected).then(|| "as it was".into()),
            operations: String::new(),
            found: Vec::new(),
        };
        let (json, yaml) = ("{\"a\": 1}\n", "b: 2\n");
        let stream = |files| String::from_utf8(stream(files)).unwrap();
        assert_eq!(stream(vec![file(json, false), file(yaml, true)]), "---\n{\"a\": 1}\n---\nb: 2\n");
        assert_eq!(stream(vec![file(yaml, true), file(json, false)]), "b: 2\n---\n{\"a\": 1}\n");
        assert_eq!(stream(vec![file(json, true)]), json);
        assert_eq!(stream(vec![file("{a: 1}\n", true)]), "---\n{a: 1}\n");
        assert_eq!(stream(vec![file(json, false)]), "as it was");
        assert_eq!(stream(Vec::new()), "");
    }

    #[test]
    fn a_key_that_is_there_twice_stops_its_own_document_alone() {
        let twice = "kind: ConfigMap\ndata: {a: b}\ndata: {a: c}\n---\n";
        let injected = inject_text(&format!("{twice}{POD}"));
        assert!(injected.text.starts_with(twice), "{}", injected.text);
        let warning =
            "x.yaml, document 1: warning: line 3: the key \"data\" is here twice: kubectl takes the last one";
        assert!(texts(&injected).contains(&warning), "{injected:?}");
        let settings = Settings::new("registry.example/imds:1");
        let target = Target { settings: &settings, namespace: "default", server: None };
        let pod = format!("{POD}apiVersion: v1\n");
        let error = inject(&target, Source::new("x.yaml".to_owned(), pod.into())).unwrap_err().to_string();
        assert!(error.contains("the key \"apiVersion\" is here twice"), "{error}");
    }

    #[test]
    fn a_key_that_is_there_twice_in_another_item_of_a_list_is_a_warning() {
        let item = |text: &str| format!("- {}\n", text.trim_end().replace('\n', "\n  "));
        let (twice, pod) = (item("kind: ConfigMap\ndata: {a: b, a: c}\n"), item(POD));
        let list = format!("kind: List\nitems:\n{twice}{pod}");
        let injected = inject_text(&list);
        assert!(injected.text.starts_with(&format!("kind: List\nitems:\n{twice}")), "{}", injected.text);
        assert!(injected.text.contains("serviceAccountToken"), "{}", injected.text);
        assert!(
            texts(&injected).iter().any(|text| text.contains("warning: line 4: the key \"a\" is here twice"))
        );
        let settings = Settings::new("registry.example/imds:1");
        let target = Target { settings: &settings, namespace: "default", server: None };
        let both = item(&format!("{POD}kind: Pod\n"));
        for (list, expected) in [
            (format!("kind: List\nitems:\n{twice}{both}"), "line 18: the key \"kind\" is here twice"),
            (format!("{list}kind: List\n"), "the key \"kind\" is here twice"),
        ] {
            let error =
                inject(&target, Source::new("x.yaml".to_owned(), list.into())).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn streams_are_joined_as_documents() {
        let join = |texts: &[&str]| join(texts.iter().map(|text| (*text).to_owned()));
        assert_eq!(join(&["a: 1\n", "b: 2"]), "a: 1\n---\nb: 2");
        assert_eq!(join(&["a: 1", "# c\n---\nb: 2\n"]), "a: 1\n# c\n---\nb: 2\n");
        assert_eq!(join(&["a: 1\n", "%YAML 1.2\n---\nb: 2\n"]), "a: 1\n...\n%YAML 1.2\n---\nb: 2\n");
        assert_eq!(join(&["\u{feff}a: 1\n", "\u{feff}b: 2\n"]), "\u{feff}a: 1\n---\nb: 2\n");
        assert_eq!(join(&["a: 1\n", "# nothing\n", "---x: 1\n"]), "a: 1\n# nothing\n---\n---x: 1\n");
    }
}
