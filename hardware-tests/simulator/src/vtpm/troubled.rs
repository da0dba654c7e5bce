//! A TPM that answers some commands as one in trouble does.
//!
//! Stands between a program and a running [`Vtpm`](super::Vtpm): commands go through, but those of one kind are
//! answered with a response code, or not at all. The control channel goes through as it is.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::Vtpm;

/// What a command comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// A response code (TPM 2.0 Part 2, clause 6.6).
    Code(u32),
    /// The connection ends.
    Gone,
}

/// A way to a TPM, in trouble until it is dropped or [healed](Troubled::heal).
#[derive(Debug)]
pub struct Troubled {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The TPM's first port.
    behind: u16,
    /// The command code; every command if there is none.
    command: Option<u32>,
    trouble: Trouble,
    healthy: AtomicBool,
    over: AtomicBool,
}

impl Troubled {
    /// Puts itself before a TPM. `command` is the code of the commands that fail; all of them if there is none.
    pub fn before(tpm: &Vtpm, command: Option<u32>, trouble: Trouble) -> io::Result<Self> {
        let port = super::free_port_pair()?;
        let (data, control) = (listen(port)?, listen(port.saturating_add(1))?);
        let (healthy, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let shared = Arc::new(Shared { behind: tpm.port(), command, trouble, healthy, over });
        serve(data, &shared, Shared::commands);
        serve(control, &shared, Shared::control);
        Ok(Self { port, shared })
    }

    /// Lets every command through from now on.
    pub fn heal(&self) {
        self.shared.healthy.store(true, Ordering::SeqCst);
    }

    /// The TCTI configuration of this way.
    #[must_use]
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }
}

impl Drop for Troubled {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Each listener wakes up for one more caller.
        for port in [self.port, self.port.saturating_add(1)] {
            drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
        }
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

type Served = fn(&Shared, TcpStream) -> io::Result<()>;

/// One thread for each caller; whoever hangs up ends his.
fn serve(listener: TcpListener, shared: &Arc<Shared>, served: Served) {
    let shared = Arc::clone(shared);
    drop(thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if shared.over.load(Ordering::SeqCst) {
                break;
            }
            let shared = Arc::clone(&shared);
            drop(thread::spawn(move || served(&shared, stream)));
        }
    }));
}

impl Shared {
    fn commands(&self, mut caller: TcpStream) -> io::Result<()> {
        loop {
            let (code, command) = message(&mut caller)?;
            let fails = self.command.is_none_or(|failing| failing == code);
            if fails && !self.healthy.load(Ordering::SeqCst) {
                let Trouble::Code(code) = self.trouble else { return caller.shutdown(Shutdown::Both) };
                // TPM_ST_NO_SESSIONS, ten bytes, the code.
                caller.write_all(&[&[0x80, 0x01, 0, 0, 0, 10][..], &code.to_be_bytes()].concat())?;
                continue;
            }
            let mut tpm = TcpStream::connect((Ipv4Addr::LOCALHOST, self.behind))?;
            tpm.write_all(&command)?;
            caller.write_all(&message(&mut tpm)?.1)?;
        }
    }

    fn control(&self, mut caller: TcpStream) -> io::Result<()> {
        let mut tpm = TcpStream::connect((Ipv4Addr::LOCALHOST, self.behind.saturating_add(1)))?;
        let (mut back, mut answers) = (caller.try_clone()?, tpm.try_clone()?);
        drop(thread::spawn(move || io::copy(&mut answers, &mut back)));
        io::copy(&mut caller, &mut tpm)?;
        tpm.shutdown(Shutdown::Both)
    }
}

/// A command or a response: its code and all of its bytes (Part 1, clause 18.2).
fn message(stream: &mut TcpStream) -> io::Result<(u32, Vec<u8>)> {
    let mut head = [0; 10];
    stream.read_exact(&mut head)?;
    let number =
        |at: usize| head.get(at..).and_then(|rest| rest.first_chunk()).copied().map(u32::from_be_bytes);
    let length = u64::from(number(2).unwrap_or(0)).saturating_sub(10).min(64 * 1024);
    let mut bytes = head.to_vec();
    stream.take(length).read_to_end(&mut bytes)?;
    Ok((number(6).unwrap_or(0), bytes))
}
