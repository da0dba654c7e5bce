//! What an operator reads.

use std::time::Duration;

use super::holding::Of;
use super::tenant::{Notice, Reason};
use crate::config::{Source, Wanted};

pub(super) fn reason(reason: Reason, wanted: &[Wanted]) -> String {
    match reason {
        Reason::Refused => "OpenBao has withdrawn what the program was given".to_owned(),
        Reason::Ended(Of::Token) => "the token has ended, and with it the program's leases".to_owned(),
        Reason::Ended(Of::Secret(index)) => format!("the time of {} has ended", name(index, wanted)),
        Reason::Stale(of) => {
            let name = match of {
                Of::Token => "the token",
                Of::Secret(index) => name(index, wanted),
            };
            format!("OpenBao's last word on {name} is older than CLOUDTASER_MAX_STALE allows")
        }
    }
}

pub(super) fn notice(notice: Notice) -> String {
    match notice {
        Notice::Away(None) => "OpenBao does not answer; the program goes on".to_owned(),
        Notice::Away(Some(left)) => {
            format!("OpenBao does not answer; the program may go on for {} seconds", left.as_secs())
        }
        Notice::Back => "OpenBao answers again".to_owned(),
        Notice::Kept => {
            "a value has changed; the program keeps its own, as CLOUDTASER_ROTATION_STRATEGY none wants it"
                .to_owned()
        }
    }
}

pub(super) fn hook_failed(again: Option<Duration>) -> String {
    match again {
        Some(wait) => format!("CLOUDTASER_ROTATION_HOOK runs again in {} seconds", wait.as_secs()),
        None => "CLOUDTASER_ROTATION_HOOK is given up until a value changes again".to_owned(),
    }
}

/// How the operator calls a secret.
pub(super) fn name(index: u16, wanted: &[Wanted]) -> &str {
    match wanted.get(usize::from(index)).map(|wanted| &wanted.source) {
        Some(Source::Release { key, .. }) => key,
        Some(Source::Path { path, .. }) => path,
        None => "a secret",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_called_as_the_operator_calls_it() {
        let source = Source::Path { path: "database/creds/app".to_owned(), parameters: vec![] };
        let wanted = [Wanted { source, targets: vec![] }];
        let told = reason(Reason::Ended(Of::Secret(0)), &wanted);
        assert_eq!(told, "the time of database/creds/app has ended");
        let told = reason(Reason::Stale(Of::Secret(0)), &wanted);
        let expected = "OpenBao's last word on database/creds/app is older than CLOUDTASER_MAX_STALE allows";
        assert_eq!(told, expected);
    }
}
