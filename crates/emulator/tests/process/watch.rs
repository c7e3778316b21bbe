//! A client that asks for the document all the time and holds every answer against the promises: what is served was issued
//! by STS to this process, under the one session name, unchanged and until its end; and it is not given up before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use imds_local_sts::{LocalSts, Outcome};

use crate::support::{DOCUMENT, Emulator, Response, document_field, exchange};

const PAUSE: Duration = Duration::from_millis(10);

/// What clocks that tell whole seconds cost, twice: that of STS's answer, and the second that is kept in reserve for it. And
/// the way of the answer.
const RESOLUTION: Duration = Duration::from_millis(2500);

/// Answers that were alike, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) answer: Response,
    /// When the first of them had come.
    first: SystemTime,
    /// When the last of them was asked for.
    last: SystemTime,
}

impl Seen {
    fn expiration(&self) -> SystemTime {
        let text = document_field(&self.answer.body, "Expiration").expect("an Expiration");
        humantime::parse_rfc3339(&text).unwrap()
    }
}

pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    client: JoinHandle<Vec<Seen>>,
}

impl Watch {
    pub(crate) fn of(emulator: &Emulator) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (address, stopped) = (emulator.imds, Arc::clone(&stop));
        let client = thread::spawn(move || {
            let mut seen: Vec<Seen> = Vec::new();
            loop {
                // What holds at the end is seen.
                let is_last = stopped.load(SeqCst);
                let asked = SystemTime::now();
                let answer = exchange(address, &format!("GET {DOCUMENT} HTTP/1.0\r\n\r\n"));
                let answer = answer.expect("every request is answered");
                match seen.last_mut() {
                    Some(before)
                        if (before.answer.status, &before.answer.body) == (answer.status, &answer.body) =>
                    {
                        before.last = asked;
                    }
                    _ => seen.push(Seen { answer, first: SystemTime::now(), last: asked }),
                }
                if is_last {
                    return seen;
                }
                thread::sleep(PAUSE);
            }
        });
        Self { stop, client }
    }

    /// Holds what was seen against what STS knows, and returns it.
    #[track_caller]
    pub(crate) fn end(self, emulator: &Emulator, sts: &LocalSts) -> Vec<Seen> {
        self.stop.store(true, SeqCst);
        let seen = self.client.join().expect("every request is answered");
        for part in &seen {
            emulator.remember_secrets(&part.answer);
        }
        let exchanges = sts.exchanges();
        assert!(
            exchanges.iter().all(|exchange| exchange.session_name.as_deref() == Some("default.nginx")),
            "{exchanges:?}"
        );
        let issued: Vec<_> = exchanges
            .iter()
            .filter_map(|exchange| match exchange.outcome {
                Outcome::Issued { expiration } => {
                    Some(humantime::format_rfc3339_seconds(expiration).to_string())
                }
                _ => None,
            })
            .collect();
        let mut documents: Vec<&Seen> = Vec::new();
        for part in &seen {
            match part.answer.status {
                200 => {
                    let text = document_field(&part.answer.body, "Expiration").expect("an Expiration");
                    assert!(issued.contains(&text), "{text} is not of {issued:?}");
                    assert!(part.last < part.expiration(), "served after its end: {part:?}");
                    let key = |seen: &Seen| document_field(&seen.answer.body, "AccessKeyId").expect("a key");
                    assert!(documents.iter().all(|before| key(before) < key(part)), "an older one came back");
                    documents.push(part);
                }
                503 => {
                    if let Some(before) = documents.last() {
                        assert!(part.first + RESOLUTION > before.expiration(), "given up early: {part:?}");
                    }
                }
                other => panic!("{other}: {part:?}"),
            }
        }
        seen
    }
}
