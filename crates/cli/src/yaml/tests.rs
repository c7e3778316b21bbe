//! Before and after.

#![allow(clippy::panic, reason = "a test may panic")]

use std::fmt::Write as _;

use imds_inject::Operation;
use serde_json::{Value, json};

use super::edit::Edited;
use super::{edit, parse};

/// The operations done to the text's only document.
fn edited(text: &str, operations: &[(&str, Value)]) -> Edited {
    let stream = parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let [document] = stream.documents.as_slice() else { panic!("{text}\nhas not one document") };
    let operation =
        |(path, value): &(&str, Value)| Operation { path: (*path).to_owned(), value: value.clone().into() };
    let operations: Vec<_> = operations.iter().map(operation).collect();
    let edited = edit(text, document, &operations).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let rest = text.get(document.range.end..).unwrap_or_default();
    Edited { text: format!("{}{rest}", edited.text), ..edited }
}

#[track_caller]
fn in_place(before: &str, operations: &[(&str, Value)], after: &str) {
    let edited = edited(before, operations);
    assert_eq!(edited.text, after, "\n{}", edited.text);
    assert!(!edited.anew, "written anew:\n{before}");
}

#[track_caller]
fn anew(before: &str, operations: &[(&str, Value)], after: &str) {
    let edited = edited(before, operations);
    assert_eq!(edited.text, after, "\n{}", edited.text);
    assert!(edited.anew, "not written anew:\n{before}");
}

#[test]
fn a_key_comes_after_the_last_one_and_its_comment() {
    in_place(
        "# head\nmeta: # m\n    labels: {}   # none\n    name:   'x'  # the name\n    # below\nspec: 1\n# end\n",
        &[("/meta/annotations", json!({})), ("/meta/annotations/a", json!("True"))],
        "# head\nmeta: # m\n    labels: {}   # none\n    name:   'x'  # the name\n    annotations:\n        a: \"True\"\n    # below\nspec: 1\n# end\n",
    );
}

#[test]
fn items_come_first_before_the_comments_on_the_next() {
    in_place(
        "a:\n  # the one\n\n  # again\n  - name: x # x\n    v: 1\n  - name: y\n",
        &[("/a/0", json!({"name": "q", "list": [1, {"b": []}]})), ("/a/1", json!("m"))],
        "a:\n  - name: q\n    list:\n      - 1\n      - b: []\n  - m\n  # the one\n\n  # again\n  - name: x # x\n    v: 1\n  - name: y\n",
    );
}

#[test]
fn items_come_last_below_what_the_last_one_holds() {
    in_place(
        "a:\n- name: x\n  script: |\n    one\n\n    two\n\n# next\nb: 2\n",
        &[("/a/-", json!({"name": "q"})), ("/a/0/env", json!([])), ("/a/0/env/-", json!({"k": "v"}))],
        "a:\n- name: x\n  script: |\n    one\n\n    two\n  env:\n  - k: v\n- name: q\n\n# next\nb: 2\n",
    );
}

#[test]
fn a_new_list_is_indented_as_its_siblings_are() {
    in_place(
        "spec:\n containers:\n - name: x\n",
        &[("/spec/volumes", json!([{"name": "v"}])), ("/spec/security", json!({"a": {"b": 1}}))],
        "spec:\n containers:\n - name: x\n volumes:\n - name: v\n security:\n  a:\n   b: 1\n",
    );
    in_place(
        "spec:\n    containers:\n      - name: x\n",
        &[("/spec/volumes", json!([{"name": "v"}]))],
        "spec:\n    containers:\n      - name: x\n    volumes:\n      - name: v\n",
    );
}

#[test]
fn what_is_there_but_empty_is_filled_below_its_key() {
    for (value, comment) in
        [("", ""), (" ~", ""), (" null", "  # c"), (" []", ""), ("", " # c"), (" [ ]", " # c")]
    {
        let before = format!("a:\n  list:{value}{comment}\n  b: 1\n");
        let after = format!("a:\n  list:{comment}\n  - 1\n  b: 1\n");
        let operations = [("/a/list", json!([])), ("/a/list/-", json!(1))];
        let is_there = usize::from(value.contains('['));
        in_place(&before, &operations[is_there..], &after);
    }
    in_place("a:\n  word:\nb:\n", &[("/a/word", json!("1"))], "a:\n  word: \"1\"\nb:\n");
    in_place("a: ~ # c\n", &[("/a", json!(true))], "a: true # c\n");
}

