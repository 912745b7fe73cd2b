//! Real FTP daemons in network namespaces: what the probes say of them, and whole failovers.
#![allow(clippy::disallowed_methods, reason = "what takes time is measured")]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use floatip_aws::simulator::{Action, Fault, Timings, When, World};
use floatip_core::{HealthProbe, Host as Address, NodeId, Reason, Target, Verdict, Via};
use floatip_probes::{FtpProbe, ListPath, PingProbe, Secret, TcpProbe};
use floatip_tests::client::{Client, login_and_list};
use floatip_tests::cloud::{Cloud, INSTANCE1, INSTANCE2, INTERFACE, REGION, world};
use floatip_tests::daemon::{Daemon, Firewall, PASSWORD, USER};
use floatip_tests::floatip::{Desk, Monitor};
use floatip_tests::lab::{FLOATING, FTP1, FTP2, Host, Lab};
use floatip_tests::lab_plane::LabPlane;
use floatip_tests::need::Need;
use floatip_tests::overlay::{self, OVERLAY, Overlay, OverlayPlane, PRIVATE_IP, TABLES};
use floatip_tests::suite::Suite;

const LAB: &[Need] = &[Need::Lab];
const FTP: &[Need] = &[Need::Lab, Need::Vsftpd];
const FIREWALL: &[Need] = &[Need::Lab, Need::Vsftpd, Need::Firewall];
const LIMIT: Duration = Duration::from_secs(60);

/// Long enough for any answer that comes at all.
const AMPLE: Duration = Duration::from_secs(10);
/// For what does not answer.
const SHORT: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    Suite::default()
        .test("a_login_with_a_listing_is_healthy_directly_and_through_the_address", FTP, LIMIT, healthy)
        .test("a_killed_daemon_refuses", FTP, LIMIT, killed)
        .test("a_stopped_daemon_times_out_at_the_banner", FTP, LIMIT, stopped)
        .test("a_dropped_control_port_times_out_at_connect", FIREWALL, LIMIT, dropped)
        .test("a_reset_control_port_refuses", FIREWALL, LIMIT, reset)
        .test("a_wrong_password_is_rejected_with_530_and_not_told", FTP, LIMIT, wrong_password)
        .test("a_dropped_passive_range_fails_only_a_listing", FIREWALL, LIMIT, passive_dropped)
        .test("a_daemon_that_recovers_is_healthy_again", FIREWALL, LIMIT, recovered)
        .test("the_address_answers_as_whoever_has_the_interface", FTP, LIMIT, followed)
        .test("a_host_answers_ping_until_its_link_is_down", LAB, LIMIT, pinged)
        .test("labs_stand_side_by_side", LAB, LIMIT, side_by_side)
        .test("a_killed_daemon_is_failed_over_within_the_bound", FTP, LIMIT, || {
            failover("kill -9", |daemon| daemon.kill())
        })
        .test("a_stopped_daemon_is_failed_over_within_the_bound", FTP, LIMIT, || {
            failover("SIGSTOP", |daemon| daemon.hang())
        })
        .test("a_dropped_port_is_failed_over_within_the_bound", FIREWALL, LIMIT, || {
            failover("port 21 dropped", |daemon| daemon.firewall(Firewall::DropControl))
        })
        .test("a_switchover_moves_the_address_between_healthy_daemons", FTP, LIMIT, switchover)
        .test("a_monitor_without_a_network_moves_nothing", FTP, LIMIT, isolated)
        .test("eni_cannot_reach_a_node_in_another_zone_and_says_so", FTP, LIMIT, || {
            confined("eni", FLOATING_ENI, "an interface cannot leave its zone; choose an instance in eu-test-1a")
        })
        .test("private_ip_cannot_reach_a_node_in_another_zone_and_says_so", FTP, LIMIT, || {
            confined("private-ip", PRIVATE_IP, "an address cannot leave its subnet")
        })
        .test("a_detach_that_never_ends_is_left_behind_by_the_fallback_within_its_deadline", FTP, LIMIT, left_behind)
        .test("route_fails_over_to_a_node_in_another_zone", FTP, LIMIT, across_zones)
        .run()
}

fn ftp() -> Result<FtpProbe> {
    Ok(FtpProbe::new(USER, Secret::new(PASSWORD))?)
}

