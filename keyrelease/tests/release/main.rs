//! The plugin in a real OpenBao: what is released, what is refused, what is on record.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]
#![forbid(unsafe_code)]

mod admission;
mod attacks;
mod audit;
mod authorities;
mod cms;
mod collateral;
mod drill;
mod emergency;
mod enrolment;
mod faults;
mod governance;
mod guards;
mod guide;
mod issuers;
mod limits;
mod machine;
mod management;
mod metrics;
mod nodes;
mod paths;
mod platforms;
mod pods;
mod policies;
mod protection;
mod records;
mod refusal;
mod rotation;
mod runbook;
mod sealing;
mod server;
mod standing;
mod token;
mod tokens;
mod workflows;
mod workload;
