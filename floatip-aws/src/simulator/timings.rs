use std::time::Duration;

/// How long EC2 takes over its asynchronous changes. Zero is valid everywhere: the change is done as soon as it is
/// accepted.
///
/// The defaults are of the order that users report, not measurements of live AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    pub(super) attach: Duration,
    pub(super) detach: Duration,
    pub(super) force_detach: Duration,
    pub(super) address_propagation: Duration,
    pub(super) private_ip_propagation: Duration,
    pub(super) route_propagation: Duration,
    pub(super) instance: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            attach: Duration::from_millis(1500),
            detach: Duration::from_millis(2500),
            force_detach: Duration::from_secs(1),
            address_propagation: Duration::from_secs(5),
            private_ip_propagation: Duration::from_millis(1200),
            route_propagation: Duration::from_secs(1),
            instance: Duration::from_secs(3),
        }
    }
}

impl Timings {
    /// Every change is done as soon as it is accepted.
    pub fn instant() -> Self {
        Self {
            attach: Duration::ZERO,
            detach: Duration::ZERO,
            force_detach: Duration::ZERO,
            address_propagation: Duration::ZERO,
            private_ip_propagation: Duration::ZERO,
            route_propagation: Duration::ZERO,
            instance: Duration::ZERO,
        }
    }

    /// From `attaching` to `attached`. Default: 1.5 s.
    #[must_use]
    pub fn attach(mut self, attach: Duration) -> Self {
        self.attach = attach;
        self
    }

    /// From `detaching` to the absence of the attachment. Default: 2.5 s.
    #[must_use]
    pub fn detach(mut self, detach: Duration) -> Self {
        self.detach = detach;
        self
    }

    /// The same with `Force`. A forced detach shortens a graceful one that is under way, and never lengthens it.
    /// Default: 1 s.
    #[must_use]
    pub fn force_detach(mut self, force_detach: Duration) -> Self {
        self.force_detach = force_detach;
        self
    }

    /// From an accepted AssociateAddress or DisassociateAddress until traffic follows. The API shows the change at
    /// once; the [`DataPlane`](super::DataPlane) learns of it after this time. Default: 5 s.
    #[must_use]
    pub fn address_propagation(mut self, address_propagation: Duration) -> Self {
        self.address_propagation = address_propagation;
        self
    }

    /// From an accepted change of an interface's addresses until traffic follows. The API shows the change at once; the
    /// [`DataPlane`](super::DataPlane) learns of it after this time. Default: 1.2 s.
    #[must_use]
    pub fn private_ip_propagation(mut self, private_ip_propagation: Duration) -> Self {
        self.private_ip_propagation = private_ip_propagation;
        self
    }

    /// From an accepted change of a route until traffic follows. The API shows the change at once; the
    /// [`DataPlane`](super::DataPlane) learns of it after this time. Default: 1 s, a guess: nobody has published a figure.
    #[must_use]
    pub fn route_propagation(mut self, route_propagation: Duration) -> Self {
        self.route_propagation = route_propagation;
        self
    }

    /// From `stopping` to `stopped`, from `pending` to `running` and from `shutting-down` to `terminated`.
    /// Default: 3 s.
    #[must_use]
    pub fn instance(mut self, instance: Duration) -> Self {
        self.instance = instance;
        self
    }
}