fn listing() -> Result<FtpProbe> {
    Ok(ftp()?.list(ListPath::login_directory()))
}

/// What `probe` says of `address`, asked from the monitor's namespace.
fn ask(lab: &Lab, probe: &dyn HealthProbe, address: Ipv4Addr, timeout: Duration) -> Result<Verdict> {
    let via = if address == FLOATING { Via::Floating } else { Via::Direct };
    let target = Target::new(NodeId::new("node")?, Address::from(std::net::IpAddr::V4(address)), via, timeout);
    let asked = Instant::now();
    let verdict = lab.mon().enter(|| -> Result<Verdict> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Four times over, so that a loaded machine is not mistaken for a hung probe.
        let answer = runtime.block_on(async { tokio::time::timeout(timeout * 4, probe.probe(&target)).await });
        Ok(answer.context("the probe does not keep its deadline")??)
    })??;
    println!("{} of {address}: {} after {:?}", probe.kind(), in_words(&verdict), asked.elapsed());
    Ok(verdict)
}

fn in_words(verdict: &Verdict) -> String {
    verdict.reason.as_ref().map_or_else(|| "healthy".to_owned(), Reason::to_string)
}

fn reason(lab: &Lab, probe: &dyn HealthProbe, address: Ipv4Addr, timeout: Duration) -> Result<Reason> {
    ask(lab, probe, address, timeout)?.reason.context("it is healthy")
}

fn assert_timed_out(reason: &Reason, at: &str) -> Result<()> {
    ensure!(*reason == Reason::TimedOut { stage: at.to_owned().into() }, "{reason:?}");
    Ok(())
}

fn assert_healthy(lab: &Lab, probe: &dyn HealthProbe, address: Ipv4Addr) -> Result<()> {
    let verdict = ask(lab, probe, address, AMPLE)?;
    ensure!(verdict == Verdict::healthy(), "{verdict:?}");
    Ok(())
}

fn healthy() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = Daemon::start(&lab, Host::Ftp1)?;
    lab.attach(Host::Ftp1)?;
    for address in [FTP1, FLOATING] {
        assert_healthy(&lab, &listing()?, address)?;
        assert_healthy(&lab, &ftp()?.list(ListPath::new("/")?), address)?;
        assert_healthy(&lab, &ftp()?, address)?;
        assert_healthy(&lab, &TcpProbe::new(21)?, address)?;
    }
    Ok(())
}

fn killed() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, Host::Ftp1)?;
    daemon.kill()?;
    for probe in [&listing()? as &dyn HealthProbe, &TcpProbe::new(21)?] {
        let reason = reason(&lab, probe, FTP1, AMPLE)?;
        ensure!(reason == Reason::Refused, "{reason:?}");
    }
    Ok(())
}

fn stopped() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, Host::Ftp1)?;
    daemon.hang()?;
    assert_timed_out(&reason(&lab, &listing()?, FTP1, SHORT)?, "banner")?;
    // The kernel still accepts connections for it, which is why a check of the port alone is not enough.
    assert_healthy(&lab, &TcpProbe::new(21)?, FTP1)?;
    daemon.go_on()?;
    assert_healthy(&lab, &listing()?, FTP1)
}

fn dropped() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, Host::Ftp1)?;
    daemon.firewall(Firewall::DropControl)?;
    assert_timed_out(&reason(&lab, &listing()?, FTP1, SHORT)?, "connect")?;
    assert_timed_out(&reason(&lab, &TcpProbe::new(21)?, FTP1, SHORT)?, "connect")
}

fn reset() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, Host::Ftp1)?;
    daemon.firewall(Firewall::RejectControl)?;
    let reason = reason(&lab, &listing()?, FTP1, AMPLE)?;
    ensure!(reason == Reason::Refused, "{reason:?}");
    Ok(())
}

fn wrong_password() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = Daemon::start(&lab, Host::Ftp1)?;
    let probe = FtpProbe::new(USER, Secret::new("not-the-password"))?;
    let reason = reason(&lab, &probe, FTP1, AMPLE)?;
    let Reason::Rejected { stage, code: 530, detail } = &reason else { bail!("{reason:?}") };
    ensure!(stage == "login" && !detail.contains("not-the-password"), "{reason:?}");
    Ok(())
}

