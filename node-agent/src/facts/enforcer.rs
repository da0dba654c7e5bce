//! The enforcer of this machine: what it says of itself, and whether a process of ours is safe from us by it.
//!
//! It is asked on its socket, which root alone can have put there. Its word is then put to the test: a process of our own asks it for
//! protection, and we, who could read that process's environment a moment ago, try again. A refusal is the kernel's, not the enforcer's
//! word; whoever wants to fake one has to have programs of their own in the kernel, and then guards something.
//! The test is made when the answer is another than before: at our start, a new enforcer, a defence that changed.
//!
//! Trusted: the kernel. Untrusted: whoever listens, as far as root is.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, getsockopt, recv, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::TimeVal;
use protocol::enforcer::{
    Ask, Defence, HEARTBEAT, Heartbeat, LET_GO, LetGo, MAX_PACKET, Matrix, Said, Verified,
};

use super::{Settings, Told};
use crate::logs::file;

/// Whether anybody answers there.
pub(super) fn answers(socket: &Path) -> bool {
    ask(socket, &Ask::Matrix {}).is_ok()
}

pub(super) fn tell(told: &mut Told<'_>, settings: &Settings) {
    glass(told, settings);
    let matrix = match ask(&settings.enforcer, &Ask::Matrix {}) {
        Ok(Said::Matrix(matrix)) => matrix,
        Ok(said) => return told.unknown("enforcer", &unexpected(said)),
        Err(Unasked::Nobody) => return nobody(told),
        Err(Unasked::Odd(why)) => return told.unknown("enforcer", &why),
    };
    told.say("enforcer", &format!("sha256:{}", matrix.programs));
    told.say("enforcer.mode", &matrix.mode);
    told.say("enforcer.tier", weakest(&matrix));
    told.say("enforcer.open", &open(&matrix));
    match proof(&matrix, settings) {
        Ok(Proof::Refused) => told.say("enforcer.proved", "yes"),
        Ok(Proof::Read) => told.say("enforcer.proved", "no"),
        Err(why) => told.unknown("enforcer.proved", &why),
    }
}

/// Whether an operator had the enforcer let go, or take another policy, since the machine started: by which statement, when and why.
fn glass(told: &mut Told<'_>, settings: &Settings) {
    let path = settings.enforcer.with_file_name(LET_GO.rsplit('/').next().unwrap_or(LET_GO));
    if !path.exists() {
        return told.say("enforcer.let_go", "none");
    }
    let read = file::read(&path, MAX_PACKET).map_err(|unread| unread.to_string()).and_then(|text| {
        serde_json::from_slice::<LetGo>(&text).map_err(|error| format!("expected a record of it: {error}"))
    });
    match read {
        Ok(LetGo { action, statement, time, reason }) => {
            told.say("enforcer.let_go", &format!("{action} sha256:{statement} at {time}: {reason}"));
        }
        Err(why) => told.unknown("enforcer.let_go", &why),
    }
}

/// Nobody listens. One that left its sign of life did not end in good order: then it takes it along.
fn nobody(told: &mut Told<'_>) {
    told.say("enforcer", "none");
    let left = told.bytes(HEARTBEAT.trim_start_matches('/')).ok();
    if let Some(left) = left.and_then(|text| serde_json::from_slice::<Heartbeat>(&text).ok()) {
        let pid = left.pid;
        told.remarks
            .push(format!("enforcer: process {pid} showed signs of life until {}, and is gone", left.time));
    }
}

/// The weakest of the tiers that are to refuse something: a chain's link.
fn weakest(matrix: &Matrix) -> &str {
    let enforced = matrix.vectors.iter().filter(|one| one.mode == "enforce");
    let rank = |one: &&Defence| TIERS.iter().position(|tier| *tier == one.tier).unwrap_or(TIERS.len());
    enforced.max_by_key(rank).map_or("none", |one| one.tier.as_str())
}

