//! Thousands of Pods against one simulated STS, by the emulator's own schedule and by those of its peers. What comes of it is in
//! `docs/scale.md`.
//!
//! `bench/scale` simulates everything and writes the tables and the pictures there; `bench/scale --check` simulates all but the
//! largest cases, and fails where something else is written. The same comes out every time.

mod cases;
mod measures;
mod plots;
mod schedules;
mod simulation;
mod sts;
mod table;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use cases::{PODS, Scenario, Which};
use measures::Measures;
use plots::PLOTS;

type Error = Box<dyn std::error::Error>;

const PAGE: &str = "docs/scale.md";
const PICTURES: &str = "docs/scale";
/// The most Pods of a check.
const CHECKED: u32 = 10_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => write(),
        ["--check"] => check(),
        _ => Err("usage: bench/scale [--check]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "stampede: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<(), Error> {
    fs::create_dir_all(PICTURES)?;
    for (path, text) in written(&PODS)? {
        fs::write(path, text)?;
    }
    Ok(())
}

fn check() -> Result<(), Error> {
    let pods: Vec<u32> = PODS.into_iter().filter(|pods| *pods <= CHECKED).collect();
    for (path, text) in written(&pods)? {
        if fs::read_to_string(&path)? != text {
            return Err(format!("{} is not what is simulated now: run bench/scale", path.display()).into());
        }
    }
    Ok(())
}

/// The files as they are to be, with what so many Pods say.
fn written(pods: &[u32]) -> Result<Vec<(PathBuf, String)>, Error> {
    let measures = simulate(pods);
    let of = |pods| {
        let measures = &measures;
        move |scenario, which| measures.get(&(pods, scenario, which))
    };
    let mut page = fs::read_to_string(PAGE)?;
    for pods in pods {
        page = with_table(&page, *pods, &table::table(of(*pods)))?;
    }
    let mut files = vec![(PathBuf::from(PAGE), page)];
    for plot in PLOTS.into_iter().filter(|plot| pods.contains(&plot.pods)) {
        let path = Path::new(PICTURES).join(plot.name).with_extension("svg");
        files.push((path, plot.draw(of(plot.pods))?));
    }
    Ok(files)
}

/// The page with this table between the marks of so many Pods.
fn with_table(page: &str, pods: u32, table: &str) -> Result<String, Error> {
    let [begin, end] = ["begin", "end"].map(|word| format!("<!-- {word} of {pods} Pods -->\n"));
    let cut = page.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = cut.ok_or_else(|| format!("{PAGE} has no place for {pods} Pods"))?;
    Ok(format!("{before}{begin}{table}{end}{after}"))
}

type Key = (u32, Scenario, Which);

/// Every case with so many Pods, on every processor.
fn simulate(pods: &[u32]) -> HashMap<Key, Measures> {
    let keys = pods.iter().flat_map(|pods| {
        Scenario::ALL.into_iter().flat_map(move |scenario| Which::ALL.map(|which| (*pods, scenario, which)))
    });
    let keys = Mutex::new(keys);
    let next = || keys.lock().ok()?.next();
    let done = Mutex::new(HashMap::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(key) = next() {
                    let (pods, scenario, which) = key;
                    let measures = which.play(&scenario.case(pods));
                    if let Ok(mut done) = done.lock() {
                        done.insert(key, measures);
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_default()
}
