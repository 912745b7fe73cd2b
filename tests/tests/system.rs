//! `floatip` as a process, against the EC2 simulator and FTP servers on loopback: no root is needed.
#![allow(clippy::disallowed_methods, reason = "what takes time is measured")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use floatip_aws::simulator::{Action, AttachmentState, Entry, Fault, Outcome, Timings, When};
use floatip_tests::client::Client;
use floatip_tests::cloud::{ALLOCATION, Cloud, INSTANCE1, INSTANCE2, INTERFACE, REGION, world};
use floatip_tests::floatip::{Desk, Monitor};
use floatip_tests::loopback::{PASSWORD, Site, SitePlane, USER};
use floatip_tests::need::Need;
use floatip_tests::suite::Suite;
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::LoopbackRange];
const LIMIT: Duration = Duration::from_secs(120);
/// Longer than anything takes that happens at all, on a loaded machine.
const AMPLE: Duration = Duration::from_secs(40);

fn main() -> ExitCode {
    Suite::default()
        .test("an_eni_fails_over_when_its_server_dies", NEEDS, LIMIT, || fails_over(Kind::Eni))
        .test("an_eip_fails_over_when_its_server_dies", NEEDS, LIMIT, || fails_over(Kind::Eip))
        .test("a_hanging_server_is_failed_over_too", NEEDS, LIMIT, hangs)
        .test("a_move_waits_for_its_end_and_says_where_the_address_was", NEEDS, LIMIT, moves)
        .test("a_dry_run_changes_nothing", NEEDS, LIMIT, dry_run)
        .test("a_move_to_a_dead_node_is_refused_unless_forced", NEEDS, LIMIT, refused)
        .test("a_pause_outlives_a_restart_and_ends_with_resume", NEEDS, LIMIT, paused)
        .test("sigterm_ends_a_monitor_cleanly", NEEDS, LIMIT, terminated)
        .test("sigterm_past_the_point_of_no_return_finishes_the_move", NEEDS, LIMIT, terminated_while_moving)
        .test("a_killed_monitors_move_is_finished_by_the_next_start", NEEDS, LIMIT, killed_while_moving)
        .test("a_move_that_lost_its_monitor_while_free_is_finished_by_once", NEEDS, LIMIT, killed_then_once)
        .test("once_says_healthy_moved_or_failed", NEEDS, LIMIT, once)
        .test("a_second_monitor_is_turned_away", NEEDS, LIMIT, second)
        .test("an_event_log_can_be_read_by_a_program", NEEDS, LIMIT, events)
        .run()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Eni,
    Eip,
}

/// Two servers with a floating address that the first has, and the cloud that moves it.
struct Stage {
    kind: Kind,
    site: Site,
    cloud: Cloud,
}

impl Stage {
    fn new(kind: Kind) -> Result<Self> {
        Self::with(kind, Duration::from_millis(400), Duration::from_millis(300))
    }

    fn with(kind: Kind, detach: Duration, attach: Duration) -> Result<Self> {
        let site = Site::start("ftp1")?;
        let timings = Timings::default().detach(detach).attach(attach).address_propagation(attach);
        let cloud = Cloud::start(None, world(), timings, Some(Arc::new(SitePlane(site.clone()))))?;
        Ok(Self { kind, site, cloud })
    }

