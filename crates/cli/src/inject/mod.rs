//! `inject`: manifests in, injected manifests out.
//!
//! [`source`] reads the files; [`manifests`] decides on their documents and edits them; here it is told and printed. What is
//! printed is complete or nothing: a half of a stream would be applied as if it were the whole.

mod manifests;
mod source;

use std::process::ExitCode;

use anyhow::Context as _;

use crate::arguments::InjectArguments;
use crate::output::Output;
use crate::pod_file::{LOCAL_IMAGE, read_settings};
use manifests::{Found, Injected, Target};

/// Does it all.
pub(crate) fn inject(arguments: &InjectArguments, output: &Output) -> anyhow::Result<ExitCode> {
    let InjectArguments { files, recursive, settings, image, server_version, namespace, dry_run, strict } =
        arguments;
    if settings.is_none() && image.is_none() {
        output.plain(format_args!(
            "warning: no --image and no --settings: the image is {LOCAL_IMAGE}, which no registry has"
        ));
    }
    let settings = read_settings(settings.as_deref(), image.as_deref())?;
    let target = Target { settings: &settings, namespace, server: *server_version };

    let mut injected = Vec::new();
    let mut failed = false;
    for source in source::read(files, *recursive) {
        match source.and_then(|source| manifests::inject(&target, &source)) {
            Ok(file) => injected.push(file),
            Err(error) => {
                failed = true;
                output.error(&format!("{error:#}"));
            }
        }
    }
    let found = || injected.iter().flat_map(|file| &file.found);
    for Found { text, .. } in found() {
        output.plain(text);
    }
    if failed {
        return Ok(ExitCode::FAILURE);
    }
    let refused = found().filter(|found| found.refused).count();
    if *strict && refused > 0 {
        output.error(&format!("{refused} refused: nothing is printed (--strict)"));
        return Ok(ExitCode::FAILURE);
    }
    let text = |file: Injected| if *dry_run { file.operations } else { file.text };
    let stream = manifests::join(injected.into_iter().map(text));
    output.data(&stream).context("cannot write to stdout")?;
    Ok(ExitCode::SUCCESS)
}