fn passive_dropped() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, Host::Ftp1)?;
    daemon.firewall(Firewall::DropPassive)?;
    assert_timed_out(&reason(&lab, &listing()?, FTP1, SHORT * 6)?, "data channel")?;
    assert_healthy(&lab, &ftp()?, FTP1)
}

fn recovered() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, Host::Ftp1)?;
    daemon.kill()?;
    daemon.restart()?;
    assert_healthy(&lab, &listing()?, FTP1)?;
    daemon.firewall(Firewall::DropControl)?;
    daemon.no_firewall()?;
    assert_healthy(&lab, &listing()?, FTP1)
}

fn followed() -> Result<()> {
    let lab = Lab::new()?;
    let _daemons = (Daemon::start(&lab, Host::Ftp1)?, Daemon::start(&lab, Host::Ftp2)?);
    let address = SocketAddr::from((FLOATING, 21));
    for host in [Host::Ftp1, Host::Ftp2] {
        lab.attach(host)?;
        assert_healthy(&lab, &listing()?, FLOATING)?;
        let names = login_and_list(Some(lab.mon()), address, USER, PASSWORD, AMPLE)?;
        ensure!(names == [format!("node-{}.txt", host.name())], "{names:?}");
        lab.detach()?;
        let verdict = ask(&lab, &listing()?, FLOATING, SHORT)?;
        ensure!(!verdict.is_healthy(), "nobody has the address");
    }
    Ok(())
}

fn pinged() -> Result<()> {
    let lab = Lab::new()?;
    lab.attach(Host::Ftp2)?;
    for address in [FTP1, FTP2, FLOATING] {
        assert_healthy(&lab, &PingProbe::new(), address)?;
    }
    lab.host(Host::Ftp1).ip(["link set eth0 down"])?;
    lab.detach()?;
    for address in [FTP1, FLOATING] {
        ensure!(!ask(&lab, &PingProbe::new(), address, SHORT)?.is_healthy(), "{address} cannot answer");
    }
    assert_healthy(&lab, &PingProbe::new(), FTP2)
}

fn side_by_side() -> Result<()> {
    let (one, two) = (Lab::new()?, Lab::new()?);
    one.attach(Host::Ftp1)?;
    assert_healthy(&one, &PingProbe::new(), FLOATING)?;
    ensure!(!ask(&two, &PingProbe::new(), FLOATING, SHORT)?.is_healthy(), "the labs are joined");
    drop(one);
    two.attach(Host::Ftp2)?;
    assert_healthy(&two, &PingProbe::new(), FLOATING)
}

const INTERVAL: Duration = Duration::from_millis(1000);
const FAST_INTERVAL: Duration = Duration::from_millis(250);
const TIMEOUT: Duration = Duration::from_millis(500);
const FALL: u32 = 3;
const DETACH: Duration = Duration::from_millis(2500);
const ATTACH: Duration = Duration::from_millis(1500);
/// After which a detach is left behind by a second mechanism, and how long that takes until traffic follows.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
const TAKE_OVER: Duration = Duration::from_millis(1200);

const ALLOWANCE: Duration = Duration::from_millis(100);

/// The longest outage that a client may see: detection, the provider's own time and 5 % of it, and the allowance.
fn bound() -> Duration {
    INTERVAL + decision_bound() + (DETACH + ATTACH).mul_f64(1.05) + ALLOWANCE
}

/// The longest time from the start of the first probe that fails to the decision to move.
fn decision_bound() -> Duration {
    FAST_INTERVAL * (FALL - 1) + TIMEOUT
}

/// A simulated EC2 in the monitor's namespace that moves the lab's interface, which the first host has.
fn cloud(lab: &Arc<Lab>) -> Result<Cloud> {
    lab.attach(Host::Ftp1)?;
    let timings = Timings::default().detach(DETACH).attach(ATTACH);
    Cloud::start(Some(lab.mon()), world(), timings, Some(Arc::new(LabPlane(lab.clone()))))
}

/// What an operator of this lab would write.
fn desk<'a>(lab: &'a Lab, cloud: &Cloud) -> Result<Desk<'a>> {
    desk_of(lab, cloud, FLOATING, &format!("kind = \"eni\"\nnetwork_interface = \"{INTERFACE}\""))
}

