//! Parts of the documentation that say what the program says: compared, or written anew with `UPDATE_GOLDEN=1`.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A part stands between `<!-- NAME -->` and `<!-- end of NAME -->`.
pub fn holds(page: &str, name: &str, text: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let whole = fs::read_to_string(&file).unwrap();
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
    let (before, rest) = whole.split_once(&start).unwrap_or_else(|| panic!("{page} has no {start}"));
    let (part, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{page} has no {end}"));
    if part == text {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_GOLDEN").is_some(),
        "docs/{page}, {name}: run again with UPDATE_GOLDEN=1, and read the difference. It should be:\n{text}"
    );
    fs::write(&file, [before, &start, text, &end, after].concat()).unwrap();
}

/// A command and what it says.
pub fn transcript(command: &str, said: &str) -> String {
    format!("```console\n$ {command}\n{}\n```\n", said.trim_end())
}

/// A text in a cell of a table.
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Lines of code in a cell of a table.
pub fn code(text: &str) -> String {
    let lines = text.lines().map(|line| format!("`{}`", line.replace('|', "\\|")));
    lines.collect::<Vec<_>>().join("<br>")
}
