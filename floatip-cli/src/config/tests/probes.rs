//! `[[floating_ip.probe]]`, and what the probes say together.

use super::*;

/// The findings where the probe is this one.
fn faults_of_probe(probe: &str) -> Vec<String> {
    faults("kind = \"ftp\"\n", &format!("{probe}\n"))
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
fn silence_is_noticed_by_its_own_measure() {
    let text = WHOLE.replace("kind = \"ftp\"", "kind = \"push\"\nstale_after = \"12s\"");
    let config = parse(&format!(
        "{text}[[floating_ip.probe]]\nkind = \"tcp\"\nport = 21\n[floating_ip.health]\nrequire = \"any\"\n"
    ));
    let ip = &config.unwrap().floating_ips[0];
    let noticed = ip.policy.require.worst_case_detection(&ip.deciding());
    assert_eq!(noticed, Duration::from_secs(15), "2 s + 2 x 500 ms + 12 s");
}
