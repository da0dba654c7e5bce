//! The links between the nodes, which can be cut.
//!
//! Each node tells the others an address of ours; what comes there is passed on to the node. While a node is cut off,
//! no byte passes to it or from it, nor the end of a connection: as when a switch died, nobody is told. When it is
//! healed, the bytes that were held back arrive late. The node's API is elsewhere and always reachable.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use crate::cluster::NODES;

/// Who is cut off, and whose process is which.
#[derive(Default)]
pub(crate) struct Links {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    cut: [bool; NODES],
    processes: [u32; NODES],
}

/// The two nodes of a connection.
type Ends = [usize; 2];

impl Links {
    /// Opens the address that the others know `node` by, and passes on what comes to `inside`.
    pub(crate) fn open_door(self: &Arc<Self>, node: usize, inside: SocketAddr) -> u16 {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = door.local_addr().unwrap().port();
        let links = Arc::clone(self);
        std::thread::spawn(move || {
            for stream in door.incoming().flatten() {
                let links = Arc::clone(&links);
                std::thread::spawn(move || links.pass(stream, node, inside));
            }
        });
        port
    }

    /// Says which process a node is now.
    pub(crate) fn know(&self, node: usize, process: u32) {
        self.state.lock().unwrap().processes[node] = process;
    }

    /// The process of a node.
    pub(crate) fn process(&self, node: usize) -> u32 {
        self.state.lock().unwrap().processes[node]
    }

    /// From now on the node hears of no other, and no other of it.
    pub(crate) fn cut(&self, node: usize) {
        self.state.lock().unwrap().cut[node] = true;
    }

    /// The links of the node are as good as ever.
    pub(crate) fn heal(&self, node: usize) {
        self.state.lock().unwrap().cut[node] = false;
        self.changed.notify_all();
    }

    fn pass(self: &Arc<Self>, caller: TcpStream, node: usize, inside: SocketAddr) {
        // Who has ended meanwhile has no name and needs no answer.
        let Some(source) = self.source(&caller) else { return };
        let ends = [source, node];
        self.wait_until_whole(ends);
        let Ok(onward) = TcpStream::connect(inside) else { return };
        let (Ok(there), Ok(back)) = (onward.try_clone(), caller.try_clone()) else { return };
        let links = Arc::clone(self);
        std::thread::spawn(move || links.pump(there, back, ends));
        self.pump(caller, onward, ends);
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, ends: Ends) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            self.wait_until_whole(ends);
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        self.wait_until_whole(ends);
        for end in [from, to] {
            drop(end.shutdown(Shutdown::Both));
        }
    }

    fn wait_until_whole(&self, ends: Ends) {
        let state = self.state.lock().unwrap();
        let cut = |state: &mut State| ends.iter().any(|node| state.cut[*node]);
        drop(self.changed.wait_while(state, cut).unwrap());
    }

    /// The node whose process holds the other end of a connection.
    fn source(&self, stream: &TcpStream) -> Option<usize> {
        let SocketAddr::V4(peer) = stream.peer_addr().ok()? else { return None };
        let socket = format!("socket:[{}]", inode(peer)?);
        let processes = self.state.lock().unwrap().processes;
        processes.iter().position(|process| holds(*process, &socket))
    }
}

/// The kernel's number of the socket that is bound to a local address.
fn inode(local: SocketAddrV4) -> Option<String> {
    let address = u32::from_le_bytes(local.ip().octets());
    let wanted = format!("{address:08X}:{:04X}", local.port());
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.get(1).is_some_and(|address| *address == wanted))?;
    row.get(9).map(|inode| (*inode).to_owned())
}

fn holds(process: u32, socket: &str) -> bool {
    let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| target.as_os_str() == socket)
}
