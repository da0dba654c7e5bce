//! What the environment and the command line ask for.
//!
//! [`RawConfig`] is the words as they came; [`Config`] is their meaning, made by one conversion that collects
//! every problem before it gives up. `BAO_*` names win over `VAULT_*`.
//!
//! Trusted: whoever wrote the pod's specification. Untrusted: nothing; but values are never repeated in an
//! error, because a token may stand where an address should.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use release_client::address_problem;
pub use release_client::{Authority, Server};

/// Variables that hold a credential of ours; the child never sees them.
pub const TOKENS: [&str; 2] = ["VAULT_TOKEN", "BAO_TOKEN"];

const AGENT_SOCKET: &str = "/run/cloudtaser/agent.sock";
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
const KEY_MOUNT: &str = "attest-keys";
/// Seconds; what a node agent or an OpenBao that restarts needs, and less than a pod's start-up probe.
const PATIENCE: u64 = 60;

/// The words as they came.
#[derive(Debug)]
pub struct RawConfig {
    environment: Vec<(OsString, OsString)>,
    command: Vec<OsString>,
}

/// Their meaning.
#[derive(Debug)]
pub struct Config {
    /// Where OpenBao listens.
    pub server: Server,
    /// Where the node agent listens.
    pub agent_socket: PathBuf,
    /// The mount of the secrets engine that releases.
    pub key_mount: String,
    /// The file with the token of this workload, where one is to be presented.
    pub workload_token: Option<PathBuf>,
    /// What to ask for, and under which names to hand it over.
    pub secrets: Vec<Wanted>,
    /// How long to go on asking while OpenBao or the node agent is away.
    pub patience: Duration,
    /// The program and its arguments; at least one word.
    pub command: Vec<OsString>,
}

/// One secret and the variables that it fills.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Its name in the secrets engine.
    pub key: String,
    /// `(field, variable)`.
    pub variables: Vec<(String, String)>,
}

/// Everything that is wrong with the configuration, together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} problem(s) in the configuration", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl RawConfig {
    /// Takes the process's environment, and its arguments without its own name.
    pub fn new(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Self {
        let mut command: Vec<OsString> = arguments.into_iter().collect();
        if command.first().is_some_and(|first| first == "--") {
            command.remove(0);
        }
        Self { environment: environment.into_iter().collect(), command }
    }
}

impl TryFrom<RawConfig> for Config {
    type Error = Problems;

    fn try_from(raw: RawConfig) -> Result<Self, Problems> {
        let mut reader = Reader { environment: &raw.environment, problems: Vec::new() };
        reader.expect_attest();
        let config = Self {
            server: reader.server(),
            agent_socket: reader
                .text("CLOUDTASER_AGENT_SOCKET")
                .unwrap_or_else(|| AGENT_SOCKET.to_owned())
                .into(),
            key_mount: reader.mount("CLOUDTASER_KEY_MOUNT", KEY_MOUNT),
            workload_token: reader.text("CLOUDTASER_WORKLOAD_TOKEN_FILE").map(PathBuf::from),
            secrets: reader.secrets(),
            patience: reader.patience(),
            command: raw.command.clone(),
        };
        if config.command.is_empty() {
            reader.problem("command: no program to run".to_owned());
        }
        if reader.problems.is_empty() { Ok(config) } else { Err(Problems(reader.problems)) }
    }
}

/// Reads variables and remembers what was wrong with them.
struct Reader<'a> {
    environment: &'a [(OsString, OsString)],
    problems: Vec<String>,
}

