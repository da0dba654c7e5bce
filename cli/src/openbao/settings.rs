//! Which OpenBao, and how to know it: the environment as OpenBao's own client reads it.
//!
//! `BAO_*` names win over `VAULT_*`; `--address` and `--namespace` win over both. The token comes from the
//! environment or from the file that `bao login` leaves, never from an argument.
//!
//! Trusted: whoever set the environment. A value is never repeated in an error: a token may stand where an
//! address should.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use zeroize::Zeroizing;

/// The words as they came.
#[derive(Debug)]
pub(crate) struct RawSettings {
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) address: Option<String>,
    pub(crate) namespace: Option<String>,
}

/// Their meaning.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Settings {
    pub(crate) address: Address,
    pub(crate) namespace: Option<String>,
    pub(crate) token: Token,
    pub(crate) authority: Authority,
    /// The files with the certificate and the key that the server asks of its clients.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

/// `scheme://host:port`, in pieces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Address {
    pub(crate) encrypted: bool,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Who vouches for the server's certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Authority {
    /// The certificates in PEM files: one, or all of a directory.
    Files(PathBuf),
    /// Nobody need: `BAO_SKIP_VERIFY`. Whether these would is looked at all the same.
    InsecureNobody(PathBuf),
}

/// Where the token is.
#[derive(Eq, PartialEq)]
pub(crate) enum Token {
    /// Here.
    Given(Zeroizing<String>),
    /// In this file, if there is one.
    File(PathBuf),
    /// Nowhere.
    None,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given(..)"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::None => f.write_str("None"),
        }
    }
}

/// Everything that is wrong with the settings, together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub(crate) struct Problems(pub(crate) Vec<String>);

impl TryFrom<RawSettings> for Settings {
    type Error = Problems;

    fn try_from(raw: RawSettings) -> Result<Self, Problems> {
        let mut reader = Reader { environment: &raw.environment, problems: Vec::new() };
        let address = match &raw.address {
            Some(text) => reader.address("--address", text),
            None => match reader.named("ADDR") {
                Some((name, text)) => reader.address(&name, &text),
                None => reader.address("address", ADDRESS),
            },
        };
        let namespace = raw.namespace.or_else(|| reader.text("NAMESPACE"));
        let namespace = namespace.map(|name| name.trim_matches('/').to_owned());
        let authority = reader.authority();
        let client = reader.client();
        let token = reader.token();
        if reader.text("TLS_SERVER_NAME").is_some() {
            reader.problem("BAO_TLS_SERVER_NAME", "expected the address to have the certificate's name");
        }
        match address {
            Some(address) if reader.problems.is_empty() => Ok(Self {
                address,
                namespace: namespace.filter(|name| !name.is_empty() && name != "root"),
                token,
                authority,
                client,
            }),
            _ => Err(Problems(reader.problems)),
        }
    }
}

/// Reads variables and remembers what was wrong with them.
struct Reader<'a> {
    environment: &'a [(OsString, OsString)],
    problems: Vec<String>,
}

impl Reader<'_> {
    fn problem(&mut self, name: &str, expected: &str) {
        self.problems.push(format!("{name}: {expected}"));
    }

    /// `BAO_<name>`, else `VAULT_<name>`, if it is set and not empty.
    fn text(&mut self, name: &str) -> Option<String> {
        self.named(name).map(|(_, text)| text)
    }

    /// The same, with the name that it has.
    fn named(&mut self, name: &str) -> Option<(String, String)> {
        for name in [format!("BAO_{name}"), format!("VAULT_{name}")] {
            match self.lookup(&name).map(|text| text.to_str().map(str::to_owned)) {
                Some(Some(text)) => return Some((name, text)),
                Some(None) => self.problem(&name, "expected UTF-8"),
                None => {}
            }
        }
        None
    }

    fn lookup(&self, name: &str) -> Option<&OsStr> {
        let set = self.environment.iter().find(|(key, _)| key == name);
        set.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }

    fn address(&mut self, name: &str, text: &str) -> Option<Address> {
        let address = Address::parse(text);
        if address.is_none() {
            let found = if ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme)) {
                "something else behind http(s)://"
            } else {
                "neither at its beginning"
            };
            self.problem(name, &format!("expected https://HOST[:PORT] or http://HOST[:PORT], found {found}"));
        }
        address
    }

    fn authority(&mut self) -> Authority {
        let skip = self.flag("SKIP_VERIFY");
        let file = self.text("CACERT").or_else(|| self.text("CAPATH"));
        let file = file.unwrap_or_else(|| AUTHORITIES.to_owned()).into();
        if skip { Authority::InsecureNobody(file) } else { Authority::Files(file) }
    }

    fn client(&mut self) -> Option<(PathBuf, PathBuf)> {
        match (self.text("CLIENT_CERT"), self.text("CLIENT_KEY")) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                self.problem("BAO_CLIENT_CERT", "expected BAO_CLIENT_KEY with it, or neither");
                None
            }
        }
    }

    fn token(&mut self) -> Token {
        if let Some(token) = self.text("TOKEN") {
            let token = Zeroizing::new(token);
            if token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Token::Given(token);
            }
            self.problem("BAO_TOKEN", "expected a token without blanks");
            return Token::None;
        }
        if let Some(path) = self.text("TOKEN_PATH") {
            return Token::File(path.into());
        }
        let home = self.lookup("HOME").map(PathBuf::from);
        home.map_or(Token::None, |home| Token::File(home.join(".vault-token")))
    }

    /// Booleans as Go's `strconv.ParseBool` reads them, because OpenBao's own client does.
    fn flag(&mut self, name: &str) -> bool {
        match self.text(name).as_deref() {
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
            Some(_) => {
                self.problem(&format!("BAO_{name}"), "expected true or false");
                false
            }
        }
    }
}

