//! `cloudtaser evidence log export`: follows the log of a running OpenBao into a directory.
//!
//! What came is verified before it is kept: the checkpoint's signature, every new entry and tile, and that the log
//! contains what the directory holds already. Only then new entries are printed for a forwarder, and after that the
//! directory's checkpoint moves on: an entry may be printed twice, never left out.
//!
//! Trusted: the words, the environment and what the directory holds. Untrusted: the server.

use std::io::{self, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use attest::crypto::AwsLcRs;
use attest::log::{
    Audit, Checkpoint, Edge, Entry, Fault, Head, Level, SignedCheckpoint, Tail, Tampered, Tile, entries,
};
use attest::{Check, Malformed};

use super::EXIT_CODES;
use super::audit;
use super::folder::{Folder, record_digest};
use super::incoming::Incoming;
use super::pins::Pins;
use super::server::{self, Server};
use super::show;
use super::step::{Step, Words};
use super::verify::Unjudged;
use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::layout;
use crate::openbao;

/// Follow the log of a running OpenBao into a directory, verifying before keeping
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{ENVIRONMENT}\n\n{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The directory, which is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    place: openbao::Server,
    /// The mount of the plugin: of the secrets engine, or like auth/attest
    #[arg(long, value_name = "PATH", default_value = "attest-keys", value_parser = openbao::mount)]
    mount: String,
    #[command(flatten)]
    pins: Pins,
    /// Leave the records out
    #[arg(long)]
    no_records: bool,
    /// Print each new entry as a line of JSON
    #[arg(long, conflicts_with = "output")]
    print: bool,
    /// Go on until something is refused
    #[arg(long)]
    follow: bool,
    /// Seconds between two looks at the checkpoint
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
    /// Seconds for each answer of the server
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

impl Args {
    fn words(&self) -> Words {
        if self.print { Words::Aside } else { Words::Out }
    }
}

/// Follows once, or on and on.
pub(crate) fn run(args: &Args) -> Answer {
    let export = match Export::new(args) {
        Ok(export) => export,
        Err(why) => return unjudged(why, args.output),
    };
    let mut behind = 0_u32;
    loop {
        let step = export.step();
        behind = if matches!(step, Ok(Step::Behind { .. })) { behind.saturating_add(1) } else { 0 };
        let goes_on = match &step {
            Ok(Step::Empty | Step::Kept { .. }) => true,
            Ok(Step::Behind { .. }) => behind <= MOST_BEHIND,
            Ok(Step::Refused { .. }) => false,
            // A server may come back; a directory does not mend itself.
            Err(why) => why.code == server::UNREADABLE,
        };
        if !args.follow || !goes_on {
            return match step {
                Ok(step) => step.answer(&args.folder, args.output, args.words()),
                Err(why) => unjudged(why, args.output),
            };
        }
        if export.tell(&step).is_err() {
            // Nobody reads any more.
            return Answer::text(Verdict::NotJudged, String::new());
        }
        thread::sleep(Duration::from_secs(args.interval));
    }
}

/// A directory that follows a server.
struct Export<'a> {
    args: &'a Args,
    server: Server,
    folder: Folder,
    incoming: Incoming,
}

impl<'a> Export<'a> {
    fn new(args: &'a Args) -> Result<Self, NotJudged> {
        let server = Server::new(&args.place, &args.mount, Duration::from_secs(args.timeout))?;
        let incoming = Incoming::new(&args.folder)?;
        Ok(Self { args, server, folder: Folder::new(&args.folder, None), incoming })
    }

    /// Brings the directory up to the server's checkpoint.
    fn step(&self) -> Result<Step, NotJudged> {
        let held = self.held()?;
        let Some(file) = self.server.checkpoint()? else {
            return Ok(match held {
                None => Step::Empty,
                Some(held) => Step::Behind { held: held.head.size, found: 0 },
            });
        };
        let malformed =
            |error| NotJudged::new("log.checkpoint.malformed", format!("the server's checkpoint: {error}"));
        let signed = SignedCheckpoint::parse(&file).map_err(malformed)?;
        let believed = self.args.pins.believe(&signed)?;
        let Some(checkpoint) = believed.checkpoint else {
            let failing = believed.checks.into_iter().find(|check| check.verdict == attest::Answer::Fail);
            return self.refused(failing, &file);
        };
        let old = held.as_ref().map_or(Head { size: 0, root: checkpoint.head.root }, |held| held.head);
        let grown = match self.grow(&old, &checkpoint.head, &believed.earlier) {
            Ok(Grown::By { without_record }) => without_record,
            Ok(Grown::Shorter) => {
                return Ok(Step::Behind { held: old.size, found: checkpoint.head.size });
            }
            Err(Fault::Tampered(tampered)) => return self.refused(Some(audit::failed(&tampered)), &file),
            Err(Fault::Unreadable(why)) => return Err(why),
        };
        let size = checkpoint.head.size;
        if held.is_some() && old.size == size && !self.says_more(&signed)? {
            return Ok(Step::kept(&checkpoint, &old, 0));
        }
        if self.args.print {
            self.print(&checkpoint, &old)
                .map_err(|error| NotJudged::new("output.unwritable", error.to_string()))?;
        }
        self.incoming.accept(&file, old.size, size)?;
        Ok(Step::kept(&checkpoint, &old, grown))
    }

    /// What the directory holds, which was verified when it came; its signature is asked for again.
    fn held(&self) -> Result<Option<Checkpoint>, NotJudged> {
        if !self.incoming.has_checkpoint() {
            return Ok(None);
        }
        let believed = self.args.pins.without_witnesses().believe(&self.folder.checkpoint()?)?;
        let unsigned = || {
            let message = "the checkpoint in the directory is not one that the pinned key signed";
            NotJudged::new("log.export.directory", message)
        };
        believed.checkpoint.map(Some).ok_or_else(unsigned)
    }

    /// Whether a checkpoint of the size that the directory holds has more signatures, and all that are held: witnesses
    /// sign later, and what one of them signed is not given away.
    fn says_more(&self, signed: &SignedCheckpoint) -> Result<bool, NotJudged> {
        let (new, held) = (signed.note().lines(), self.folder.checkpoint()?.note().lines());
        let has_all = held.lines().all(|line| new.lines().any(|other| other == line));
        Ok(has_all && new.lines().count() > held.lines().count())
    }

    /// Fetches and verifies what is new.
    fn grow(&self, old: &Head, new: &Head, earlier: &[Head]) -> Result<Grown, Fault<NotJudged>> {
        if self.incoming.has_checkpoint() {
            if let Some(kept) = earlier.iter().find(|kept| kept.size > old.size.max(new.size)) {
                return Err(Tampered::Shrunken { old: kept.size, new: new.size }.into());
            }
            let (past, _) = parted(earlier, old.size);
            past.iter().try_for_each(|head| self.compare(head, old.size))?;
            if new.size <= old.size {
                self.compare(new, old.size)?;
            }
            if new.size < old.size {
                return Ok(Grown::Shorter);
            }
        }
        let mut without_record = 0_u64;
        let mut files = |tile: Tile| {
            let bytes = self.server.tile(tile)?;
            bytes.as_ref().map_or(Ok(()), |bytes| self.incoming.keep(&tile.path(), bytes))?;
            Ok(bytes)
        };
        let mut witnessed = |entry: &Entry| {
            if !self.args.no_records && !self.record(entry)? {
                without_record = without_record.saturating_add(1);
            }
            Ok(())
        };
        if new.size > old.size || old.size == 0 {
            self.audit(old, earlier)?.run(&AwsLcRs, new, &mut files, &mut witnessed)?;
        }
        Ok(Grown::By { without_record })
    }

    /// Compares a head with what the directory, which holds more, has at that size.
    fn compare(&self, past: &Head, held: u64) -> Result<(), Fault<NotJudged>> {
        let (size, expected) = (past.size, self.edge(past.size, held)?.head(&AwsLcRs).root);
        let found = past.root;
        if expected == found { Ok(()) } else { Err(Tampered::Fork { size, expected, found }.into()) }
    }

    /// An audit that goes on where the directory ends.
    fn audit(&self, old: &Head, earlier: &[Head]) -> Result<Audit, Fault<NotJudged>> {
        let Some(last) = old.size.checked_sub(1) else { return Ok(Audit::whole(earlier)) };
        let edge = self.edge(old.size, old.size)?;
        let tile = Tile::in_tree(Level::Entries, last / 256, old.size);
        let bundle = match tile {
            Some(tile) => self.local(tile, old.size)?,
            None => Vec::new(),
        };
        let stored = entries(&bundle).map_err(|why| Fault::Unreadable(damaged(&why)))?;
        let tail = Tail::after(&AwsLcRs, stored.last().copied().unwrap_or_default());
        let tail = tail.map_err(|why| Fault::Unreadable(damaged(&why)))?;
        let resumed = Audit::resumed(&AwsLcRs, old, tail, edge);
        let resumed = resumed.map_err(|why| Fault::Unreadable(damaged(&why)))?;
        Ok(resumed.containing(parted(earlier, old.size).1))
    }

    /// The edge of the tree as it was at `size`, out of the directory.
    fn edge(&self, size: u64, held: u64) -> Result<Edge, Fault<NotJudged>> {
        let load = Edge::load::<LocalFault>(size, &mut |tile| {
            self.local(tile, held).map_err(|fault| match fault {
                Fault::Unreadable(why) => LocalFault(why),
                Fault::Tampered(why) => LocalFault(damaged(&why)),
            })
        });
        load.map_err(|LocalFault(why)| Fault::Unreadable(why))
    }

    fn local(&self, tile: Tile, held: u64) -> Result<Vec<u8>, Fault<NotJudged>> {
        let bytes = self.folder.tile_of(tile, held).map_err(Fault::Unreadable)?;
        bytes.ok_or_else(|| Fault::Unreadable(damaged(&format!("{tile} is missing"))))
    }

    /// Fetches the record of an entry; false if the server no longer has it.
    fn record(&self, entry: &Entry) -> Result<bool, Fault<NotJudged>> {
        let decision = entry.event.decision;
        let Some(file) = self.server.record(decision).map_err(Fault::Unreadable)? else { return Ok(false) };
        self.incoming.keep(&format!("records/{decision}.cbor"), &file).map_err(Fault::Unreadable)?;
        let (index, expected) = (entry.index, entry.event.record);
        // What an earlier entry of this decision left here is evidence, and is not written over.
        let held = self.folder.record(decision).map_err(Fault::Unreadable)?;
        match held.into_iter().chain([record_digest(&file)]).find(|found| *found != expected) {
            Some(found) => Err(Tampered::Record { index, expected, found }.into()),
            None => Ok(true),
        }
    }

    fn refused(&self, check: Option<Check>, file: &[u8]) -> Result<Step, NotJudged> {
        let kept = self.incoming.refuse(file)?;
        let check =
            check.ok_or_else(|| NotJudged::new("log.export", "no check failed, and nothing was opened"))?;
        Ok(Step::Refused { check, kept: Some(kept) })
    }

    /// Prints what is new, out of what was verified.
    fn print(&self, checkpoint: &Checkpoint, old: &Head) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let size = checkpoint.head.size;
        if size == old.size {
            return Ok(());
        }
        for tile in
            (old.size / 256..size.div_ceil(256)).filter_map(|n| Tile::in_tree(Level::Entries, n, size))
        {
            let bytes = self.incoming.read(&tile.path()).map_err(io::Error::other)?;
            for bytes in entries(&bytes).map_err(io::Error::other)? {
                let entry = Entry::decode(bytes).map_err(io::Error::other)?;
                if entry.index >= old.size {
                    writeln!(out, "{}", show::line(checkpoint.origin.as_str(), &entry, Format::Json))?;
                }
            }
        }
        out.flush()
    }

    /// Says how a step went, when more are to come.
    fn tell(&self, step: &Result<Step, NotJudged>) -> io::Result<()> {
        let words = match step {
            Ok(Step::Kept { before, head, .. }) if *before == head.size => return Ok(()),
            Ok(Step::Empty) => return Ok(()),
            Ok(step) => step.words(&self.args.folder),
            Err(why) => format!("not judged: {why} ({})\n", why.code),
        };
        let words = words.trim_end().lines().map(layout::printable).collect::<Vec<_>>().join("; ");
        writeln!(io::stderr(), "{words}")
    }
}

