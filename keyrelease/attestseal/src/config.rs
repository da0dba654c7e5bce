//! What the `seal "attestseal"` stanza asks for.
//!
//! The settings come as words; [`Config`] is their meaning, made by one conversion that collects every
//! problem before it gives up, unknown words included. No setting is a secret.
//!
//! Trusted: whoever writes the server's configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use release_client::{Authority, Server};

use crate::custodians::quorum::Terms;

const AGENT_SOCKET: &str = "/run/cloudtaser/agent.sock";
const MOUNT: &str = "attest-keys";
const SOCKET: &str = "/run/openbao/attestseal.sock";
/// Seconds: OpenBao asks every five, and needs the key once or twice.
const HOLD: u64 = 60;
/// Seconds: people are called out of bed, one after the other.
const ROUND: u64 = 3600;

/// The meaning of a stanza.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Where the key comes from.
    pub source: Source,
}

/// Where the key comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// Another OpenBao.
    Peer(PeerConfig),
    /// People with shares.
    Custodians(CustodiansConfig),
}

/// Another OpenBao that releases our key to an attested machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerConfig {
    /// Where it listens, and who vouches for its certificate.
    pub server: Server,
    /// The mount of its secrets engine, without a slash at the end.
    pub mount: String,
    /// The name of the key in it.
    pub key: String,
    /// Where this machine's node agent listens.
    pub agent_socket: PathBuf,
}

/// People with shares of our key, and where they find us.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CustodiansConfig {
    /// The document of the set.
    pub custodians: PathBuf,
    /// The Unix socket where they knock.
    pub socket: PathBuf,
    /// Where this machine's node agent listens.
    pub agent_socket: PathBuf,
    /// How long things live.
    pub terms: Terms,
}

/// Everything that is wrong with the settings, together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} problem(s) in the seal's settings: {}", self.0.len(), self.0.join("; "))
    }
}

impl TryFrom<&BTreeMap<String, String>> for Config {
    type Error = Problems;

    fn try_from(settings: &BTreeMap<String, String>) -> Result<Self, Problems> {
        let mut reader = Reader { left: settings.clone(), problems: Vec::new() };
        let source = reader.source();
        for name in reader.left.keys() {
            reader.problems.push(format!("{name}: unknown setting"));
        }
        match source {
            Some(source) if reader.problems.is_empty() => Ok(Self { source }),
            Some(_) | None => Err(Problems(reader.problems)),
        }
    }
}

/// Takes settings out, and remembers what was wrong with them.
struct Reader {
    left: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Reader {
    fn source(&mut self) -> Option<Source> {
        match self.left.remove("source").as_deref() {
            Some("peer") => Some(Source::Peer(self.peer())),
            Some("custodians") => Some(Source::Custodians(self.custodians())),
            Some(other) => {
                let found: String = other.chars().take(32).collect();
                self.problems.push(format!("source: expected peer or custodians, found {found:?}"));
                None
            }
            None => {
                self.problems.push("source: not set".to_owned());
                None
            }
        }
    }

    fn peer(&mut self) -> PeerConfig {
        let address = self.address("peer_address");
        let namespace = self.left.remove("peer_namespace");
        let authority = Authority::File(self.required("peer_ca").into());
        let server = Server { namespace, ..Server::new(address, authority) };
        PeerConfig {
            server,
            mount: self.path("peer_mount", Some(MOUNT)),
            key: self.path("peer_key", None),
            agent_socket: self.agent_socket(),
        }
    }

    fn custodians(&mut self) -> CustodiansConfig {
        let terms =
            Terms { hold: self.seconds("hold_seconds", HOLD), round: self.seconds("round_seconds", ROUND) };
        CustodiansConfig {
            custodians: self.required("custodians").into(),
            socket: self.left.remove("socket").unwrap_or_else(|| SOCKET.to_owned()).into(),
            agent_socket: self.agent_socket(),
            terms,
        }
    }

    fn seconds(&mut self, name: &str, default: u64) -> Duration {
        let text = self.left.remove(name);
        let seconds = text.map_or(Some(default), |text| text.parse().ok());
        let allowed = seconds.filter(|seconds| (1..=86_400).contains(seconds)).unwrap_or_else(|| {
            self.problems.push(format!("{name}: expected 1 to 86400 seconds"));
            default
        });
        Duration::from_secs(allowed)
    }

    fn agent_socket(&mut self) -> PathBuf {
        self.left.remove("agent_socket").unwrap_or_else(|| AGENT_SOCKET.to_owned()).into()
    }

    fn required(&mut self, name: &str) -> String {
        self.left.remove(name).filter(|value| !value.is_empty()).unwrap_or_else(|| {
            self.problems.push(format!("{name}: not set"));
            String::new()
        })
    }

    fn address(&mut self, name: &str) -> String {
        let address = self.required(name);
        let host = address.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
        let good = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']));
        if !good && !address.is_empty() {
            self.problems.push(format!("{name}: expected https://HOST[:PORT] and nothing more"));
        }
        address.trim_end_matches('/').to_owned()
    }

    /// A mount or a key: segments of plain characters. A key has one.
    fn path(&mut self, name: &str, default: Option<&str>) -> String {
        let path = match (default, self.left.contains_key(name)) {
            (Some(default), false) => default.to_owned(),
            (Some(_) | None, _) => self.required(name),
        };
        let most = if default.is_some() { usize::MAX } else { 1 };
        let plain = path.split('/').count() <= most && path.split('/').all(is_segment);
        if !plain && !path.is_empty() {
            self.problems.push(format!("{name}: expected letters, digits, `.`, `_` and `-`"));
        }
        path
    }
}

fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && !text.starts_with('.') && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Config, Problems> {
        let settings: BTreeMap<String, String> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::try_from(&settings)
    }

