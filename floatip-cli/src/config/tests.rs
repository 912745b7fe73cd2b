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
fn what_is_printed_as_the_default_of_a_kind_of_probe_changes_nothing_when_it_is_written() {
    let password = "username = \"anonymous\"\npassword = { env = \"PATH\" }\n";
    let kinds = [
        ("ftp", password),
        ("tcp", "port = 21\n"),
        ("ping", ""),
        ("http", ""),
        ("https", ""),
        ("tls", "port = 443\n"),
        ("dns", "query = \"www.example.com\"\n"),
        ("exec", "command = [\"/bin/true\"]\n"),
        ("file", "path = \"/run/{node}\"\n"),
        ("push", ""),
    ];
    // A file alone decides nothing.
    let whole = format!("{WHOLE}[[floating_ip.probe]]\nkind = \"ping\"\n");
    let mut seen = 0;
    for (kind, needed) in kinds {
        let table = format!("[[floating_ip.probe]] # kind = \"{kind}\"");
        let of_kind = defaults().into_iter().filter(|setting| setting.table == table);
        let own: Vec<_> = of_kind.filter(|setting| !needed.contains(setting.key)).collect();
        seen += own.len();
        let lines = own.iter().filter_map(|setting| Some(format!("{} = {}\n", setting.key, setting.default.as_ref()?)));
        let text = |more: &str| whole.replace("kind = \"ftp\"\n", &format!("kind = \"{kind}\"\n{needed}{more}"));
        let [plain, written] = ["".to_owned(), lines.collect()].map(|more| parse(&text(&more)).unwrap());
        assert_eq!(plain.floating_ips[0].probes[0].spec, written.floating_ips[0].probes[0].spec);
    }
    let all = defaults().into_iter().filter(|setting| setting.table.starts_with("[[floating_ip.probe]] # "));
    assert_eq!(seen + 1, all.count(), "a kind is missing here (`username` of ftp needs a password)");
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

/// The findings where the probe is this one.
fn faults_of_probe(probe: &str) -> Vec<String> {
    faults("kind = \"ftp\"\n", &format!("{probe}\n"))
}

#[test]
fn every_kind_of_probe_takes_its_settings() {
    for probe in [
        "kind = \"tcp\"\nport = 6379\nsend = \"PING\\r\\n\"\nexpect = \"+PONG\"",
        "kind = \"http\"\npath = \"/health?x=1\"\nport = 8080\nmethod = \"HEAD\"\nhost_header = \"www.example.com\"\n\
         headers = { X-Check = \"1\" }\nusername = \"m\"\npassword = { env = \"HOME\" }\nstatus = [200, \"301-303\"]\n\
         expect_headers = { Server = \"^nginx\" }\nbody = \"up\"\nfollow = 2",
        "kind = \"https\"\nserver_name = \"www.example.com\"\nwarn_days = 30\nbody = \"up\"",
        "kind = \"http\"\nbearer = { env = \"HOME\" }\nstatus = 204",
        "kind = \"dns\"\nquery = \"www.example.com\"\nrecord = \"MX\"\nexpect = [\"10 mail\"]\nport = 5353",
        "kind = \"exec\"\ncommand = [\"/bin/true\", \"-H\", \"{host}\"]\npass_env = [\"LD_LIBRARY_PATH\"]",
        "kind = \"ftp\"\n[[floating_ip.probe]]\nkind = \"ec2-status\"",
    ] {
        assert_eq!(faults_of_probe(probe), [""; 0], "{probe}");
    }
    let ping = "count = 5\nmax_loss = 40\nmax_round_trip = \"50ms\"\nwarn_loss = 0\nwarn_round_trip = \"20ms\"";
    let found = faults_of_probe(&format!("kind = \"ping\"\n{ping}"));
    assert!(found.len() == 1 && found[0].contains("ping is the only probe"), "{found:?}");
}

#[test]
fn a_setting_that_no_probe_can_be_made_of_is_told() {
    for (probe, said) in [
        ("kind = \"ping\"\ncount = 17", "count must lie between 1 and 16"),
        ("kind = \"ping\"\nmax_loss = 100", "the greatest loss must lie between 0 and 99"),
        ("kind = \"dns\"\nquery = \"x\"\nrecord = \"AAA\"", "the type of record cannot be used"),
        ("kind = \"dns\"\nquery = \"x\"\nexpect = \"fd00::5\"", "an expected record cannot be used"),
        ("kind = \"exec\"\ncommand = [\"true\"]", "the program cannot be used"),
        ("kind = \"exec\"\ncommand = []", "the command may not be empty"),
        ("kind = \"tcp\"\nport = 21\nsend = \"x\"", "lacks `expect`"),
        ("kind = \"http\"\npath = \"health\"", "the path cannot be used"),
        ("kind = \"http\"\nbody = \"(\"", "the pattern of the body cannot be used"),
        ("kind = \"http\"\nstatus = 99", "`status`"),
        ("kind = \"http\"\nusername = \"m\"", "lacks `password`"),
        ("kind = \"http\"\npassword = { env = \"HOME\" }", "lacks `username`"),
        ("kind = \"http\"\nbearer = \"t0ken\"", "may not stand in the configuration"),
        ("kind = \"tls\"\nport = 443\npin = \"ab\"", "`pin`: "),
        ("kind = \"https\"\nca_file = \"/no/such/file\"", "/no/such/file: "),
        ("kind = \"tls\"\nport = 443\nserver_name = \"a b\"", "the server name cannot be used"),
        ("kind = \"tls\"", "lacks `port`"),
        ("kind = \"dns\"", "lacks `query`"),
        ("kind = \"exec\"", "lacks `command`"),
        ("kind = \"file\"", "lacks `path`"),
        ("kind = \"push\"\nstale_after = \"900ms\"", "the time after which a report is stale cannot be used"),
    ] {
        let found = faults_of_probe(probe);
        assert!(found.iter().any(|found| found.contains(said)), "{probe}: {found:?}");
    }
}

#[test]
fn a_probe_that_says_nothing_about_the_floating_address_cannot_verify_a_move() {
    let file = "kind = \"file\"\npath = \"/run/{node}\"\nmust_exist = true";
    let found = faults_of_probe(file);
    assert!(found.len() == 1 && found[0].contains("no move can be verified"), "{found:?}");
    let found = faults_of_probe(&format!("{file}\nverify = true"));
    assert!(found[0].contains("says nothing about the floating address"), "{found:?}");
    assert!(faults_of_probe(&format!("{file}\ndirect = false"))[0].contains("this probe would never run"));
}

const ENI: &str = "kind = \"eni\"\nnetwork_interface = \"eni-0a1b2c3d\"";

/// The mover of the file with another one in its place.
fn mover(written: &str) -> Mover {
    let config = parse(&WHOLE.replacen(ENI, written, 1)).unwrap_or_else(|found| panic!("{found:?}"));
    config.floating_ips[0].mover.clone()
}

#[test]
fn a_private_ip_is_the_floating_address_unless_another_is_named() {
    let at = |ip: &str| Mover::PrivateIp { private_ip: ip.parse().unwrap() };
    assert_eq!(mover("kind = \"private-ip\""), at("172.16.11.30"));
    assert_eq!(mover("kind = \"private-ip\"\nprivate_ip = \"172.16.11.50\""), at("172.16.11.50"));
    assert_eq!(mover("kind = \"private-ip\"\nprivate_ip = \"fd00::50\""), at("fd00::50"));
}

#[test]
fn a_route_has_its_tables_by_id_or_by_tag() {
    let destination = "172.16.11.30".parse().unwrap();
    let by = |route_tables| Mover::Route { destination, route_tables };
    let ids = vec!["rtb-0a1b2c3d".to_owned(), "rtb-0a1b2c3e".to_owned()];
    let written = "kind = \"route\"\nroute_tables = [\"rtb-0a1b2c3d\", \"rtb-0a1b2c3e\"]";
    assert_eq!(mover(written), by(floatip_aws::RouteTables::Ids(ids)));
    let tag = floatip_aws::RouteTables::Tag { key: "ha".to_owned(), value: "ftp".to_owned() };
    assert_eq!(mover("kind = \"route\"\nroute_tables = { tag = \"ha\", value = \"ftp\" }"), by(tag));
}

#[test]
fn route_tables_that_cannot_be_are_told_with_what_to_write() {
    for (written, finding) in [
        (
            "",
            "[floating_ip.mover] lacks `route_tables`; add `route_tables = [\"rtb-…\"]`, or { tag = \"ha\", value = \"ftp\" }",
        ),
        (
            "route_tables = []",
            "`route_tables`: there are 0 route tables; write 1 to 200 tables, or select them by a tag",
        ),
        (
            "route_tables = [\"rtb-0a1b2c3d\", \"rtb-0a1b2c3d\"]",
            "`route_tables`: rtb-0a1b2c3d is named twice; leave one of them out",
        ),
        (
            "route_tables = [\"eni-0a1b2c3d\"]",
            "`route_tables`: \"eni-0a1b2c3d\" is not the id of a route table; write rtb- and 8 or 17 hexadecimal digits, as EC2 shows it",
        ),
        (
            "route_tables = { tag = \"ha\" }",
            "`route_tables`: it takes the keys `tag` and `value`, and nothing else; write `route_tables = [\"rtb-…\"]`, or { tag = \"ha\", value = \"ftp\" }",
        ),
    ] {
        let found = faults(ENI, &format!("kind = \"route\"\n{written}"));
        assert!(matches!(&found[..], [only] if only.ends_with(finding)), "{written}: {found:?}");
    }
}

#[test]
fn settings_of_another_mover_are_told_whose_they_are() {
    finds(
        ENI,
        "kind = \"private-ip\"\nfencing = \"strict\"",
        "x.toml:7:1: `fencing` is not a setting of kind \"private-ip\"; it belongs to kind \"eip\": leave it out, or change `kind`",
    );
    let found = faults(
        "kind = \"eni\"\nnetwork_interface = \"eni-0a1b2c3d\"\n[[floating_ip.node]]\nname = \"ftp-1\"\n",
        "kind = \"route\"\nroute_tables = [\"rtb-0a1b2c3d\"]\n[[floating_ip.node]]\nname = \"ftp-1\"\nprivate_ip = \"172.16.11.10\"\n",
    );
    assert_eq!(
        found,
        [
            "x.toml:10:1: `private_ip` is not a setting of kind \"route\"; it belongs to kind \"eip\": leave it out, or change `kind`"
        ]
    );
}

#[test]
fn a_mover_that_does_not_exist_is_told_with_the_one_that_was_meant() {
    finds(
        ENI,
        "kind = \"private_ip\"",
        "x.toml:6:8: `kind`: there is no mover \"private_ip\"; did you mean \"private-ip\"?",
    );
}

#[test]
fn two_floating_ips_do_not_move_one_private_ip() {
    let one = WHOLE.replacen(ENI, "kind = \"private-ip\"\nprivate_ip = \"172.16.11.50\"", 1);
    let two = one.replace("name = \"ftp\"", "name = \"web\"").replace("172.16.11.30", "172.16.11.31");
    let found = parse(&format!("{one}{two}")).expect_err("two for one");
    assert!(found.iter().any(|it| it.line().contains("two floating IPs move 172.16.11.50")), "{found:?}");
}

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
fn a_probe_may_have_a_timing_of_its_own_and_the_bound_on_detection_follows_the_combination() {
    let text = format!(
        "{WHOLE}interval = \"4s\"\nfall = 2\n[[floating_ip.probe]]\nkind = \"tcp\"\nport = 21\n\
         [[floating_ip.probe]]\nkind = \"ping\"\ninformational = true\n[floating_ip.health]\nrequire = \"any\"\n"
    );
    let config = parse(&text).unwrap();
    let ip = &config.floating_ips[0];
    let [ftp, tcp] = ip.deciding()[..] else { panic!("{:?}", ip.deciding()) };
    assert_eq!((ftp.interval.as_secs(), ftp.fall, ftp.rise), (4, 2, 2));
    assert_eq!(tcp, ip.health);
    assert!(ip.probes[2].informational);
    let slowest = ftp.worst_case_detection().max(tcp.worst_case_detection());
    assert_eq!(ip.policy.require.worst_case_detection(&ip.deciding()), slowest);
}

#[test]
fn a_combination_that_cannot_work_is_refused() {
    let health = |line: &str| faults("kind = \"ftp\"", &format!("kind = \"ftp\"\n[floating_ip.health]\n{line}"));
    assert!(health("require = 2")[0].contains("only 1 of the probes decide"), "{:?}", health("require = 2"));
    assert!(health("require = 0")[0].contains("with no probe required"));
    assert!(health("require = \"al\"")[0].contains("did you mean \"all\"?"));
    let found = faults("kind = \"ftp\"", "kind = \"ftp\"\ninformational = true");
    assert!(found[0].contains("no probe decides about a node"), "{found:?}");
    let found = faults("kind = \"ftp\"", "kind = \"ftp\"\ninterval = \"100ms\"");
    assert!(found[0].contains("is shorter than its `fast_interval` (500ms)"), "{found:?}");
    let found = faults("kind = \"ftp\"", "kind = \"ftp\"\nfall = 0");
    assert!(found[0].contains("`fall` may not be zero"), "{found:?}");
}

#[test]
fn a_probe_that_tells_whether_a_node_is_idle_decides_nothing_and_verifies_nothing() {
    let sessions = "[[floating_ip.probe]]\nkind = \"ftp\"\ntells_idle = true\nmax_sessions = 0\n";
    let config = parse(&format!("{WHOLE}{sessions}[floating_ip.policy]\nwait_for_idle = \"5m\"\n")).unwrap();
    let ip = &config.floating_ips[0];
    assert_eq!((ip.policy.wait_for_idle.as_secs(), config.warnings.len()), (300, 0));
    assert_eq!((ip.probes[1].tells_idle, ip.probes[1].verify, ip.deciding().len()), (true, Some(false), 1));
    for (line, fault) in [
        ("tells_idle = true", "no probe decides about a node"),
        ("tells_idle = true\nverify = true", "only whether they are idle"),
        ("tells_idle = true\ninformational = true", "only whether they are idle"),
        ("max_sessions = 1\nkeep_session = true", "does not go with `keep_session`"),
        ("[floating_ip.policy]\nwait_for_idle = \"5m\"", "`wait_for_idle` has no effect"),
    ] {
        let found = faults("kind = \"ftp\"", &format!("kind = \"ftp\"\n{line}"));
        assert!(found.iter().any(|found| found.contains(fault)), "{line}: {found:?}");
    }
}

#[test]
fn a_fallback_that_can_never_bring_the_address_is_refused_with_the_reason() {
    let eni = "network_interface = \"eni-0a1b2c3d\"\n";
    let fallback = |lines: &str| faults(eni, &format!("{eni}[[floating_ip.mover.fallback]]\n{lines}\n"));
    let config = parse(&WHOLE.replacen(
        eni,
        &format!("{eni}force_detach = false\n[[floating_ip.mover.fallback]]\nkind = \"private-ip\"\n"),
        1,
    ));
    let ip = &config.unwrap().floating_ips[0];
    assert_eq!(ip.fallbacks, [Mover::PrivateIp { private_ip: "172.16.11.30".parse().unwrap() }]);
    assert!(!ip.policy.force_release);
    for (lines, reason) in [
        ("kind = \"route\"\nroute_tables = [\"rtb-0a1b2c3d\"]", "outside of the VPC's CIDR"),
        ("kind = \"eip\"\nallocation = \"eipalloc-0a1b2c3d\"", "is public"),
        ("kind = \"eni\"\nnetwork_interface = \"eni-0a1b2c3e\"", "the same mechanism again"),
        ("kind = \"private-ip\"\nprivate_ip = \"172.16.11.31\"", "and clients use 172.16.11.30"),
    ] {
        let found = fallback(lines);
        assert!(found.len() == 1 && found[0].starts_with("x.toml:8:1: ") && found[0].contains(reason), "{found:?}");
    }
}

#[test]
fn reclaiming_an_address_takes_a_mover_that_releases_it() {
    let policy = "[floating_ip.policy]\naddress_unreachable = \"reclaim\"\n";
    let config = parse(&format!("{WHOLE}{policy}")).unwrap();
    assert_eq!(config.floating_ips[0].policy.address_unreachable, AddressUnreachable::Reclaim);
    assert_eq!(config.warnings, []);
    let eip = "kind = \"eip\"\nallocation = \"eipalloc-0a1b2c3d\"";
    let eip = format!("{WHOLE}{policy}").replace("kind = \"eni\"\nnetwork_interface = \"eni-0a1b2c3d\"", eip);
    let warnings = parse(&eip).unwrap().warnings;
    assert!(warnings[0].message.contains("does nothing here: this mover overwrites"), "{warnings:?}");
    let found = parse(&format!("{WHOLE}{policy}").replace("\"reclaim\"", "\"reclam\"")).unwrap_err();
    assert!(found[0].line().contains("did you mean \"reclaim\"?"), "{found:?}");
}

#[test]
fn force_detach_is_a_word_for_force_release_where_something_is_detached() {
    let text = WHOLE.replace("kind = \"eni\"\n", "kind = \"eni\"\nforce_detach = true\n");
    let found = parse(&format!("{text}[floating_ip.policy]\nforce_release = false\n")).unwrap_err();
    assert!(found[0].message.contains("says the opposite of `force_release`"), "{found:?}");
    let eip = "kind = \"eip\"\nallocation = \"eipalloc-0a1b2c3d\"\nforce_detach = true\n";
    let found = faults("kind = \"eni\"\nnetwork_interface = \"eni-0a1b2c3d\"\n", eip);
    assert!(found[0].contains("nothing else is detached"), "{found:?}");
}

#[test]
fn the_status_of_an_instance_takes_an_instance() {
    let eip = WHOLE
        .replace(
            "kind = \"eni\"\nnetwork_interface = \"eni-0a1b2c3d\"",
            "kind = \"eip\"\nallocation = \"eipalloc-0a1b2c3d\"",
        )
        .replace("instance = \"i-0a1b2c3d4e5f60012\"", "network_interface = \"eni-0a1b2c3e\"");
    assert_eq!(parse(&eip).unwrap().warnings, []);
    let found = parse(&format!("{eip}[[floating_ip.probe]]\nkind = \"ec2-status\"\n")).unwrap_err();
    assert!(found[0].message.starts_with("the node \"ftp-2\" has no `instance`"), "{found:?}");
}

#[test]
fn the_settings_of_an_ftp_check_are_taken_together_or_refused() {
    let whole = "kind = \"ftp\"\nretrieve = \"canary.txt\"\nsize = 6\nmode = \"epsv\"\ntls = \"explicit\"\n\
                 server_name = \"ftp.example.com\"\nkeep_session = true\nfull_every = \"1m\"\n";
    assert!(parse(&WHOLE.replace("kind = \"ftp\"\n", whole)).is_ok());
    for (lines, reason) in [
        ("size = 6", "`size` means nothing without `retrieve`"),
        ("pin = \"aa\"", "`pin` means nothing without `tls`"),
        ("full_every = \"1m\"", "`full_every` means nothing without `keep_session`"),
        ("mode = \"pasive\"", "did you mean \"passive\"?"),
        ("passive_mismatch = \"fail\"", "there is no answer to a mismatch \"fail\""),
        ("retrieve = \"x\"\nsha256 = \"aa\"", "64 hexadecimal digits"),
    ] {
        let found = faults("kind = \"ftp\"", &format!("kind = \"ftp\"\n{lines}"));
        assert!(found.iter().any(|fault| fault.contains(reason)), "{lines}: {found:?}");
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

#[test]
fn silence_is_noticed_by_its_own_measure() {
    let text = WHOLE.replace("kind = \"ftp\"", "kind = \"push\"\nstale_after = \"12s\"");
    let config = parse(&format!(
        "{text}[[floating_ip.probe]]\nkind = \"tcp\"\nport = 21\n[floating_ip.health]\nrequire = \"any\"\n"
    ));
    let ip = &config.unwrap().floating_ips[0];
    let noticed = ip.policy.require.worst_case_detection(&ip.deciding());
    assert_eq!(noticed, Duration::from_secs(15), "2 s + 2 x 500 ms + 12 s");
}