impl Address {
    /// Is it this machine? Then what is sent in clear does not leave it.
    pub(crate) fn is_here(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('/');
        let (encrypted, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return None,
        };
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) = bracketed.split_once(']')?;
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
            }
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
        if host.is_empty() || !host.bytes().all(plain) {
            return None;
        }
        let default = if encrypted { 443 } else { 80 };
        let port = port.map_or(Some(default), |port| port.parse().ok())?;
        Some(Self { encrypted, host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encrypted { "https" } else { "http" };
        if self.host.contains(':') {
            return write!(f, "{scheme}://[{}]:{}", self.host, self.port);
        }
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// What OpenBao's own client takes when nothing is said.
const ADDRESS: &str = "https://127.0.0.1:8200";
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(environment: &[(&str, &str)]) -> Result<Settings, Problems> {
        let environment = environment.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        RawSettings { environment: environment.collect(), address: None, namespace: None }.try_into()
    }

    #[test]
    fn the_environment_is_read_as_openbaos_own_client_reads_it() {
        let found = settings(&[
            ("VAULT_ADDR", "https://other:1"),
            ("BAO_ADDR", "https://bao.example:8200/"),
            ("VAULT_TOKEN", "s.abc"),
            ("BAO_NAMESPACE", "team/"),
            ("BAO_CACERT", "/ca.pem"),
            ("BAO_CLIENT_CERT", "/c.pem"),
            ("BAO_CLIENT_KEY", "/c.key"),
        ])
        .unwrap();
        assert_eq!(found.address.to_string(), "https://bao.example:8200");
        assert_eq!(found.token, Token::Given("s.abc".to_owned().into()));
        assert_eq!(found.namespace.as_deref(), Some("team"));
        assert_eq!(found.authority, Authority::Files("/ca.pem".into()));
        assert_eq!(found.client, Some(("/c.pem".into(), "/c.key".into())));
        assert!(!format!("{found:?}").contains("s.abc"), "{found:?}");
    }

    #[test]
    fn the_command_line_wins() {
        let raw = RawSettings {
            environment: vec![
                ("BAO_ADDR".into(), "https://one".into()),
                ("BAO_NAMESPACE".into(), "a".into()),
            ],
            address: Some("http://[::1]:8200".to_owned()),
            namespace: Some("b".to_owned()),
        };
        let found = Settings::try_from(raw).unwrap();
        assert_eq!(
            (found.address.to_string().as_str(), found.namespace.as_deref()),
            ("http://[::1]:8200", Some("b"))
        );
        assert_eq!((found.address.host.as_str(), found.address.port), ("::1", 8200));
    }

    #[test]
    fn without_words_it_is_the_local_server_and_the_token_of_bao_login() {
        let found = settings(&[("HOME", "/home/me")]).unwrap();
        assert_eq!(found.address.to_string(), "https://127.0.0.1:8200");
        assert_eq!(found.token, Token::File("/home/me/.vault-token".into()));
        assert_eq!(found.authority, Authority::Files(AUTHORITIES.into()));
        assert_eq!(settings(&[]).unwrap().token, Token::None);
        let elsewhere = settings(&[("HOME", "/home/me"), ("BAO_TOKEN_PATH", "/run/t")]).unwrap();
        assert_eq!(elsewhere.token, Token::File("/run/t".into()));
    }

    #[test]
    fn all_problems_are_told_at_once_and_no_value_is_repeated() {
        let Problems(found) = settings(&[
            ("BAO_ADDR", "s.hunter2"),
            ("BAO_TOKEN", "hunter2 x"),
            ("BAO_SKIP_VERIFY", "hunter2"),
            ("BAO_CLIENT_CERT", "hunter2"),
            ("BAO_TLS_SERVER_NAME", "hunter2"),
        ])
        .unwrap_err();
        assert_eq!(
            found,
            [
                "BAO_ADDR: expected https://HOST[:PORT] or http://HOST[:PORT], found neither at its beginning",
                "BAO_SKIP_VERIFY: expected true or false",
                "BAO_CLIENT_CERT: expected BAO_CLIENT_KEY with it, or neither",
                "BAO_TOKEN: expected a token without blanks",
                "BAO_TLS_SERVER_NAME: expected the address to have the certificate's name",
            ]
        );
    }

    #[test]
    fn an_address_is_a_host_and_a_port_and_no_more() {
        for text in [
            "unix:///run/bao",
            "https://",
            "https://a/b",
            "https://u@h",
            "https://h:99999",
            "https://[::1",
            "https://h?x",
        ] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
        let without_port = Address::parse("https://bao.example").unwrap();
        assert_eq!(without_port.to_string(), "https://bao.example:443");
    }
}
