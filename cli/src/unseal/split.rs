//! `cloudtaser unseal split`: a new key, dealt to custodians.
//!
//! The whole key exists in this process and nowhere else, and is gone when it ends. What is written is public
//! (the set's document) or sealed to one custodian (the shares). Run it on a machine that you trust, with
//! the custodians watching.

use std::path::PathBuf;

use custody::share::{SealedShare, digest_of, public_of};
use custody::{BadSet, Custodian, Custodians, KEY, shamir};
use protocol::release::Base64;
use protocol::{Kem, OfferedKey};
use zeroize::Zeroizing;

use super::{For, random, write};
use crate::answer::{Answer, NotJudged, Verdict};
use crate::{input, layout};

/// Deal the shares of a new key to custodians
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to call the set
    #[arg(long, value_name = "NAME")]
    name: String,
    /// How many custodians make a quorum
    #[arg(long, value_name = "NUMBER")]
    threshold: u8,
    /// A custodian and the file with their public key; repeated for each
    #[arg(long = "custodian", value_name = "NAME=FILE", value_parser = custodian, required = true)]
    custodians: Vec<(String, PathBuf)>,
    /// An existing directory to write custodians.json and NAME.share into. Files that exist are not overwritten
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

fn custodian(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("expected NAME=FILE")?;
    Ok((name.to_owned(), file.into()))
}

/// Deals and writes.
pub(crate) fn run(args: &Args) -> Answer {
    match split(args) {
        Ok(said) => Answer::text(Verdict::Accepted, said),
        Err(why) => Answer::complaint(&why),
    }
}

fn split(args: &Args) -> Result<String, NotJudged> {
    let keys: Vec<OfferedKey> =
        args.custodians.iter().map(|(_, file)| public_key(file)).collect::<Result<_, _>>()?;
    apart(args, &keys)?;
    let mut whole = Zeroizing::new([0; KEY]);
    random(whole.as_mut_slice())?;
    let count = u8::try_from(args.custodians.len()).unwrap_or(u8::MAX);
    let shares = shamir::split(&whole, args.threshold, count, random)?;
    let dealt = (1..=count).zip(&args.custodians).zip(&shares);
    let custodians = dealt.map(|((number, (name, _)), share)| Custodian {
        name: name.clone(),
        share: hex::encode(digest_of(number, share.as_slice())),
    });
    let (name, key) = (args.name.clone(), public_of(&whole));
    let set = Custodians { name, threshold: args.threshold, key, custodians: custodians.collect() };
    let set = set.checked()?;
    let files = sealed(args, &set, &keys, &shares)?;
    let document = args.out.join("custodians.json");
    write(&document, &set.to_json()?, For::Everybody)?;
    let mut said = format!(
        "set        {} ({} of {count})\nid         {}\ndocument   {}\n",
        set.name,
        set.threshold,
        set.id(),
        document.display()
    );
    for (path, text) in files {
        write(&path, &text, For::Owner)?;
        layout::line(&mut said, &format!("share      {}", path.display()));
    }
    Ok(said)
}

/// Two custodians with one key are one person with two shares.
fn apart(args: &Args, keys: &[OfferedKey]) -> Result<(), NotJudged> {
    let same = keys.iter().enumerate().find_map(|(at, key)| {
        let earlier = keys.iter().take(at).position(|other| other == key)?;
        Some(
            [earlier, at]
                .map(|at| args.custodians.get(at).map_or("", |(name, _)| name.as_str()))
                .join(" and "),
        )
    });
    same.map_or(Ok(()), |same| {
        let message = format!("expected a key of their own for each custodian, found one for {same}");
        Err(NotJudged::new("custodian.key", message))
    })
}

/// Every share sealed, before anything is written.
fn sealed(
    args: &Args,
    set: &Custodians,
    keys: &[OfferedKey],
    shares: &[shamir::Secret],
) -> Result<Vec<(PathBuf, String)>, NotJudged> {
    let mut files = Vec::new();
    for ((number, custodian), (key, share)) in (1..).zip(&set.custodians).zip(keys.iter().zip(shares)) {
        let unsealed = |error: custody::share::BadShare| NotJudged::new("custodian.key", error.to_string());
        let sealed = SealedShare::to_custodian(key, set.id(), (number, &custodian.name), share.as_slice());
        let text = serde_json::to_string_pretty(&sealed.map_err(unsealed)?);
        let text = text.map_err(|error| NotJudged::new("output.unwritable", error.to_string()))?;
        files.push((args.out.join(format!("{}.share", custodian.name)), text + "\n"));
    }
    Ok(files)
}

fn public_key(path: &std::path::Path) -> Result<OfferedKey, NotJudged> {
    let unusable = || {
        let message =
            format!("expected a custodian's public key, as `unseal keygen` writes it, in {}", path.display());
        NotJudged::new("custodian.key", message)
    };
    let Base64(public) =
        serde_json::from_slice(&input::read(path, input::LIMIT)?).map_err(|_why| unusable())?;
    let key = OfferedKey { kem: Kem::XWing, public };
    if key.kem.public_len().contains(key.public.len()) { Ok(key) } else { Err(unusable()) }
}

impl From<BadSet> for NotJudged {
    fn from(error: BadSet) -> Self {
        Self::new("custodians.malformed", error.to_string())
    }
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser unseal split --name prod --threshold 2 --custodian anna=anna.pub --custodian ben=ben.pub \\
      --custodian carl=carl.pub --out dealt/";
