//! `inject`: manifests in, injected manifests out.
//!
//! [`source`] reads the files, as text ([`encoding`]) and as YAML ([`json`]); [`manifests`] decides on their documents and edits them; here it is reported and printed. What is
//! printed is complete or nothing: `kubectl apply` would take half of a stream for the whole, and would create a refused workload
//! without the emulator, where it finds the node's role.

mod encoding;
mod json;
mod manifests;
pub(crate) mod source;

use std::process::ExitCode;

use anyhow::Context as _;

use crate::arguments::{ErrorArguments, InjectArguments};
use crate::output::Output;
use crate::pod_file::{LOCAL_IMAGE, read_settings};
use crate::words::count;
use manifests::{Found, Grade, Target};

/// Does it all.
pub(crate) fn inject(arguments: &InjectArguments, output: &Output) -> anyhow::Result<ExitCode> {
    let InjectArguments {
        files,
        recursive,
        settings,
        image,
        server_version,
        namespace,
        dry_run,
        errors: ErrorArguments { skip_refused, strict },
    } = arguments;
    let mut warnings = 0;
    if settings.is_none() && image.is_none() {
        warnings += 1;
        output.plain(format_args!(
            "warning: no --image and no --settings: the image is {LOCAL_IMAGE}, which no registry has"
        ));
    }
    let settings = read_settings(settings.as_deref(), image.as_deref())?;
    let target = Target { settings: &settings, namespace, server: *server_version };

    let mut injected = Vec::new();
    let mut unusable = 0;
    for source in source::read(files, *recursive) {
        match source.and_then(|source| manifests::inject(&target, source)) {
            Ok(file) => injected.push(file),
            Err(error) => {
                unusable += 1;
                output.failed(&error);
            }
        }
    }
    let found = || injected.iter().flat_map(|file| &file.found);
    for Found { text, .. } in found() {
        output.plain(text);
    }
    let number = |grade| found().filter(|found| found.grade == grade).count();
    let (refused, warnings) = (number(Grade::Refused), warnings + number(Grade::Warning));
    let mut errors = Vec::new();
    if unusable > 0 {
        errors.push(format!("{} cannot be used", count(unusable, "file")));
    }
    if refused > 0 && !skip_refused {
        errors.push(format!(
            "{} refused (--skip-refused prints what is refused as it is, without the emulator)",
            count(refused, "workload")
        ));
    }
    if warnings > 0 && *strict {
        errors.push(format!("{}, which --strict makes errors", count(warnings, "warning")));
    }
    if !errors.is_empty() {
        output.error(format_args!("nothing is printed: {}", errors.join("; ")));
        return Ok(ExitCode::FAILURE);
    }
    let stream =
        if *dry_run { manifests::operations(injected).into_bytes() } else { manifests::stream(injected) };
    output.data(&stream).context("cannot write to stdout")?;
    Ok(ExitCode::SUCCESS)
}
