//! Where events go: lines into a file, onto standard output, or to whoever listens on a Unix socket, in one of three spellings.
//!
//! Nothing here waits: a reader that is too slow or not there loses events, which are counted. A file that has grown to its limit is
//! moved aside once, so that the disk is not filled by whoever makes events.
//!
//! Trusted: the operator who named the place.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;

use protocol::enforcer::Event;

use super::{ocsf, otlp};

/// Who speaks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// The machine's name.
    pub host: String,
    /// The enforcer's version.
    pub version: &'static str,
    /// This run of the enforcer, and no other.
    pub instance: String,
}

/// How events are spelt, and where they go: `json:/var/log/enforcer.jsonl`, `otlp:unix:/run/otel.sock`, `ocsf:-`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spec {
    form: Form,
    place: Place,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Lines,
    Ocsf,
    Otlp,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Place {
    Output,
    File(PathBuf),
    Socket(PathBuf),
}

impl FromStr for Spec {
    type Err = BadSpec;

    fn from_str(text: &str) -> Result<Self, BadSpec> {
        let bad = || BadSpec(text.chars().take(200).collect());
        let (form, place) = text.split_once(':').ok_or_else(bad)?;
        let form = match form {
            "json" => Form::Lines,
            "ocsf" => Form::Ocsf,
            "otlp" => Form::Otlp,
            _ => return Err(bad()),
        };
        let place = match place.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Place::Socket(path.into()),
            None if place == "-" => Place::Output,
            None if place.starts_with('/') => Place::File(place.into()),
            _ => return Err(bad()),
        };
        Ok(Self { form, place })
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self.form {
            Form::Lines => "json",
            Form::Ocsf => "ocsf",
            Form::Otlp => "otlp",
        };
        match &self.place {
            Place::Output => write!(f, "{form}:-"),
            Place::File(path) => write!(f, "{form}:{}", path.display()),
            Place::Socket(path) => write!(f, "{form}:unix:{}", path.display()),
        }
    }
}

/// Not a place for events.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected json, ocsf or otlp, a colon, and -, an absolute path or unix:PATH, found {0:?}")]
pub struct BadSpec(String);

/// One place.
#[derive(Debug)]
pub struct Outlet {
    spec: Spec,
    most: u64,
    open: Open,
    lost: u64,
}

#[derive(Debug)]
enum Open {
    Output,
    File {
        file: File,
        length: u64,
    },
    /// With what the listener has not taken yet.
    Socket {
        stream: UnixStream,
        left: Vec<u8>,
    },
    Nothing,
}

impl Outlet {
    /// Of this kind; a file is moved aside at `most` bytes. A socket that nobody listens on is tried again with each event.
    pub fn new(spec: Spec, most: u64) -> io::Result<Self> {
        let open = match &spec.place {
            Place::Output => Open::Output,
            Place::File(path) => open(path)?,
            Place::Socket(path) => connect(path).unwrap_or(Open::Nothing),
        };
        Ok(Self { spec, most, open, lost: 0 })
    }

    /// Writes an event, or counts it as lost.
    pub fn write(&mut self, event: &Event, origin: &Origin, sequence: u64) {
        let line = match self.spec.form {
            Form::Lines => serde_json::to_vec(event),
            Form::Ocsf => serde_json::to_vec(&ocsf::finding(event, origin, sequence)),
            Form::Otlp => serde_json::to_vec(&otlp::request(event, origin)),
        };
        let mut line = line.unwrap_or_default();
        line.push(b'\n');
        if self.put(&line).is_err() {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// Events that were not written.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        if let (Open::Nothing, Place::Socket(path)) = (&self.open, &self.spec.place) {
            self.open = connect(path)?;
        }
        let put = match &mut self.open {
            Open::Output => io::stdout().write_all(line),
            Open::File { file, length } => {
                *length = length.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
                file.write_all(line)
            }
            Open::Socket { stream, left } => send(stream, left, line),
            Open::Nothing => Err(io::ErrorKind::NotConnected.into()),
        };
        match (&self.open, &self.spec.place) {
            (Open::File { length, .. }, Place::File(path)) if *length >= self.most => {
                let mut aside = path.clone().into_os_string();
                aside.push(".1");
                fs::rename(path, aside)?;
                self.open = open(path)?;
            }
            (Open::Socket { .. }, _) if put.as_ref().is_err_and(|error| !is_full(error)) => {
                self.open = Open::Nothing;
            }
            _ => {}
        }
        put
    }
}

