//! Who may come after an enforcer, and by whose word one lets go.
//!
//! [`start`] runs a copy that outlives its container, which one before us may have to [`admit`]; [`list`]: who is on it comes next.
//! [`policy`]: what is in force, and what may take its place. [`release`]: an operator's signed word ends it, which [`challenge`]
//! writes and [`glass`] checks. [`signed`]: a line and its signature.

pub mod admit;
pub mod challenge;
pub(crate) mod copies;
pub mod glass;
pub mod list;
pub mod policy;
pub mod release;
pub mod signed;
pub mod start;