    /// What an operator of this stage would write.
    fn desk(&self) -> Result<Desk<'static>> {
        let mover = match self.kind {
            Kind::Eni => format!("kind = \"eni\"\nnetwork_interface = \"{INTERFACE}\""),
            Kind::Eip => format!("kind = \"eip\"\nallocation = \"{ALLOCATION}\""),
        };
        let config = format!(
            r#"
sweep = "1s"
state_dir = "state"
[aws]
region = "{REGION}"
endpoint_url = "{}"
[[floating_ip]]
name = "ftp"
address = "{}"
[floating_ip.mover]
{mover}
[[floating_ip.node]]
name = "ftp1"
instance = "{INSTANCE1}"
host = "{}"
[[floating_ip.node]]
name = "ftp2"
instance = "{INSTANCE2}"
host = "{}"
[[floating_ip.probe]]
kind = "ftp"
username = "{USER}"
password = {{ env = "SITE_PASSWORD" }}
[floating_ip.health]
interval = "400ms"
fast_interval = "100ms"
timeout = "1s"
"#,
            self.cloud.endpoint_url(),
            self.site.floating(),
            self.site.address("ftp1"),
            self.site.address("ftp2"),
        );
        Ok(Desk::new(None, &config)?.env("SITE_PASSWORD", PASSWORD))
    }

    fn client(&self) -> Result<Client> {
        let client = Client::start(None, self.site.floating())?;
        client.await_greeting("ftp1", AMPLE)?;
        Ok(client)
    }

    /// The node that the provider gives the address to.
    fn carrier(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Eni => self.cloud.carrier(),
            Kind::Eip => self.cloud.address_carrier(),
        }
    }

    fn assert_on(&self, node: &str) -> Result<()> {
        ensure!(self.carrier() == Some(node), "the address is on {:?}, not on {node}", self.carrier());
        Ok(())
    }

    fn applied(&self, action: Action) -> usize {
        let succeeded = |entry: &&Entry| entry.outcome == Outcome::Succeeded;
        self.cloud.simulator().journal().of(action).iter().filter(succeeded).count()
    }

    /// Waits until the interface is leaving its holder, or has left it.
    fn await_detach(&self) -> Result<()> {
        self.cloud.await_world(AMPLE, |world| {
            let interface = world.find_interface(INTERFACE);
            let attachment = interface.and_then(|interface| interface.attachment.as_ref());
            attachment.is_none_or(|attachment| attachment.state == AttachmentState::Detaching)
        })
    }
}

fn end(monitor: &Monitor) -> Result<()> {
    let status = monitor.terminate(AMPLE)?;
    ensure!(status.success(), "{status}\n{}", monitor.story());
    Ok(())
}

fn fails_over(kind: Kind) -> Result<()> {
    let stage = Stage::new(kind)?;
    let desk = stage.desk()?;
    let monitor = desk.serving_monitor()?;
    let client = stage.client()?;

    stage.site.kill("ftp1")?;

    client.await_greeting("ftp2", AMPLE).with_context(|| monitor.story())?;
    let finished = monitor.await_named("move_finished", AMPLE)?;
    println!(
        "{kind:?}: outage {:.3} s, move {} ms",
        client.outage("ftp1", "ftp2")?.duration().as_secs_f64(),
        finished["duration_ms"]
    );
    stage.assert_on("ftp2")?;
    let status = desk.await_status(AMPLE, |status| status["state"] == "serving")?;
    let health = |node: &Value| (node["name"].clone(), node["health"].clone());
    let nodes: Vec<_> = status["nodes"].as_array().context("nodes")?.iter().map(health).collect();
    ensure!(status["holder"] == "ftp2", "{status:#}");
    ensure!(nodes == [(json!("ftp1"), json!("unhealthy")), (json!("ftp2"), json!("healthy"))], "{status:#}");
    end(&monitor)
}

fn hangs() -> Result<()> {
    let stage = Stage::new(Kind::Eni)?;
    let monitor = stage.desk()?;
    let monitor = monitor.serving_monitor()?;
    let client = stage.client()?;
    stage.site.hang("ftp1")?;
    client.await_greeting("ftp2", AMPLE).with_context(|| monitor.story())?;
    client.outage("ftp1", "ftp2")?;
    end(&monitor)
}

fn moves() -> Result<()> {
    let stage = Stage::new(Kind::Eni)?;
    let desk = stage.desk()?;
    let monitor = desk.serving_monitor()?;
    let moved = desk.control_command(&["move", "ftp", "--to", "ftp2", "--json"], AMPLE)?;
    ensure!(moved.status.success(), "{}\n{}", String::from_utf8_lossy(&moved.stderr), monitor.story());
    // It has waited: the address is there, and answers there.
    stage.assert_on("ftp2")?;
    ensure!(stage.site.holder() == Some("ftp2"), "the servers say {:?}", stage.site.holder());
    let receipt: Value = serde_json::from_slice(&moved.stdout)?;
    ensure!(receipt["from"] == "ftp1" && receipt["to"] == "ftp2", "{receipt:#}");
    let again = desk.control_command(&["move", "ftp", "--to", "ftp2"], AMPLE)?;
    ensure!(again.status.success(), "to be there already is no failure");
    ensure!(stage.applied(Action::AttachNetworkInterface) == 1, "it was moved again");
    end(&monitor)
}