fn desk_of<'a>(lab: &'a Lab, cloud: &Cloud, address: Ipv4Addr, mover: &str) -> Result<Desk<'a>> {
    let config = format!(
        r#"
[aws]
region = "{REGION}"
endpoint_url = "{}"
[[floating_ip]]
name = "ftp"
address = "{address}"
[floating_ip.mover]
{mover}
[[floating_ip.node]]
name = "ftp1"
instance = "{INSTANCE1}"
host = "{FTP1}"
[[floating_ip.node]]
name = "ftp2"
instance = "{INSTANCE2}"
host = "{FTP2}"
[[floating_ip.probe]]
kind = "ftp"
username = "{USER}"
password = {{ env = "LAB_PASSWORD" }}
list = true
[floating_ip.health]
interval = "{}ms"
fast_interval = "{}ms"
timeout = "{}ms"
fall = {FALL}
"#,
        cloud.endpoint_url(),
        INTERVAL.as_millis(),
        FAST_INTERVAL.as_millis(),
        TIMEOUT.as_millis(),
    );
    Ok(Desk::new(Some(lab.mon()), &config)?.env("LAB_PASSWORD", PASSWORD))
}

fn failover(fault: &str, strike: fn(&Daemon) -> Result<()>) -> Result<()> {
    let lab = Arc::new(Lab::new()?);
    let (first, _second) = (Daemon::start(&lab, Host::Ftp1)?, Daemon::start(&lab, Host::Ftp2)?);
    let cloud = cloud(&lab)?;
    let desk = desk(&lab, &cloud)?;
    let monitor = desk.serving_monitor()?;
    let address = SocketAddr::from((FLOATING, 21));
    let client = Client::start(Some(lab.mon()), address)?;
    client.await_greeting("ftp1", AMPLE)?;

    strike(&first)?;
    let struck = Instant::now();

    client.await_greeting("ftp2", AMPLE * 3).with_context(|| monitor.story())?;
    let finished = monitor.await_named("move_finished", AMPLE)?;
    let names = login_and_list(Some(lab.mon()), address, USER, PASSWORD, AMPLE)?;
    ensure!(names == ["node-ftp2.txt"], "{names:?}");
    let outage = client.outage("ftp1", "ftp2")?;
    let started = monitor.await_named("move_started", AMPLE)?;
    println!(
        "{fault}: outage {:.3} s (bound {:.3} s), from the fault {:.3} s; detect {} ms, move {} ms: {}",
        outage.duration().as_secs_f64(),
        bound().as_secs_f64(),
        outage.after.answered.duration_since(struck).as_secs_f64(),
        started["detect_ms"],
        finished["duration_ms"],
        finished["steps"],
    );
    ensure!(outage.duration() <= bound(), "the outage was too long\n{}", monitor.story());
    let detect = started["detect_ms"].as_f64().context("a number")?;
    let longest = (decision_bound() + ALLOWANCE).as_secs_f64() * 1e3;
    ensure!(detect <= longest, "the decision took {detect} ms, and may take {longest} ms\n{}", monitor.story());
    ended(&monitor)
}

fn ended(monitor: &Monitor) -> Result<()> {
    let status = monitor.terminate(AMPLE)?;
    ensure!(status.success(), "{status}\n{}", monitor.story());
    Ok(())
}

fn switchover() -> Result<()> {
    let lab = Arc::new(Lab::new()?);
    let _daemons = (Daemon::start(&lab, Host::Ftp1)?, Daemon::start(&lab, Host::Ftp2)?);
    let cloud = cloud(&lab)?;
    let desk = desk(&lab, &cloud)?;
    let monitor = desk.serving_monitor()?;
    let client = Client::start(Some(lab.mon()), SocketAddr::from((FLOATING, 21)))?;
    client.await_greeting("ftp1", AMPLE)?;
    let moved = desk.control_command(&["move", "ftp", "--to", "ftp2"], AMPLE * 3)?;
    ensure!(moved.status.success(), "{}\n{}", String::from_utf8_lossy(&moved.stderr), monitor.story());
    // The command has waited for its end: no patience is needed any more.
    ensure!(lab.holder() == Some(Host::Ftp2), "the interface is on {:?}", lab.holder());
    client.await_greeting("ftp2", AMPLE)?;
    let outage = client.outage("ftp1", "ftp2")?;
    println!("switchover: outage {:.3} s", outage.duration().as_secs_f64());
    ended(&monitor)
}

