//! Decides what becomes of a Pod: the emulator is injected, the Pod is left alone, or it is refused with a sentence.
//!
//! Pure: no I/O, no clock, no async. The webhook decides on Pods ([`decide()`]), the command line on whole documents
//! ([`decide_document`]): the same decision, and so the same result. The Pod is read and patched as the raw JSON that the API
//! server sent; a decision holds `add` operations only, so that nothing the user wrote is rewritten or dropped, fields that no
//! library knows yet included.

mod container;
mod containers;
mod decide;
mod emulator_env;
mod image;
mod injected;
mod integrity;
mod near_miss;
mod patch;
mod pod;
mod quantity;
mod reader;
mod reason;
mod resources;
mod scalar;
mod server_version;
mod session_name;
mod settings;
mod unknown_kind;
mod warning;
mod wishes;
mod workload;

pub use container::Container;
pub use decide::{Context, Decision, Extent, Injection, decide, injection_warnings};
pub use emulator_env::EmulatorEnv;
pub use image::image_reference;
pub use near_miss::warnings;
pub use patch::{Added, Misplaced, Operation, apply};
pub use quantity::Quantity;
pub use reader::{PodError, read_pod};
pub use reason::{InvalidAnnotation, Reason};
pub use resources::Resources;
pub use server_version::ServerVersion;
pub use session_name::SessionNameTemplate;
pub use settings::{PullPolicy, Settings, Sidecar, SidecarForm};
pub use unknown_kind::{UnknownKind, unknown_kinds};
pub use warning::{MetadataKind, Warning};
pub use workload::{Workload, WorkloadDecision, decide_document, workloads};