fn dry_run() -> Result<()> {
    let stage = Stage::new(Kind::Eni)?;
    let desk = stage.desk()?;
    let monitor = desk.serving_monitor()?;
    let tried = desk.control_command(&["move", "ftp", "--to", "ftp2", "--dry-run"], AMPLE)?;
    ensure!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stderr));
    end(&monitor)?;
    stage.assert_on("ftp1")?;
    ensure!(stage.cloud.simulator().journal().count(Action::DetachNetworkInterface) == 0, "it was no dry run");
    Ok(())
}

fn refused() -> Result<()> {
    let stage = Stage::new(Kind::Eni)?;
    let desk = stage.desk()?;
    let monitor = desk.serving_monitor()?;
    let unknown = desk.control_command(&["move", "ftp", "--to", "ftp9"], AMPLE)?;
    ensure!(unknown.status.code() == Some(6), "{unknown:?}");
    stage.site.kill("ftp2")?;
    monitor.await_named("node_went_down", AMPLE)?;
    let refused = desk.control_command(&["move", "ftp", "--to", "ftp2"], AMPLE)?;
    ensure!(refused.status.code() == Some(6), "{refused:?}");
    stage.assert_on("ftp1")?;
    let started = desk.control_command(&["move", "ftp", "--to", "ftp2", "--force", "--no-wait"], AMPLE)?;
    ensure!(started.status.success(), "{started:?}");
    stage.cloud.await_world(AMPLE, |world| {
        let interface = world.find_interface(INTERFACE).and_then(|interface| interface.carrier());
        interface == Some(INSTANCE2)
    })
}

fn paused() -> Result<()> {
    let stage = Stage::new(Kind::Eni)?;
    let desk = stage.desk()?;
    let monitor = desk.serving_monitor()?;
    let pause = desk.control_command(&["pause", "ftp", "--reason", "works"], AMPLE)?;
    ensure!(pause.status.success(), "{pause:?}");
    end(&monitor)?;

    let monitor = desk.monitor()?;
    let remembered = desk.await_status(AMPLE, |status| status["holder"] == "ftp1")?;
    ensure!(remembered["paused"] == true, "the pause is forgotten: {remembered:#}");
    stage.site.kill("ftp1")?;
    let health = |status: &Value, node: usize| status["nodes"][node]["health"].clone();
    desk.await_status(AMPLE, |status| health(status, 0) == "unhealthy" && health(status, 1) == "healthy")?;
    // A whole sweep later it still has not moved.
    let reads = stage.cloud.simulator().journal().count(Action::DescribeNetworkInterfaces);
    let action = Action::DescribeNetworkInterfaces;
    monitor.until(AMPLE, || Ok(stage.cloud.simulator().journal().count(action) >= reads + 2))?;
    stage.assert_on("ftp1")?;
    ensure!(stage.cloud.simulator().journal().count(Action::DetachNetworkInterface) == 0, "{}", monitor.story());

    let resume = desk.control_command(&["resume", "--all"], AMPLE)?;
    ensure!(resume.status.success(), "{resume:?}");
    monitor.await_named("move_finished", AMPLE)?;
    stage.assert_on("ftp2")?;
    end(&monitor)
}

fn terminated() -> Result<()> {
    let stage = Stage::new(Kind::Eni)?;
    let desk = stage.desk()?;
    let monitor = desk.serving_monitor()?;
    end(&monitor)?;
    let status = desk.control_command(&["status"], AMPLE)?;
    ensure!(status.status.code() == Some(5), "{status:?}");
    ensure!(!desk.control().exists(), "the socket is left behind");
    stage.assert_on("ftp1")
}

fn terminated_while_moving() -> Result<()> {
    let stage = Stage::with(Kind::Eni, Duration::from_millis(1500), Duration::from_millis(300))?;
    let desk = stage.desk()?;
    let monitor = desk.serving_monitor()?;
    stage.site.kill("ftp1")?;
    stage.await_detach()?;
    end(&monitor)?;
    stage.assert_on("ftp2")
}

