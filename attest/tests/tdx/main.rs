//! TDX: real quotes, relaunched TDs, and second opinions.
//!
//! Real captures come from a folder that is named by `CLOUDTASER_VECTORS`; where it is absent, what needs it is
//! skipped and says so, and `REQUIRE=vectors` makes that a failure.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test that cannot set up has failed, and the environment says where captures are"
)]

mod machine;
mod mutations;
mod opinion;
mod real;
mod relaunch;
