//! The two servers, as everything around them knows them.

/// One of the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    Ftp1,
    Ftp2,
}

impl Server {
    pub(super) const BOTH: [Self; 2] = [Self::Ftp1, Self::Ftp2];

    /// Its place in [`BOTH`](Self::BOTH).
    pub(super) fn index(self) -> usize {
        match self {
            Self::Ftp1 => 0,
            Self::Ftp2 => 1,
        }
    }

    /// What the monitor calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ftp1 => "ftp-1",
            Self::Ftp2 => "ftp-2",
        }
    }

    /// What EC2 calls it.
    pub(super) fn instance(self) -> &'static str {
        match self {
            Self::Ftp1 => "i-0a1b2c3d4e5f60011",
            Self::Ftp2 => "i-0a1b2c3d4e5f60012",
        }
    }

    /// Its own address in the simulated VPC.
    pub(super) fn private_ip(self) -> &'static str {
        match self {
            Self::Ftp1 => "172.16.11.10",
            Self::Ftp2 => "172.16.11.20",
        }
    }

    /// The file that it serves.
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Ftp1 => "this-is-ftp-1.txt",
            Self::Ftp2 => "this-is-ftp-2.txt",
        }
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::BOTH.into_iter().find(|server| server.name() == name)
    }

    pub(super) fn of_instance(instance: &str) -> Option<Self> {
        Self::BOTH.into_iter().find(|server| server.instance() == instance)
    }

    pub(super) fn of_file(file: &str) -> Option<Self> {
        Self::BOTH.into_iter().find(|server| server.file() == file)
    }
}
