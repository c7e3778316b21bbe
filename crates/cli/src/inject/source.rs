//! The files that `inject` reads; `run` reads its Pod the same way.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::encoding::{decode, without_inner_marks};
use super::json::json_as_yaml;

/// What in a folder is read. Source: `kubectl apply --filename`.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// A file's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// As a person would name it.
    pub(crate) name: String,
    /// As it was read.
    pub(super) original: Vec<u8>,
    /// As YAML, which is what kubectl reads in it.
    pub(crate) text: String,
    /// Where it is not in its encoding.
    pub(crate) fault: Option<String>,
}

impl Source {
    pub(crate) fn new(name: String, original: Vec<u8>) -> Self {
        let (decoded, fault) = decode(&original);
        let text = json_as_yaml(&decoded).unwrap_or(decoded);
        let text = without_inner_marks(&text).unwrap_or(text);
        Self { name, original, text, fault }
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

/// Reads one file, or stdin for `-`.
pub(crate) fn read_file(path: &Path) -> anyhow::Result<Source> {
    let is_stdin = path == Path::new("-");
    let name = if is_stdin { "stdin".to_owned() } else { path.display().to_string() };
    let bytes = if is_stdin {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    let bytes = bytes.with_context(|| format!("cannot read {name}"))?;
    Ok(Source::new(name, bytes))
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
            sources.into_iter().map(|source| source.unwrap().text).collect::<Vec<_>>()
        };
        assert_eq!(names(false), ["a.json", "b.yml", "e.yaml"]);
        assert_eq!(names(true), ["a.json", "b.yml", "c.yaml/deep/z.yaml", "e.yaml"]);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let sources = read(&[folder.path().join("absent.yaml"), empty], false);
        let errors: Vec<String> =
            sources.into_iter().map(|source| format!("{:#}", source.unwrap_err())).collect();
        for (error, expected) in errors.iter().zip(["No such file", "holds no *.yaml"]) {
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(errors.len(), 2);
    }
}