/// What is to be refused, and is not or was shown not to be, by name.
fn open(matrix: &Matrix) -> String {
    let holds = |one: &&Defence| STOPS.contains(&one.tier.as_str()) && one.verified != Verified::No;
    let open = matrix.vectors.iter().filter(|one| one.mode == "enforce" && !holds(one));
    let names: Vec<&str> = open.map(|one| one.vector.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(",") }
}

/// What came of our own attack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Proof {
    Refused,
    Read,
}

/// The answer of the last test, as long as the enforcer says the same.
static LAST: Mutex<Option<(Matrix, Proof)>> = Mutex::new(None);

fn proof(matrix: &Matrix, settings: &Settings) -> Result<Proof, String> {
    let Some(program) = &settings.decoy else { return Err("no program for a decoy".to_owned()) };
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, proof)) = last.as_ref().filter(|(before, _)| before == matrix) {
        return Ok(*proof);
    }
    let proof = attack(program, &settings.enforcer)?;
    *last = Some((matrix.clone(), proof));
    Ok(proof)
}

/// Reads the decoy's environment before and after it is protected.
fn attack(program: &Path, enforcer: &Path) -> Result<Proof, String> {
    let failed = |error: io::Error| format!("the decoy {}: {error}", program.display());
    let mut decoy = Command::new(program)
        .args(["decoy", "--socket"])
        .arg(enforcer)
        .env_clear()
        .env(MARK, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let outcome = attacked(&mut decoy);
    // It ends by itself when its input does; where it does not, by us.
    drop(decoy.stdin.take());
    decoy.kill().and_then(|()| decoy.wait()).map_err(failed)?;
    outcome
}

fn attacked(decoy: &mut Child) -> Result<Proof, String> {
    let ends = decoy.stdin.take().zip(decoy.stdout.take());
    let (mut orders, answers) = ends.ok_or("the decoy has no pipes")?;
    let mut answers = BufReader::new(answers);
    let mut heard = || {
        let mut line = String::new();
        answers.read_line(&mut line).map_err(|error| error.to_string())?;
        Ok::<_, String>(line.trim().to_owned())
    };
    let ready = heard()?;
    if ready != READY {
        return Err(format!("expected the decoy to be ready, found {ready:?}"));
    }
    // Without this, a refusal afterwards would prove nothing.
    if !read(decoy.id()).map_err(|error| format!("an unprotected decoy cannot be read: {error}"))? {
        return Err("an unprotected decoy does not show its environment".to_owned());
    }
    orders.write_all(b"\n").map_err(|error| error.to_string())?;
    let tagged = heard()?;
    if tagged != TAGGED {
        return Err(format!("the decoy was not protected: {tagged}"));
    }
    let again = read(decoy.id());
    drop(orders);
    match again {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Proof::Refused),
        Err(error) => Err(format!("the protected decoy: expected a refusal, found {error}")),
        Ok(true) => Ok(Proof::Read),
        Ok(false) => Err("the protected decoy: expected a refusal, found another environment".to_owned()),
    }
}

/// Whether the process shows the mark in its environment.
fn read(pid: u32) -> io::Result<bool> {
    let environment = fs::read(format!("/proc/{pid}/environ"))?;
    Ok(environment.split(|byte| *byte == 0).any(|one| one.starts_with(MARK.as_bytes())))
}

/// The decoy's part: has itself protected when told to, and stays until its input ends.
pub fn decoy(enforcer: &Path) -> io::Result<()> {
    let (mut orders, mut answers) = (io::stdin().lines(), io::stdout());
    writeln!(answers, "{READY}")?;
    answers.flush()?;
    if orders.next().transpose()?.is_none() {
        return Ok(());
    }
    let answer = match ask(enforcer, &Ask::Protect {}) {
        Ok(Said::Tagged {}) => TAGGED.to_owned(),
        Ok(said) => unexpected(said),
        Err(Unasked::Nobody) => "nobody listens".to_owned(),
        Err(Unasked::Odd(why)) => why,
    };
    writeln!(answers, "{}", answer.replace('\n', " "))?;
    answers.flush()?;
    orders.next().transpose().map(drop)
}

