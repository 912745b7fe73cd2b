use std::time::Duration;

use aws_sdk_ec2::error::SdkError;
use floatip_aws::simulator::{Action, AttachmentState, Fault, Outcome, Scope, Timings, When, World};
use tokio::time::Instant;

use crate::{LONG, Lab, client, code, filter, soon, two_servers};

impl Lab {
    async fn faulty(scope: impl Into<Scope>, fault: Fault, when: When) -> Self {
        let lab = Self::two_servers(Timings::instant()).await;
        lab.simulator.faults().set(scope, fault, when);
        lab
    }

    /// The code of a detach of `eni-float`'s present attachment; empty if it was not answered.
    async fn try_detach(&self) -> Result<(), String> {
        self.try_detach_by(&self.ec2, false).await
    }

    async fn try_detach_by(&self, ec2: &aws_sdk_ec2::Client, force: bool) -> Result<(), String> {
        match ec2.detach_network_interface().attachment_id(self.attachment("eni-float")).force(force).send().await {
            Ok(_) => Ok(()),
            refused @ Err(_) => Err(code(refused)),
        }
    }

    async fn try_describe(&self) -> Result<(), String> {
        match self.ec2.describe_network_interfaces().send().await {
            Ok(_) => Ok(()),
            refused @ Err(_) => Err(code(refused)),
        }
    }

    fn float_state(&self) -> Option<AttachmentState> {
        Some(self.simulator.world().find_interface("eni-float").expect("exists").attachment.as_ref()?.state)
    }

    fn outcomes(&self, action: Action) -> Vec<Outcome> {
        self.simulator.journal().of(action).into_iter().map(|entry| entry.outcome).collect()
    }
}

const DETACH: Action = Action::DetachNetworkInterface;

#[tokio::test]
async fn a_throttled_call_changes_nothing() {
    let lab = Lab::faulty(DETACH, Fault::Throttled, When::Next(1)).await;
    assert_eq!(lab.try_detach().await, Err("RequestLimitExceeded".to_owned()));
    assert!(!lab.is_free("eni-float"));
    let code = "RequestLimitExceeded".to_owned();
    assert_eq!(lab.outcomes(DETACH), [Outcome::Failed { status: 503, code }]);
    lab.try_detach().await.expect("the next one is accepted");
}

#[tokio::test]
async fn a_denied_call_changes_nothing_and_fails_a_dry_run() {
    let lab = Lab::faulty(DETACH, Fault::Denied, When::Always).await;
    assert_eq!(lab.try_detach().await, Err("UnauthorizedOperation".to_owned()));
    let dry = lab.ec2.detach_network_interface().attachment_id(lab.attachment("eni-float")).dry_run(true).send().await;
    assert_eq!(code(dry), "UnauthorizedOperation");
    assert!(!lab.is_free("eni-float"));
}

#[tokio::test]
async fn an_internal_error_changes_nothing() {
    let lab = Lab::faulty(DETACH, Fault::InternalError, When::Next(1)).await;
    assert_eq!(lab.try_detach().await, Err("InternalError".to_owned()));
    assert!(!lab.is_free("eni-float"));
}

#[tokio::test]
async fn a_call_that_was_applied_can_be_answered_with_an_internal_error() {
    let lab = Lab::faulty(DETACH, Fault::AppliedThenInternalError, When::Next(1)).await;
    assert_eq!(lab.try_detach().await, Err("InternalError".to_owned()));
    assert!(lab.is_free("eni-float"));
}

#[tokio::test]
async fn a_lost_request_changes_nothing() {
    let lab = Lab::faulty(DETACH, Fault::RequestLost, When::Next(1)).await;
    let reply = lab.ec2.detach_network_interface().attachment_id(lab.attachment("eni-float")).send().await;
    assert!(matches!(reply, Err(SdkError::DispatchFailure(_))), "{reply:?}");
    assert!(!lab.is_free("eni-float"));
    assert_eq!(lab.outcomes(DETACH), [Outcome::Cut], "one request arrived: nothing was sent again");
    lab.try_detach().await.expect("the next one is accepted, on a new connection");
}