impl Reader<'_> {
    fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    /// A variable that is set and not empty. For `VAULT_X`, `BAO_X` is asked first.
    fn text(&mut self, name: &str) -> Option<String> {
        let preferred = name.strip_prefix("VAULT_").map(|rest| format!("BAO_{rest}"));
        for name in preferred.as_deref().into_iter().chain([name]) {
            match self.lookup(name).map(OsStr::to_str) {
                Some(Some(text)) => return Some(text.to_owned()),
                Some(None) => self.problem(format!("{name}: not UTF-8")),
                None => {}
            }
        }
        None
    }

    fn lookup(&self, name: &str) -> Option<&OsStr> {
        let set = self.environment.iter().find(|(key, _)| key == name);
        set.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }

    fn required(&mut self, name: &str) -> String {
        self.text(name).unwrap_or_else(|| {
            self.problem(format!("{name}: not set"));
            String::new()
        })
    }

    fn expect_attest(&mut self) {
        match self.text("VAULT_AUTH_METHOD").as_deref() {
            Some("attest") => {}
            Some(other) => self.problem(format!("VAULT_AUTH_METHOD: supported is attest, found {other}")),
            None => self.problem(
                "VAULT_AUTH_METHOD: supported is attest, found none (kubernetes by default)".to_owned(),
            ),
        }
    }

    fn server(&mut self) -> Server {
        let address = self.required("VAULT_ADDR");
        let address = address.trim_end_matches('/').to_owned();
        self.check_address(&address);
        let authority = if self.flag("VAULT_SKIP_VERIFY") {
            Authority::InsecureNobody
        } else {
            Authority::File(self.text("VAULT_CACERT").unwrap_or_else(|| AUTHORITIES.to_owned()).into())
        };
        Server { address, namespace: self.text("VAULT_NAMESPACE"), authority }
    }

    fn check_address(&mut self, address: &str) {
        if address.is_empty() {
            return;
        }
        if let Some(problem) = address_problem(address) {
            self.problem(format!("VAULT_ADDR: {problem}"));
        }
    }

    /// Booleans as Go's `strconv.ParseBool` reads them, because OpenBao's own client does.
    fn flag(&mut self, name: &str) -> bool {
        match self.text(name).as_deref() {
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
            Some(_) => {
                self.problem(format!("{name}: expected true or false"));
                false
            }
        }
    }

    fn mount(&mut self, name: &str, default: &str) -> String {
        let mount = self.text(name).unwrap_or_else(|| default.to_owned());
        let mount = mount.trim_matches('/').to_owned();
        self.check_mount(name, &mount);
        mount
    }

    fn check_mount(&mut self, name: &str, mount: &str) {
        if !mount.trim_matches('/').split('/').all(is_segment) {
            self.problem(format!("{name}: expected a mount path of letters, digits, `.`, `_`, `-` and `/`"));
        }
    }

    fn patience(&mut self) -> Duration {
        let text = self.text("CLOUDTASER_RELEASE_TIMEOUT");
        let seconds = text.map_or(Some(PATIENCE), |text| text.parse().ok());
        let allowed = seconds.filter(|seconds| (1..=3600).contains(seconds)).unwrap_or_else(|| {
            self.problem("CLOUDTASER_RELEASE_TIMEOUT: expected 1 to 3600 seconds".to_owned());
            PATIENCE
        });
        Duration::from_secs(allowed)
    }

    fn secrets(&mut self) -> Vec<Wanted> {
        let paths = self.required("CLOUDTASER_SECRET_PATHS");
        let maps = self.required("CLOUDTASER_ENV_MAP");
        if paths.is_empty() || maps.is_empty() {
            return Vec::new();
        }
        let paths: Vec<&str> = paths.split(',').map(str::trim).collect();
        let maps: Vec<&str> = maps.split(';').map(str::trim).collect();
        if paths.len() != maps.len() {
            let (paths, maps) = (paths.len(), maps.len());
            self.problem(format!(
                "CLOUDTASER_ENV_MAP: {paths} secret path(s) need {paths} map(s), found {maps}"
            ));
        }
        let mut names = BTreeSet::new();
        let pairs = paths.iter().zip(&maps);
        pairs
            .map(|(path, map)| Wanted { key: self.key(path), variables: self.variables(map, &mut names) })
            .collect()
    }

    /// A secret's name; the API paths of the secrets engine are understood too.
    fn key(&mut self, path: &str) -> String {
        let key = path.rsplit_once('/').map_or(path, |(_, key)| key);
        let known = ["", "keys", "release"];
        let folder =
            path.rsplit_once('/').map_or("", |(folder, _)| folder.rsplit('/').next().unwrap_or(folder));
        if !is_segment(key) || !known.contains(&folder) {
            self.problem(
                "CLOUDTASER_SECRET_PATHS: expected KEY, MOUNT/keys/KEY or MOUNT/release/KEY".to_owned(),
            );
        }
        key.to_owned()
    }

    fn variables(&mut self, map: &str, names: &mut BTreeSet<String>) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        for pair in map.split(',').map(str::trim) {
            match pair.split_once('=') {
                Some((field, name)) if !field.is_empty() && is_variable(name) => {
                    if !names.insert(name.to_owned()) {
                        self.problem(format!("CLOUDTASER_ENV_MAP: {name} is filled twice"));
                    }
                    variables.push((field.to_owned(), name.to_owned()));
                }
                _ => self.problem("CLOUDTASER_ENV_MAP: expected FIELD=VARIABLE pairs".to_owned()),
            }
        }
        variables
    }
}

fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(plain)
}

