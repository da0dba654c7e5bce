//! `cloudtaser policy verify`: who signed this policy, and may it take the place of the one before?
//!
//! Trusted: the keys that the caller pins, and the previous edition. Untrusted: the file.

use std::path::PathBuf;

use attest::crypto::AwsLcRs;
use attest::policy::{BadSignedPolicy, PolicySigner, SignedPolicy};
use attest::{Answer as Outcome, Check, Digest, Policy, UnixTime};
use serde::Serialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::{self, Format};
use crate::{input, layout, trust};

/// Check who signed a policy, and that it may replace the previous one
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", args::EXIT_CODES))]
pub(crate) struct Args {
    /// The signed policy; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// An author's Ed25519 public key: 64 hex digits, or a file (raw, hex, DER, PEM); may be repeated
    #[arg(long, value_name = "HEX|FILE", required = true)]
    signer: Vec<String>,
    /// The edition that is in use, TOML or signed: the new one must have its name and a higher version
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// The instant that counts as now, for example 2026-11-21T18:00:00Z; now unless given
    #[arg(long, value_name = "RFC3339", value_parser = args::instant)]
    at: Option<UnixTime>,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Checks and prints.
pub(crate) fn run(args: &Args, now: UnixTime) -> Answer {
    match (look(args, args.at.unwrap_or(now)), args.output) {
        (Ok(report), Format::Text) => Answer::text(report.verdict, report.text()),
        (Ok(report), Format::Json) => Answer::json(report.verdict, &report),
        (Err(why), Format::Text) => Answer::complaint(&why),
        (Err(error), Format::Json) => {
            let report =
                Report { verdict: Verdict::NotJudged, checks: Vec::new(), policy: None, error: Some(error) };
            Answer::json(Verdict::NotJudged, &report)
        }
    }
}

#[derive(Serialize)]
struct Report {
    verdict: Verdict,
    checks: Vec<Check>,
    policy: Option<About>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<NotJudged>,
}

#[derive(Serialize)]
struct About {
    name: String,
    version: u64,
    digest: Digest<32>,
    expires: UnixTime,
    signer: Digest<32>,
}

fn look(args: &Args, now: UnixTime) -> Result<Report, NotJudged> {
    let file = input::read(&args.file, SignedPolicy::MAX_BYTES)?;
    let keys = args.signer.iter().map(|text| trust::verifier_key(text).map(|key| PolicySigner(key.0)));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let previous = args.previous.as_deref().map(input::policy_text).transpose()?;
    let pinned: Vec<String> = keys.iter().map(|key| key.id(&AwsLcRs).to_string()).collect();
    let expected = format!("a signature by policy key {}", pinned.join(" or "));
    let opened = match SignedPolicy::open(&file, &keys, &AwsLcRs) {
        Ok(opened) => opened,
        Err(error @ (BadSignedPolicy::UnknownSigner(_) | BadSignedPolicy::Signature(_))) => {
            let checks = vec![check("policy.signature", false, expected, error.to_string())];
            return Ok(Report { verdict: Verdict::Refused, checks, policy: None, error: None });
        }
        Err(error) => return Err(error.into()),
    };
    let signed = check("policy.signature", true, expected, format!("by {}", opened.signer));
    let checks = vec![signed, succession(&opened.policy, previous.as_ref().map(|(policy, _)| policy), now)];
    let verdict = Verdict::of(&checks);
    Ok(Report { verdict, checks, policy: Some(About::of(&opened)), error: None })
}

fn succession(policy: &Policy, previous: Option<&Policy>, now: UnixTime) -> Check {
    let edition = previous.map(Policy::edition);
    let expected = match &edition {
        Some(edition) => {
            format!("a policy that holds at {now} and succeeds {} version {}", edition.name, edition.version)
        }
        None => format!("a policy that holds at {now}"),
    };
    match policy.succeeds(edition.as_ref(), now) {
        Ok(()) => check("policy.succession", true, expected, format!("version {}", policy.version())),
        Err(why) => check("policy.succession", false, expected, why.to_string()),
    }
}

fn check(id: &str, passed: bool, expected: String, found: String) -> Check {
    let verdict = if passed { Outcome::Pass } else { Outcome::Fail };
    Check { id: id.to_owned(), verdict, expected, found }
}

impl About {
    fn of(opened: &SignedPolicy) -> Self {
        let policy = &opened.policy;
        Self {
            name: policy.name().to_owned(),
            version: policy.version(),
            digest: policy.digest(),
            expires: policy.expires(),
            signer: opened.signer,
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        let word = if self.verdict == Verdict::Accepted { "ACCEPTED" } else { "REFUSED" };
        match &self.policy {
            Some(about) => {
                let (name, version) = (layout::printable(&about.name), about.version);
                layout::line(
                    &mut text,
                    &format!("{word}: policy {name} version {version}, signed by {}", about.signer),
                );
                layout::line(&mut text, &format!("digest  {}", about.digest));
                layout::line(&mut text, &format!("expires {}", about.expires));
            }
            None => layout::line(&mut text, &format!("{word}: no pinned author signed this")),
        }
        layout::line(&mut text, "");
        layout::checks(&mut text, &self.checks);
        text
    }
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser policy verify mine.policy --signer author.pub.pem
  cloudtaser policy verify new.policy --signer author.pub.pem --previous old.policy";
