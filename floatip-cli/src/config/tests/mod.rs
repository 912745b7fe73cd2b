mod movers;
mod probes;

use std::time::Duration;

use floatip_core::{AddressUnreachable, Failback};

use super::*;

const WHOLE: &str = r#"
[[floating_ip]]
name = "ftp"
address = "172.16.11.30"
[floating_ip.mover]
kind = "eni"
network_interface = "eni-0a1b2c3d"
[[floating_ip.node]]
name = "ftp-1"
instance = "i-0a1b2c3d4e5f60011"
host = "172.16.11.10"
[[floating_ip.node]]
name = "ftp-2"
instance = "i-0a1b2c3d4e5f60012"
host = "172.16.11.20"
[[floating_ip.probe]]
kind = "ftp"
"#;

fn parse(text: &str) -> Result<Config, Vec<Diagnostic>> {
    Config::parse(Path::new("x.toml"), text, Purpose::Use)
}

/// The findings about the file with one passage replaced by another.
fn faults(passage: &str, replacement: &str) -> Vec<String> {
    assert!(WHOLE.contains(passage));
    let text = WHOLE.replacen(passage, replacement, 1);
    let found = match parse(&text) {
        Ok(config) => config.warnings,
        Err(found) => found,
    };
    found.iter().map(Diagnostic::line).collect()
}

/// Asserts that the change brings exactly this finding.
fn finds(passage: &str, replacement: &str, finding: &str) {
    assert_eq!(faults(passage, replacement), [finding]);
}

#[test]
fn a_file_that_sets_nothing_optional_has_the_defaults_of_core() {
    let config = parse(WHOLE).unwrap();
    assert_eq!(config.warnings, []);
    let [ip] = &config.floating_ips[..] else { panic!("one floating IP") };
    assert_eq!((ip.health, ip.policy.clone()), (Default::default(), Default::default()));
    assert_eq!(config.sweep, Duration::from_secs(10));
}

#[test]
fn every_setting_arrives_where_it_belongs() {
    let text = format!(
        r#"sweep = "30s"
state_dir = "state"
control = "/run/x.sock"
[aws]
region = "eu-test-1"
profile = "p"
endpoint_url = "http://127.0.0.1:1"
fleet_tag = {{ tag = "team", value = "ftp" }}
{WHOLE}
port = 2121
list = "/pub"
verify = false
[[floating_ip.probe]]
kind = "tcp"
port = 22
direct = false
[floating_ip.health]
interval = "3s"
fast_interval = "250ms"
timeout = "1s 500ms"
fall = 4
rise = 5
[floating_ip.policy]
failback = {{ after = "10m" }}
cooldown = "0s"
max_moves = 9
max_moves_window = "2h"
verify = "warn"
verify_timeout = "7s"
release_timeout = "8s"
forced_release_timeout = "9s"
claim_timeout = "11s"
force_release = false
"#
    );
    let config = Config::parse(Path::new("/etc/floatip/x.toml"), &text, Purpose::Use).unwrap();
    assert_eq!(config.sweep, Duration::from_secs(30));
    assert_eq!(config.state_dir.as_deref(), Some(Path::new("/etc/floatip/state")));
    assert_eq!(config.control.as_deref(), Some(Path::new("/run/x.sock")));
    assert_eq!(config.aws.region.as_deref(), Some("eu-test-1"));
    assert_eq!(config.aws.fleet_tag, Some(("team".to_owned(), "ftp".to_owned())));
    let ip = &config.floating_ips[0];
    assert_eq!(ip.health.worst_case_detection(), Duration::from_millis(3000 + 3 * 250 + 1500));
    assert_eq!((ip.health.fall, ip.health.rise), (4, 5));
    assert_eq!((ip.probes[0].direct, ip.probes[0].verify), (true, Some(false)));
    assert_eq!((ip.probes[1].direct, ip.probes[1].verify), (false, None));
    let ProbeSpec::Ftp(ftp) = &ip.probes[0].spec else { panic!("{ip:?}") };
    assert_eq!((ftp.port.0, &*ftp.username, &ftp.password), (2121, "anonymous", &None));
    assert_eq!(ftp.list, probe::Listing::Path("/pub".into()));
    assert_eq!(ip.policy.failback, Failback::After(Duration::from_secs(600)));
    assert_eq!((ip.policy.cooldown, ip.policy.max_moves), (Duration::ZERO, 9));
    let timeouts = [ip.policy.verify_timeout, ip.policy.release_timeout, ip.policy.forced_release_timeout];
    assert_eq!(timeouts.map(|timeout| timeout.as_secs()), [7, 8, 9]);
    assert!(!ip.policy.force_release);
}