/// Why there is no answer.
#[derive(Debug)]
enum Unasked {
    Nobody,
    Odd(String),
}

/// Asks one thing, on a line of its own.
fn ask(path: &Path, ask: &Ask) -> Result<Said, Unasked> {
    let odd = |what: &'static str| move |error: Errno| Unasked::Odd(format!("{what}: {error}"));
    let line: OwnedFd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)
        .map_err(odd("opening a socket"))?;
    let patience = TimeVal::new(PATIENCE, 0);
    setsockopt(&line, sockopt::ReceiveTimeout, &patience).map_err(odd("waiting at most so long"))?;
    setsockopt(&line, sockopt::SendTimeout, &patience).map_err(odd("waiting at most so long"))?;
    match connect(line.as_raw_fd(), &UnixAddr::new(path).map_err(odd("the socket's name"))?) {
        Ok(()) => {}
        Err(Errno::ENOENT | Errno::ECONNREFUSED) => return Err(Unasked::Nobody),
        Err(error) => return Err(odd("connecting")(error)),
    }
    let peer = getsockopt(&line, sockopt::PeerCredentials).map_err(odd("asking who listens"))?;
    if peer.uid() != 0 {
        return Err(Unasked::Odd(format!("expected root at the other end, found user {}", peer.uid())));
    }
    let packet = serde_json::to_vec(ask).map_err(|error| Unasked::Odd(error.to_string()))?;
    send(line.as_raw_fd(), &packet, MsgFlags::MSG_NOSIGNAL).map_err(odd("asking"))?;
    let mut answer = vec![0; MAX_PACKET];
    let length = recv(line.as_raw_fd(), &mut answer, MsgFlags::MSG_TRUNC).map_err(odd("listening"))?;
    let answer = answer.get(..length).filter(|answer| !answer.is_empty());
    let answer = answer.ok_or_else(|| Unasked::Odd(format!("expected a packet, found {length} bytes")))?;
    serde_json::from_slice(answer)
        .map_err(|error| Unasked::Odd(format!("expected a word of the enforcer's: {error}")))
}

fn unexpected(said: Said) -> String {
    match said {
        Said::Refused { why } => why,
        Said::Tagged {}
        | Said::Unprotected {}
        | Said::Clear { .. }
        | Said::Done {}
        | Said::Matrix(_)
        | Said::Watching {}
        | Said::Event(_) => "an answer to something else".to_owned(),
    }
}

/// From the strongest.
const TIERS: [&str; 6] = ["lsm", "fmod_ret", "override", "kill", "tracepoint", "observe"];
const STOPS: [&str; 5] = ["lsm", "fmod_ret", "override", "kill", "tracepoint"];
const MARK: &str = "CLOUDTASER_DECOY";
const READY: &str = "ready";
const TAGGED: &str = "tagged";
/// In seconds.
const PATIENCE: i64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn defence(vector: &str, tier: &str, mode: &str, verified: Verified) -> Defence {
        let [vector, event, tier, mode] = [vector, "EVENT", tier, mode].map(str::to_owned);
        Defence { vector, event, tier, mode, verified, why: None }
    }

    #[test]
    fn a_matrix_is_as_good_as_its_weakest_defence() {
        let mut matrix = Matrix {
            mode: "enforce".to_owned(),
            kernel: "6.12".to_owned(),
            programs: "ab".repeat(32),
            vectors: vec![
                defence("environ", "lsm", "enforce", Verified::Yes),
                defence("mount", "observe", "detect", Verified::Untried),
            ],
        };
        assert_eq!((weakest(&matrix), open(&matrix)), ("lsm", "none".to_owned()));
        matrix.vectors.push(defence("traceme", "fmod_ret", "enforce", Verified::No));
        assert_eq!((weakest(&matrix), open(&matrix)), ("fmod_ret", "traceme".to_owned()));
        matrix.vectors.push(defence("ptrace", "none", "enforce", Verified::Untried));
        assert_eq!((weakest(&matrix), open(&matrix)), ("none", "traceme,ptrace".to_owned()));
    }
}
