//! The files that `inject` reads.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use serde::de::IgnoredAny;

/// What in a folder is read. Source: `kubectl apply --filename`.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// A file's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// As a person would name it.
    pub(super) name: String,
    /// As it was read.
    pub(super) original: String,
    /// As YAML, where it is read as kubectl does and YAML does not.
    pub(super) as_yaml: Option<String>,
}

impl Source {
    pub(super) fn new(name: String, original: String) -> Self {
        let without_marks = without_inner_marks(&original);
        let as_yaml = json_stream(without_marks.as_deref().unwrap_or(&original)).or(without_marks);
        Self { name, original, as_yaml }
    }

    pub(super) fn text(&self) -> &str {
        self.as_yaml.as_deref().unwrap_or(&self.original)
    }
}

/// Reads all files, those of a folder in the order of their names.
pub(super) fn read(paths: &[PathBuf], recursive: bool) -> Vec<anyhow::Result<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        match files(path, recursive) {
            Ok(files) => sources.extend(files.iter().map(|file| read_file(file))),
            Err(error) => sources.push(Err(error)),
        }
    }
    sources
}

fn files(path: &Path, recursive: bool) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    collect(path, recursive, &mut files).with_context(|| format!("cannot read {}", path.display()))?;
    if files.is_empty() {
        let hint = if recursive { "" } else { "; --recursive looks into its folders too" };
        bail!("{} holds no *.yaml, *.yml or *.json{hint}", path.display());
    }
    Ok(files)
}

fn collect(folder: &Path, recursive: bool, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    for path in paths {
        // A link to a folder may lead in a circle.
        let is_folder = path.symlink_metadata()?.is_dir();
        let is_ours =
            path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known));
        if is_folder && recursive {
            collect(&path, recursive, files)?;
        } else if is_ours && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> anyhow::Result<Source> {
    let is_stdin = path == Path::new("-");
    let name = if is_stdin { "stdin".to_owned() } else { path.display().to_string() };
    let bytes = if is_stdin {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    let bytes = bytes.with_context(|| format!("cannot read {name}"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count();
        anyhow!("{name}: line {line}: this is not UTF-8")
    })?;
    Ok(Source::new(name, text))
}

/// Without the byte order marks that documents begin with after a `---`: what editors on Windows write, put one after the other. `None`
/// where there are none.
fn without_inner_marks(text: &str) -> Option<String> {
    const MARK: char = '\u{feff}';
    if !text.chars().skip(1).any(|character| character == MARK) {
        return None;
    }
    let mut clean = String::with_capacity(text.len());
    let mut begins = false;
    for line in text.split_inclusive('\n') {
        clean.push_str(if begins { line.trim_start_matches(MARK) } else { line });
        begins = line.trim_end() == "---";
    }
    Some(clean)
}

/// JSON objects one after the other, which kubectl takes and YAML does not, with a `---` between them.
fn json_stream(text: &str) -> Option<String> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut ends = Vec::new();
    while let Some(value) = values.next() {
        value.ok()?;
        ends.push(values.byte_offset());
    }
    ends.pop();
    let mut stream = String::with_capacity(text.len() + ends.len() * 5);
    let mut start = 0;
    for end in ends {
        stream.push_str(text.get(start..end)?);
        stream.push_str("\n---\n");
        let rest = text.get(end..)?;
        start = end + rest.len() - rest.trim_start().len();
    }
    (start > 0).then(|| stream + text.get(start..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir_all(folder.path().join("c.yaml/deep")).unwrap();
        for name in ["b.yml", "a.json", "d.txt", "c.yaml/deep/z.yaml", "e.yaml"] {
            write(name, name.as_bytes());
        }
        let names = |recursive| {
            let sources = read(&[folder.path().to_owned()], recursive);
            sources.into_iter().map(|source| source.unwrap().original).collect::<Vec<_>>()
        };
        assert_eq!(names(false), ["a.json", "b.yml", "e.yaml"]);
        assert_eq!(names(true), ["a.json", "b.yml", "c.yaml/deep/z.yaml", "e.yaml"]);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        let latin = folder.path().join("latin.yaml");
        fs::create_dir(&empty).unwrap();
        fs::write(&latin, b"a: 1\nb: \xe9\n").unwrap();
        let sources = read(&[folder.path().join("absent.yaml"), empty, latin], false);
        let errors: Vec<String> =
            sources.into_iter().map(|source| format!("{:#}", source.unwrap_err())).collect();
        for (error, expected) in
            errors.iter().zip(["No such file", "holds no *.yaml", "line 2: this is not UTF-8"])
        {
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(errors.len(), 3);
    }

    #[test]
    fn a_mark_at_the_beginning_of_a_document_is_none_of_its_text() {
        let clean = |text| without_inner_marks(text).unwrap_or_else(|| text.to_owned());
        assert_eq!(clean("a: 1\n---\n\u{feff}b: 2\n"), "a: 1\n---\nb: 2\n");
        assert_eq!(clean("\u{feff}a: 1\r\n---\r\n\u{feff}b: 2\r\n"), "\u{feff}a: 1\r\n---\r\nb: 2\r\n");
        for same in ["\u{feff}a: 1\n", "a: 1\nb: \u{feff}2\n", "a: |\n  ---x\n\u{feff}b: 2\n"] {
            assert_eq!(clean(same), same);
        }
    }

    #[test]
    fn json_objects_in_a_row_become_documents() {
        assert_eq!(
            json_stream("{\"a\": 1}\n\n{\"b\": [2]}{}\n").unwrap(),
            "{\"a\": 1}\n---\n{\"b\": [2]}\n---\n{}\n"
        );
        for one in ["{\"a\": 1}\n", "{a: 1}\n", "a: {}\n", "{} # c\n", ""] {
            assert_eq!(json_stream(one), None, "{one:?}");
        }
    }
}
