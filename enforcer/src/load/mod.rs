//! From the object to programs that run: maps, identity, hooks by the strongest kind that this kernel takes.
//!
//! In this order: maps (those of an enforcer before us, where they are pinned), our own tag, what keeps identity, then what
//! refuses; each link is pinned as soon as it is there. What this kernel does not have is skipped, by name.
//! Attached is not enforcing: what is loaded here is believed only as far as the canary proves it.

pub(crate) mod arms;
pub(crate) mod calls;
pub(crate) mod causes;
mod error;
pub mod fronts;
pub mod hooks;
mod kprobe;
mod loaded;
mod maps;
mod offsets;
pub(crate) mod own;
pub mod pins;
pub(crate) mod settings;
pub(crate) mod switches;

pub use error::Error;
pub(crate) use error::refused;
pub(crate) use loaded::{Loaded, TYPES, Wanted};
