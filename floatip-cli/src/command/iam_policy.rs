//! `floatip iam-policy`: what the credentials must be allowed, and nothing more.

use clap::Args as ClapArgs;
use floatip_aws::iam::{Policy, Scope};

use crate::cli::ConfigArgs;
use crate::config::{Config, ProbeSpec, Purpose};
use crate::exit::{Failure, Outcome};
use crate::output;
use crate::subject::subject;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// The Region of the resources [default: `region` of the configuration, else any]
    #[arg(long)]
    region: Option<String>,
    /// The account of the resources [default: any]
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Name the resources by a tag that all of them have, not by their ids.
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    tag: Option<(String, String)>,
}

pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let config = Config::load(&args.config.config, Purpose::Check)?;
    let mut scope = Scope::new();
    scope.region = args.region.clone().or(config.aws.region);
    scope.account.clone_from(&args.account);
    scope.tag.clone_from(&args.tag);
    let subjects = config.floating_ips.iter().flat_map(|ip| ip.movers().map(|mover| subject(ip, mover)));
    let subjects: Vec<_> = subjects.collect();
    let policy = Policy::least(&subjects, &scope);
    let asks_status =
        config.floating_ips.iter().flat_map(|ip| &ip.probes).any(|probe| probe.spec == ProbeSpec::Ec2Status);
    output::json(&if asks_status { policy.with_instance_status() } else { policy })?;
    Ok(Outcome::Done)
}

/// `key=value`.
pub(crate) fn tag(written: &str) -> Result<(String, String), String> {
    match written.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("write the tag's key and value, as in floatip=ftp".to_owned()),
    }
}
