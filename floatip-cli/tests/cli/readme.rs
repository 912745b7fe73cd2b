//! What the README shows is what the command does.

use crate::rig::Desk;

const README: &str = include_str!("../../../README.md");

/// The text of the README's blocks in this language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_readmes_configuration_is_valid() {
    let config = blocks("toml")[0];
    let more: String = blocks("toml")
        .into_iter()
        .filter(|block| block.starts_with("[[witness]]") || block.starts_with("[[hook]]"))
        .collect();
    let ended = Desk::new(&format!("{config}{more}")).run(&["check", "-c", "floatip.toml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, "ftp: a dead server is noticed within 5s; an outage shorter than 1s triggers no move\n");
}

#[test]
fn the_readmes_other_movers_are_valid_too() {
    let whole = blocks("toml")[0];
    let (before, rest) = whole.split_once("[floating_ip.mover]\n").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let movers: Vec<_> =
        blocks("toml").into_iter().filter(|block| block.starts_with("[floating_ip.mover]\n")).collect();
    assert!(movers.len() >= 2, "{movers:?}");
    for mover in movers {
        let ended = Desk::new(&format!("{before}{mover}\n{after}")).run(&["check", "-c", "floatip.toml"]);
        assert_eq!(ended.code, Some(0), "{mover}{}", ended.stderr);
    }
}

#[test]
fn the_readmes_defaults_are_those_of_the_command() {
    let ended = Desk::new("").run(&["check", "--defaults"]);
    let shown = blocks("toml").into_iter().find(|block| block.starts_with("sweep = ")).expect("the defaults");
    assert_eq!(ended.stdout.trim_end(), shown.trim_end());
}

#[test]
fn every_command_that_the_readme_shows_exists() {
    let help = Desk::new("").run(&["--help"]).stdout;
    let shown: Vec<_> = README.lines().filter_map(|line| line.strip_prefix("floatip ")).collect();
    assert!(shown.len() >= 6, "{shown:?}");
    for line in shown {
        let command = line.split_whitespace().next().unwrap();
        assert!(help.contains(&format!("  {command} ")), "{line}");
    }
}

#[test]
fn the_readmes_policy_is_what_the_command_prints_for_its_configuration() {
    let ended = Desk::new(blocks("toml")[0]).run(&["iam-policy", "-c", "floatip.toml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout.trim_end(), blocks("json")[0].trim_end());
}
