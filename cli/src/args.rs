//! The words of the command line.
//!
//! Each verb declares its own arguments in its own file; here they come together, with the value types
//! that several verbs share. What does not parse never reaches a verb.
//!
//! Trusted: the words, which the caller chose.

use std::str::FromStr;

use attest::{Platform, UnixTime};
use clap::{Parser, Subcommand, ValueEnum};

use crate::answer::Answer;
use crate::enforcer;
use crate::unseal;
use crate::{attest_inspect, attest_verify, evidence_log, evidence_show, evidence_verify};
use crate::{collateral_import, collateral_pack, collateral_refresh, collateral_show, collateral_verify};
use crate::{measure_nitro, measure_snp, measure_tdx, measure_uki};
use crate::{node_detect, protection, recall, reinstate, revoke, run};
use crate::{
    policy_approve, policy_check, policy_diff, policy_emergency, policy_explain, policy_propose,
    policy_schema, policy_sign, policy_status, policy_test, policy_verify, source_doctor,
};

/// Reads attestation evidence, judges it offline, says why.
#[derive(Debug, Parser)]
#[command(name = "cloudtaser", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at what a machine sent, or judge it
    #[command(subcommand)]
    Attest(Attest),
    /// Bring certificates, lists and documents of vendors to the store of a verifier
    #[command(subcommand)]
    Collateral(Collateral),
    /// Look at the enforcer on this machine
    #[command(subcommand)]
    Enforcer(Enforcer),
    /// Audit what a verifier decided
    #[command(subcommand)]
    Evidence(Evidence),
    /// Compute reference values from the files that a machine boots
    #[command(subcommand)]
    Measure(Measure),
    /// Look at this machine
    #[command(subcommand)]
    Node(Node),
    /// Write, compare, sign, test, propose and approve policies
    #[command(subcommand)]
    Policy(Policy),
    Protection(protection::Args),
    Recall(recall::Args),
    Reinstate(reinstate::Args),
    Revoke(revoke::Args),
    Run(run::Args),
    /// Look after the OpenBao that secrets come from
    #[command(subcommand)]
    Source(Source),
    /// A custodian's part in opening an OpenBao that several people seal
    #[command(subcommand)]
    Unseal(Unseal),
}

#[derive(Debug, Subcommand)]
enum Unseal {
    Approve(unseal::approve::Args),
    Keygen(unseal::keygen::Args),
    Split(unseal::split::Args),
}

#[derive(Debug, Subcommand)]
enum Attest {
    Inspect(attest_inspect::Args),
    Verify(attest_verify::Args),
}

#[derive(Debug, Subcommand)]
enum Collateral {
    Import(collateral_import::Args),
    Pack(collateral_pack::Args),
    Refresh(collateral_refresh::Args),
    Show(collateral_show::Args),
    Verify(collateral_verify::Args),
}

#[derive(Debug, Subcommand)]
enum Enforcer {
    Matrix(enforcer::matrix::Args),
    Watch(enforcer::watch::Args),
}

#[derive(Debug, Subcommand)]
enum Evidence {
    #[command(subcommand)]
    Log(evidence_log::Log),
    Show(evidence_show::Args),
    Verify(evidence_verify::Args),
}

#[derive(Debug, Subcommand)]
enum Measure {
    Nitro(measure_nitro::Args),
    Snp(measure_snp::Args),
    Tdx(measure_tdx::Args),
    Uki(measure_uki::Args),
}

#[derive(Debug, Subcommand)]
enum Policy {
    Approve(policy_approve::Args),
    Check(policy_check::Args),
    Diff(policy_diff::Args),
    Emergency(policy_emergency::Args),
    Explain(policy_explain::Args),
    Propose(policy_propose::Args),
    Schema(policy_schema::Args),
    Sign(policy_sign::Args),
    Status(policy_status::Args),
    Test(policy_test::Args),
    Verify(policy_verify::Args),
}

#[derive(Debug, Subcommand)]
enum Node {
    Detect(node_detect::Args),
}

#[derive(Debug, Subcommand)]
enum Source {
    Doctor(source_doctor::Args),
}

