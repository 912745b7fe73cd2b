use serde_json::{Value, json};

use crate::rig::{Desk, VALID};

fn policy(config: &str, arguments: &[&str]) -> Value {
    let ended = Desk::new(config).run(&[&["iam-policy", "-c", "floatip.toml"], arguments].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.json()
}

#[test]
fn the_policy_names_what_the_configuration_names() {
    let policy = policy(VALID, &["--region", "eu-west-1", "--account", "123456789012"]);
    assert_eq!(policy["Version"], "2012-10-17");
    assert_eq!(policy["Statement"][0]["Condition"], json!({ "StringEquals": { "ec2:Region": "eu-west-1" } }));
    assert_eq!(policy["Statement"][0]["Resource"], json!(["*"]));
    let attach = &policy["Statement"][1];
    assert_eq!(attach["Action"], json!(["ec2:AttachNetworkInterface", "ec2:DetachNetworkInterface"]));
    let arn = |rest: &str| format!("arn:aws:ec2:eu-west-1:123456789012:{rest}");
    let resources =
        ["instance/i-0a1b2c3d4e5f60011", "instance/i-0a1b2c3d4e5f60012", "network-interface/eni-0a1b2c3d4e5f60001"];
    assert_eq!(attach["Resource"], json!(resources.map(arn)));
}

#[test]
fn a_tag_names_the_resources_instead() {
    let policy = policy(VALID, &["--tag", "floatip=ftp"]);
    let attach = &policy["Statement"][1];
    assert_eq!(attach["Condition"], json!({ "StringEquals": { "aws:ResourceTag/floatip": "ftp" } }));
    assert!(!policy.to_string().contains("eni-0a1b"), "{policy:#}");
    let refused = Desk::new(VALID).run(&["iam-policy", "-c", "floatip.toml", "--tag", "floatip"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("key and value"), "{}", refused.stderr);
}

#[test]
fn a_check_of_the_instances_needs_to_read_their_status() {
    let reads = |config: &str| policy(config, &[])["Statement"][0]["Action"].to_string();
    assert!(!reads(VALID).contains("DescribeInstanceStatus"));
    let more = "[[floating_ip.probe]]\nkind = \"ec2-status\"\n";
    assert!(reads(&format!("{VALID}{more}")).contains("ec2:DescribeInstanceStatus"));
}

#[test]
fn a_password_is_not_needed_for_it() {
    let desk = Desk::new(VALID);
    let output = desk.command(&["iam-policy", "-c", "floatip.toml"]).env_remove("FTP_PASSWORD").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}
