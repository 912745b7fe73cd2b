//! `floatip discover`: a configuration from what is in the account.

use std::collections::BTreeSet;

use clap::Args as ClapArgs;
use floatip_aws::discover::{Discovery, Floater, Means, Selection, Server, discover};

use super::iam_policy::tag;
use crate::config::Aws;
use crate::exit::{Failure, Outcome};
use crate::{output, wiring};

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// An instance that may hold the address; give it once for each.
    #[arg(long = "instance", value_name = "ID", required_unless_present = "tag", conflicts_with = "tag")]
    instances: Vec<String>,
    /// The tag of the instances that may hold the address, and of interfaces and addresses that may float.
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    tag: Option<(String, String)>,
    /// The Region [default: AWS_REGION, else the profile's, else the instance's own]
    #[arg(long)]
    region: Option<String>,
    /// The profile of the shared config files [default: AWS_PROFILE, else "default"]
    #[arg(long)]
    profile: Option<String>,
    /// The address of the API [default: the Region's own]
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
}

pub(crate) async fn run(args: &Args) -> Result<Outcome, Failure> {
    let aws = Aws {
        region: args.region.clone(),
        profile: args.profile.clone(),
        endpoint_url: args.endpoint_url.clone(),
        ..Aws::default()
    };
    let ec2 = wiring::connect(&aws).await?;
    let selection = match &args.tag {
        Some((key, value)) => Selection::Tag { key: key.clone(), value: value.clone() },
        None => Selection::Instances(args.instances.clone()),
    };
    let found = discover(&ec2, &selection).await?;
    if found.servers.is_empty() {
        return Err(Failure::NothingFound("no instance was found; give --instance, or tag the instances".to_owned()));
    }
    if found.floaters.is_empty() {
        return Err(Failure::NothingFound(
            "nothing that could float was found on these instances: add a secondary network interface, a secondary \
             private address or an Elastic IP (with --tag, those that have the tag are found even when unused)"
                .to_owned(),
        ));
    }
    output::line(config(&found, &aws, ec2.region()).trim_end())?;
    Ok(Outcome::Done)
}

fn config(found: &Discovery, aws: &Aws, region: &str) -> String {
    let mut text = String::from("# What was found. Read it, then: floatip check, floatip preflight\n");
    text += "state_dir = \"/var/lib/floatip\"\n\n[aws]\n";
    let mut setting = |key: &str, value: &str| text.push_str(&format!("{key} = {}\n", quoted(value)));
    setting("region", region);
    if let Some(profile) = &aws.profile {
        setting("profile", profile);
    }
    if let Some(endpoint_url) = &aws.endpoint_url {
        setting("endpoint_url", endpoint_url);
    }
    let mut names = BTreeSet::new();
    for floater in &found.floaters {
        floating_ip(&mut text, floater, &found.servers, &mut names);
    }
    text
}

fn floating_ip(text: &mut String, floater: &Floater, servers: &[Server], names: &mut BTreeSet<String>) {
    let Floater { name, address, means, place, .. } = floater;
    let mut put = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    put(format!("\n# {place}\n[[floating_ip]]"));
    put(format!("name = {}", quoted(&unused(names, name.as_deref(), &address.to_string()))));
    put(format!("address = \"{address}\"\n\n[floating_ip.mover]"));
    put(match means {
        Means::Eni { network_interface } => {
            format!("kind = \"eni\"\nnetwork_interface = {}", quoted(network_interface))
        }
        Means::Eip { allocation } => format!("kind = \"eip\"\nallocation = {}", quoted(allocation)),
        Means::PrivateIp => "kind = \"private-ip\"".to_owned(),
        new => format!("# {new:?} is not known to this version"),
    });
    let mut nodes = BTreeSet::new();
    for Server { instance, name, private_ip, zone, .. } in servers {
        put(format!("\n[[floating_ip.node]]{}", zone.as_ref().map(|zone| format!(" # {zone}")).unwrap_or_default()));
        put(format!("name = {}", quoted(&unused(&mut nodes, name.as_deref(), instance))));
        put(format!("instance = {}", quoted(instance)));
        put(match private_ip {
            Some(host) => format!("host = \"{host}\""),
            None => "host = \"…\" # it has no private IPv4 address".to_owned(),
        });
    }
    put("\n[[floating_ip.probe]]\nkind = \"tcp\" # or what tells more of your service: \"ftp\", \"http\"".to_owned());
    put("port = 21".to_owned());
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A name that `[[floating_ip]]` and `[[floating_ip.node]]` may have, and that nothing else has.
fn unused(taken: &mut BTreeSet<String>, wanted: Option<&str>, otherwise: &str) -> String {
    let plain = |text: &str| {
        let mapped: String = text
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
            .collect();
        mapped.trim_matches(['-', '.']).chars().take(60).collect::<String>()
    };
    let wanted = wanted.map(plain).filter(|name| !name.is_empty()).unwrap_or_else(|| plain(otherwise));
    let name = (1..).map(|n| if n == 1 { wanted.clone() } else { format!("{wanted}-{n}") });
    let name = name.into_iter().find(|name| !taken.contains(name)).unwrap_or(wanted);
    taken.insert(name.clone());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit_and_told_apart() {
        let mut taken = BTreeSet::new();
        let mut name = |wanted| unused(&mut taken, wanted, "i-1");
        assert_eq!(name(Some("FTP server (blue)")), "FTP-server--blue");
        assert_eq!(name(Some("FTP server (blue)")), "FTP-server--blue-2");
        assert_eq!(name(Some("…")), "i-1");
        assert_eq!(name(None), "i-1-2");
    }
}
