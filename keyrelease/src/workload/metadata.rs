//! A workload in the metadata of an alias: how the auth mount tells the secrets engine who logged in.
//!
//! ACL templates refuse values with `/`, `+` or `*`. What Kubernetes names is plain, so that a template can use it; an
//! image's digest stands without `sha256:`; issuer, subject and SPIFFE id are base64url.
//!
//! Trusted: the metadata of the one alias that the trusted auth mount wrote.

use std::collections::BTreeMap;

use attest::crypto::AwsLcRs;
use attest::{Crypto, Digest, UnixTime, Workload};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The metadata that says who the workload is.
pub(crate) fn write(workload: &Workload) -> BTreeMap<String, String> {
    let coded = |text: &String| URL_SAFE_NO_PAD.encode(text);
    let image = workload.image_digest.as_deref().map(|digest| digest.replace("sha256:", ""));
    [
        (ISSUER, Some(coded(&workload.issuer))),
        (SUBJECT, Some(coded(&workload.subject))),
        (NAMESPACE, workload.namespace.clone()),
        (ACCOUNT, workload.service_account.clone()),
        (POD, workload.pod.clone()),
        (NODE, workload.node.clone()),
        (IMAGE, image),
        (SPIFFE, workload.spiffe_id.as_ref().map(coded)),
        (FROM, Some(workload.from.0.to_string())),
        (UNTIL, Some(workload.until.0.to_string())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

/// The name of a workload's alias on a machine: one for each service account and image, however often its pods begin anew.
pub(crate) fn alias(machine: Digest<32>, workload: &Workload) -> Digest<32> {
    let image = workload.image_digest.as_deref().unwrap_or_default();
    let parts = [workload.issuer.as_str(), workload.subject.as_str(), image];
    // None of them has a line break: a token with one is refused.
    AwsLcRs.sha256(&[b"cloudtaser/workload/v1", &machine.0, parts.join("\n").as_bytes()])
}

/// The workload in an alias's metadata; `None` if none logged in. `Err` if there is something that is not one.
pub(crate) fn read(metadata: &BTreeMap<String, String>) -> Result<Option<Workload>, Damaged> {
    if !metadata.keys().any(|name| name.starts_with(PREFIX)) {
        return Ok(None);
    }
    let plain = |name: &str| metadata.get(name).cloned();
    let needed = |name: &'static str| metadata.get(name).ok_or(Damaged(name));
    let decoded = |name: &'static str, text: &String| {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_why| Damaged(name))?;
        String::from_utf8(bytes).map_err(|_why| Damaged(name))
    };
    let time = |name: &'static str| needed(name)?.parse().map(UnixTime).map_err(|_why| Damaged(name));
    let spiffe_id = metadata.get(SPIFFE).map(|text| decoded(SPIFFE, text)).transpose()?;
    Ok(Some(Workload {
        issuer: decoded(ISSUER, needed(ISSUER)?)?,
        subject: decoded(SUBJECT, needed(SUBJECT)?)?,
        namespace: plain(NAMESPACE),
        service_account: plain(ACCOUNT),
        pod: plain(POD),
        node: plain(NODE),
        image_digest: plain(IMAGE).map(|digits| format!("sha256:{digits}")),
        spiffe_id,
        from: time(FROM)?,
        until: time(UNTIL)?,
    }))
}

/// Metadata that begins like a workload's and is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("alias metadata: {0} is missing or damaged")]
pub(crate) struct Damaged(&'static str);

const PREFIX: &str = "workload_";
const ISSUER: &str = "workload_issuer";
const SUBJECT: &str = "workload_subject";
const NAMESPACE: &str = "workload_namespace";
const ACCOUNT: &str = "workload_service_account";
const POD: &str = "workload_pod";
const NODE: &str = "workload_node";
const IMAGE: &str = "workload_image";
const SPIFFE: &str = "workload_spiffe_id";
const FROM: &str = "workload_from";
const UNTIL: &str = "workload_until";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_survives_an_alias_and_its_values_fit_acl_templates() {
        let workload = Workload {
            issuer: "https://kubernetes.default.svc".to_owned(),
            subject: "system:serviceaccount:prod:app".to_owned(),
            namespace: Some("prod".to_owned()),
            service_account: Some("app".to_owned()),
            pod: None,
            node: Some("node-1.example".to_owned()),
            image_digest: Some(format!("sha256:{}", "0a".repeat(32))),
            spiffe_id: Some("spiffe://example.org/app".to_owned()),
            from: UnixTime(1),
            until: UnixTime(2),
        };
        let written = write(&workload);
        assert_eq!(read(&written), Ok(Some(workload)));
        assert!(written.values().all(|value| !value.contains(['/', '+', '*'])), "{written:?}");
        for lost in [ISSUER, SUBJECT, FROM, UNTIL] {
            let mut damaged = written.clone();
            damaged.remove(lost);
            assert_eq!(read(&damaged), Err(Damaged(lost)));
        }
        assert_eq!(read(&BTreeMap::new()), Ok(None));
    }
}
