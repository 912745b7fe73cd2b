use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use aws_sdk_ec2::operation::RequestId;
use floatip_aws::simulator::{Action, Simulator, Timings};

use crate::{Lab, client, code, two_servers};

const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=AKIDTEST/20260101/ap-northeast-1/ec2/aws4_request, \
                      SignedHeaders=host, Signature=00\r\n";

/// Sends one POST as it is, and gives back the whole reply.
async fn post(simulator: &Simulator, headers: &'static str, form: &'static str) -> String {
    let address = simulator.endpoint_url().trim_start_matches("http://").to_owned();
    let exchange = move || {
        let mut stream = TcpStream::connect(&address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let length = form.len();
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n{headers}\r\n{form}"
        )?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok::<_, std::io::Error>(reply)
    };
    tokio::task::spawn_blocking(exchange).await.expect("not cancelled").expect("a reply")
}

#[tokio::test]
async fn an_unknown_action_is_refused_in_ec2s_envelope() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let reply = post(&lab.simulator, SIGNED, "Action=FlyToTheMoon&Version=2016-11-15").await;
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
    assert!(reply.contains("<Response><Errors><Error><Code>InvalidAction</Code><Message>"), "{reply}");
    assert!(reply.contains("</Message></Error></Errors><RequestID>"), "{reply}");
    assert_eq!(lab.simulator.journal().entries()[0].action, "FlyToTheMoon");
}

#[tokio::test]
async fn an_unsigned_request_is_refused() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let reply = post(&lab.simulator, "", "Action=DescribeAddresses&Version=2016-11-15").await;
    assert!(reply.starts_with("HTTP/1.1 401 "), "{reply}");
    assert!(reply.contains("<Code>AuthFailure</Code>"), "{reply}");
    let reply =
        post(&lab.simulator, "Authorization: Basic eHg=\r\n", "Action=DescribeAddresses&Version=2016-11-15").await;
    assert!(reply.contains("<Code>AuthFailure</Code>"), "{reply}");
}

#[tokio::test]
async fn a_request_without_an_action_or_of_another_version_is_refused() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let reply = post(&lab.simulator, SIGNED, "Version=2016-11-15").await;
    assert!(reply.contains("<Code>MissingAction</Code>"), "{reply}");
    let reply = post(&lab.simulator, SIGNED, "Action=DescribeAddresses").await;
    assert!(reply.contains("<Code>MissingParameter</Code>"), "{reply}");
    let reply = post(&lab.simulator, SIGNED, "Action=DescribeAddresses&Version=2000-01-01").await;
    assert!(reply.contains("<Code>NoSuchVersion</Code>"), "{reply}");
}

#[tokio::test]
async fn a_value_of_the_wrong_kind_is_refused() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let form =
        "Action=AttachNetworkInterface&Version=2016-11-15&NetworkInterfaceId=eni-float&InstanceId=i-2&DeviceIndex=one";
    let reply = post(&lab.simulator, SIGNED, form).await;
    assert!(reply.contains("<Code>InvalidParameterValue</Code>"), "{reply}");
    let form = "Action=DetachNetworkInterface&Version=2016-11-15&AttachmentId=eni-attach-1&Force=perhaps";
    let reply = post(&lab.simulator, SIGNED, form).await;
    assert!(reply.contains("<Code>InvalidParameterValue</Code>"), "{reply}");
}

#[tokio::test]
async fn text_is_escaped_on_the_wire() {
    let lab = Lab::start(two_servers().tag("eni-float", "note", "<a> & \"b\" 'ü'"), Timings::instant()).await;
    let tags = lab.interface("eni-float").await.tag_set.unwrap_or_default();
    assert_eq!(tags[0].value(), Some("<a> & \"b\" 'ü'"));
}

#[tokio::test]
async fn replies_carry_the_request_id_of_the_journal() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let reply = lab.ec2.describe_addresses().send().await.expect("described");
    let refused = lab.ec2.detach_network_interface().attachment_id("eni-attach-none").send().await.unwrap_err();
    let ids: Vec<_> = lab.simulator.journal().entries().into_iter().map(|entry| entry.request_id).collect();
    assert_eq!([reply.request_id(), refused.request_id()], [Some(ids[0].as_str()), Some(ids[1].as_str())]);
}

#[tokio::test]
async fn the_journal_keeps_what_was_asked() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let detach = lab.ec2.detach_network_interface().attachment_id("eni-attach-none").force(true).send().await;
    assert_eq!(code(detach), "InvalidAttachmentID.NotFound");
    let entries = lab.simulator.journal().of(Action::DetachNetworkInterface);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].parameter("AttachmentId"), Some("eni-attach-none"));
    assert_eq!(entries[0].parameter("Force"), Some("true"));
    assert_eq!(entries[0].outcome.code(), Some("InvalidAttachmentID.NotFound"));
    lab.simulator.journal().clear();
    assert_eq!(lab.simulator.journal().entries(), []);
}

#[tokio::test]
async fn a_test_can_wait_for_a_request() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let arrived = lab.simulator.journal().wait_until(|entries| entries.len() == 2);
    let (_, first, second) =
        tokio::join!(crate::soon(arrived), lab.ec2.describe_addresses().send(), lab.ec2.describe_instances().send());
    first.expect("described");
    second.expect("described");
}

#[tokio::test]
async fn a_simulator_that_was_dropped_answers_no_more() {
    let lab = Lab::two_servers(Timings::instant()).await;
    lab.ec2.describe_addresses().send().await.expect("described");
    let ec2 = client(&lab.simulator, Duration::from_secs(5));
    drop(lab);
    assert_eq!(code(ec2.describe_addresses().send().await), "");
}
