//! The `cloudtaser` command, from the outside: files in, exit code and text out.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod audit;
mod document;
mod enforcer;
mod follow;
mod hostile;
mod inspect;
mod install;
mod logs;
mod machine;
mod measure;
mod nitro;
mod node;
mod policy;
mod policy_cases;
mod protection;
mod quote;
mod release_log;
mod run;
mod running;
mod schema;
mod shares;
mod shipped;
mod td;
mod vectors;
mod verify;
