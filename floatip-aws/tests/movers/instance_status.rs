//! The probe of instance statuses.

use std::sync::Arc;

use floatip_aws::InstanceStatusProbe;
use floatip_aws::simulator::{CheckStatus, ScheduledEvent, StatusChecks};
use floatip_core::{HealthProbe, ProbeError, Target, Verdict, Via};

use super::*;

fn probe(ec2: &Ec2, nodes: &[(&str, &str)]) -> Arc<InstanceStatusProbe> {
    let nodes = nodes.iter().map(|(name, instance)| (node(name), *instance));
    Arc::new(InstanceStatusProbe::new(ec2.instance_statuses(), nodes).unwrap())
}

fn target(name: &str) -> Target {
    Target::new(node(name), "172.16.11.10".parse().unwrap(), Via::Direct, Duration::from_secs(10))
}

/// The verdict on the first instance with these checks.
async fn with_checks(simulator: &Simulator, ec2: &Ec2, checks: StatusChecks) -> Result<Verdict, ProbeError> {
    simulator.console().status_checks(INSTANCE_1, checks).unwrap();
    probe(ec2, &[("ftp-1", INSTANCE_1)]).probe(&target("ftp-1")).await
}

#[tokio::test]
async fn a_running_instance_whose_checks_pass_is_healthy() {
    let (simulator, ec2) = instant(world()).await;
    assert_eq!(with_checks(&simulator, &ec2, StatusChecks::default()).await.unwrap(), Verdict::healthy());
    let sent = only(&simulator, Action::DescribeInstanceStatus);
    assert_eq!(sent.parameter("IncludeAllInstances"), Some("true"));
}

#[tokio::test]
async fn a_check_that_fails_is_unhealthy_and_named_and_not_conclusive() {
    let (simulator, ec2) = instant(world()).await;
    let ok = StatusChecks::default();
    for (checks, name) in [
        (StatusChecks { system: CheckStatus::Impaired, ..ok }, "system"),
        (StatusChecks { instance: CheckStatus::Impaired, ..ok }, "instance"),
        (StatusChecks { ebs: CheckStatus::Impaired, ..ok }, "attached EBS"),
        (StatusChecks { system: CheckStatus::Initializing, instance: CheckStatus::Impaired, ..ok }, "instance"),
    ] {
        let verdict = with_checks(&simulator, &ec2, checks).await.unwrap();
        let said = format!("the {name} status check of {INSTANCE_1} fails, says EC2");
        assert_eq!((verdict.reason.unwrap().to_string(), verdict.conclusive), (said, false));
    }
}

#[tokio::test]
async fn checks_that_cannot_tell_are_no_verdict() {
    let (simulator, ec2) = instant(world()).await;
    for silent in [CheckStatus::Initializing, CheckStatus::InsufficientData, CheckStatus::NotApplicable] {
        for checks in [
            StatusChecks { system: silent, ..StatusChecks::default() },
            StatusChecks { instance: silent, ..StatusChecks::default() },
        ] {
            let error = with_checks(&simulator, &ec2, checks).await.unwrap_err();
            assert!(error.to_string().contains("EC2 has no verdict on i-0a1b2c3d4e5f60011"), "{error}");
        }
        let checks = StatusChecks { ebs: silent, ..StatusChecks::default() };
        assert!(with_checks(&simulator, &ec2, checks).await.unwrap().is_healthy(), "EBS alone is no doubt");
    }
}

#[tokio::test]
async fn an_instance_that_has_ended_or_is_ending_is_conclusive() {
    for timings in [Timings::instant(), Timings::default().instance(Duration::from_secs(3600))] {
        for stop in [true, false] {
            let (simulator, ec2) = start(world(), timings).await;
            let console = simulator.console();
            if stop {
                console.stop(INSTANCE_1).unwrap()
            } else {
                console.terminate(INSTANCE_1).unwrap()
            }
            let verdict = probe(&ec2, &[("ftp-1", INSTANCE_1)]).probe(&target("ftp-1")).await.unwrap();
            let said = verdict.reason.unwrap().to_string();
            assert!(verdict.conclusive && said.starts_with("EC2 says that i-0a1b2c3d4e5f60011 is "), "{said}");
            let state = simulator.world().find_instance(INSTANCE_1).unwrap().state.as_str();
            assert!(said.ends_with(state), "{said}, {state}");
        }
    }
}

#[tokio::test]
async fn an_instance_that_is_starting_is_no_verdict() {
    let (simulator, ec2) = start(world(), Timings::default().instance(Duration::from_secs(3600))).await;
    let _simulator = simulator;
    let world = world().instance_state(INSTANCE_2, floatip_aws::simulator::InstanceState::Pending);
    let (_pending, pending_ec2) = instant(world).await;
    let error = probe(&pending_ec2, &[("ftp-2", INSTANCE_2)]).probe(&target("ftp-2")).await.unwrap_err();
    assert!(error.to_string().ends_with("it is pending"), "{error}");
    assert!(probe(&ec2, &[("ftp-2", INSTANCE_2)]).probe(&target("ftp-2")).await.unwrap().is_healthy());
}

