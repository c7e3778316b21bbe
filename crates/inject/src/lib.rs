//! Decides what becomes of a Pod: the emulator is injected, the Pod is left alone, or it is refused with a sentence.
//!
//! Pure: no I/O, no clock, no async. The webhook and the command line call the same [`decide()`] and so give the same
//! result. The Pod is read and patched as the raw JSON that the API server sent; a decision holds `add` operations only,
//! so that nothing the user wrote is rewritten or dropped, fields that no library knows yet included.

mod containers;
mod decide;
mod patch;
mod pod;
mod quantity;
mod reason;
mod session_name;
mod settings;
mod wishes;

pub use decide::{Context, Decision, Injection, decide};
pub use patch::{Misplaced, Operation, apply};
pub use quantity::Quantity;
pub use reason::{InvalidAnnotation, Reason};
pub use session_name::SessionNameTemplate;
pub use settings::{EmulatorEnv, PullPolicy, Resources, Settings, Sidecar};