#[test]
fn what_is_printed_as_the_default_changes_nothing_when_it_is_written() {
    let mut text = String::new();
    let mut written = WHOLE.to_owned();
    for setting in defaults() {
        let Some(default) = &setting.default else { continue };
        let line = format!("{} = {default}\n", setting.key);
        match setting.table {
            "" => text.push_str(&line),
            "[floating_ip.mover]" if setting.key == "fencing" => (),
            "[floating_ip.mover]" => written = written.replace("kind = \"eni\"\n", &format!("kind = \"eni\"\n{line}")),
            "[[floating_ip.probe]]" => {
                written = written.replace("kind = \"ftp\"\n", &format!("kind = \"ftp\"\n{line}"))
            }
            table if table == "[[hook]]" || table == "[[witness]]" || table.starts_with("[[floating_ip.probe]] # ") => {
            }
            table => {
                if !written.contains(table) {
                    written.push_str(&format!("{table}\n"));
                }
                written.push_str(&line);
            }
        }
    }
    let config = parse(&format!("{text}{written}")).unwrap();
    let (ip, plain) = (&config.floating_ips[0], &parse(WHOLE).unwrap().floating_ips[0]);
    assert_eq!((ip.health, &ip.policy, &ip.mover), (plain.health, &plain.policy, &plain.mover));
    assert_eq!((ip.probes[0].direct, ip.probes[0].verify), (plain.probes[0].direct, Some(true)));
    assert_eq!(config.warnings, []);
}

#[test]
fn an_unknown_key_is_told_with_the_one_that_was_meant() {
    finds(
        "address =",
        "adress = \"1.2.3.4\"\naddress =",
        "x.toml:4:1: unknown key `adress` in [floating_ip]; did you mean `address`?",
    );
}

#[test]
fn a_key_in_the_wrong_table_is_told_where_it_belongs() {
    finds(
        "address =",
        "interval = \"1s\"\naddress =",
        "x.toml:4:1: unknown key `interval` in [floating_ip]; it belongs in [floating_ip.health]",
    );
}

#[test]
fn a_key_of_another_kind_is_told_so() {
    finds(
        "kind = \"ftp\"",
        "kind = \"tcp\"\nport = 21\nusername = \"x\"",
        "x.toml:19:1: `username` is not a setting of kind \"tcp\"; \
         it belongs to kind \"ftp\" or \"http\" or \"https\": leave it out, or change `kind`",
    );
    finds(
        "kind = \"eni\"",
        "kind = \"eni\"\nallocation = \"eipalloc-0a1b2c3d\"",
        "x.toml:7:1: `allocation` is not a setting of kind \"eni\"; \
         it belongs to kind \"eip\": leave it out, or change `kind`",
    );
}

#[test]
fn an_unknown_kind_is_told_with_the_one_that_was_meant() {
    finds(
        "kind = \"ftp\"",
        "kind = \"ftps\"",
        "x.toml:17:8: `kind`: there is no probe \"ftps\"; did you mean \"ftp\"?",
    );
}

#[test]
fn a_value_of_the_wrong_type_is_told_with_what_to_write() {
    finds(
        "kind = \"ftp\"",
        "kind = \"ftp\"\n[floating_ip.health]\ninterval = 2",
        "x.toml:19:12: `interval` may not be an integer; \
         write a duration in quotes, such as \"2s\", \"500ms\" or \"10m\"",
    );
}

