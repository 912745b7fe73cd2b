use std::os::unix::net::UnixListener;

use crate::rig::{Desk, VALID};

#[test]
fn an_unknown_command_exits_2() {
    let ended = Desk::new("").run(&["chek"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("'check'"), "{}", ended.stderr);
}

#[test]
fn help_documents_the_exit_codes() {
    let desk = Desk::new("");
    let ended = desk.run(&["--help"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains("Exit codes:\n") && ended.stdout.contains("  10  run --once: moved"));
    for command in ["check", "probe", "run", "status", "move", "pause", "resume"] {
        let ended = desk.run(&[command, "--help"]);
        assert!(ended.stdout.contains("Exit codes: "), "{command}: {}", ended.stdout);
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = Desk::new("").run(&["completions", shell]);
        assert_eq!(ended.code, Some(0));
        assert!(ended.stdout.contains("floatip") && ended.stdout.contains("event-log"), "{shell}");
    }
}

#[test]
fn without_a_monitor_it_is_told_what_that_means_and_what_to_do() {
    let desk = Desk::new(VALID);
    for arguments in [
        &["status", "--control", "none.sock"][..],
        &["move", "ftp", "--to", "ftp-2", "--control", "none.sock"],
        &["pause", "--all", "--control", "none.sock"],
        &["resume", "ftp", "--control", "none.sock"],
    ] {
        let ended = desk.run(arguments);
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert_eq!(
            ended.stderr,
            "error: no monitor listens at none.sock: start one with `floatip run`, or say with --control \
             (or FLOATIP_CONTROL) where the running one listens: No such file or directory (os error 2)\n"
        );
    }
}

#[test]
fn a_socket_that_a_dead_monitor_left_is_no_monitor() {
    let desk = Desk::new(VALID);
    drop(UnixListener::bind(desk.path("left.sock")).unwrap());
    let ended = desk.run(&["status", "--control", "left.sock"]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
}

#[test]
fn pause_wants_a_name_or_all_and_not_both() {
    let desk = Desk::new("");
    assert_eq!(desk.run(&["pause"]).code, Some(2));
    assert_eq!(desk.run(&["pause", "ftp", "--all"]).code, Some(2));
}

#[test]
fn output_that_is_no_terminal_has_no_colours() {
    let ended = Desk::new("x = 1").run(&["check", "-c", "floatip.toml"]);
    assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let desk = Desk::new("");
    let mut child = desk.command(&["completions", "zsh"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