/// Heads of at most this size, and larger ones.
fn parted(heads: &[Head], size: u64) -> (Vec<Head>, Vec<Head>) {
    heads.iter().partition(|head| head.size <= size)
}

/// What came of fetching.
enum Grown {
    /// Everything up to the new checkpoint was fetched and verified.
    By { without_record: u64 },
    /// The server's log is the beginning of what the directory holds.
    Shorter,
}

/// A fault of the directory, in a form that can also come from malformed bytes.
struct LocalFault(NotJudged);

impl From<Malformed> for LocalFault {
    fn from(why: Malformed) -> Self {
        Self(damaged(&why))
    }
}

fn damaged(why: &impl std::fmt::Display) -> NotJudged {
    NotJudged::new(
        "log.export.directory",
        format!("the directory does not hold what its checkpoint says: {why}"),
    )
}

fn unjudged(error: NotJudged, format: Format) -> Answer {
    let verdict = Verdict::NotJudged;
    match format {
        Format::Text => Answer::complaint(&error),
        Format::Json => Answer::json(verdict, &Unjudged { verdict, error }),
    }
}

/// How often in a row a server may be behind while it is followed: a standby catches up.
const MOST_BEHIND: u32 = 20;

const ENVIRONMENT: &str = "\
Environment: BAO_ADDR, BAO_TOKEN, BAO_CACERT, BAO_NAMESPACE and the others of OpenBao's own client. The token needs
read on <mount>/log/* and <mount>/record/*; for auth/attest on auth/attest/log/* and auth/attest/verdict/*.";

const EXAMPLES: &str = "\
Examples:
  bao read -field=verifier_key attest-keys/log/key > log.vkey     (compare with what the operator published)
  cloudtaser evidence log export log/ --key log.vkey
  cloudtaser evidence log export log/ --key log.vkey --follow --print | forwarder";