#[test]
fn what_has_no_default_must_be_there() {
    finds(
        "instance = \"i-0a1b2c3d4e5f60011\"\n",
        "",
        "x.toml:8:1: [floating_ip.node] lacks `instance`; add the id of the instance, `instance = \"i-…\"`",
    );
    finds(
        "[[floating_ip.probe]]\nkind = \"ftp\"\n",
        "",
        "x.toml:2:1: [floating_ip] lacks `probe`; add at least one [[floating_ip.probe]]",
    );
    finds(
        "[floating_ip.mover]\nkind = \"eni\"\nnetwork_interface = \"eni-0a1b2c3d\"\n",
        "",
        "x.toml:2:1: [floating_ip] lacks `mover`; \
         add [floating_ip.mover] with `kind = \"eni\"`, \"eip\", \"private-ip\" or \"route\"",
    );
}

#[test]
fn the_host_of_a_node_may_not_be_the_floating_address() {
    let found = faults("172.16.11.20", "172.16.11.30");
    assert!(found[0].starts_with("x.toml:15:8: the host of a node is the floating address itself"), "{found:?}");
    assert_eq!(faults("172.16.11.20", "172.16.11.30:2121").len(), 1, "a port on one side does not tell them apart");
}

#[test]
fn a_host_that_no_machine_can_have_is_refused() {
    for host in ["172.16.11.300", "10.0.0", "a/b", "[fd00::5", "fd00::5]:21", "-", "..", "a..b", "0.0.0.0", "224.0.0.1"]
    {
        let found = faults("172.16.11.10", host);
        assert!(found.len() == 1 && found[0].starts_with("x.toml:11:8: `host`: "), "{host}: {found:?}");
    }
    for host in ["ftp-1", "ftp_1.corp.", "fd00::5", "[fd00::5]", "[fd00::5]:2121", "[fe80::1%eth0]:21", "a.b:21"] {
        parse(&WHOLE.replace("172.16.11.10", host)).unwrap();
    }
}

#[test]
fn a_name_that_no_file_can_bear_is_refused() {
    for name in ["..", ".x", "-x", "a/b", &"n".repeat(101)] {
        let found = faults("name = \"ftp\"\n", &format!("name = \"{name}\"\n"));
        assert!(found.len() == 1 && found[0].starts_with("x.toml:3:8: `name`: "), "{name}: {found:?}");
    }
}

#[test]
fn ports_tell_addresses_of_one_machine_apart() {
    let text = WHOLE
        .replace("172.16.11.30", "127.0.0.1:2120")
        .replace("172.16.11.10", "127.0.0.1:2121")
        .replace("172.16.11.20", "127.0.0.1:2122");
    assert_eq!(parse(&text).unwrap().warnings, []);
}

#[test]
fn nodes_may_not_be_one_and_the_same() {
    let found = faults("i-0a1b2c3d4e5f60012", "i-0a1b2c3d4e5f60011");
    assert!(found[0].contains("are the same instance or interface (see line 9)"), "{found:?}");
    let found = faults("172.16.11.20", "172.16.11.10");
    assert!(found[0].contains("have the same host 172.16.11.10 (see line 9)"), "{found:?}");
}

#[test]
fn floating_ips_may_not_share_what_moves() {
    let found = parse(&format!("{WHOLE}{WHOLE}")).unwrap_err();
    let messages: Vec<_> = found.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "there are two floating IPs named \"ftp\" (see line 3)",
            "there are two floating IPs with the address 172.16.11.30 (see line 4)",
            "two floating IPs move eni-0a1b2c3d (see line 5)",
        ]
    );
}

