//! One round: status, plan, fetch, verify, keep, import, tell.
//!
//! Nothing that no vendor signed leaves this program. What did not go well is told to the mount, where an operator looks.
//!
//! Untrusted: what was fetched, until it was verified up to a root.

use std::fs;
use std::path::{Path, PathBuf};

use attest::collateral::{Issuers, Kind, Pack, Want};
use attest::{TrustAnchors, UnixTime, snp};
use serde::Serialize;

use super::fetch::{Fetcher, Stored};
use super::plan::{Seeds, plan};
use super::source::{Source, file_name};
use crate::answer::NotJudged;
use crate::layout;
use crate::supply::mount::{Declined, Imported, Mount, Status};
use crate::supply::signer::Signer;
use crate::supply::stock::Stock;

/// What a round works with.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    pub(crate) sources: &'a [Source],
    pub(crate) seeds: &'a Seeds,
    pub(crate) anchors: &'a TrustAnchors,
    /// Where to import; without, fetched objects are only kept.
    pub(crate) mount: Option<&'a Mount>,
    pub(crate) signer: Option<&'a Signer>,
    pub(crate) save: Option<&'a PathBuf>,
    pub(crate) now: UnixTime,
}

/// How it went.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outcome {
    pub(crate) asked: usize,
    pub(crate) fetched: usize,
    pub(crate) new: u64,
    pub(crate) kept: u64,
    pub(crate) errors: Vec<String>,
}

impl Round<'_> {
    /// Runs it, for what `status` says.
    pub(crate) fn run(&self, status: &Status, fetcher: &mut Fetcher<'_>) -> Result<Outcome, NotJudged> {
        let issuers = self.issuers(status)?;
        // Intel's answers bring their issuers; files of a mirror do not.
        let mirrored = self.sources.iter().any(Source::is_mirror);
        let at_hand = |name: &str| issuers.has(name) || (!mirrored && name.starts_with("Intel "));
        let wants = plan(status, self.seeds, at_hand, self.now);
        let mut outcome = Outcome { asked: wants.len(), ..Outcome::default() };
        let stock = self.fetch(&wants, status, fetcher, &issuers, &mut outcome);
        outcome.fetched = stock.objects.len();
        if let Some(folder) = self.save {
            save(&stock, folder)?;
        }
        if let Some(mount) = self.mount {
            if !stock.objects.is_empty() {
                self.import(mount, stock, &mut outcome)?;
            }
            mount.report(outcome.new, &outcome.errors)?;
        }
        if outcome.errors.is_empty() {
            fetcher.known.extend(fetcher.found.drain());
        }
        fetcher.found.clear();
        Ok(outcome)
    }

    /// Who may have signed what comes: AMD's own intermediates, and those in store.
    fn issuers(&self, status: &Status) -> Result<Issuers, NotJudged> {
        let mut issuers = Issuers::default();
        if self.anchors.roots() == attest::Roots::Vendor {
            for der in snp::vendor_intermediates() {
                issuers.add(&der);
            }
        }
        let Some(mount) = self.mount else { return Ok(issuers) };
        for stored in status.entries.iter().filter(|stored| stored.kind == Kind::Issuer) {
            issuers.add(&mount.object(&stored.sha256)?);
        }
        Ok(issuers)
    }

    fn fetch(
        &self,
        wants: &[Want],
        status: &Status,
        fetcher: &mut Fetcher<'_>,
        issuers: &Issuers,
        outcome: &mut Outcome,
    ) -> Stock {
        let mut genuine = Stock::default();
        let mut issuers = issuers.clone();
        for want in wants {
            match fetcher.fetch(self.sources, want, is_stored(status, want)) {
                Ok(found) => match self.verified(want, &found, &mut issuers) {
                    Ok(()) => found.iter().for_each(|(object, origin)| genuine.add(object, origin)),
                    Err(problem) => outcome
                        .errors
                        .push(layout::printable(&format!("{} {}: {problem}", want.kind, want.key))),
                },
                Err(problem) => outcome.errors.push(problem),
            }
        }
        genuine
    }

    /// Whether an answer is what was asked for, all of it signed by a vendor and current.
    fn verified(
        &self,
        want: &Want,
        found: &[(Vec<u8>, String)],
        issuers: &mut Issuers,
    ) -> Result<(), String> {
        let mut stock = Stock::default();
        for (object, origin) in found {
            stock.add(object, origin);
        }
        let rows = stock.rows(issuers, self.anchors, self.now);
        if let Some(problem) = rows.iter().find_map(|row| row.problem.as_ref()) {
            return Err(problem.clone());
        }
        let fits = rows
            .iter()
            .any(|row| row.kind == Some(want.kind) && row.key.as_ref().is_some_and(|key| want.fits(key)));
        if !fits && !found.is_empty() {
            let keys: Vec<&str> = rows.iter().filter_map(|row| row.key.as_deref()).collect();
            return Err(format!("the source answered with {}", keys.join(", ")));
        }
        stock.objects.iter().for_each(|(object, _)| issuers.add(object));
        Ok(())
    }

    fn import(&self, mount: &Mount, stock: Stock, outcome: &mut Outcome) -> Result<(), NotJudged> {
        let imported = if let Some(signer) = self.signer {
            let pack = Pack::new(self.now, "refresh", stock.objects)?;
            mount.import_pack(&signer.sign(&pack)?)?
        } else {
            let objects: Vec<Vec<u8>> = stock.objects.into_iter().map(|(object, _)| object).collect();
            mount.import_objects(&objects)?
        };
        match imported {
            Ok(Imported { new, kept, objects, .. }) => {
                (outcome.new, outcome.kept) = (new, kept);
                let refused = objects.iter().filter(|object| object.outcome == "refused");
                outcome.errors.extend(refused.map(|object| {
                    let (kind, key) = (object.kind.map_or("object", Kind::name), object.key.as_deref());
                    let why = object.why.as_deref().unwrap_or_default();
                    layout::printable(&format!("{kind} {}: {why}", key.unwrap_or(&object.sha256)))
                }));
            }
            Err(Declined(why)) => outcome.errors.push(layout::printable(&format!("import: {why}"))),
        }
        Ok(())
    }
}

fn is_stored(status: &Status, want: &Want) -> Stored {
    let missing = status.missing.iter().any(|missing| missing.kind == want.kind && missing.key == want.key);
    let held = status.entries.iter().chain(&status.expiring);
    let held = held.into_iter().any(|stored| stored.kind == want.kind && stored.key == want.key);
    if held && !missing { Stored::Yes } else { Stored::No }
}

/// Writes objects in the layout of a mirror, over older ones.
fn save(stock: &Stock, folder: &Path) -> Result<(), NotJudged> {
    for row in stock.labels() {
        let (Some(kind), Some(key)) = (row.kind, &row.key) else { continue };
        let Some(name) = file_name(kind, key) else { continue };
        let path = folder.join(name);
        let object =
            stock.objects.iter().find(|(object, _)| crate::supply::stock::digest(object) == row.sha256);
        let Some((object, _)) = object else { continue };
        let parent = path.parent().unwrap_or(folder);
        let partial = path.with_extension("part");
        let written = fs::create_dir_all(parent)
            .and_then(|()| fs::write(&partial, object))
            .and_then(|()| fs::rename(&partial, &path));
        written.map_err(|error| {
            let message = format!("expected to write {}, found: {error}", path.display());
            NotJudged::new("output.unwritable", message)
        })?;
    }
    Ok(())
}
