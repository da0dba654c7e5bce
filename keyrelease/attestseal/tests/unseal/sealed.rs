//! The server under test: an OpenBao whose seal is the plugin.

use std::path::Path;

use crate::bao::{Bao, children};
use crate::machine::Machine;
use crate::peer::Peer;
use crate::programs::SEAL;

/// A server that the plugin seals, and the settings of its seal.
pub(crate) struct Sealed {
    pub(crate) bao: Bao,
    pub(crate) settings: String,
}

impl Sealed {
    /// With an empty disk; it does not run.
    pub(crate) fn by(settings: &str) -> Self {
        Self { bao: Bao::new(Path::new(SEAL)), settings: settings.to_owned() }
    }

    pub(crate) fn by_peer(peer: &Peer, machine: &Machine) -> Self {
        Self::by(&peer_settings(&peer.address(), &peer.authority(), &machine.socket()))
    }

    /// Initialised and unsealed.
    pub(crate) fn initialised(peer: &Peer, machine: &Machine) -> Self {
        let mut sealed = Self::by_peer(peer, machine);
        sealed.start();
        sealed.bao.initialise();
        sealed
    }

    /// From the next start on it runs on this machine.
    pub(crate) fn move_to(&mut self, peer: &Peer, machine: &Machine) {
        self.settings = peer_settings(&peer.address(), &peer.authority(), &machine.socket());
    }

    pub(crate) fn start(&mut self) {
        self.launch();
        self.bao.wait_for_answer();
    }

    pub(crate) fn launch(&mut self) {
        let rest = format!(
            r#"
            plugin "kms" "attestseal" {{
              command = "openbao-plugin-attestseal"
              sha256sum = "{}"
            }}
            seal "attestseal" {{
              {}
            }}
            "#,
            self.bao.digest("openbao-plugin-attestseal"),
            self.settings
        );
        self.bao.launch(&rest);
    }

    pub(crate) fn restart(&mut self) {
        self.bao.stop();
        self.start();
    }

    /// The plugin's process.
    pub(crate) fn plugin(&self) -> u32 {
        let plugins = children(self.bao.process());
        assert_eq!(plugins.len(), 1, "{plugins:?}");
        plugins[0]
    }
}

pub(crate) fn peer_settings(address: &str, authority: &Path, socket: &Path) -> String {
    let (authority, socket) = (authority.display(), socket.display());
    format!(
        "source = \"peer\"\npeer_address = {address:?}\npeer_ca = \"{authority}\"\npeer_key = \"unseal\"\n\
         agent_socket = \"{socket}\"\n"
    )
}
