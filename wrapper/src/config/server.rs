//! Which OpenBao, and as whom it is asked.

use std::path::PathBuf;

use release_client::{Authority, Identity, Server, address_problem};

use super::is_segment;
use super::reader::Reader;

const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Where Kubernetes puts a pod's own token.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// As whom OpenBao is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Login {
    /// How we prove who we are.
    pub method: Method,
    /// Where the auth method is mounted, like `auth/kubernetes`.
    pub mount: String,
    /// The role; without one there is no login, and only sealed releases can be asked for.
    pub role: Option<String>,
}

/// How we prove who we are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Method {
    /// By evidence of the hardware.
    Attest,
    /// By a token of Kubernetes, in this file.
    Kubernetes(PathBuf),
    /// By a token of OpenBao, which the environment brought.
    Token,
}

impl Reader<'_> {
    pub(super) fn server(&mut self) -> Server {
        let address = self.required("VAULT_ADDR");
        let address = address.trim_end_matches('/').to_owned();
        if let Some(problem) = address_problem(&address).filter(|_| !address.is_empty()) {
            self.problem(format!("VAULT_ADDR: {problem}"));
        }
        let authority = if self.flag("VAULT_SKIP_VERIFY", false) {
            Authority::InsecureNobody
        } else {
            Authority::File(self.text("VAULT_CACERT").unwrap_or_else(|| AUTHORITIES.to_owned()).into())
        };
        for name in ["VAULT_CAPATH", "VAULT_CACERT_BYTES"] {
            if self.text(name).is_some() {
                self.problem(format!("{name}: expected the authorities in VAULT_CACERT, a file"));
            }
        }
        let namespace = self.text("VAULT_NAMESPACE");
        let is_plain = |name: &String| name.trim_matches('/').split('/').all(is_segment);
        if namespace.as_ref().is_some_and(|name| !is_plain(name)) {
            self.problem("VAULT_NAMESPACE: expected a path of letters, digits, `.`, `_`, `-` and `/`");
        }
        let tls_name = self.text("VAULT_TLS_SERVER_NAME");
        Server { namespace, tls_name, identity: self.identity(), ..Server::new(address, authority) }
    }

    fn identity(&mut self) -> Option<Identity> {
        match (self.text("VAULT_CLIENT_CERT"), self.text("VAULT_CLIENT_KEY")) {
            (Some(certificate), Some(key)) => {
                Some(Identity { certificate: certificate.into(), key: key.into() })
            }
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                self.problem("VAULT_CLIENT_CERT, VAULT_CLIENT_KEY: expected both or neither");
                None
            }
        }
    }

    pub(super) fn login(&mut self) -> Login {
        let role = self.text("VAULT_AUTH_ROLE");
        let word = self.text("VAULT_AUTH_METHOD").unwrap_or_else(|| "kubernetes".to_owned());
        let method = match word.as_str() {
            "attest" => Method::Attest,
            "token" => Method::Token,
            "kubernetes" => {
                if role.is_none() {
                    self.problem("VAULT_AUTH_ROLE: not set, and VAULT_AUTH_METHOD kubernetes logs in");
                }
                let file = self.text("CLOUDTASER_KUBERNETES_TOKEN_FILE");
                Method::Kubernetes(file.unwrap_or_else(|| SERVICE_ACCOUNT.to_owned()).into())
            }
            _other => {
                self.problem("VAULT_AUTH_METHOD: expected attest, kubernetes or token");
                Method::Token
            }
        };
        let mount = self.mount("VAULT_AUTH_MOUNT_PATH", &format!("auth/{word}"));
        Login { method, mount, role }
    }

    pub(super) fn mount(&mut self, name: &str, default: &str) -> String {
        let mount = self.text(name).unwrap_or_else(|| default.to_owned());
        let mount = mount.trim_matches('/').to_owned();
        if !mount.split('/').all(is_segment) {
            self.problem(format!("{name}: expected a mount path of letters, digits, `.`, `_`, `-` and `/`"));
        }
        mount
    }
}
