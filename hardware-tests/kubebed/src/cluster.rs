//! The server's process: found, started, stopped, started again where it was.

use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;

/// The server: `CLOUDTASER_KUBEBED`, or `kubebed` on the path. `None` is the reason for which a test may skip.
#[must_use]
pub fn program() -> Option<PathBuf> {
    let named = std::env::var_os("CLOUDTASER_KUBEBED").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|place| place.join("kubebed"));
    named.into_iter().chain(on_path).find(|candidate| candidate.is_file())
}

/// A running API server. Ends when it is dropped, also if the test's process is killed.
#[derive(Debug)]
pub struct Cluster {
    program: PathBuf,
    flags: Vec<String>,
    folder: TempDir,
    process: Option<Process>,
    told: Announcement,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// The server ends when this does.
    _lifeline: ChildStdin,
}

/// What the server prints when it is ready.
#[derive(Clone, Debug, Deserialize)]
struct Announcement {
    url: String,
    ca: PathBuf,
    token: String,
}

impl Cluster {
    /// Starts `program` with further flags of kube-apiserver's; takes seconds.
    pub fn start(program: &Path, flags: &[&str]) -> Result<Self, Error> {
        let folder = TempDir::new()?;
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let (process, told) = launch(program, folder.path(), "0", &flags)?;
        Ok(Self { program: program.to_owned(), flags, folder, process: Some(process), told })
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.told.url
    }

    /// The PEM file of the authority over the server's certificate.
    #[must_use]
    pub fn ca(&self) -> &Path {
        &self.told.ca
    }

    /// Someone who may do everything.
    pub fn admin(&self) -> Result<Client, Error> {
        self.client(&self.told.token)
    }

    /// Whoever this token says.
    pub fn client(&self, token: &str) -> Result<Client, Error> {
        Client::new(&self.told.url, &self.told.ca, token)
    }

    /// A token of a service account, as the kubelet would mount it into a pod: made out to the pod's node.
    ///
    /// The account must exist. The pod is made, unless it is there.
    pub fn pod_token(&self, namespace: &str, account: &str, node: &str) -> Result<String, Error> {
        let admin = self.admin()?;
        let name = format!("{account}-{node}");
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {
                "nodeName": node, "serviceAccountName": account, "automountServiceAccountToken": false,
                "containers": [{"name": "c", "image": "none"}],
            },
        });
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        let mut found = admin.get(&format!("{pods}/{name}"))?;
        if found.status == 404 {
            found = admin.create(&pods, &pod)?.expect(201)?;
        }
        let bound = json!({
            "apiVersion": "v1", "kind": "Pod", "name": name, "uid": found.body.pointer("/metadata/uid"),
        });
        let asked = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600, "boundObjectRef": bound},
        });
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let answer = admin.create(&path, &asked)?.expect(201)?;
        let token = answer.body.pointer("/status/token").and_then(Value::as_str);
        token.map(str::to_owned).ok_or(Error::Answer { status: 201, body: "no token".to_owned() })
    }

    /// Ends the server; what it stored is kept.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again after [`Self::stop`], at the same address and with what it stored.
    pub fn resume(&mut self) -> Result<(), Error> {
        self.process = None;
        let (_, port) = self.told.url.rsplit_once(':').unwrap_or_default();
        let (process, told) = launch(&self.program, self.folder.path(), port, &self.flags)?;
        (self.process, self.told) = (Some(process), told);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn launch(
    program: &Path,
    folder: &Path,
    port: &str,
    flags: &[String],
) -> Result<(Process, Announcement), Error> {
    let log = folder.join("log");
    let mut child = Command::new(program)
        .arg(folder)
        .args(flags)
        .env("KUBEBED_PORT", port)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log)?)
        .spawn()?;
    let pipes = child.stdin.take().zip(child.stdout.take());
    let (lifeline, output) = pipes.ok_or_else(|| io::Error::other("a child without pipes"))?;
    let process = Process { child, _lifeline: lifeline };
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    match serde_json::from_str(&line) {
        Ok(told) => Ok((process, told)),
        Err(_) => Err(Error::NotReady(std::fs::read_to_string(&log)?)),
    }
}

/// Why there is no server or no answer of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or a process.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It ended before it was ready.
    #[error("the server did not become ready: {0}")]
    NotReady(String),
    /// No connection, or no whole answer.
    #[error(transparent)]
    Http(#[from] ureq::Error),
    /// Not JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Another answer than expected.
    #[error("{status}: {body}")]
    Answer {
        /// The HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
}
