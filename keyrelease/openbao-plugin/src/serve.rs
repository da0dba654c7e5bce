//! What a secrets engine or an auth method is made of, and how it is served.
//!
//! Trusted: the host and the author of the plugin.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Mutex;

use serde_json::{Map, Value};
use tonic::service::Routes;

use crate::environment::Role;
use crate::process::Process;
use crate::service::Service;
use crate::storage::MAX_MESSAGE;
use crate::wire::pb::backend_server::BackendServer;
use crate::{Backend, Config, Error, Response};

/// What a plugin is made of.
#[derive(Debug)]
pub struct Plugin<F> {
    version: &'static str,
    factory: F,
    help: Help,
    io_threads: usize,
    blocking_threads: usize,
    blocking_queue: usize,
}

impl<F> Plugin<F> {
    /// A plugin of this `version` (`v1.2.3`, which must equal the registered one), whose `factory`
    /// makes an instance for each mount. The factory has no storage: OpenBao also calls it only
    /// to look at the plugin. Its error is shown to whoever mounts.
    pub fn new(version: &'static str, factory: F) -> Self {
        Self {
            version,
            factory,
            help: Help::default(),
            io_threads: 1,
            blocking_threads: 1,
            blocking_queue: 64,
        }
    }

    /// What `path-help` and OpenBao's API explorer say: a text and an `OpenAPI` document.
    #[must_use]
    pub fn help(self, text: impl Into<String>, openapi: Value) -> Self {
        Self { help: Help { text: text.into(), openapi, ..self.help }, ..self }
    }

    /// What `path-help` says of a path below the mount, in whatever spelling it is asked for; `None` where there is no such
    /// path.
    #[must_use]
    pub fn path_help(self, at: fn(&str) -> Option<String>) -> Self {
        Self { help: Help { at: Some(at), ..self.help }, ..self }
    }

    /// Threads that speak with the host. One is fastest on a small machine.
    #[must_use]
    pub fn io_threads(self, io_threads: usize) -> Self {
        Self { io_threads, ..self }
    }

    /// Threads for [`Host::blocking`](crate::Host::blocking), and how many jobs may wait for them.
    #[must_use]
    pub fn blocking(self, threads: usize, queue: usize) -> Self {
        Self { blocking_threads: threads, blocking_queue: queue, ..self }
    }
}

/// The answer to the `help` operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Help {
    text: String,
    openapi: Value,
    at: Option<fn(&str) -> Option<String>>,
}

impl Help {
    /// The help of the mount as a whole, which alone has the document, or of a path.
    pub(crate) fn at(&self, path: &str) -> Result<Response, Error> {
        let (text, openapi) = if path.is_empty() {
            (self.text.clone(), self.openapi.clone())
        } else {
            let text = self.at.and_then(|at| at(path));
            (text.ok_or(Error::UnsupportedPath)?, Value::Null)
        };
        Ok(Response::data(Map::from_iter([
            ("help".to_owned(), Value::String(text)),
            ("see_also".to_owned(), Value::Null),
            ("openapi".to_owned(), openapi),
        ])))
    }
}

/// Serves the plugin until OpenBao ends it; call it first and last in `main`.
///
/// It starts the program again once, without the environment that was inherited from the server,
/// and takes standard output and error: what is printed there later becomes log lines.
pub fn serve<F, B>(plugin: Plugin<F>) -> ExitCode
where
    F: Fn(Config) -> Result<B, String> + Send + Sync + 'static,
    B: Backend,
{
    let process = Process {
        role: Role::Backend,
        version: plugin.version,
        io_threads: plugin.io_threads,
        blocking_threads: plugin.blocking_threads,
        blocking_queue: plugin.blocking_queue,
    };
    process.serve(|broker, pool| {
        let instances = Mutex::new(HashMap::new());
        let service = Service { factory: plugin.factory, help: plugin.help, broker, pool, instances };
        let backend = BackendServer::new(service)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        Routes::new(backend)
    })
}
