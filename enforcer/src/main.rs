//! Keeps even root out of processes that hold secrets.

use std::io::Write as _;

use clap::Parser as _;
use enforcer::config::{Command, Verb};

fn main() -> anyhow::Result<()> {
    match Command::parse().verb {
        Verb::Canary { target, enforcer: of, nursery } => Ok(enforcer::canary::serve(target, of, nursery)?),
        Verb::Admit(told) => Ok(enforcer::succession::admit::serve(&told)?),
        Verb::Start(told) => match enforcer::succession::start::start(&told)? {},
        Verb::Challenge(told) => {
            Ok(enforcer::succession::challenge::write(&told, enforcer::succession::release::now())?)
        }
        Verb::CheckList { file } => {
            let checked = enforcer::guards::check::check(&file)?;
            write!(std::io::stdout(), "{}", checked.text)?;
            anyhow::ensure!(checked.void == 0, "{} of the entries would not be known", checked.void);
            Ok(())
        }
        Verb::ConfirmGuards { socket } => Ok(enforcer::guards::confirm::confirm(&socket)?),
        Verb::Detach(told) => {
            Ok(enforcer::succession::release::detach(&told, enforcer::succession::release::now())?)
        }
        Verb::Digests { words } => {
            let digests = enforcer::run::digests(&words, &enforcer::succession::start::run_of(&words)?)?;
            Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(&digests)?)?)
        }
        Verb::Run(config) => Ok(enforcer::run::run(&config)?),
    }
}