#[tokio::test]
async fn what_is_scheduled_is_a_warning_until_it_is_over() {
    let (simulator, ec2) = instant(world()).await;
    let event = |code: &str, description: &str| ScheduledEvent {
        code: code.to_owned(),
        description: description.to_owned(),
        not_before: "2026-12-01T10:00:00Z".to_owned(),
    };
    for (code, description) in [
        ("instance-retirement", "The instance is running on degraded hardware"),
        ("system-maintenance", "[Completed] scheduled maintenance"),
        ("instance-reboot", "[Canceled] scheduled reboot"),
    ] {
        simulator.console().schedule(INSTANCE_1, event(code, description)).unwrap();
    }
    let verdict = probe(&ec2, &[("ftp-1", INSTANCE_1)]).probe(&target("ftp-1")).await.unwrap();
    let said = "EC2 has scheduled instance-retirement for i-0a1b2c3d4e5f60011 not before 2026-12-01T10:00:00Z: \
                The instance is running on degraded hardware";
    assert_eq!((verdict.is_healthy(), verdict.warnings), (true, vec![said.to_owned()]));
}

#[tokio::test]
async fn probes_that_begin_together_share_one_call() {
    let (simulator, ec2) = instant(world()).await;
    let reader = ec2.instance_statuses();
    let nodes = [("ftp-1", INSTANCE_1), ("ftp-2", INSTANCE_2), ("ftp-3", FAR_AWAY)];
    let checks = nodes.into_iter().flat_map(|own| [own, own]).map(|(name, instance)| {
        let probe = InstanceStatusProbe::new(reader.clone(), [(node(name), instance)]).unwrap();
        tokio::spawn(async move { probe.probe(&target(name)).await })
    });
    for check in checks.collect::<Vec<_>>() {
        assert!(check.await.unwrap().unwrap().is_healthy());
    }
    let sent = only(&simulator, Action::DescribeInstanceStatus);
    assert!(sent.parameter("InstanceId.3").is_some() && sent.parameter("InstanceId.4").is_none(), "{sent:?}");
}

#[tokio::test]
async fn more_instances_than_a_call_takes_are_read_by_several() {
    let ids: Vec<_> = (0..150).map(|n| format!("i-{n:017x}")).collect();
    let world = ids.iter().enumerate().fold(
        World::new("ap-northeast-1").subnet("subnet-a", "ap-northeast-1a", "172.16.0.0/16", "vpc-1"),
        |world, (n, id)| world.instance(id, "subnet-a", &format!("172.16.1.{}", 5 + n)),
    );
    let (simulator, ec2) = instant(world).await;
    let reader = ec2.instance_statuses();
    let checks = ids.into_iter().map(|id| {
        let probe = InstanceStatusProbe::new(reader.clone(), [(node("ftp-1"), id)]).unwrap();
        tokio::spawn(async move { probe.probe(&target("ftp-1")).await })
    });
    for check in checks.collect::<Vec<_>>() {
        assert!(check.await.unwrap().unwrap().is_healthy());
    }
    assert_eq!(simulator.journal().count(Action::DescribeInstanceStatus), 2);
}

#[tokio::test]
async fn an_instance_that_ec2_does_not_know_is_no_verdict_and_harms_no_other() {
    let (_simulator, ec2) = instant(world()).await;
    let probe = probe(&ec2, &[("ftp-1", INSTANCE_1), ("ftp-2", "i-0a1b2c3d4e5f6ffff")]);
    let (one, two) = (target("ftp-1"), target("ftp-2"));
    let (known, unknown) = tokio::join!(probe.probe(&one), probe.probe(&two));
    assert!(known.unwrap().is_healthy());
    let error = unknown.unwrap_err();
    assert!(error.to_string().contains("EC2 does not know i-0a1b2c3d4e5f6ffff"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_read_is_no_verdict() {
    for (fault, said) in READ_FAULTS {
        let (simulator, ec2) = instant(world()).await;
        next(&simulator, Action::DescribeInstanceStatus, fault);
        let error = probe(&ec2, &[("ftp-1", INSTANCE_1)]).probe(&target("ftp-1")).await.unwrap_err();
        let denied =
            matches!(&error, ProbeError::NotPermitted { hint, .. } if hint.contains("ec2:DescribeInstanceStatus"));
        assert_eq!(denied, said == "denied", "{fault:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_probe_that_is_dropped_leaves_the_others_their_answer() {
    let (_simulator, ec2) = instant(world()).await;
    let probe = probe(&ec2, &[("ftp-1", INSTANCE_1), ("ftp-2", INSTANCE_2)]);
    let first = probe.clone();
    let first = tokio::spawn(async move { first.probe(&target("ftp-1")).await });
    tokio::task::yield_now().await;
    let two = target("ftp-2");
    let second = probe.probe(&two);
    first.abort();
    assert!(second.await.unwrap().is_healthy());
}

#[tokio::test]
async fn it_corroborates_verifies_no_move_and_takes_only_instances() {
    let (_simulator, ec2) = instant(world()).await;
    assert!(!probe(&ec2, &[("ftp-1", INSTANCE_1)]).runs_through_address());
    assert_eq!(probe(&ec2, &[("ftp-1", INSTANCE_1)]).role(), floatip_core::Role::Corroborates);
    let nothing: [(NodeId, &str); 0] = [];
    assert!(InstanceStatusProbe::new(ec2.instance_statuses(), nothing).is_err());
    assert!(InstanceStatusProbe::new(ec2.instance_statuses(), [(node("ftp-1"), "eni-1")]).is_err());
}
