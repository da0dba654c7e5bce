//! The files of a report directory: names, modes and sizes, as `ls -l` shows them on a real guest.

/// One file of a report directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Attribute {
    Inblob,
    Outblob,
    Auxblob,
    Provider,
    Generation,
    Privlevel,
    PrivlevelFloor,
}

impl Attribute {
    pub(super) const ALL: [Self; 7] = [
        Self::Inblob,
        Self::Outblob,
        Self::Auxblob,
        Self::Provider,
        Self::Generation,
        Self::Privlevel,
        Self::PrivlevelFloor,
    ];

    /// The driver for TDs has no certificates and no privilege levels.
    pub(super) const TDX: [Self; 4] = [Self::Inblob, Self::Outblob, Self::Provider, Self::Generation];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Inblob => "inblob",
            Self::Outblob => "outblob",
            Self::Auxblob => "auxblob",
            Self::Provider => "provider",
            Self::Generation => "generation",
            Self::Privlevel => "privlevel",
            Self::PrivlevelFloor => "privlevel_floor",
        }
    }

    /// The place in a directory's inode numbers; 0 is the directory itself.
    pub(super) const fn number(self) -> u64 {
        match self {
            Self::Inblob => 1,
            Self::Outblob => 2,
            Self::Auxblob => 3,
            Self::Provider => 4,
            Self::Generation => 5,
            Self::Privlevel => 6,
            Self::PrivlevelFloor => 7,
        }
    }

    pub(super) const fn mode(self) -> u16 {
        match self {
            Self::Inblob | Self::Privlevel => 0o200,
            Self::Outblob | Self::Auxblob | Self::Provider | Self::Generation | Self::PrivlevelFloor => 0o444,
        }
    }

    /// configfs says 0 for a binary file and a page for a text file, whatever they hold.
    pub(super) const fn size(self) -> u64 {
        match self {
            Self::Inblob | Self::Outblob | Self::Auxblob => 0,
            Self::Provider | Self::Generation | Self::Privlevel | Self::PrivlevelFloor => 4096,
        }
    }

    pub(super) const fn writable(self) -> bool {
        self.mode() == 0o200
    }
}
