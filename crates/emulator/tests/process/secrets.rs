//! What of the secrets is left in the process's memory, read as root reads it.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::{Duration, SystemTime};

use imds_local_sts::Fault;
use imds_testkit::privilege;

use crate::support::{DOCUMENT, Emulator, Stage, document_field, eventually};

#[test]
fn keys_that_were_replaced_and_the_token_are_gone_from_memory() {
    let stage = Stage::new();
    // Each answer is refreshed in a few seconds.
    stage.sts.set_fault(Fault::NearExpiry(Duration::from_secs(6)));
    let emulator = stage.emulator().ready();
    if privilege::require("to read another process's memory", memory(&emulator).map(drop)).is_none() {
        return;
    }
    let field = |name| document_field(&emulator.get(DOCUMENT).body, name);
    let mut replaced = Vec::new();
    while replaced.len() < 3 {
        eventually(|| field("SecretAccessKey").is_some_and(|key| Some(&key) != replaced.last()));
        replaced.extend(field("SecretAccessKey"));
    }
    // The last ones live for an hour: nothing is on its way while memory is read, however long that takes.
    stage.sts.set_fault(Fault::None);
    let in_half_an_hour = SystemTime::now() + Duration::from_mins(30);
    eventually(|| {
        let end = field("Expiration").and_then(|text| humantime::parse_rfc3339(&text).ok());
        end.is_some_and(|end| end > in_half_an_hour)
    });
    let served = field("SecretAccessKey").unwrap();

    let token = std::fs::read_to_string(stage.token_file()).unwrap();
    let memory = memory(&emulator).unwrap();
    let count =
        |secret: &str| memory.windows(secret.len()).filter(|bytes| *bytes == secret.as_bytes()).count();
    assert!(count(&served) > 0, "what is served is found, so what is not there would be found, too");
    for key in &replaced {
        assert_eq!(count(key), 0, "{key} was replaced by {served}");
    }
    assert_eq!(count(token.trim_end()), 0, "the token is not kept");
}

/// All that the process has mapped and may read.
fn memory(emulator: &Emulator) -> std::io::Result<Vec<u8>> {
    let process = format!("/proc/{}", emulator.child.id());
    let mut memory = File::open(format!("{process}/mem"))?;
    let maps = std::fs::read_to_string(format!("{process}/maps"))?;
    let mut bytes = Vec::new();
    for line in maps.lines().filter(|line| !line.contains("[vvar") && !line.contains("[vsyscall]")) {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        if rest.starts_with("rw") {
            memory.seek(SeekFrom::Start(start))?;
            (&mut memory).take(end - start).read_to_end(&mut bytes)?;
        }
    }
    Ok(bytes)
}