fn isolated() -> Result<()> {
    let lab = Arc::new(Lab::new()?);
    let _daemons = (Daemon::start(&lab, Host::Ftp1)?, Daemon::start(&lab, Host::Ftp2)?);
    let cloud = cloud(&lab)?;
    let desk = desk(&lab, &cloud)?;
    let monitor = desk.serving_monitor()?;
    lab.mon().ip(["link set eth0 down"])?;
    monitor.await_named("all_nodes_down", AMPLE)?;
    lab.mon().ip(["link set eth0 up"])?;
    monitor.await_named("all_nodes_down_ended", AMPLE)?;
    desk.await_status(AMPLE, |status| status["state"] == "serving" && status["holder"] == "ftp1")?;
    ensure!(lab.holder() == Some(Host::Ftp1), "the interface is on {:?}", lab.holder());
    ensure!(!monitor.events()?.iter().any(|event| event["event"] == "move_started"), "{}", monitor.story());
    ended(&monitor)
}

/// The address is a secondary one of the moving interface, whose detach hangs for ever, forced or not: the second mechanism
/// takes it over.
fn left_behind() -> Result<()> {
    let lab = Arc::new(Lab::new()?);
    let (first, _second) = (Daemon::start(&lab, Host::Ftp1)?, Daemon::start(&lab, Host::Ftp2)?);
    lab.attach(Host::Ftp1)?;
    let subnet = "subnet-0a1b2c3d4e5f60001";
    let world = World::new(REGION)
        .subnet(subnet, "eu-test-1a", "172.16.11.0/24", "vpc-0a1b2c3d4e5f60001")
        .instance(INSTANCE1, subnet, &FTP1.to_string())
        .instance(INSTANCE2, subnet, &FTP2.to_string())
        .network_interface(INTERFACE, subnet, "172.16.11.29")
        .secondary_private_ip(INTERFACE, &FLOATING.to_string())
        .attach(INTERFACE, INSTANCE1, 1);
    let timings = Timings::default().detach(DETACH).attach(ATTACH).private_ip_propagation(TAKE_OVER);
    let cloud = Cloud::start(Some(lab.mon()), world, timings, Some(Arc::new(LabPlane(lab.clone()))))?;
    cloud.simulator().faults().set(Action::DetachNetworkInterface, Fault::StuckForcedDetach, When::Always);
    let mover = format!(
        "kind = \"eni\"\nnetwork_interface = \"{INTERFACE}\"\n[[floating_ip.mover.fallback]]\nkind = \"private-ip\"\n\
         [floating_ip.policy]\nrelease_timeout = \"{}ms\"",
        RELEASE_TIMEOUT.as_millis()
    );
    let desk = desk_of(&lab, &cloud, FLOATING, &mover)?;
    let monitor = desk.serving_monitor()?;
    let address = SocketAddr::from((FLOATING, 21));
    let client = Client::start(Some(lab.mon()), address)?;
    client.await_greeting("ftp1", AMPLE)?;

    first.kill()?;

    client.await_greeting("ftp2", AMPLE * 3).with_context(|| monitor.story())?;
    monitor.await_named("move_finished", AMPLE)?;
    let changed = monitor.await_named("mover_changed", AMPLE)?;
    ensure!(changed["from"] == "eni" && changed["to"] == "private-ip", "{changed}");
    let names = login_and_list(Some(lab.mon()), address, USER, PASSWORD, AMPLE)?;
    ensure!(names == ["node-ftp2.txt"], "{names:?}");
    ensure!(lab.holder() == Some(Host::Ftp1), "the interface was left behind");
    let carrier = cloud.simulator().world().carrier_of(FLOATING.into()).map(str::to_owned);
    ensure!(carrier.as_deref() == Some(INSTANCE2), "it is on {carrier:?}");
    let outage = client.outage("ftp1", "ftp2")?;
    let bound = INTERVAL + decision_bound() + (RELEASE_TIMEOUT + TAKE_OVER).mul_f64(1.05) + ALLOWANCE;
    println!(
        "a detach that never ends, left behind after {:.1} s: outage {:.3} s (bound {:.3} s)",
        RELEASE_TIMEOUT.as_secs_f64(),
        outage.duration().as_secs_f64(),
        bound.as_secs_f64()
    );
    ensure!(outage.duration() <= bound, "the outage was too long\n{}", monitor.story());
    ensure!(!monitor.events()?.iter().any(|event| event["event"] == "release_forced"), "{}", monitor.story());
    ended(&monitor)
}

