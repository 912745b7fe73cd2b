//! How many files this process may have open, and how many checks may therefore run at once.

use floatip_core::Builder;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{debug, warn};

use crate::config::{Config, ProbeSpec};

/// What the monitor itself has open: logs, sockets, EC2, hooks, name lookups.
const OWN: u64 = 64;

/// How many a check needs at most: a control and a data connection and a listener of FTP, the pipes of a program.
const OF_A_CHECK: u64 = 4;

/// Raises the soft limit, which programs that use `select` need low, to the hard one, and gives back what is in force.
pub(crate) fn raise() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return OWN };
    if soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        warn!(%error, limit = soft, "the limit on open files could not be raised");
        return soft;
    }
    debug!(limit = hard, was = soft, "the limit on open files");
    hard
}

/// How many checks run at once under this limit.
pub(crate) fn checks_at_once(limit: u64, config: &Config) -> usize {
    let kept: usize = config.floating_ips.iter().map(|ip| ip.nodes.len() * kept_sessions(ip)).sum();
    let reserved = OWN.min(limit / 2) + u64::try_from(kept).unwrap_or(u64::MAX);
    let checks = usize::try_from(limit.saturating_sub(reserved) / OF_A_CHECK).unwrap_or(usize::MAX);
    let checks = checks.clamp(1, Builder::PROBES_AT_ONCE);
    let targets: usize = config.floating_ips.iter().map(|ip| ip.nodes.len() * ip.probes.len()).sum();
    if checks < targets.min(Builder::PROBES_AT_ONCE) {
        warn!(
            limit,
            "only {checks} of {targets} checks can run at once, because this process may open few files: give it more \
             (LimitNOFILE= of the service, or `ulimit -n`), or checks of slow nodes may be late"
        );
    }
    checks
}

/// How many sessions are kept with each node between checks.
fn kept_sessions(ip: &crate::config::FloatingIpConfig) -> usize {
    ip.probes.iter().filter(|probe| matches!(&probe.spec, ProbeSpec::Ftp(ftp) if ftp.keep_session)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(probe: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("floatip.toml");
        let node =
            |number| format!("{{ name = \"n-{number}\", instance = \"i-{number:08x}\", host = \"10.0.0.{number}\" }}");
        let nodes: Vec<_> = (1..=100).map(node).collect();
        let text = format!(
            "[[floating_ip]]\nname = \"ftp\"\naddress = \"172.16.11.30\"\n\
             mover = {{ kind = \"eni\", network_interface = \"eni-0a1b2c3d\" }}\nnode = [{}]\n\
             [[floating_ip.probe]]\n{probe}\n",
            nodes.join(", ")
        );
        std::fs::write(&file, text).unwrap();
        Config::load(&file, crate::config::Purpose::Use).unwrap()
    }

    #[test]
    fn as_many_checks_run_at_once_as_have_their_descriptors() {
        let tcp = config("kind = \"tcp\"\nport = 21");
        let bounds = [(1_000_000, 4096), (1024, 240), (64, 8), (8, 1), (0, 1)];
        for (limit, checks) in bounds {
            assert_eq!(checks_at_once(limit, &tcp), checks, "{limit}");
        }
        let kept = config("kind = \"ftp\"\nkeep_session = true");
        assert_eq!(checks_at_once(1024, &kept), 215, "100 sessions are kept");
    }
}