#[test]
fn a_file_without_a_last_newline_gets_none() {
    in_place("a:\n  b: 1", &[("/a/c", json!(2))], "a:\n  b: 1\n  c: 2");
    in_place("a:", &[("/a", json!({})), ("/a/c", json!([3])), ("/d", json!(4))], "a:\n  c:\n  - 3\nd: 4");
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_stay() {
    in_place(
        "\u{feff}a:\r\n- b: 1\r\n",
        &[("/a/0", json!({"c": {"d": 2}})), ("/e", json!(3))],
        "\u{feff}a:\r\n- c:\r\n    d: 2\r\n- b: 1\r\ne: 3\r\n",
    );
    in_place("\u{feff}- a\n", &[("/0", json!("b"))], "\u{feff}- b\n- a\n");
}

#[test]
fn flow_style_is_kept() {
    in_place(
        "a: {b: [x, y], c: }\nd: [ {e: 1}, ]\n",
        &[
            ("/a/b/0", json!("q")),
            ("/a/b/-", json!({"k": "v"})),
            ("/a/f", json!([1])),
            ("/d/0/g", json!(null)),
        ],
        "a: {b: [\"q\", x, y, {\"k\": \"v\"}], c: , \"f\": [1] }\nd: [ {e: 1, \"g\": null}, ]\n",
    );
    in_place(
        "a: [\n  x, # c\n  y\n  ]\n",
        &[("/a/0", json!({"k": 1})), ("/a/-", json!(2))],
        "a: [\n  {\n    \"k\": 1\n  },\n  x, # c\n  y,\n  2\n  ]\n",
    );
}

#[test]
fn json_stays_json() {
    in_place(
        "{\n    \"a\": {\n        \"b\": 1\n    },\n    \"c\": [],\n    \"n\": null\n}\n",
        &[("/a/d", json!({"e": [2]})), ("/c/-", json!({"f": 3})), ("/c/-", json!(4)), ("/n", json!([]))],
        "{\n    \"a\": {\n        \"b\": 1,\n        \"d\": {\n            \"e\": [\n                2\n            ]\n        }\n    },\n    \"c\": [\n        {\n            \"f\": 3\n        },\n        4\n    ],\n    \"n\": []\n}\n",
    );
    in_place(
        "{\"a\":{\"b\":1}}",
        &[("/a/c", json!({"d": [1, 2]}))],
        "{\"a\":{\"b\":1, \"c\": {\"d\": [1, 2]}}}",
    );
    in_place(
        "{\n\t\"a\": 1\n}",
        &[("/b", json!({"c": 2}))],
        "{\n\t\"a\": 1,\n\t\"b\": {\n\t\t\"c\": 2\n\t}\n}",
    );
}

#[test]
fn lists_in_lists_are_edited_within_their_line() {
    in_place(
        "- - a # c\n  - b\n",
        &[("/0/0", json!({"x": 1, "u": 2}))],
        "- - x: 1\n    u: 2\n  - a # c\n  - b\n",
    );
}

#[test]
fn an_alias_that_is_added_to_is_written_out() {
    in_place(
        "base: &b\n  image: x\n  mode: 0644 # c\none: *b\ntwo: *b\n",
        &[("/one/new", json!([1]))],
        "base: &b\n  image: x\n  mode: 0644 # c\none:\n  image: x\n  mode: 0644\n  new:\n  - 1\ntwo: *b\n",
    );
    in_place(
        "a: &a {b: 1}\nlist:\n- *a\n- x\n",
        &[("/list/0/c", json!("2"))],
        "a: &a {b: 1}\nlist:\n- b: 1\n  c: \"2\"\n- x\n",
    );
}

#[test]
fn what_a_merge_key_brought_is_overridden_where_it_is_added_to() {
    in_place(
        "a: &a\n  env:\n  - x\n  v: 1\nb:\n  <<: *a # merged\n  w: 2\n",
        &[("/b/env/-", json!("q")), ("/b/u", json!(3))],
        "a: &a\n  env:\n  - x\n  v: 1\nb:\n  <<: *a # merged\n  w: 2\n  env:\n  - x\n  - q\n  u: 3\n",
    );
}

#[test]
fn an_anchor_that_is_added_to_keeps_its_aliases_as_they_were() {
    anew(
        "# head\n---\na: &a # c\n  b: 'yes'\n  c: 0o7\n  d: |\n    one\n    two\nz: *a\n",
        &[("/a/u", json!("no"))],
        "# head\n---\na:\n  b: \"yes\"\n  c: 0o7\n  d: |\n    one\n    two\n  u: \"no\"\nz:\n  b: \"yes\"\n  c: 0o7\n  d: |\n    one\n    two\n",
    );
}

#[test]
fn what_blank_lines_a_text_keeps_are_its_own() {
    in_place(
        "a:\n  s: |+\n    x\n\n\nb: 1\n",
        &[("/a/u", json!(1))],
        "a:\n  s: |+\n    x\n\n\n  u: 1\nb: 1\n",
    );
}

#[test]
fn directives_and_tags_stay() {
    in_place(
        "%YAML 1.1\n# c\n--- !!map\na: !!str 1\nb: !custom\n  x: 1\n...\n# after\n",
        &[("/b/u", json!(2))],
        "%YAML 1.1\n# c\n--- !!map\na: !!str 1\nb: !custom\n  x: 1\n  u: 2\n...\n# after\n",
    );
}

#[test]
fn a_key_that_is_there_twice_is_told_of_and_the_last_one_counts() {
    for (text, expected, value) in [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "line 4: the key \"c\" is here twice", json!({"a": 1, "b": {"c": 2}})),
        ("1: a\n'1': b\n", "line 2: the key \"1\" is here twice", json!({"1": "b"})),
    ] {
        let stream = parse(&format!("{text}---\na: 1\n")).unwrap();
        let [first, second] = stream.documents.as_slice() else { panic!("{text}") };
        assert_eq!(first.twice[0].1.to_string(), expected);
        assert_eq!((first.root.to_json(), second.twice.len()), (value, 0));
    }
}

