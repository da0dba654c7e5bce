//! Which kernel hooks run, and what they report.
//!
//! [`config`]: what the program was told. [`run`]: the whole program. [`load`]: from the object to programs that run.
//! [`socket`]: who asks to be protected. [`events`]: what is told. [`btf`]: the kernel's own types.

pub mod admit;
mod arms;
pub mod btf;
pub mod canary;
mod causes;
pub mod challenge;
pub mod check;
pub mod config;
mod confine;
pub mod confirm;
mod copies;
mod edge;
mod elf;
mod ending;
pub mod events;
pub mod fronts;
pub mod glass;
mod guards;
mod held;
pub mod hooks;
mod kernel;
mod kprobe;
pub mod leak;
pub mod load;
mod maps;
mod matrix;
mod offsets;
mod own;
pub mod pins;
pub mod policy;
pub mod procfs;
mod record;
pub mod release;
pub mod run;
mod settings;
pub mod signed;
pub mod socket;
pub mod start;
pub mod succession;
mod switches;
mod trial;
pub mod trusted;
