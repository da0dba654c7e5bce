//! What the host says in the environment of the process that it starts, and nothing else of it.
//!
//! A plugin inherits the server's whole environment, with tokens and cloud credentials in it.
//! [`scrub`] starts the same program again, in the same process, with the protocol's variables
//! alone: so the rest is gone from memory and from `/proc/PID/environ`, which removing variables
//! one by one would not achieve (and may not be done once there are threads).
//!
//! Trusted: the host, which is our parent.

use std::collections::HashMap;
use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// What the host started us as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// A secrets engine or an auth method.
    Backend,
    /// The holder of the key to a seal.
    Kms,
}

impl Role {
    /// The version of the role's own protocol.
    pub(crate) fn protocol(self) -> &'static str {
        match self {
            Self::Backend => "5",
            Self::Kms => "1",
        }
    }

    /// go-plugin's magic cookie: the variable and its value.
    fn cookie(self) -> (&'static str, &'static str) {
        match self {
            Self::Backend => ("VAULT_BACKEND_PLUGIN", "6669da05-b1c8-4f49-97d9-c8e5bed98e20"),
            Self::Kms => ("OPENBAO_KMS_PLUGIN", "39704a18-7da7-4bda-9a2d-f7c488d70328"),
        }
    }
}

/// The parsed settings.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Environment {
    /// The one certificate the host has for us, DER.
    pub(crate) host_certificate: CertificateDer<'static>,
    /// Where to put the socket; without it an abstract one is used, which leaves no file behind.
    pub(crate) socket_dir: Option<PathBuf>,
}

impl Environment {
    /// Reads the protocol's variables and names all problems at once.
    pub(crate) fn parse(role: Role, variables: &HashMap<String, String>) -> Result<Self, Unsuitable> {
        let said = |name: &str| variables.get(name).map(String::as_str).unwrap_or_default();
        let ((cookie, value), protocol) = (role.cookie(), role.protocol());
        if said(cookie) != value {
            return Err(Unsuitable::NotStartedByOpenBao);
        }
        let mut problems = Vec::new();
        if !said("PLUGIN_PROTOCOL_VERSIONS").split(',').any(|version| version.trim() == protocol) {
            let found = said("PLUGIN_PROTOCOL_VERSIONS");
            problems.push(format!("protocol version {protocol} is needed, host offers {found:?}"));
        }
        let certificate = CertificateDer::from_pem_slice(said("PLUGIN_CLIENT_CERT").as_bytes());
        if let Err(error) = &certificate {
            problems.push(format!("PLUGIN_CLIENT_CERT: a PEM certificate is needed: {error}"));
        }
        match certificate {
            Ok(host_certificate) if problems.is_empty() => {
                let dir = said("PLUGIN_UNIX_SOCKET_DIR");
                let socket_dir = (!dir.is_empty()).then(|| PathBuf::from(dir));
                Ok(Self { host_certificate, socket_dir })
            }
            Ok(_) | Err(_) => Err(Unsuitable::Problems(problems.join("; "))),
        }
    }
}

/// Why the environment is not one to work in.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Unsuitable {
    /// Started by hand.
    #[error(
        "this program is an OpenBao plugin: it is not run by hand, but named in a plugin stanza of the \
         server's configuration or registered with `bao plugin register`"
    )]
    NotStartedByOpenBao,
    /// Started by a host we don't understand.
    #[error("{0}")]
    Problems(String),
}

/// The variables, as text. A name or value that is not text is none of the protocol's.
pub(crate) fn variables() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Replaces the process by itself without the inherited variables. Returns if there are none left.
pub(crate) fn scrub() -> io::Result<()> {
    let (kept, inherited): (Vec<_>, Vec<_>) = std::env::vars_os().partition(|(name, _)| is_protocol(name));
    if inherited.is_empty() {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| OsString::from("plugin"));
    // The running file itself, not its path: the host has hashed this one.
    Err(Command::new("/proc/self/exe").arg0(name).args(arguments).env_clear().envs(kept).exec())
}

/// Gives the process its name back, which for `ps` would be `exe` after [`scrub`].
pub(crate) fn show_name() -> io::Result<()> {
    let path = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    Ok(rustix::thread::set_name(&CString::new(name)?)?)
}

fn is_protocol(name: &OsString) -> bool {
    PROTOCOL.iter().any(|protocol| name == protocol)
}

const PROTOCOL: [&str; 8] = [
    "VAULT_BACKEND_PLUGIN",
    "OPENBAO_KMS_PLUGIN",
    "PLUGIN_PROTOCOL_VERSIONS",
    "PLUGIN_CLIENT_CERT",
    "PLUGIN_UNIX_SOCKET_DIR",
    "BAO_VERSION",
    "RUST_BACKTRACE",
    "TZ",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn from_host(role: Role, versions: &str, certificate: &str) -> Result<Environment, Unsuitable> {
        let variables =
            [role.cookie(), ("PLUGIN_PROTOCOL_VERSIONS", versions), ("PLUGIN_CLIENT_CERT", certificate)];
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Environment::parse(role, &variables)
    }

    #[test]
    fn a_program_started_by_hand_says_what_it_is() {
        assert_eq!(Environment::parse(Role::Kms, &HashMap::new()), Err(Unsuitable::NotStartedByOpenBao));
    }

    #[test]
    fn the_older_protocols_are_refused_together_with_a_missing_certificate() {
        let Err(Unsuitable::Problems(problems)) = from_host(Role::Backend, "3,4", "") else {
            panic!("accepted")
        };
        assert!(problems.contains("protocol version 5 is needed, host offers \"3,4\""), "{problems}");
        assert!(problems.contains("PLUGIN_CLIENT_CERT"), "{problems}");
    }

    #[test]
    fn the_hosts_certificate_is_kept_byte_for_byte() {
        let pem = "-----BEGIN CERTIFICATE-----\nAQIDBA==\n-----END CERTIFICATE-----\n";
        let parsed = from_host(Role::Backend, "5", pem).unwrap();
        assert_eq!(parsed.host_certificate.as_ref(), [1, 2, 3, 4]);
        assert_eq!(parsed.socket_dir, None);
    }

    #[test]
    fn the_host_of_one_role_is_no_host_for_the_other() {
        let backend = HashMap::from([Role::Backend.cookie()].map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(Environment::parse(Role::Kms, &backend), Err(Unsuitable::NotStartedByOpenBao));
        let Err(Unsuitable::Problems(problems)) = from_host(Role::Kms, "5", "") else { panic!("accepted") };
        assert!(problems.contains("protocol version 1 is needed, host offers \"5\""), "{problems}");
    }

    #[test]
    fn credentials_of_the_server_are_not_the_protocols() {
        for name in ["BAO_TOKEN", "AWS_SECRET_ACCESS_KEY", "VAULT_UNWRAP_TOKEN", "LD_PRELOAD", "PATH"] {
            assert!(!is_protocol(&OsString::from(name)), "{name}");
        }
    }
}
