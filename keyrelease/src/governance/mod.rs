//! Rule by more than one: what a mount believes changes by proposal and approval.
//!
//! A mount without approvers is changed by whoever may write its paths. Once `config/approvers` names some, the governed
//! items ([`items`]) change by a proposal ([`proposals`]) that enough of them approve, or for at most a day by an
//! emergency ([`emergency`]). Each step is an entry of the release log ([`steps`]) and is stored in its very commit,
//! together with what it changes.
//!
//! Trusted: OpenBao's storage, the approvers in force. Untrusted: proposals, signatures, whoever may write paths.

pub(crate) mod emergency;
mod enrolment;
mod founding;
pub(crate) mod items;
pub(crate) mod pem;
mod proposals;
mod roots;
mod status;
mod steps;
mod stored;

use openbao_plugin::{Error, Host, Operation, Request, Response, Storage};

use crate::mount::Mount;
use crate::reply::bad_request;

use items::APPROVERS;
use steps::Desk;

pub(crate) use enrolment::enrolled;
pub(crate) use proposals::count as open_proposals;
pub(crate) use roots::authorities;
pub(crate) use stored::StoredEmergency;

/// Answers `config/approvers`, `config/roots`, `governance`, `in-force/…`, `proposal…` and `emergency/…`; `None` if the
/// path is another's.
pub(crate) async fn answer(
    mount: &Mount,
    request: &mut Request,
    host: &Host,
) -> Option<Result<Option<Response>, Error>> {
    let path = request.path.clone();
    let parts: Vec<&str> = path.split('/').collect();
    let data = std::mem::take(&mut request.data);
    let desk = Desk { mount, host, by: steps::caller(request) };
    let answer = match (request.operation, parts.as_slice()) {
        (Operation::Read, ["config", "approvers"]) => founding::show(&desk).await,
        (Operation::Update, ["config", "approvers"]) => founding::found(&desk, data).await.map(Some),
        (Operation::Read, ["config", "roots"]) => roots::show(&desk).await.map(Some),
        (Operation::Update, ["config", "roots"]) => roots::store(&desk, data).await.map(|()| None),
        (Operation::Read, ["governance"]) => status::show(&desk).await.map(Some),
        (Operation::Read, ["in-force", item @ ..]) => items::show(&desk, item).await.map(Some),
        (Operation::List, ["proposal", ""]) => proposals::list(&desk).await.map(Some),
        (Operation::Update, ["proposal"]) => proposals::propose(&desk, data).await.map(Some),
        (Operation::Read, ["proposal", id]) => proposals::show(&desk, id).await,
        (Operation::Delete, ["proposal", id]) => proposals::withdraw(&desk, id).await.map(|()| None),
        (Operation::Update, ["proposal", id, "approve"]) => {
            proposals::approve(&desk, id, data).await.map(Some)
        }
        (Operation::Read, ["emergency", item @ ..]) => emergency::show(&desk, item).await,
        (Operation::Update, ["emergency", item @ ..]) => {
            emergency::declare(&desk, item, data).await.map(Some)
        }
        (Operation::Delete, ["emergency", item @ ..]) => emergency::end(&desk, item).await.map(|()| None),
        (
            _,
            ["config", "approvers" | "roots"]
            | ["governance" | "proposal"]
            | ["in-force" | "emergency", ..]
            | ["proposal", _]
            | ["proposal", _, "approve"],
        ) => Err(Error::UnsupportedOperation),
        _ => {
            request.data = data;
            return None;
        }
    };
    Some(answer)
}

/// Whether several rule the mount.
pub(crate) async fn is_ruled(storage: &Storage) -> Result<bool, Error> {
    Ok(storage.get(APPROVERS).await?.is_some())
}

/// Whether a governed item may be written as the mount's other paths are: only where nobody was named to approve.
pub(crate) async fn ungoverned(storage: &Storage) -> Result<(), Error> {
    if is_ruled(storage).await? { Err(bad_request(GOVERNED)) } else { Ok(()) }
}

const GOVERNED: &str = "this mount has approvers: propose the change (proposal), or declare an emergency";
