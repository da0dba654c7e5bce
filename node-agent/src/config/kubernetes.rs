//! `[kubernetes]`: this machine's Node.
//!
//! In a pod the defaults are what the kubelet gives every pod; the Node's name comes by `NODE_NAME`, from the
//! downward API, so that one configuration serves all machines.
//!
//! Trusted: whoever may write the file or set the environment.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::kubernetes::{Pods, Settings};

/// The section as it was written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKubernetes {
    enabled: Option<bool>,
    node: Option<String>,
    evict: Option<bool>,
    server: Option<String>,
    token: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

pub(super) fn kubernetes(raw: RawKubernetes, problems: &mut Vec<String>) -> Option<Settings> {
    understood(raw, &|name| std::env::var_os(name)?.into_string().ok(), problems)
}

type Environment<'e> = dyn Fn(&str) -> Option<String> + 'e;

fn understood(raw: RawKubernetes, env: &Environment<'_>, problems: &mut Vec<String>) -> Option<Settings> {
    if raw.enabled == Some(false) {
        return None;
    }
    let mut told = |what: &str, outcome: Result<String, String>| {
        outcome.map_err(|problem| problems.push(format!("kubernetes.{what}: {problem}"))).ok()
    };
    let node = told("node", node(raw.node, env));
    let server = told("server", server(raw.server, env));
    let file = |written: Option<PathBuf>, name| written.unwrap_or_else(|| PathBuf::from(ACCOUNT).join(name));
    let (token, authority) = (file(raw.token, "token"), file(raw.ca_file, "ca.crt"));
    for (what, path) in [("token", &token), ("ca_file", &authority)] {
        if !path.is_absolute() {
            problems.push(format!("kubernetes.{what}: expected an absolute path, found {}", path.display()));
        }
    }
    let pods = if raw.evict == Some(true) { Pods::Leave } else { Pods::Stay };
    let (server, node) = (server?, node?);
    Some(Settings { server, node, token, authority, pods, patience: PATIENCE, watch: WATCH })
}

/// RFC 1123, as Kubernetes has it: it becomes part of an address.
fn node(written: Option<String>, env: &Environment<'_>) -> Result<String, String> {
    let name = written.or_else(|| env("NODE_NAME")).ok_or("missing, and NODE_NAME is not set")?;
    let may = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        label.bytes().all(|byte| may(byte) || byte == b'-')
            && label.bytes().next().is_some_and(may)
            && label.bytes().next_back().is_some_and(may)
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err(format!("expected the name of a Node, found {name:?}"));
    }
    Ok(name)
}

fn server(written: Option<String>, env: &Environment<'_>) -> Result<String, String> {
    let in_cluster = || {
        let (host, port) = env("KUBERNETES_SERVICE_HOST").zip(env("KUBERNETES_SERVICE_PORT"))?;
        // RFC 3986 §3.2.2.
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Some(format!("https://{host}:{port}"))
    };
    let address = written.or_else(in_cluster).ok_or("missing, and KUBERNETES_SERVICE_HOST is not set")?;
    let authority = address.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    match authority {
        Some(host) if !host.is_empty() && host.bytes().all(may) => Ok(format!("https://{host}")),
        _ => Err(format!("expected https://HOST:PORT, found {address:?}")),
    }
}

/// Where the kubelet mounts a pod's service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const PATIENCE: Duration = Duration::from_secs(10);
const WATCH: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Option<String> {
        let set = [
            ("NODE_NAME", "node-1.example"),
            ("KUBERNETES_SERVICE_HOST", "fd00::1"),
            ("KUBERNETES_SERVICE_PORT", "443"),
        ];
        set.into_iter().find(|(one, _)| *one == name).map(|(_, value)| value.to_owned())
    }

    #[test]
    fn in_a_pod_nothing_need_be_said() {
        let settings = understood(RawKubernetes::default(), &pod, &mut Vec::new()).unwrap();
        assert_eq!(
            (settings.server.as_str(), settings.node.as_str()),
            ("https://[fd00::1]:443", "node-1.example")
        );
        assert_eq!(settings.token, PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount/token"));
        assert_eq!(settings.pods, Pods::Stay);
    }

    #[test]
    fn elsewhere_all_that_is_missing_is_told() {
        let mut problems = Vec::new();
        assert_eq!(understood(RawKubernetes::default(), &|_| None, &mut problems), None);
        let expected = [
            "kubernetes.node: missing, and NODE_NAME is not set",
            "kubernetes.server: missing, and KUBERNETES_SERVICE_HOST is not set",
        ];
        assert_eq!(problems, expected);
    }

    #[test]
    fn a_name_or_an_address_that_would_lead_elsewhere_is_refused() {
        for name in ["", "a/status", "../n", "N", "a..b", "-a", "a-", "a b"] {
            let expected = Err(format!("expected the name of a Node, found {name:?}"));
            assert_eq!(node(Some(name.to_owned()), &pod), expected);
        }
        for address in ["http://h:1", "https://", "https://h/path", "https://user@h", "https://h?x"] {
            let expected = Err(format!("expected https://HOST:PORT, found {address:?}"));
            assert_eq!(server(Some(address.to_owned()), &pod), expected);
        }
    }

    #[test]
    fn files_are_named_from_the_root() {
        let raw = RawKubernetes { token: Some("token".into()), ..RawKubernetes::default() };
        let mut problems = Vec::new();
        understood(raw, &pod, &mut problems);
        assert_eq!(problems, ["kubernetes.token: expected an absolute path, found token"]);
    }
}