fn open(path: &PathBuf) -> io::Result<Open> {
    let file = OpenOptions::new().create(true).append(true).mode(0o640).open(path)?;
    let length = file.metadata()?.len();
    Ok(Open::File { file, length })
}

fn connect(path: &PathBuf) -> io::Result<Open> {
    let stream = UnixStream::connect(path)?;
    stream.set_nonblocking(true)?;
    Ok(Open::Socket { stream, left: Vec::new() })
}

/// A line goes as a whole or not at all: what the listener did not take is kept, up to a limit.
fn send(stream: &mut UnixStream, left: &mut Vec<u8>, line: &[u8]) -> io::Result<()> {
    if left.len().saturating_add(line.len()) > MOST_LEFT {
        flush(stream, left)?;
    }
    if left.len().saturating_add(line.len()) > MOST_LEFT {
        return Err(io::ErrorKind::StorageFull.into());
    }
    left.extend_from_slice(line);
    flush(stream, left)
}

fn flush(stream: &mut UnixStream, left: &mut Vec<u8>) -> io::Result<()> {
    while !left.is_empty() {
        match stream.write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => drop(left.drain(..count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StorageFull
}

/// What is kept for a listener.
const MOST_LEFT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::net::UnixListener;

    use protocol::enforcer::{Moment, Severity};

    use super::super::event::notice;
    use super::*;

    fn origin() -> Origin {
        Origin { host: "node-1".to_owned(), version: "0.1.0", instance: "b00t".to_owned() }
    }

    fn event(number: u64) -> Event {
        notice("TEST", Severity::Info, 1, Moment(number), "x".repeat(1000))
    }

    #[test]
    fn a_place_is_a_spelling_and_where() {
        for good in ["json:-", "ocsf:/var/log/x", "otlp:unix:/run/x"] {
            assert_eq!(good.parse::<Spec>().unwrap().to_string(), good);
        }
        for bad in ["", "json", "json:", "json:relative", "xml:/x", "otlp:unix:x", "json:unix:"] {
            assert_eq!(bad.parse::<Spec>(), Err(BadSpec(bad.to_owned())));
        }
    }

    #[test]
    fn a_file_has_a_line_for_each_event_and_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let mut outlet = Outlet::new(format!("json:{}", path.display()).parse().unwrap(), 4000).unwrap();
        for number in 0..10 {
            outlet.write(&event(number), &origin(), number);
        }
        let lines = |path: &PathBuf| -> Vec<Event> {
            let text = fs::read_to_string(path).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let now = lines(&path);
        assert_eq!(now.last(), Some(&event(9)));
        let before = lines(&folder.path().join("events.1"));
        assert_eq!(before.last().unwrap().time.0 + 1, now.first().map_or(10, |first| first.time.0));
        assert!(fs::metadata(&path).unwrap().len() < 8000);
        assert_eq!(outlet.lost(), 0);
    }

    #[test]
    fn a_listener_that_does_not_read_delays_nobody_and_gets_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut outlet = Outlet::new(format!("otlp:unix:{}", path.display()).parse().unwrap(), 0).unwrap();
        outlet.write(&event(0), &origin(), 0);
        assert_eq!(outlet.lost(), 1, "nobody is there");
        let listener = UnixListener::bind(&path).unwrap();
        for number in 1..3000 {
            outlet.write(&event(number), &origin(), number);
        }
        let lost = outlet.lost();
        assert!(lost > 1 && lost < 2999, "{lost}");
        let (stream, _) = listener.accept().unwrap();
        drop(outlet);
        let lines: Vec<String> = BufReader::new(stream).lines().map_while(Result::ok).collect();
        let whole = lines.iter().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
        assert!(whole.count() + 1 >= lines.len(), "only the last may be cut off by our end");
    }
}