/// The moving interface's own address in the cloud with two zones.
const FLOATING_ENI: Ipv4Addr = Ipv4Addr::new(172, 16, 11, 12);

/// The other node is in another zone, where `kind` cannot bring the address: it is no candidate, and the reason is told.
fn confined(kind: &str, address: Ipv4Addr, reason: &str) -> Result<()> {
    let lab = Lab::new()?;
    let (first, _second) = (Daemon::start(&lab, Host::Ftp1)?, Daemon::start(&lab, Host::Ftp2)?);
    let cloud = Cloud::start(Some(lab.mon()), overlay::world(), Timings::default(), None)?;
    let interface = format!("network_interface = \"{INTERFACE}\"");
    let mover = format!("kind = \"{kind}\"\n{}", if kind == "eni" { &interface } else { "" });
    let desk = desk_of(&lab, &cloud, address, &mover)?;
    let monitor = desk.monitor()?;
    let refused = monitor.await_named("candidate_not_ready", AMPLE)?;
    ensure!(refused["node"] == "ftp2", "{refused}");
    let told = refused["reason"].as_str().context("a reason")?;
    println!("{kind}: {told}");
    ensure!(told.contains(reason), "{told}");
    first.kill()?;
    monitor.await_named("no_candidate", AMPLE)?;
    ensure!(!monitor.events()?.iter().any(|event| event["event"] == "move_started"), "{}", monitor.story());
    ended(&monitor)
}

fn across_zones() -> Result<()> {
    let lab = Lab::new()?;
    let (first, _second) = (Daemon::start(&lab, Host::Ftp1)?, Daemon::start(&lab, Host::Ftp2)?);
    let overlay = Arc::new(Overlay::new(&lab)?);
    let timings = Timings::default().route_propagation(ATTACH);
    let plane = Arc::new(OverlayPlane(overlay.clone()));
    let cloud = Cloud::start(Some(lab.mon()), overlay::world(), timings, Some(plane))?;
    let tables = TABLES.map(|table| format!("\"{table}\"")).join(", ");
    let desk = desk_of(&lab, &cloud, OVERLAY, &format!("kind = \"route\"\nroute_tables = [{tables}]"))?;
    let monitor = desk.serving_monitor()?;
    let address = SocketAddr::from((OVERLAY, 21));
    let client = Client::start(Some(lab.mon()), address)?;
    client.await_greeting("ftp1", AMPLE)?;

    first.kill()?;

    client.await_greeting("ftp2", AMPLE * 3).with_context(|| monitor.story())?;
    monitor.await_named("move_finished", AMPLE)?;
    let names = login_and_list(Some(lab.mon()), address, USER, PASSWORD, AMPLE)?;
    ensure!(names == ["node-ftp2.txt"], "{names:?}");
    ensure!(overlay.holder() == Some(Host::Ftp2), "it leads to {:?}", overlay.holder());
    let destination = format!("{OVERLAY}/32");
    let world = cloud.simulator().world();
    for table in TABLES {
        let carrier = world.carrier_of_route(table, &destination);
        ensure!(carrier == Some(INSTANCE2), "{table} leads to {carrier:?}");
    }
    let outage = client.outage("ftp1", "ftp2")?;
    let bound = INTERVAL + decision_bound() + ATTACH.mul_f64(1.05) + ALLOWANCE;
    println!(
        "route across zones: outage {:.3} s (bound {:.3} s)",
        outage.duration().as_secs_f64(),
        bound.as_secs_f64()
    );
    ensure!(outage.duration() <= bound, "the outage was too long\n{}", monitor.story());
    ended(&monitor)
}