#[tokio::test]
async fn a_lost_reply_hides_that_the_call_was_applied() {
    let lab = Lab::faulty(DETACH, Fault::ReplyLost, When::Next(1)).await;
    let reply = lab.ec2.detach_network_interface().attachment_id(lab.attachment("eni-float")).send().await;
    assert!(matches!(reply, Err(SdkError::DispatchFailure(_))), "{reply:?}");
    assert!(lab.is_free("eni-float"));
    assert_eq!(lab.outcomes(DETACH), [Outcome::Cut]);
}

#[tokio::test]
async fn a_lost_reply_on_a_used_connection_is_not_sent_again() {
    let lab = Lab::faulty(DETACH, Fault::ReplyLost, When::Next(1)).await;
    lab.try_describe().await.expect("described");
    assert_eq!(lab.try_detach().await, Err(String::new()));
    assert_eq!(lab.simulator.journal().count(DETACH), 1);
}

#[tokio::test]
async fn a_call_that_hangs_is_not_applied_and_the_next_one_is_answered() {
    let lab = Lab::faulty(DETACH, Fault::Hang, When::Next(1)).await;
    let impatient = client(&lab.simulator, Duration::from_secs(1));
    assert_eq!(lab.try_detach_by(&impatient, false).await, Err(String::new()));
    assert!(!lab.is_free("eni-float"));
    assert_eq!(lab.outcomes(DETACH), [Outcome::Unanswered]);
    lab.try_detach().await.expect("the next one is accepted");
}

#[tokio::test]
async fn a_call_can_be_applied_and_hang() {
    let lab = Lab::faulty(DETACH, Fault::AppliedThenHang, When::Next(1)).await;
    let impatient = client(&lab.simulator, Duration::from_secs(1));
    assert_eq!(lab.try_detach_by(&impatient, false).await, Err(String::new()));
    assert!(lab.is_free("eni-float"));
}

#[tokio::test]
async fn in_a_black_hole_nothing_is_answered_until_it_is_cleared() {
    let lab = Lab::two_servers(Timings::instant()).await;
    lab.simulator.faults().black_hole();
    let impatient = client(&lab.simulator, Duration::from_secs(1));
    assert_eq!(lab.try_detach_by(&impatient, false).await, Err(String::new()));
    let describe = impatient.describe_network_interfaces().send().await;
    assert!(matches!(describe, Err(SdkError::TimeoutError(_))), "{describe:?}");
    lab.simulator.faults().clear();
    lab.try_describe().await.expect("described");
    assert!(!lab.is_free("eni-float"));
}