impl Cli {
    /// Runs the verb. `now` is what the clock says.
    pub(crate) fn run(&self, now: UnixTime) -> Answer {
        match &self.command {
            Command::Attest(Attest::Inspect(args)) => attest_inspect::run(args),
            Command::Attest(Attest::Verify(args)) => attest_verify::run(args, now),
            Command::Collateral(Collateral::Import(args)) => collateral_import::run(args),
            Command::Collateral(Collateral::Pack(args)) => collateral_pack::run(args, now),
            Command::Collateral(Collateral::Refresh(args)) => collateral_refresh::run(args, crate::now),
            Command::Collateral(Collateral::Show(args)) => collateral_show::run(args),
            Command::Collateral(Collateral::Verify(args)) => collateral_verify::run(args, now),
            Command::Enforcer(Enforcer::Matrix(args)) => enforcer::matrix::run(args),
            Command::Enforcer(Enforcer::Watch(args)) => enforcer::watch::run(args),
            Command::Evidence(Evidence::Log(verb)) => evidence_log::run(verb),
            Command::Evidence(Evidence::Show(args)) => evidence_show::run(args),
            Command::Evidence(Evidence::Verify(args)) => evidence_verify::run(args, now),
            Command::Measure(Measure::Nitro(args)) => measure_nitro::run(args),
            Command::Measure(Measure::Snp(args)) => measure_snp::run(args),
            Command::Measure(Measure::Tdx(args)) => measure_tdx::run(args),
            Command::Measure(Measure::Uki(args)) => measure_uki::run(args),
            Command::Policy(Policy::Approve(args)) => policy_approve::run(args),
            Command::Policy(Policy::Check(args)) => policy_check::run(args, now),
            Command::Policy(Policy::Diff(args)) => policy_diff::run(args),
            Command::Policy(Policy::Emergency(args)) => policy_emergency::run(args, now),
            Command::Policy(Policy::Explain(args)) => policy_explain::run(args),
            Command::Policy(Policy::Propose(args)) => policy_propose::run(args, now),
            Command::Policy(Policy::Schema(args)) => policy_schema::run(args),
            Command::Policy(Policy::Sign(args)) => policy_sign::run(args),
            Command::Policy(Policy::Status(args)) => policy_status::run(args),
            Command::Policy(Policy::Test(args)) => policy_test::run(args),
            Command::Policy(Policy::Verify(args)) => policy_verify::run(args, now),
            Command::Protection(args) => protection::run(args),
            Command::Recall(args) => recall::run(args),
            Command::Reinstate(args) => reinstate::run(args),
            Command::Revoke(args) => revoke::run(args, now),
            Command::Run(args) => run::run(args),
            Command::Unseal(Unseal::Approve(args)) => unseal::approve::run(args, now),
            Command::Unseal(Unseal::Keygen(args)) => unseal::keygen::run(args),
            Command::Unseal(Unseal::Split(args)) => unseal::split::run(args),
            Command::Node(Node::Detect(args)) => node_detect::run(args),
            Command::Source(Source::Doctor(args)) => source_doctor::run(args, now),
        }
    }
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// 1 to 64 bytes, written in hex. The hardware has no room for more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CallerData(pub(crate) Vec<u8>);

impl FromStr for CallerData {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = hex::decode(text).map_err(|error| format!("expected hex digits: {error}"))?;
        if bytes.is_empty() || bytes.len() > 64 {
            return Err(format!("expected 1 to 64 bytes, found {}", bytes.len()));
        }
        Ok(Self(bytes))
    }
}

/// The platform with this name.
pub(crate) fn platform(text: &str) -> Result<Platform, String> {
    Platform::named(text).ok_or_else(|| {
        let names: Vec<&str> = Platform::ALL.iter().map(|platform| platform.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// An instant in UTC with whole seconds.
pub(crate) fn instant(text: &str) -> Result<UnixTime, String> {
    UnixTime::parse(text).map_err(|error| error.to_string())
}

/// The exit codes, which every verb that judges shares.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  accepted
  1  refused: every failing check is printed with what was expected and what was found
  2  not judged: something is missing, malformed or misspelt";

const EXAMPLES: &str = "\
Examples:
  cloudtaser attest inspect report.bin
  cloudtaser attest verify report.bin --endorsements certs/ --policy prod.toml
  cloudtaser evidence verify decision.bundle --verifier-key verifier.pem
  cloudtaser policy explain snp.policy.debug
  cloudtaser run -s secret/data/app:password=PGPASSWORD -- psql

No network is used, except by `source`, `evidence log export`, `policy propose|approve|emergency|status`,
`collateral import|refresh`, `recall|revoke|reinstate` and `unseal approve`:
what is needed is read from the files that are named.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn caller_data_is_one_to_sixty_four_bytes() {
        assert_eq!("00ff".parse(), Ok(CallerData(vec![0, 255])));
        assert_eq!("".parse::<CallerData>(), Err("expected 1 to 64 bytes, found 0".to_owned()));
        assert_eq!("00".repeat(65).parse::<CallerData>(), Err("expected 1 to 64 bytes, found 65".to_owned()));
        assert!("0g".parse::<CallerData>().is_err());
    }
}
