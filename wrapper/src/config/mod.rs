//! What the environment and the command line ask for.
//!
//! [`RawConfig`] is the words as they came; [`Config`] is their meaning, made by one conversion that collects
//! every problem before it gives up. `BAO_*` names win over `VAULT_*`.
//!
//! Trusted: whoever wrote the pod's specification. Untrusted: nothing; but values are never repeated in an
//! error, because a token may stand where an address should.

mod conduct;
mod reader;
mod secrets;
mod server;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use conduct::{
    Audience, Calls, Delivery, Enforcement, Local, Memory, Mode, Rotation, Strategy, Supervision, Way,
    Withdrawal,
};
pub use release_client::{Authority, Server};
pub use secrets::{Form, Source, Target, Wanted};
pub use server::{Login, Method};

use reader::Reader;

/// Variables that hold a credential of ours; the child never sees them.
pub const TOKENS: [&str; 2] = ["VAULT_TOKEN", "BAO_TOKEN"];

const AGENT_SOCKET: &str = "/run/cloudtaser/agent.sock";
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
    /// As whom it is asked.
    pub login: Login,
    /// Where the node agent listens.
    pub agent_socket: PathBuf,
    /// The file with the token of this workload, where one is to be presented.
    pub workload_token: Option<PathBuf>,
    /// What to ask for, and under which names to hand it over.
    pub secrets: Vec<Wanted>,
    /// How long to go on asking while OpenBao or the node agent is away.
    pub patience: Duration,
    /// How values reach the program.
    pub delivery: Delivery,
    /// How the program is looked after.
    pub supervision: Supervision,
    /// What becomes of values later.
    pub rotation: Rotation,
    /// Where we answer on this machine.
    pub local: Local,
    /// Whether the enforcer is asked to protect us.
    pub enforcement: Enforcement,
    /// Which system calls the program may make.
    pub calls: Calls,
    /// The program and its arguments; at least one word.
    pub command: Vec<OsString>,
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
        let mut reader = Reader::new(&raw.environment);
        let login = reader.login();
        let key_mount = reader.mount("CLOUDTASER_KEY_MOUNT", KEY_MOUNT);
        let supervision = reader.supervision();
        let agent_socket = reader.text("CLOUDTASER_AGENT_SOCKET");
        let patience = reader.seconds("CLOUDTASER_RELEASE_TIMEOUT", 1..=3600);
        let config = Self {
            server: reader.server(),
            agent_socket: agent_socket.unwrap_or_else(|| AGENT_SOCKET.to_owned()).into(),
            workload_token: reader.text("CLOUDTASER_WORKLOAD_TOKEN_FILE").map(PathBuf::from),
            secrets: reader.secrets(&login, &key_mount),
            patience: patience.unwrap_or(Duration::from_secs(PATIENCE)),
            delivery: reader.delivery(),
            rotation: reader.rotation(supervision.mode),
            local: reader.local(supervision.mode),
            enforcement: reader.enforcement(),
            calls: reader.calls(),
            command: raw.command.clone(),
            login,
            supervision,
        };
        let mut targets = config.secrets.iter().flat_map(|wanted| &wanted.targets);
        if config.supervision.mode == Mode::InPlace && targets.any(|target| target.form == Form::File) {
            reader.problem("CLOUDTASER_SUPERVISE: false leaves nobody who could answer; expected no FIELD=@VARIABLE in CLOUDTASER_ENV_MAP");
        }
        if config.command.is_empty() {
            reader.problem("command: no program to run");
        }
        let problems = reader.into_problems();
        if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
    }
}

fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(plain)
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
        let sources: Vec<_> = config.secrets.iter().map(|wanted| wanted.source.clone()).collect();
        let release = |key: &str| Source::Release { mount: "attest-keys".into(), key: key.to_owned() };
        assert_eq!(sources, [release("postgres"), release("api")]);
        let target = Target { field: "token".into(), variable: "API_TOKEN".into(), form: Form::Value };
        assert_eq!(config.secrets[1].targets, [target]);
    }

    #[test]
    fn paths_of_the_api_are_read_and_with_parameters_written() {
        let changes = [
            ("VAULT_AUTH_METHOD", "kubernetes"),
            ("CLOUDTASER_SECRET_PATHS", "secret/data/app,/v1/pki/issue/web?common_name=a.b&ttl=1h"),
            ("CLOUDTASER_ENV_MAP", "password=@DB_PASSWORD_FILE;private_key=KEY"),
        ];
        let config = config(&changes, &["app"]).unwrap();
        assert_eq!(
            (config.login.mount.as_str(), config.login.role.as_deref()),
            ("auth/kubernetes", Some("demo"))
        );
        let read = Source::Path { path: "secret/data/app".into(), parameters: vec![] };
        let parameters = [("common_name", "a.b"), ("ttl", "1h")].map(|(a, b)| (a.into(), b.into()));
        let written = Source::Path { path: "pki/issue/web".into(), parameters: parameters.into() };
        assert_eq!(config.secrets.iter().map(|wanted| &wanted.source).collect::<Vec<_>>(), [&read, &written]);
        assert_eq!(config.secrets[0].targets[0].form, Form::File);
    }

    #[test]
    fn who_is_not_supervised_is_not_rotated() {
        let in_place = ("CLOUDTASER_SUPERVISE", "false");
        assert_eq!(config(&[in_place], &["app"]).unwrap().rotation.strategy, Strategy::None);
        assert_eq!(
            problems(&[in_place, ("CLOUDTASER_ROTATION_STRATEGY", "restart"), ("CLOUDTASER_SOCKET", "@x")]),
            [
                "CLOUDTASER_SUPERVISE: false leaves nobody who could rotate; expected CLOUDTASER_ROTATION_STRATEGY none and no CLOUDTASER_MAX_STALE",
                "CLOUDTASER_SUPERVISE: false leaves nobody who could answer; expected neither CLOUDTASER_SOCKET nor CLOUDTASER_METRICS_ADDR",
            ]
        );
    }

    #[test]
    fn ways_are_known_words_each_once() {
        let expected =
            ["CLOUDTASER_DELIVERY: expected a list of graft, constructor, getenv or environ, each once"];
        for text in ["plain", "graft,graft", "graft,"] {
            assert_eq!(problems(&[("CLOUDTASER_DELIVERY", text)]), expected, "{text}");
        }
        let config = config(&[("CLOUDTASER_DELIVERY", "graft, environ")], &["app"]).unwrap();
        assert_eq!(config.delivery.ways, [Way::Graft, Way::Environ]);
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
                "VAULT_AUTH_ROLE: not set, and VAULT_AUTH_METHOD kubernetes logs in",
                "VAULT_ADDR: not set",
                "CLOUDTASER_SECRET_PATHS: not set",
                "CLOUDTASER_ENV_MAP: not set",
                "command: no program to run",
            ]
        );
    }

    #[test]
    fn other_methods_are_refused() {
        let expected = ["VAULT_AUTH_METHOD: expected attest, kubernetes or token"];
        assert_eq!(problems(&[("VAULT_AUTH_METHOD", "ldap")])[..1], expected);
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
    fn no_authority_is_passed_over_and_no_namespace_ends_a_line() {
        let told = |name: &str, value: &str| problems(&[(name, value)]);
        assert_eq!(
            told("VAULT_CAPATH", "/etc/pki"),
            ["VAULT_CAPATH: expected the authorities in VAULT_CACERT, a file"]
        );
        let expected = ["VAULT_NAMESPACE: expected a path of letters, digits, `.`, `_`, `-` and `/`"];
        for namespace in ["bank\n", "a b", "bank//x", "bank\r\nX-Vault-Token: x"] {
            assert_eq!(told("VAULT_NAMESPACE", namespace), expected, "{namespace:?}");
        }
        let whole = config(&[("VAULT_NAMESPACE", "bank/team/")], &["app"]).unwrap();
        assert_eq!(whole.server.namespace.as_deref(), Some("bank/team/"));
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
        let expected = [
            "CLOUDTASER_SECRET_PATHS: expected a KEY that is released, or a path of the API such as secret/data/app, with ?NAME=VALUE&... where it takes parameters",
        ];
        for path in ["..", "secret/../x", "a?b", "keys?x=y", "keys//x", "?"] {
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