#[tokio::test]
async fn a_slow_call_takes_as_long_as_was_set() {
    let latency = Duration::from_millis(300);
    let lab = Lab::faulty(DETACH, Fault::Latency(latency), When::Next(1)).await;
    let begin = Instant::now();
    lab.try_detach().await.expect("accepted");
    assert!(begin.elapsed() >= latency, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_slow_call_is_applied_though_its_client_has_hung_up() {
    let lab = Lab::faulty(DETACH, Fault::Latency(Duration::from_secs(3)), When::Next(1)).await;
    let impatient = client(&lab.simulator, Duration::from_secs(1));
    assert_eq!(lab.try_detach_by(&impatient, false).await, Err(String::new()));
    soon(lab.simulator.wait_until(|world| world.find_interface("eni-float").unwrap().attachment.is_none())).await;
}

#[tokio::test]
async fn frozen_reads_show_the_world_of_when_the_fault_was_set() {
    let lab = Lab::faulty(Scope::Describes, Fault::Frozen, When::Always).await;
    lab.try_detach().await.expect("accepted");
    assert!(lab.interface("eni-float").await.attachment.is_some());
    assert!(lab.is_free("eni-float"), "tests see the truth");
    lab.simulator.faults().clear();
    assert!(lab.interface("eni-float").await.attachment.is_none());
}

#[tokio::test]
async fn stale_reads_lag_behind() {
    let lag = Duration::from_millis(400);
    let lab = Lab::faulty(Action::DescribeNetworkInterfaces, Fault::StaleBy(lag), When::Always).await;
    let begin = Instant::now();
    lab.try_detach().await.expect("accepted");
    soon(async { while lab.interface("eni-float").await.attachment.is_some() {} }).await;
    assert!(begin.elapsed() >= lag, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn stale_reads_lag_behind_changes_that_nobody_asked_for() {
    let timings = Timings::instant().detach(Duration::from_millis(50));
    let lab = Lab::two_servers(timings).await;
    lab.simulator.console().detach("eni-float", false).unwrap();
    lab.simulator.faults().set(Scope::Describes, Fault::StaleBy(LONG), When::Always);
    soon(lab.simulator.wait_until(|world| world.find_interface("eni-float").unwrap().attachment.is_none())).await;
    let seen = lab.interface("eni-float").await.attachment.and_then(|attachment| attachment.status);
    assert!(seen.is_some(), "the world of when the fault was set");
}

#[tokio::test]
async fn a_stuck_detach_ends_by_force_only() {
    let lab = Lab::faulty(DETACH, Fault::StuckDetach, When::Always).await;
    lab.try_detach().await.expect("accepted");
    assert_eq!(lab.float_state(), Some(AttachmentState::Detaching));
    lab.try_detach_by(&lab.ec2, true).await.expect("accepted");
    assert_eq!(lab.float_state(), None);
}

#[tokio::test]
async fn a_detach_can_be_stuck_even_if_it_is_forced() {
    let lab = Lab::faulty(DETACH, Fault::StuckForcedDetach, When::Next(1)).await;
    lab.try_detach().await.expect("accepted");
    lab.try_detach_by(&lab.ec2, true).await.expect("accepted, and of no use");
    assert_eq!(lab.float_state(), Some(AttachmentState::Detaching));
    lab.simulator.console().complete("eni-float").expect("ended");
    assert_eq!(lab.float_state(), None);
}

#[tokio::test]
async fn a_stuck_attach_stays_attaching() {
    let lab = Lab::faulty(Action::AttachNetworkInterface, Fault::StuckAttach, When::Next(1)).await;
    lab.free_float().await;
    let attach = lab.ec2.attach_network_interface().network_interface_id("eni-float").instance_id("i-2");
    attach.device_index(1).send().await.expect("accepted");
    assert_eq!(lab.float_state(), Some(AttachmentState::Attaching));
    lab.try_detach_by(&lab.ec2, true).await.expect("force frees it");
    assert_eq!(lab.float_state(), None);
}

#[tokio::test]
async fn a_free_device_index_can_be_answered_as_taken() {
    let lab = Lab::faulty(Action::AttachNetworkInterface, Fault::DeviceIndexTaken, When::Next(1)).await;
    lab.free_float().await;
    let attach = |index| {
        let call = lab.ec2.attach_network_interface().network_interface_id("eni-float").instance_id("i-2");
        call.device_index(index).send()
    };
    assert_eq!(code(attach(1).await), "InvalidParameterValue");
    assert!(lab.is_free("eni-float"));
    attach(2).await.expect("accepted");
}

#[tokio::test]
async fn a_fault_strikes_as_many_calls_as_was_set() {
    let lab = Lab::faulty(Action::DescribeNetworkInterfaces, Fault::Throttled, When::Next(2)).await;
    let throttled = Err("RequestLimitExceeded".to_owned());
    assert_eq!(lab.try_describe().await, throttled);
    assert_eq!(lab.try_describe().await, throttled);
    assert_eq!(lab.try_describe().await, Ok(()));
}

#[tokio::test]
async fn a_fault_can_strike_one_later_call() {
    let lab = Lab::faulty(Action::DescribeNetworkInterfaces, Fault::Throttled, When::Number(2)).await;
    assert_eq!(lab.try_describe().await, Ok(()));
    assert_eq!(lab.try_describe().await, Err("RequestLimitExceeded".to_owned()));
    assert_eq!(lab.try_describe().await, Ok(()));
}

#[tokio::test]
async fn a_fault_strikes_only_calls_in_its_scope() {
    let lab = Lab::faulty(Scope::Mutations, Fault::Throttled, When::Always).await;
    assert_eq!(lab.try_describe().await, Ok(()));
    assert_eq!(lab.try_detach().await, Err("RequestLimitExceeded".to_owned()));
    lab.simulator.faults().clear_scope(Scope::Mutations);
    assert_eq!(lab.try_detach().await, Ok(()));
}

#[tokio::test]
async fn faults_add_up() {
    let latency = Duration::from_millis(200);
    let lab = Lab::faulty(DETACH, Fault::Latency(latency), When::Always).await;
    lab.simulator.faults().set(DETACH, Fault::ReplyLost, When::Next(1));
    let begin = Instant::now();
    assert_eq!(lab.try_detach().await, Err(String::new()));
    assert!(begin.elapsed() >= latency);
    assert!(lab.is_free("eni-float"));
}

#[tokio::test]
async fn the_console_is_past_all_faults_and_leaves_no_trace_in_the_journal() {
    let lab = Lab::faulty(Scope::Every, Fault::Denied, When::Always).await;
    lab.simulator.console().detach("eni-float", false).expect("accepted");
    assert!(lab.is_free("eni-float"));
    assert_eq!(lab.simulator.journal().entries(), []);
}

#[tokio::test]
async fn a_test_can_wait_for_the_world() {
    let lab = Lab::start(two_servers(), Timings::instant().detach(Duration::from_millis(100))).await;
    let console = lab.simulator.console();
    let freed = |world: &World| world.find_interface("eni-float").unwrap().attachment.is_none();
    let (_, detached) =
        tokio::join!(soon(lab.simulator.wait_until(freed)), async { console.detach("eni-float", false) });
    detached.expect("accepted");
}

#[tokio::test]
async fn instances_of_a_dark_zone_cannot_be_described_and_all_else_can() {
    let lab = Lab::two_servers(Timings::instant()).await;
    lab.simulator.faults().zone_goes_dark("ap-northeast-1c");
    let describe = |instance: &str| lab.ec2.describe_instances().filters(filter("instance-id", instance)).send();
    assert_eq!(code(describe("i-3").await), "Unavailable");
    assert_eq!(code(lab.ec2.describe_instance_status().instance_ids("i-3").send().await), "Unavailable");
    assert_eq!(code(lab.ec2.describe_instances().send().await), "Unavailable", "it is among all of them");
    describe("i-1").await.expect("another zone");
    lab.interface("eni-3-primary").await;
    lab.simulator.faults().clear();
    describe("i-3").await.expect("it is light again");
}

#[tokio::test]
async fn a_dry_run_neither_counts_as_a_call_nor_takes_a_fault_from_one() {
    let lab = Lab::two_servers(Timings::instant()).await;
    lab.free_float().await;
    lab.simulator.faults().set(Action::AttachNetworkInterface, Fault::Throttled, When::Next(1));
    let attach = || {
        let request = lab.ec2.attach_network_interface().network_interface_id("eni-float").instance_id("i-2");
        request.device_index(1).network_card_index(0)
    };
    assert_eq!(code(attach().dry_run(true).send().await), "DryRunOperation");
    assert_eq!(lab.simulator.journal().count(Action::AttachNetworkInterface), 0);
    assert_eq!(code(attach().send().await), "RequestLimitExceeded");
    assert_eq!(lab.simulator.journal().count(Action::AttachNetworkInterface), 1);
}
