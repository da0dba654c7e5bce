//! The processes of a cluster hang on a pipe: when the test process ends, in whatever way, a shell kills them and
//! removes their directory.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The shell that starts and kills the servers.
pub(crate) struct Keeper {
    shell: Child,
    answers: BufReader<ChildStdout>,
}

impl Keeper {
    /// Keeps the servers whose configurations lie in `dir/<node>/bao.hcl`.
    pub(crate) fn new(dir: &Path) -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "keeper"])
            .env("BAO", bao())
            .env("DIR", dir)
            .env("HOME", dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let answers = BufReader::new(shell.stdout.take().unwrap());
        Self { shell, answers }
    }

    /// Starts a server; its process id.
    pub(crate) fn start(&mut self, node: usize) -> u32 {
        self.ask("start", node).parse().unwrap()
    }

    /// Kills a server as a power cut would; when this returns, it is gone.
    pub(crate) fn kill(&mut self, node: usize) {
        assert_eq!(self.ask("kill", node), "gone");
    }

    fn ask(&mut self, what: &str, node: usize) -> String {
        writeln!(self.shell.stdin.as_mut().unwrap(), "{what} {node}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}

/// The living children of a server: its plugins.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|process| is_child(*process, parent)).collect()
}

/// Whether a process lives: a zombie does not.
pub(crate) fn lives(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

fn is_child(process: u32, parent: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    field("PPid:") == parent.to_string() && lives(process)
}

/// The programs of the plugins that a server runs with this argument.
pub(crate) fn programs(parent: u32, argument: &str) -> Vec<String> {
    let arguments =
        |process: &u32| std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let lines: Vec<String> = children(parent).iter().map(arguments).collect();
    let ours = lines.iter().filter(|line| line.split('\0').any(|word| word == argument));
    ours.map(|line| line.split('\0').next().unwrap().to_owned()).collect()
}

/// Sends a signal to one of our servers, or to what it started.
pub(crate) fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args([format!("-{name}"), process.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -{name} {process}");
}

fn bao() -> PathBuf {
    std::env::var_os("CLOUDTASER_BAO").map_or_else(|| PathBuf::from("bao"), PathBuf::from)
}

/// A server that is not waited for keeps its number, so that nobody else is killed in its place.
const SCRIPT: &str = r#"
while read what node; do
  case $what in
    start)
      "$BAO" server -config="$DIR/$node/bao.hcl" </dev/null >>"$DIR/$node/bao.log" 2>&1 &
      eval "server$node=$!"
      echo $! ;;
    kill)
      eval "server=\$server$node; server$node="
      if [ "$server" ]; then
        kill -9 $server
        wait $server
      fi
      echo gone ;;
  esac
done
kill -9 $server0 $server1 $server2
wait
rm -rf "$DIR"
"#;
