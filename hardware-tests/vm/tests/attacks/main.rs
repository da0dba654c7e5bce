//! Root against the enforcer, in machines of our own: Debian's kernels 6.1 and 6.12, each with and without `bpf` among its
//! security modules.
//!
//! One machine at a time, each up in seconds; a whole run of the suite takes a minute or two. Needs the kit that `cargo xtask
//! tools` makes and the object that `cargo xtask bpf` makes (`CLOUDTASER_BPF_OBJECT`); without them the tests say `SKIP`,
//! and `REQUIRE=attacks` turns that into a failure.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests"
)]
#![forbid(unsafe_code)]

mod deceived;
mod every_probe;
mod here;
mod lives;
mod machine;
mod privilege;
#[path = "../boot/programs.rs"]
mod programs;
mod staying;
mod succeeding;
mod trial;
mod wrapped;
