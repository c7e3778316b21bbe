//! Foreign tools: what our programs did is judged by programs that are not ours.

use std::process::Command;

/// Runs a command line (words separated by spaces) and returns what it printed.
///
/// # Panics
///
/// Where the tool can't be run or fails, with what it said.
pub fn run(line: &str) -> String {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    let output = command.args(words).output().unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(
        output.status.success(),
        "{line}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether all of these tools are there; says which is not.
pub fn all_installed(tools: &[&str]) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_missing = |tool: &&&str| !std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    match tools.iter().find(is_missing) {
        Some(tool) => Err(format!("{tool} is not installed")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_not_there_is_named() {
        assert_eq!(all_installed(&["sh"]), Ok(()));
        assert_eq!(all_installed(&["sh", "no-such-tool"]), Err("no-such-tool is not installed".to_owned()));
    }

    #[test]
    fn a_tools_words_are_returned() {
        assert_eq!(run("echo one  two"), "one two\n");
    }
}
