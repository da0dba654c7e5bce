//! `cloudtaser source doctor`: is this running OpenBao set up as it should be?
//!
//! It asks and changes nothing. A check that could not be made is unknown, never passed; only a check that
//! failed makes the answer a "no".
//!
//! Trusted: the words and the environment. Untrusted: the server.

use std::path::PathBuf;
use std::time::Duration;

use attest::UnixTime;
use serde::Serialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::doctor::look::{self, Reach};
use crate::doctor::{self, Finding, Property};
use crate::layout;
use crate::openbao;

/// Check a running OpenBao: audit, root token, TLS, seal, storage, plugins, policies, rate limits
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{ENVIRONMENT}\n\n{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(flatten)]
    server: openbao::Server,
    /// The server's plugin directory, if it can be read here: its files are held against the catalogue
    #[arg(long, value_name = "DIR")]
    plugin_directory: Option<PathBuf>,
    /// How many tokens to look at for one with the policy root; each is a request
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    tokens: usize,
    /// Seconds for each answer of the server
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Looks, judges and prints.
pub(crate) fn run(args: &Args, now: UnixTime) -> Answer {
    match (examine(args, now), args.output) {
        (Ok(report), Format::Text) => Answer::text(report.verdict, report.text()),
        (Ok(report), Format::Json) => Answer::json(report.verdict, &report),
        (Err(why), Format::Text) => Answer::complaint(&why),
        (Err(error), Format::Json) => Answer::json(Verdict::NotJudged, &Report::without(error, now)),
    }
}

fn examine(args: &Args, now: UnixTime) -> Result<Report, NotJudged> {
    let settings = args.server.settings()?;
    let reach = Reach {
        patience: Duration::from_secs(args.timeout),
        tokens: args.tokens,
        plugin_directory: args.plugin_directory.as_deref(),
    };
    let facts = look::look(&settings, reach, now)?;
    let checks = doctor::checks::judge(&facts);
    let failed = checks.iter().any(|finding| finding.verdict == doctor::Verdict::Fail);
    let verdict = if failed { Verdict::Refused } else { Verdict::Accepted };
    let namespace = settings.namespace;
    Ok(Report {
        verdict,
        address: Some(settings.address.to_string()),
        namespace,
        at: now.to_string(),
        checks,
        error: None,
    })
}

#[derive(Serialize)]
struct Report {
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    at: String,
    checks: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<NotJudged>,
}

impl Report {
    fn without(error: NotJudged, now: UnixTime) -> Self {
        let (verdict, at) = (Verdict::NotJudged, now.to_string());
        Self { verdict, address: None, namespace: None, at, checks: Vec::new(), error: Some(error) }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let asked = self.namespace.as_ref().map(|name| format!(", namespace {name}")).unwrap_or_default();
        let address = self.address.as_deref().unwrap_or_default();
        layout::line(&mut text, &layout::printable(&format!("{address}{asked} at {}", self.at)));
        for property in PROPERTIES {
            layout::line(&mut text, &format!("\n{}", heading(property)));
            for finding in self.checks.iter().filter(|finding| finding.property == property) {
                write(&mut text, finding);
            }
        }
        layout::line(
            &mut text,
            "\ncontrol-plane metadata\n  not looked at: a server cannot tell who runs the machines and the cluster around it\n",
        );
        layout::line(&mut text, &self.conclusion());
        text
    }

    fn conclusion(&self) -> String {
        let count = |verdict| self.checks.iter().filter(|finding| finding.verdict == verdict).count();
        let (pass, warn) = (count(doctor::Verdict::Pass), count(doctor::Verdict::Warn));
        let (fail, unknown) = (count(doctor::Verdict::Fail), count(doctor::Verdict::Unknown));
        format!("{fail} failed, {warn} to look at, {unknown} unknown, {pass} passed")
    }
}

fn heading(property: Property) -> &'static str {
    match property {
        Property::DataAtRest => "data at rest",
        Property::DataInTransit => "data in transit",
        Property::DataInUse => "data in use",
        Property::Rule => "rule over the source",
    }
}

fn write(text: &mut String, finding: &Finding) {
    let word = match finding.verdict {
        doctor::Verdict::Pass => "pass",
        doctor::Verdict::Warn => "warn",
        doctor::Verdict::Unknown => "unknown",
        doctor::Verdict::Fail => "FAIL",
    };
    let found = layout::printable(&finding.found);
    layout::line(text, &format!("  {word:<7}  {:<27}  {found}", finding.id));
    if matches!(finding.verdict, doctor::Verdict::Warn | doctor::Verdict::Fail) {
        layout::line(text, &format!("           expected  {}", finding.expected));
        layout::line(text, &format!("           remedy    {}", finding.remedy));
    }
}

/// In the order of the product's four properties, and then what rules over them.
const PROPERTIES: [Property; 4] =
    [Property::DataAtRest, Property::DataInTransit, Property::DataInUse, Property::Rule];

const ENVIRONMENT: &str = "\
Environment, as OpenBao's own client reads it (VAULT_ names too; the token is never an argument):
  BAO_ADDR, BAO_NAMESPACE, BAO_TOKEN, BAO_TOKEN_PATH (or ~/.vault-token), BAO_CACERT, BAO_CAPATH,
  BAO_SKIP_VERIFY, BAO_CLIENT_CERT, BAO_CLIENT_KEY";

const EXAMPLES: &str = "\
Examples:
  cloudtaser source doctor
  cloudtaser source doctor --address https://bao.example:8200 -o json
  cloudtaser source doctor --plugin-directory /openbao/plugins";

const EXIT_CODES: &str = "\
Exit codes:
  0  no check failed; what is unknown is said
  1  a check failed
  2  could not look: no such server, not OpenBao, a token that it does not know, or settings that cannot be meant";