/// Kills a monitor while the interface is on its way off the first node.
fn kill_between(stage: &Stage, desk: &Desk<'_>) -> Result<()> {
    let monitor = desk.serving_monitor()?;
    stage.site.kill("ftp1")?;
    stage.await_detach()?;
    monitor.kill()?;
    let journal = stage.cloud.simulator().journal();
    ensure!(journal.count(Action::AttachNetworkInterface) == 0, "it was killed too late");
    stage.cloud.await_world(AMPLE, |world| {
        world.find_interface(INTERFACE).is_some_and(|interface| interface.attachment.is_none())
    })
}

fn killed_while_moving() -> Result<()> {
    let stage = Stage::with(Kind::Eni, Duration::from_secs(2), Duration::from_millis(300))?;
    let desk = stage.desk()?;
    kill_between(&stage, &desk)?;
    let monitor = desk.monitor()?;
    let finished = monitor.await_named("move_finished", AMPLE)?;
    ensure!(finished["to"] == "ftp2", "{finished}");
    stage.assert_on("ftp2")?;
    let client = Client::start(None, stage.site.floating())?;
    client.await_greeting("ftp2", AMPLE)?;
    end(&monitor)
}

fn killed_then_once() -> Result<()> {
    let stage = Stage::with(Kind::Eni, Duration::from_secs(2), Duration::from_millis(300))?;
    let desk = stage.desk()?;
    kill_between(&stage, &desk)?;
    let once = desk.config_command(&["run", "--once"], LIMIT)?;
    ensure!(once.status.code() == Some(10), "{once:?}");
    stage.assert_on("ftp2")
}

fn once() -> Result<()> {
    let stage = Stage::new(Kind::Eip)?;
    let desk = stage.desk()?;
    let decide = |expected: i32| -> Result<()> {
        let once = desk.config_command(&["run", "--once"], LIMIT)?;
        ensure!(once.status.code() == Some(expected), "expected {expected}: {once:?}");
        Ok(())
    };
    decide(0).context("all is well")?;
    stage.assert_on("ftp1")?;
    stage.site.kill("ftp1")?;
    decide(10).context("the holder is dead")?;
    stage.assert_on("ftp2")?;
    stage.site.kill("ftp2")?;
    decide(1).context("both are dead")?;
    stage.assert_on("ftp2")
}

fn second() -> Result<()> {
    let stage = Stage::new(Kind::Eni)?;
    let desk = stage.desk()?;
    let first = desk.serving_monitor()?;
    for arguments in [&["run"] as &[&str], &["run", "--once"]] {
        let second = desk.config_command(arguments, AMPLE)?;
        ensure!(second.status.code() == Some(7), "{arguments:?}: {second:?}");
    }
    end(&first)
}

fn events() -> Result<()> {
    let stage = Stage::new(Kind::Eni)?;
    stage.cloud.simulator().faults().set(Action::DetachNetworkInterface, Fault::Throttled, When::Next(1));
    let desk = stage.desk()?;
    let monitor = desk.serving_monitor()?;
    stage.site.kill("ftp1")?;
    let finished = monitor.await_named("move_finished", AMPLE)?;
    monitor.await_event(AMPLE, |event| event["event"] == "holder_changed" && event["to"] == "ftp2")?;
    end(&monitor)?;
    let events = monitor.events()?;
    let named = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    for event in &events {
        let at = event["at"].as_str().context("a time")?;
        ensure!(at.len() == 27 && at.ends_with('Z') && at.as_bytes()[10] == b'T', "{at} is not RFC 3339");
        ensure!(event["floating_ip"] == "ftp", "{event}");
    }
    let down = named("node_went_down");
    ensure!(down.len() == 1 && down[0]["node"] == "ftp1" && down[0]["reason"].is_string(), "{down:?}");
    let started = named("move_started");
    ensure!(started.len() == 1 && started[0]["id"] == finished["id"], "{started:?}");
    ensure!(
        started[0]["from"] == "ftp1" && started[0]["to"] == "ftp2" && started[0]["cause"] == "failover",
        "{started:?}"
    );
    let steps: Vec<_> = named("step_finished").iter().map(|step| step["step"].clone()).collect();
    ensure!(steps == ["release", "await_released", "claim", "await_claimed", "verify"], "{steps:?}");
    let sum: f64 = named("step_finished").iter().filter_map(|step| step["duration_ms"].as_f64()).sum();
    let whole = finished["duration_ms"].as_f64().context("a number")?;
    ensure!((sum - whole).abs() < 1.0, "the steps took {sum} ms, the move {whole} ms");
    Ok(())
}
