//! `cloudtaser collateral refresh`: fetches collateral before it ends and brings it to the store of a mount.
//!
//! Runs beside OpenBao, once or for ever; the store itself reaches no vendor. Without a server it fetches what a status
//! says into a folder, for a pack. Untrusted: vendors' answers and mirrors, until they were verified up to a root.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use attest::snp::Product;
use attest::{TrustAnchors, UnixTime};
use serde::Deserialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::{self, Format};
use crate::openbao::authorities;
use crate::supply::mount::{self, Mount, Status};
use crate::supply::refresh::fetch::{Fetcher, State, agent};
use crate::supply::refresh::pace;
use crate::supply::refresh::plan::Seeds;
use crate::supply::refresh::round::{Outcome, Round};
use crate::supply::refresh::source::Source;
use crate::supply::signer::Signer;
use crate::{input, layout, trust};

/// Fetch collateral from AMD, Intel or a mirror, and import it into the store of a mount
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", args::EXIT_CODES))]
pub(crate) struct Args {
    #[command(flatten)]
    mount: mount::Args,
    /// Go on for ever, with this time between rounds: 15m, 6h, 1d
    #[arg(long, value_name = "TIME", value_parser = pace::duration, conflicts_with = "status")]
    every: Option<Duration>,
    /// Where to fetch: kds=URL, pcs=URL, pccs=URL, mirror=DIR|URL; in this order. AMD's and Intel's own unless given
    #[arg(long, value_name = "NAME=PLACE")]
    source: Vec<String>,
    /// Have AMD's authority and list of this line, although no machine asked yet: milan, genoa, turin
    #[arg(long, value_name = "LINE", value_parser = line)]
    line: Vec<Product>,
    /// Have Intel's lists and documents for this model, although no machine asked yet: 12 hex digits
    #[arg(long, value_name = "FMSPC", value_parser = fmspc)]
    fmspc: Vec<String>,
    /// Sign what is imported with this key (PKCS#8): for a mount that pins signers
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Keep what was fetched here, in the layout of a mirror
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Ask no server: what to fetch stands in this file, the JSON of collateral/status. Needs --save
    #[arg(long, value_name = "FILE", requires = "save")]
    status: Option<PathBuf>,
    /// The certificates that vouch for the sources (PEM)
    #[arg(long, value_name = "FILE", default_value = AUTHORITIES)]
    source_ca: PathBuf,
    /// How long one round may wait for services that ask for it
    #[arg(long, value_name = "TIME", value_parser = pace::duration, default_value = "10m")]
    patience: Duration,
    /// Allow sources on plain HTTP
    #[arg(long)]
    insecure_http: bool,
    /// Believe this simulated root instead of the vendors'
    #[arg(long, value_name = "FILE")]
    insecure_trust_root: Vec<PathBuf>,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Runs one round, or rounds without end.
pub(crate) fn run(args: &Args, clock: fn() -> UnixTime) -> Answer {
    let setting = match Setting::read(args) {
        Ok(setting) => setting,
        Err(why) => return Answer::complaint(&why),
    };
    let mut known = HashMap::new();
    loop {
        let answer = match setting.round(args, clock(), &mut known) {
            Ok(outcome) => told(&outcome, args.output),
            Err(why) => Answer::complaint(&why),
        };
        let Some(every) = args.every else { return answer };
        // Whoever runs this for ever looks at what it says and at the mount's status.
        answer.deliver();
        thread::sleep(pace::interval(every, chance()));
    }
}

/// The words, read.
struct Setting {
    sources: Vec<Source>,
    seeds: Seeds,
    anchors: TrustAnchors,
    signer: Option<Signer>,
    agent: ureq::Agent,
}

impl Setting {
    fn read(args: &Args) -> Result<Self, NotJudged> {
        let sources = args.source.iter().map(|text| Source::parse(text, args.insecure_http));
        let sources = sources.collect::<Result<Vec<_>, _>>();
        let sources = sources.map_err(|why| NotJudged::new("refresh.source", format!("--source: {why}")))?;
        let sources = if sources.is_empty() { Source::vendors() } else { sources };
        if let Some(folder) = sources.iter().filter_map(Source::folder).find(|folder| !folder.is_dir()) {
            let message = format!("--source mirror={}: expected a directory, found none", folder.display());
            return Err(NotJudged::new("refresh.source", message));
        }
        let local = sources.iter().all(|source| matches!(source, Source::Folder(_)));
        Ok(Self {
            sources,
            seeds: Seeds { lines: args.line.clone(), fmspcs: args.fmspc.clone() },
            anchors: trust::anchors(&args.insecure_trust_root)?,
            signer: args.key.as_deref().map(Signer::read).transpose()?,
            agent: agent(if local { Vec::new() } else { authorities(&args.source_ca)? }),
        })
    }

