//! An EC2 instance's `NitroTPM` on two ports: commands, and swtpm's control channel behind it.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::tpm::{Front, read_message};
use super::{Length, Module};
use crate::vtpm::{Vtpm, VtpmError};

/// A running `NitroTPM`, gone when dropped.
#[derive(Debug)]
pub struct NitroTpm {
    commands: Port,
    control: Port,
    _backend: Vtpm,
}

#[derive(Debug)]
struct Port {
    address: SocketAddr,
    ending: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl NitroTpm {
    /// A TPM whose state lies in `state`, speaking as `module`.
    pub fn start_in(state: &Path, module: &Module, fields: Length) -> Result<Self, VtpmError> {
        let backend = Vtpm::start_in(state)?;
        let (commands, control) = pair()?;
        let front = Mutex::new(Front::new(backend.port(), module.clone(), fields));
        let (started, at, swtpm) = (Instant::now(), module.now(), backend.port().saturating_add(1));
        let commands = Port::open(commands, move |stream| {
            let now = || at.saturating_add(started.elapsed().as_secs());
            converse(stream, &front, now)
        })?;
        let control = Port::open(control, move |stream| relay(&stream, swtpm))?;
        Ok(Self { commands, control, _backend: backend })
    }

    /// The TCTI configuration for the agent, libtss2 and tpm2-tools.
    #[must_use]
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.commands.address.port())
    }

    /// The port of the control channel: the next one.
    #[must_use]
    pub fn control_port(&self) -> u16 {
        self.control.address.port()
    }
}

impl Port {
    fn open(
        listener: TcpListener,
        serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (address, ending) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let (end, serve) = (Arc::clone(&ending), Arc::new(serve));
        let listening = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let serve = Arc::clone(&serve);
                // A caller who goes away in the middle is nobody's trouble.
                thread::spawn(move || drop(serve(stream)));
            }
        });
        Ok(Self { address, ending, listening: Some(listening) })
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = self.listening.take() {
            drop(listening.join());
        }
    }
}

fn converse(mut stream: TcpStream, front: &Mutex<Front>, now: impl Fn() -> u64) -> io::Result<()> {
    while let Some(command) = read_message(&mut stream)? {
        let mut front = front.lock().unwrap_or_else(PoisonError::into_inner);
        front.at(now());
        let answer = front.answer(&command)?;
        drop(front);
        stream.write_all(&answer)?;
    }
    Ok(())
}

/// Passes bytes both ways until either side ends.
fn relay(stream: &TcpStream, port: u16) -> io::Result<()> {
    let backend = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let (mut from, mut to) = (stream.try_clone()?, backend.try_clone()?);
    let up = thread::spawn(move || {
        drop(io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Write));
    });
    let copied = io::copy(&mut &backend, &mut &*stream);
    drop(stream.shutdown(Shutdown::Both));
    drop(up.join());
    copied.map(drop)
}

/// Two free ports that follow one another.
fn pair() -> io::Result<(TcpListener, TcpListener)> {
    let mut outcome = Err(io::Error::from(io::ErrorKind::AddrInUse));
    for _ in 0..ATTEMPTS {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let next = first.local_addr()?.port().checked_add(1).ok_or(io::ErrorKind::AddrNotAvailable)?;
        outcome = TcpListener::bind((Ipv4Addr::LOCALHOST, next)).map(|second| (first, second));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

const ATTEMPTS: u32 = 8;