#[test]
fn timing_that_cannot_work_is_refused() {
    let health = |line: &str| faults("kind = \"ftp\"", &format!("kind = \"ftp\"\n[floating_ip.health]\n{line}"));
    assert_eq!(
        health("interval = \"100ms\""),
        ["x.toml:19:12: `interval` (100ms) is shorter than `fast_interval` (500ms); \
          probes speed up to `fast_interval` after a failure: make that the shorter one"]
    );
    for line in ["fall = 0", "rise = 0", "timeout = \"0s\"", "fast_interval = \"0s\""] {
        let found = health(line);
        assert!(found.len() == 1 && found[0].contains("may not be zero"), "{found:?}");
    }
    assert!(health("timeout = \"1000years\"")[0].contains("too long"));
    assert!(health("fall = 4000000000")[0].contains("out of range"));
}

#[test]
fn a_literal_password_is_refused_with_the_reason_and_never_shown() {
    let text = WHOLE.replace("kind = \"ftp\"", "kind = \"ftp\"\nusername = \"monitor\"\npassword = \"hunter2\"");
    let found = parse(&text).unwrap_err();
    let shown = found.iter().map(ToString::to_string).collect::<String>();
    assert!(shown.contains("may not stand in the configuration") && shown.contains("env = "), "{shown}");
    assert!(!shown.contains("hunter2") && !format!("{found:?}").contains("hunter2"), "{shown}");
}

#[test]
fn a_password_that_is_not_there_is_an_error_to_use_and_a_warning_to_check() {
    let password = "username = \"monitor\"\npassword = { env = \"FLOATIP_NO_SUCH_VARIABLE\" }";
    let text = WHOLE.replace("kind = \"ftp\"", &format!("kind = \"ftp\"\n{password}"));
    let found = parse(&text).unwrap_err();
    assert!(found[0].line().starts_with("x.toml:19:12: the environment variable FLOATIP_NO_SUCH_VARIABLE is not set"));
    let config = Config::parse(Path::new("x.toml"), &text, Purpose::Check).unwrap();
    assert_eq!(config.warnings[0].message, found[0].message);
}

#[test]
fn a_password_file_gives_its_line_and_a_warning_if_everybody_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "hunter2\n").unwrap();
    let password = "username = \"monitor\"\npassword = { file = \"password\" }";
    let text = WHOLE.replace("kind = \"ftp\"", &format!("kind = \"ftp\"\n{password}"));
    for (mode, warnings) in [(0o640, 0), (0o644, 1)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let config = Config::parse(&folder.path().join("x.toml"), &text, Purpose::Use).unwrap();
        let secret = config.floating_ips[0].probes[0].secret.as_ref().unwrap();
        assert_eq!((secret.expose(), config.warnings.len()), ("hunter2", warnings));
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}

#[test]
fn one_node_alone_is_a_warning() {
    let one = WHOLE.split("[[floating_ip.node]]\nname = \"ftp-2\"").next().unwrap();
    let config = parse(&format!("{one}[[floating_ip.probe]]\nkind = \"tcp\"\nport = 21\n")).unwrap();
    assert!(config.warnings[0].message.starts_with("there is only one node"));
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    let found = faults("name = \"ftp-1\"", "name = ftp-1");
    assert!(found[0].starts_with("x.toml:9:8: "), "{found:?}");
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file() {
    let text =
        WHOLE.replace("172.16.11.30", "nonsense").replace("i-0a1b2c3d4e5f60011", "i-1").replace("ftp-2", "ftp-1");
    let lines: Vec<_> = parse(&text).unwrap_err().iter().map(Diagnostic::line).collect();
    let places: Vec<_> = lines.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["x.toml:4:11", "x.toml:10:12", "x.toml:13:8"], "{lines:#?}");
}

const ENI: &str = "kind = \"eni\"\nnetwork_interface = \"eni-0a1b2c3d\"";