    fn round(
        &self,
        args: &Args,
        now: UnixTime,
        known: &mut HashMap<String, State>,
    ) -> Result<Outcome, NotJudged> {
        let mount = if args.status.is_some() { None } else { Some(Mount::open(&args.mount)?) };
        let status = match (&mount, &args.status) {
            (Some(mount), _) => mount.status()?,
            (None, Some(path)) => status_in(path)?,
            (None, None) => return Err(NotJudged::new("refresh.status", "expected a server or a status")),
        };
        let round = Round {
            sources: &self.sources,
            seeds: &self.seeds,
            anchors: &self.anchors,
            mount: mount.as_ref(),
            signer: self.signer.as_ref(),
            save: args.save.as_ref(),
            now,
        };
        let mut fetcher = Fetcher {
            agent: self.agent.clone(),
            sleep: &thread::sleep,
            chance: &chance,
            patience: args.patience,
            down: HashMap::new(),
            known: std::mem::take(known),
            found: HashMap::new(),
        };
        let outcome = round.run(&status, &mut fetcher);
        *known = fetcher.known;
        outcome
    }
}

/// The status by itself, or as `bao read -format=json` writes it.
fn status_in(path: &Path) -> Result<Status, NotJudged> {
    #[derive(Deserialize)]
    struct Envelope {
        data: Status,
    }
    let bytes = input::read(path, input::LIMIT)?;
    let odd = |error: serde_json::Error| {
        let message = format!("{}: expected the JSON of collateral/status, found: {error}", path.display());
        NotJudged::new("refresh.status", message)
    };
    let wrapped: Result<Envelope, _> = serde_json::from_slice(&bytes);
    wrapped.map(|envelope| envelope.data).or_else(|_| serde_json::from_slice(&bytes).map_err(odd))
}

fn told(outcome: &Outcome, output: Format) -> Answer {
    let verdict = if outcome.errors.is_empty() { Verdict::Accepted } else { Verdict::Refused };
    if output == Format::Json {
        return Answer::json(verdict, outcome);
    }
    let Outcome { asked, fetched, new, kept, errors } = outcome;
    let mut text = String::new();
    let word = if errors.is_empty() { "REFRESHED" } else { "NOT ALL REFRESHED" };
    layout::line(&mut text, &format!("{word}: {asked} asked for, {fetched} fetched, {new} new, {kept} kept"));
    for error in errors {
        layout::line(&mut text, &layout::printable(&format!("  {error}")));
    }
    Answer::text(verdict, text)
}

/// 0 to 1000. Without a random source all wait alike, which is no harm.
fn chance() -> u16 {
    let mut bytes = [0; 2];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => u16::from_be_bytes(bytes) % 1001,
        Err(_unavailable) => 500,
    }
}

fn line(text: &str) -> Result<Product, String> {
    let found = Product::ALL.into_iter().find(|product| product.name().eq_ignore_ascii_case(text));
    found.ok_or_else(|| "expected milan, genoa or turin".to_owned())
}

fn fmspc(text: &str) -> Result<String, String> {
    let text = text.to_lowercase();
    let sound = hex::decode(&text).is_ok_and(|bytes| bytes.len() == 6);
    if sound { Ok(text) } else { Err("expected 12 hex digits".to_owned()) }
}

const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

const EXAMPLES: &str = "\
Examples:
  BAO_ADDR=https://bao.example:8200 cloudtaser collateral refresh --every 6h
  cloudtaser collateral refresh --line genoa --fmspc 90c06f000000 --source mirror=https://mirror.example/collateral
  bao read -format=json attest-keys/collateral/status > status.json
  cloudtaser collateral refresh --status status.json --save fetched/";
