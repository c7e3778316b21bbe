//! What hyper costs by itself: `bare-hyper PORT ANSWER`, on the emulator's runtime.

use std::sync::Arc;

use bench_servers::{Answer, Failure};

fn main() -> Result<(), Failure> {
    let [_, port, answer] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("usage: bare-hyper PORT ANSWER".into());
    };
    let answer = Arc::new(Answer::read(answer)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connect = |stream| {
            let answer = Arc::clone(&answer);
            async move { bench_servers::serve(stream, &answer).await }
        };
        bench_servers::accept(bench_servers::bind(port)?, connect).await
    })
}