#[test]
fn witnesses_are_named_by_their_host_unless_they_have_a_name() {
    let text = format!(
        "witness_quorum = 1\n[[witness]]\nkind = \"ping\"\nhost = \"172.16.11.1\"\n\
         [[witness]]\nname = \"dns\"\nkind = \"tcp\"\nport = 53\nhost = \"172.16.0.2\"\ninterval = \"1s\"\nfall = 5\n{WHOLE}"
    );
    let config = parse(&text).unwrap();
    assert_eq!(config.warnings, []);
    let names: Vec<_> = config.witnesses.iter().map(|witness| witness.name.as_str()).collect();
    assert_eq!((names, config.witness_quorum), (vec!["172.16.11.1", "dns"], Some(1)));
    let timing = |index: usize| {
        let health = config.witnesses[index].timing.over(floatip_core::Witness::default_health());
        (health.interval.as_secs(), health.fall, health.rise)
    };
    assert_eq!([timing(0), timing(1)], [(5, 3, 1), (1, 5, 1)]);
}

#[test]
fn witnesses_that_cannot_work_are_refused() {
    let cases = [
        (
            "witness_quorum = 1\n",
            "x.toml:1:18: `witness_quorum` is 1, and there are 0 witnesses; add a [[witness]], or leave it out",
        ),
        (
            "[[witness]]\nkind = \"file\"\npath = \"/x\"\nhost = \"172.16.11.1\"\n",
            "x.toml:1:1: a probe of kind \"file\" says nothing about the network; let \"ping\", \"tcp\" or \"dns\" ask a witness",
        ),
        (
            "[[witness]]\nkind = \"ping\"\nhost = \"172.16.11.1\"\ninterval = \"100ms\"\n",
            "x.toml:1:1: the `interval` (100ms) of this witness is shorter than its `fast_interval` (500ms); make `fast_interval` the shorter one",
        ),
        (
            "[[witness]]\nkind = \"ping\"\nhost = \"172.16.11.10\"\n",
            "x.toml:5:8: the witness 172.16.11.10 is a node or the floating address of it, and fails with it; name something else, such as the gateway or a DNS server",
        ),
    ];
    for (witness, finding) in cases {
        let found = parse(&format!("{witness}{}", WHOLE.trim_start())).unwrap_err();
        assert_eq!(found.iter().map(Diagnostic::line).collect::<Vec<_>>(), [finding]);
    }
}

#[test]
fn a_listener_for_reports_needs_an_address_and_a_token_that_nobody_guesses() {
    let folder = tempfile::tempdir().unwrap();
    for (file, token) in [("short", "hunter2\n"), ("long", "0123456789abcdef\n")] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(folder.path().join(file), token).unwrap();
        std::fs::set_permissions(folder.path().join(file), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let pushed = format!("{WHOLE}[[floating_ip.probe]]\nkind = \"push\"\n");
    let found = |text: &str, push: &str| match Config::parse(
        &folder.path().join("x.toml"),
        &format!("{text}[push]\n{push}"),
        Purpose::Use,
    ) {
        Ok(config) => config.warnings,
        Err(found) => found,
    };
    let listen = "listen = \"10.0.0.5:9110\"\n";
    for (push, said) in [
        (format!("{listen}token = {{ file = \"short\" }}"), "the token has fewer than 16 bytes"),
        (listen.to_owned(), "[push] listens without a `token`"),
        ("token = { file = \"long\" }".to_owned(), "[push] lacks `listen`"),
        ("listen = \"10.0.0.5\"\ntoken = { file = \"long\" }".to_owned(), "\"10.0.0.5\" is no IP address with a port"),
        (format!("{listen}token = \"hunter2hunter2hunter2\""), "may not stand in the configuration"),
        (format!("{listen}token = {{ env = \"FLOATIP_NO_SUCH_VARIABLE\" }}"), "is not set"),
    ] {
        let found = found(&pushed, &push);
        let shown = found.iter().map(ToString::to_string).collect::<String>();
        assert!(found.len() == 1 && found[0].severity == Severity::Error, "{shown}");
        assert!(shown.contains(said) && shown.contains("x.toml:2") && !shown.contains("hunter2"), "{said}: {shown}");
    }
    let sound = format!("{listen}token = {{ file = \"long\" }}");
    assert_eq!(found(&pushed, &sound), []);
    assert!(found(WHOLE, &sound).iter().any(|found| found.message.contains("that no probe reads")));
}