fn is_variable(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(plain) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 5] = [
        ("VAULT_ADDR", "https://bao.example:8200/"),
        ("VAULT_AUTH_METHOD", "attest"),
        ("VAULT_AUTH_ROLE", "demo"),
        ("CLOUDTASER_SECRET_PATHS", "postgres,attest-keys/release/api"),
        ("CLOUDTASER_ENV_MAP", "password=PGPASSWORD,username=PGUSER;token=API_TOKEN"),
    ];

    fn config(changes: &[(&str, &str)], command: &[&str]) -> Result<Config, Problems> {
        let replaced = |name: &str| changes.iter().any(|(key, _)| *key == name);
        let kept = GOOD.iter().filter(|(key, _)| !replaced(key));
        let environment = kept.chain(changes).map(|(key, value)| ((*key).into(), (*value).into()));
        RawConfig::new(environment, command.iter().map(OsString::from)).try_into()
    }

    fn problems(changes: &[(&str, &str)]) -> Vec<String> {
        config(changes, &["app"]).unwrap_err().0
    }

    #[test]
    fn a_whole_configuration_is_understood() {
        let config = config(&[("VAULT_CACERT", "/ca.pem")], &["--", "app", "--", "x"]).unwrap();
        assert_eq!(config.server.address, "https://bao.example:8200");
        assert_eq!(config.server.authority, Authority::File("/ca.pem".into()));
        assert_eq!(config.agent_socket, PathBuf::from(AGENT_SOCKET));
        assert_eq!(
            (config.workload_token, config.command),
            (None, ["app", "--", "x"].map(OsString::from).into())
        );
        let keys: Vec<_> = config.secrets.iter().map(|wanted| wanted.key.as_str()).collect();
        assert_eq!(keys, ["postgres", "api"]);
        assert_eq!(config.secrets[1].variables, [("token".to_owned(), "API_TOKEN".to_owned())]);
    }

    #[test]
    fn a_workloads_token_is_read_only_from_a_file_that_is_named() {
        let named = config(&[("CLOUDTASER_WORKLOAD_TOKEN_FILE", "/var/run/tokens/bao")], &["app"]).unwrap();
        assert_eq!(named.workload_token, Some("/var/run/tokens/bao".into()));
    }

    #[test]
    fn bao_names_win() {
        let config = config(&[("BAO_ADDR", "http://127.0.0.1:8200")], &["app"]).unwrap();
        assert_eq!(config.server.address, "http://127.0.0.1:8200");
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let nothing = GOOD.map(|(name, _)| (name, ""));
        let problems = config(&nothing, &["--"]).unwrap_err().0;
        assert_eq!(
            problems,
            [
                "VAULT_AUTH_METHOD: supported is attest, found none (kubernetes by default)",
                "VAULT_ADDR: not set",
                "CLOUDTASER_SECRET_PATHS: not set",
                "CLOUDTASER_ENV_MAP: not set",
                "command: no program to run",
            ]
        );
    }

    #[test]
    fn other_methods_are_refused_by_name() {
        assert_eq!(
            problems(&[("VAULT_AUTH_METHOD", "token")]),
            ["VAULT_AUTH_METHOD: supported is attest, found token"]
        );
    }

    #[test]
    fn plain_http_goes_to_this_machine_only() {
        let expected = ["VAULT_ADDR: expected https://HOST[:PORT], or http:// to this machine"];
        for address in
            ["http://bao.example:8200", "http://127.0.0.1.example", "s.token", "http://localhost@x"]
        {
            assert_eq!(problems(&[("VAULT_ADDR", address)]), expected, "{address}");
        }
    }

    #[test]
    fn skipping_verification_is_a_word_of_its_own() {
        let skipping = config(&[("VAULT_SKIP_VERIFY", "true")], &["app"]).unwrap();
        assert_eq!(skipping.server.authority, Authority::InsecureNobody);
        assert_eq!(problems(&[("VAULT_SKIP_VERIFY", "yes")]), ["VAULT_SKIP_VERIFY: expected true or false"]);
    }

    #[test]
    fn maps_and_paths_must_pair_up() {
        let found = problems(&[("CLOUDTASER_ENV_MAP", "password=PGPASSWORD")]);
        assert_eq!(found, ["CLOUDTASER_ENV_MAP: 2 secret path(s) need 2 map(s), found 1"]);
    }

    #[test]
    fn one_variable_cannot_hold_two_values() {
        let found = problems(&[("CLOUDTASER_ENV_MAP", "a=X;b=X")]);
        assert_eq!(found, ["CLOUDTASER_ENV_MAP: X is filled twice"]);
    }

    #[test]
    fn keys_cannot_climb_out_of_their_mount() {
        let expected = ["CLOUDTASER_SECRET_PATHS: expected KEY, MOUNT/keys/KEY or MOUNT/release/KEY"];
        for path in ["..", "secret/data/x", "a?b", "keys/"] {
            let changes = [("CLOUDTASER_SECRET_PATHS", path), ("CLOUDTASER_ENV_MAP", "a=A")];
            assert_eq!(problems(&changes), expected, "{path}");
        }
    }

    #[test]
    fn patience_has_bounds() {
        let expected = ["CLOUDTASER_RELEASE_TIMEOUT: expected 1 to 3600 seconds"];
        for text in ["0", "3601", "-1", "soon"] {
            assert_eq!(problems(&[("CLOUDTASER_RELEASE_TIMEOUT", text)]), expected, "{text}");
        }
        let config = config(&[("CLOUDTASER_RELEASE_TIMEOUT", "3")], &["app"]).unwrap();
        assert_eq!(config.patience, Duration::from_secs(3));
    }

    #[test]
    fn a_problem_does_not_repeat_what_may_be_a_token() {
        let told = problems(&[("VAULT_ADDR", "s.hunter2"), ("CLOUDTASER_SECRET_PATHS", "hunter2/hunter2")]);
        assert!(!told.join("\n").contains("hunter2"), "{told:?}");
    }
}
