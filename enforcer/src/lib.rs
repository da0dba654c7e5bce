//! Which kernel hooks run, and what they report.
//!
//! [`config`]: what the program was told. [`run`]: the whole program. [`load`]: from the object to programs that run.
//! [`socket`]: who asks to be protected. [`events`]: what is told. [`guards`]: who is trusted with the node.
//! [`succession`]: who comes after. [`btf`], [`procfs`]: what the kernel says of itself. [`elf`]: what kind of file
//! a program is.

pub mod btf;
pub mod canary;
pub mod config;
mod confine;
mod edge;
pub mod elf;
mod ending;
pub mod events;
pub mod guards;
mod held;
mod kernel;
pub mod leak;
pub mod load;
mod matrix;
pub mod procfs;
pub mod quiet;
mod record;
pub mod run;
pub mod socket;
pub mod succession;