    const PEER: [(&str, &str); 4] = [
        ("source", "peer"),
        ("peer_address", "https://bao.example:8200/"),
        ("peer_ca", "/etc/openbao/peer-ca.pem"),
        ("peer_key", "unseal"),
    ];

    #[test]
    fn a_peer_needs_an_address_an_authority_and_a_key() {
        let Source::Peer(peer) = read(&PEER).unwrap().source else { panic!("not a peer") };
        assert_eq!(peer.server.address, "https://bao.example:8200");
        assert_eq!(peer.server.authority, Authority::File("/etc/openbao/peer-ca.pem".into()));
        assert_eq!((peer.mount.as_str(), peer.key.as_str()), ("attest-keys", "unseal"));
        assert_eq!(peer.agent_socket, PathBuf::from(AGENT_SOCKET));
        let problems = read(&PEER[..1]).unwrap_err();
        let expected = "3 problem(s) in the seal's settings: peer_address: not set; peer_ca: not set; \
            peer_key: not set";
        assert_eq!(problems.to_string(), expected);
    }

    #[test]
    fn all_problems_are_told_together_with_unknown_words() {
        let wrong = [
            ("source", "peer"),
            ("peer_address", "http://bao.example"),
            ("peer_ca", "/ca.pem"),
            ("peer_key", "a/b"),
            ("peer_mount", "../sys"),
            ("insecure", "true"),
        ];
        let expected = [
            "peer_address: expected https://HOST[:PORT] and nothing more",
            "peer_mount: expected letters, digits, `.`, `_` and `-`",
            "peer_key: expected letters, digits, `.`, `_` and `-`",
            "insecure: unknown setting",
        ];
        assert_eq!(read(&wrong).unwrap_err().0, expected);
    }

    #[test]
    fn custodians_need_their_document_and_times_have_bounds() {
        let good = [("source", "custodians"), ("custodians", "/etc/openbao/custodians.json")];
        let Source::Custodians(config) = read(&good).unwrap().source else { panic!("not custodians") };
        assert_eq!(config.socket, PathBuf::from(SOCKET));
        assert_eq!(config.terms, Terms { hold: Duration::from_mins(1), round: Duration::from_hours(1) });
        let wrong = [
            ("source", "custodians"),
            ("hold_seconds", "0"),
            ("round_seconds", "soon"),
            ("peer_key", "unseal"),
        ];
        let expected = [
            "hold_seconds: expected 1 to 86400 seconds",
            "round_seconds: expected 1 to 86400 seconds",
            "custodians: not set",
            "peer_key: unknown setting",
        ];
        assert_eq!(read(&wrong).unwrap_err().0, expected);
    }

    #[test]
    fn there_is_no_source_by_default() {
        assert_eq!(read(&[]).unwrap_err().0, ["source: not set"]);
        assert_eq!(
            read(&[("source", "file")]).unwrap_err().0,
            ["source: expected peer or custodians, found \"file\""]
        );
    }
}