#[test]
fn wrong_yaml_is_an_error_with_its_line() {
    for (text, expected) in [
        ("a:\n\t- b\n", "line 2: tabs"),
        ("a: 1\n---\nb: [\n", "line 3: "),
        ("a: *nowhere\n", "line 1: "),
        ("a: &a [*a]\n", "line 1: "),
        ("[a, b]: c\n", "line 1: a key has to be one word"),
        ("a:\n  <<: 1\n", "line 2: << takes a map"),
        ("{{ .Values.x }}\n", "line 1: "),
    ] {
        let error = parse(text).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn aliases_without_end_are_an_error_not_a_full_memory() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let alias = format!("*a{}", level - 1);
        writeln!(text, "a{level}: &a{level} [{}]", vec![alias; 10].join(", ")).unwrap();
    }
    assert!(parse(&text).unwrap_err().to_string().contains("too large"));
    let mut deep = "a0: &a0 [x]\n".to_owned();
    for level in 1..400 {
        writeln!(deep, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
    }
    assert!(parse(&deep).unwrap_err().to_string().contains("too large"));
    assert!(parse(&"[".repeat(100_000)).is_err());
}

#[test]
fn a_stream_is_read_as_kubectl_reads_it() {
    let text = "# only\n---\n---\na: yes\n1: x\ny: z\n---\n# c\n";
    let documents: Vec<Value> =
        parse(text).unwrap().documents.iter().map(|document| document.root.to_json()).collect();
    assert_eq!(documents, [json!(null), json!({"a": true, "1": "x", "true": "z"}), json!(null)]);
    let stream = parse(text).unwrap();
    let pieces: String = stream.documents.iter().map(|document| &text[document.range.clone()]).collect();
    assert!(text.starts_with(&pieces), "the documents' ranges follow each other");
    assert!(parse("# nothing\n").unwrap().documents.is_empty());
}
