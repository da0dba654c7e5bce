//! The `cloudtaser` command: reads evidence, judges it, says why.
//!
//! One file per verb, each read → judge → print. Nothing is fetched or sent, except that `source`, `evidence log
//! export`, `policy propose|approve|emergency|status`, `collateral import|refresh`, `recall|revoke|reinstate` and `unseal
//! approve` speak with whom they are pointed at; and nothing is changed here, except that `policy sign`, `unseal keygen` and `unseal split` write new files, and `export` a directory. `run` becomes the wrapper.
//!
//! Trusted: the command line and the clock. Untrusted: every file and server that is named on it.
#![forbid(unsafe_code)]

mod answer;
mod args;
mod attest_inspect;
mod attest_verify;
mod collateral;
mod collateral_import;
mod collateral_pack;
mod collateral_refresh;
mod collateral_show;
mod collateral_verify;
mod describe;
mod doctor;
mod enforcer;
mod evidence_log;
mod evidence_show;
mod evidence_verify;
mod input;
mod layout;
mod measure;
mod measure_nitro;
mod measure_snp;
mod measure_tdx;
mod measure_uki;
mod node_detect;
mod openbao;
mod policy_approve;
mod policy_check;
mod policy_diff;
mod policy_emergency;
mod policy_explain;
mod policy_propose;
mod policy_schema;
mod policy_sign;
mod policy_status;
mod policy_test;
mod policy_verify;
mod protection;
mod recall;
mod reinstate;
mod revoke;
mod ruled;
mod run;
mod source_doctor;
mod standing;
mod supply;
mod trust;
mod unseal;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;

use answer::Verdict;

fn main() -> ExitCode {
    match args::Cli::try_parse() {
        Ok(cli) => cli.run(now()).deliver(),
        // --help and --version come this way too; what is wrong with the words is no verdict.
        Err(usage) if usage.print().is_err() || usage.exit_code() != 0 => Verdict::NotJudged.exit_code(),
        Err(_asked_for_help) => ExitCode::SUCCESS,
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where this program reads the clock")]
fn now() -> attest::UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    attest::UnixTime(since.map_or(0, |duration| duration.as_secs()))
}
