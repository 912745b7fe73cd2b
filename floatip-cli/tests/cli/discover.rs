use floatip_aws::simulator::{Simulator, Timings, World};

use crate::rig::{Desk, Ended};

fn world() -> World {
    World::new("eu-test-1")
        .subnet("subnet-a", "eu-test-1a", "172.16.11.0/24", "vpc-1")
        .instance("i-0a1b2c3d4e5f60011", "subnet-a", "172.16.11.10")
        .instance("i-0a1b2c3d4e5f60012", "subnet-a", "172.16.11.20")
        .tag("i-0a1b2c3d4e5f60011", "Name", "ftp server 1")
        .network_interface("eni-0a1b2c3d4e5f60001", "subnet-a", "172.16.11.30")
        .tag("eni-0a1b2c3d4e5f60001", "Name", "ftp")
        .secondary_private_ip("eni-0a1b2c3d4e5f60012-primary", "172.16.11.40")
        .elastic_ip("eipalloc-0a1b2c3d4e5f60002", "203.0.113.10")
}

async fn discover(world: World, arguments: &[&str]) -> (Simulator, Ended) {
    let simulator = Simulator::start(world, Timings::instant()).await.unwrap();
    let url = simulator.endpoint_url();
    let common = ["discover", "--region", "eu-test-1", "--endpoint-url", &url];
    let ended = Desk::new("").run(&[&common, arguments].concat());
    (simulator, ended)
}

const BOTH: [&str; 4] = ["--instance", "i-0a1b2c3d4e5f60011", "--instance", "i-0a1b2c3d4e5f60012"];

/// The movers of a configuration that `check` accepts, and its nodes.
fn checked(ended: &Ended) -> (Vec<String>, Vec<String>) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let desk = Desk::new(&ended.stdout);
    let check = desk.run(&["check", "-c", "floatip.toml"]);
    assert_eq!(check.code, Some(0), "{}\n{}", ended.stdout, check.stderr);
    let values = |key: &str| {
        let lines = ended
            .stdout
            .lines()
            .filter_map(|line| line.strip_prefix(key))
            .map(|rest| rest.trim_matches([' ', '=', '"']));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    (values("kind").into_iter().filter(|kind| !kind.starts_with("tcp")).collect(), values("host"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_floats_on_the_instances_becomes_a_configuration_that_check_accepts() {
    let world = world().attach("eni-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60011", 1);
    let world = world.associate("eipalloc-0a1b2c3d4e5f60002", "eni-0a1b2c3d4e5f60012-primary");
    let (_simulator, ended) = discover(world, &BOTH).await;
    let (kinds, hosts) = checked(&ended);
    assert_eq!(kinds, ["eni", "private-ip", "eip"]);
    assert_eq!(hosts[..2], ["172.16.11.10", "172.16.11.20"]);
    for line in ["name = \"ftp\"", "name = \"ftp-server-1\"", "allocation = \"eipalloc-0a1b2c3d4e5f60002\""] {
        assert!(ended.stdout.contains(line), "{line}: {}", ended.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_tag_what_is_not_in_use_is_found_too() {
    let tagged = ["i-0a1b2c3d4e5f60011", "i-0a1b2c3d4e5f60012", "eni-0a1b2c3d4e5f60001", "eipalloc-0a1b2c3d4e5f60002"];
    let world = tagged.iter().fold(world(), |world, id| world.tag(id, "floatip", "ftp"));
    let (_simulator, ended) = discover(world, &["--tag", "floatip=ftp"]).await;
    assert_eq!(checked(&ended).0, ["eni", "private-ip", "eip"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_elastic_ip_of_a_floating_interface_travels_with_it() {
    let world = world().attach("eni-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60011", 1);
    let world = world.associate("eipalloc-0a1b2c3d4e5f60002", "eni-0a1b2c3d4e5f60001");
    let (_simulator, ended) = discover(world, &BOTH).await;
    assert_eq!(checked(&ended).0, ["eni", "private-ip"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_floats_or_an_instance_is_not_there_it_says_what_to_do() {
    let (_simulator, ended) = discover(world(), &["--instance", "i-0a1b2c3d4e5f60011"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("add a secondary network interface"), "{}", ended.stderr);
    let (_simulator, ended) = discover(world(), &["--instance", "i-0000000000000dead"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("i-0000000000000dead is not in eu-test-1"), "{}", ended.stderr);
    let (_simulator, ended) = discover(world(), &[]).await;
    assert_eq!(ended.code, Some(2));
}
