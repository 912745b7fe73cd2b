use serde_json::json;

use crate::rig::{Desk, VALID};

/// What `check` says of the valid configuration with one passage replaced by another.
fn complaint(passage: &str, replacement: &str) -> String {
    assert!(VALID.contains(passage), "{passage}");
    let ended = Desk::new(&VALID.replacen(passage, replacement, 1)).run(&["check", "-c", "floatip.toml"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
    ended.stderr
}

#[test]
fn a_valid_file_is_told_with_its_detection_time() {
    let ended = Desk::new(VALID).run(&["check", "-c", "floatip.toml"]);
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stderr, "");
    assert_eq!(ended.stdout, "ftp: a dead server is noticed within 5s; an outage shorter than 1s triggers no move\n");
}

#[test]
fn json_names_each_floating_ip_and_its_bound_in_milliseconds() {
    let timing = "[floating_ip.health]\ninterval = \"1s\"\nfast_interval = \"250ms\"\ntimeout = \"500ms\"\nfall = 3\n";
    let ended = Desk::new(&format!("{VALID}{timing}")).run(&["check", "-c", "floatip.toml", "--json"]);
    assert_eq!(ended.code, Some(0));
    let bounds = json!([{ "name": "ftp", "worst_case_detection_ms": 2000, "shortest_outage_ms": 500 }]);
    assert_eq!(ended.json()["floating_ips"], bounds);
}

#[test]
fn a_misspelt_key_is_shown_with_its_line_and_the_right_one() {
    let complaint = complaint("address = ", "adress = \"172.16.11.30\"\naddress = ");
    assert_eq!(
        complaint,
        r#"error: unknown key `adress` in [floating_ip]
 --> floatip.toml:3:1
3 | adress = "172.16.11.30"
  | ^^^^^^
  = hint: did you mean `address`?

error: 1 error in floatip.toml
"#
    );
}

#[test]
fn a_key_of_another_kind_is_shown_with_the_kind_it_belongs_to() {
    let complaint = complaint("kind = \"ftp\"", "kind = \"ping\"");
    assert!(complaint.contains(
        r#"error: `username` is not a setting of kind "ping"
  --> floatip.toml:17:1
17 | username = "monitor"
   | ^^^^^^^^
   = hint: it belongs to kind "ftp" or "http" or "https": leave it out, or change `kind`
"#
    ));
}

#[test]
fn every_error_of_a_file_is_told_at_once() {
    let config = VALID.replace("172.16.11.30", "ftp.example.com").replace("i-0a1b2c3d4e5f60011", "ftp-1");
    let config = format!("{config}[floating_ip.health]\nfall = 0\n");
    let ended = Desk::new(&config).run(&["check", "-c", "floatip.toml"]);
    let places: Vec<_> = ended.stderr.lines().filter_map(|line| line.trim().strip_prefix("--> ")).collect();
    assert_eq!(places, ["floatip.toml:3:11", "floatip.toml:9:12", "floatip.toml:20:8"]);
    assert!(ended.stderr.ends_with("error: 3 errors in floatip.toml\n"), "{}", ended.stderr);
}

#[test]
fn a_literal_password_is_refused_with_the_reason_and_not_shown() {
    let complaint = complaint("{ env = \"FTP_PASSWORD\" }", "\"hunter2\"");
    assert!(complaint.contains("a password may not stand in the configuration, which is copied"), "{complaint}");
    assert!(complaint.contains("floatip.toml:18:12") && !complaint.contains("hunter2"), "{complaint}");
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    let complaint = complaint("name = \"ftp-2\"", "name = ftp-2");
    assert!(complaint.contains("--> floatip.toml:12:8\n12 | name = ftp-2\n"), "{complaint}");
}

#[test]
fn a_byte_that_is_not_utf_8_is_told_with_its_line() {
    let desk = Desk::new(VALID);
    std::fs::write(desk.path("floatip.toml"), [VALID.as_bytes(), b"# caf\xe9\n"].concat()).unwrap();
    let ended = desk.run(&["check", "-c", "floatip.toml"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.starts_with("error: this byte is not UTF-8\n  --> floatip.toml:19:6\n"), "{}", ended.stderr);
}

#[test]
fn json_tells_the_errors_of_a_file_too() {
    let ended = Desk::new(&VALID.replace("172.16.11.30", "nonsense")).run(&["check", "-c", "floatip.toml", "--json"]);
    assert_eq!(ended.code, Some(2));
    let errors = &ended.json()["errors"];
    assert!(errors[0].as_str().unwrap().starts_with("floatip.toml:3:11: `address`: \"nonsense\""), "{errors}");
}

#[test]
fn a_password_that_is_not_there_is_only_a_warning_here() {
    let desk = Desk::new(VALID);
    let output = desk.command(&["check", "-c", "floatip.toml"]).env_remove("FTP_PASSWORD").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("warning: the environment variable FTP_PASSWORD is not set\n"), "{stderr}");
    let refused = desk.command(&["probe", "-c", "floatip.toml"]).env_remove("FTP_PASSWORD").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_file_that_is_not_there_is_told_with_what_to_do() {
    let ended = Desk::new(VALID).run(&["check", "-c", "nowhere.toml"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "error: cannot read the configuration nowhere.toml (say with -c where it is): \
         No such file or directory (os error 2)\n"
    );
}

#[test]
fn the_defaults_are_printed_without_a_file() {
    let ended = Desk::new("").run(&["check", "--defaults"]);
    assert_eq!(ended.code, Some(0));
    for line in ["sweep = \"10s\" ", "interval = \"2s\" ", "failback = \"never\" ", "[floating_ip.policy]\n"] {
        assert!(ended.stdout.contains(line), "{line} is missing in\n{}", ended.stdout);
    }
    let json = Desk::new("").run(&["check", "--defaults", "--json"]).json();
    let fall = json["defaults"]
        .as_array()
        .unwrap()
        .iter()
        .find(|setting| setting["table"] == "[floating_ip.health]" && setting["key"] == "fall")
        .unwrap();
    assert_eq!(fall["default"], json!("3"));
}
