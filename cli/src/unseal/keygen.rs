//! `cloudtaser unseal keygen`: a custodian's key pair, made where it will be used.

use std::path::PathBuf;

use custody::KEY;
use custody::share::public_of;
use protocol::release::Base64;
use zeroize::Zeroizing;

use super::{For, random, write};
use crate::answer::{Answer, NotJudged, Verdict};

/// Make a custodian's key pair: NAME.key stays with the custodian, NAME.pub goes to whoever splits
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to write: PATH.key and PATH.pub. Files that exist are not overwritten
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
}

/// Draws and writes.
pub(crate) fn run(args: &Args) -> Answer {
    match generate(args) {
        Ok(said) => Answer::text(Verdict::Accepted, said),
        Err(why) => Answer::complaint(&why),
    }
}

fn generate(args: &Args) -> Result<String, NotJudged> {
    let mut private = Zeroizing::new([0; KEY]);
    random(private.as_mut_slice())?;
    let named = |end: &str| PathBuf::from(format!("{}.{end}", args.out.display()));
    let (secret, public) = (named("key"), named("pub"));
    let text = Zeroizing::new(hex::encode(private.as_slice()));
    write(&secret, &text, For::Owner)?;
    let document = serde_json::to_string(&Base64(public_of(&private).public));
    let document = document.map_err(|error| NotJudged::new("output.unwritable", error.to_string()))?;
    write(&public, &format!("{document}\n"), For::Everybody)?;
    Ok(format!(
        "private key  {} (keep it, and a copy of it)\npublic key   {}\n",
        secret.display(),
        public.display()
    ))
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser unseal keygen --out anna";
