//! The file probe against files.

use std::time::Duration;

use floatip_core::{HealthProbe, NodeId, ProbeError, Target, Verdict, Via};
use floatip_probes::FileProbe;

async fn probe(probe: &FileProbe, node: &str) -> Result<Verdict, ProbeError> {
    let host = "127.0.0.1".parse().unwrap();
    probe.probe(&Target::new(NodeId::new(node).unwrap(), host, Via::Direct, Duration::from_secs(10))).await
}

#[tokio::test]
async fn a_node_is_in_maintenance_while_its_file_is_there_and_no_other_node_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("{node}").display().to_string();
    let file = FileProbe::new(&path).unwrap();
    assert_eq!(probe(&file, "ftp-1").await.unwrap(), Verdict::healthy());
    std::fs::write(folder.path().join("ftp-1"), "").unwrap();
    let why = format!("{} exists", folder.path().join("ftp-1").display());
    assert_eq!(probe(&file, "ftp-1").await.unwrap(), Verdict::healthy().in_maintenance(why));
    assert_eq!(probe(&file, "ftp-2").await.unwrap(), Verdict::healthy());
    std::fs::remove_file(folder.path().join("ftp-1")).unwrap();
    assert_eq!(probe(&file, "ftp-1").await.unwrap(), Verdict::healthy());
}

#[tokio::test]
async fn the_first_line_is_the_reason_bounded_and_without_control_characters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("down");
    std::fs::write(&path, format!("disk\x07 swap {}\nby Ann\n", "x".repeat(1 << 20))).unwrap();
    let verdict = probe(&FileProbe::new(&path.display().to_string()).unwrap(), "ftp-1").await.unwrap();
    let why = verdict.maintenance.unwrap();
    assert!(why.starts_with("disk swap xxx") && why.contains('…') && !why.contains("Ann"), "{why}");
    assert!(verdict.reason.is_none() && why.len() < 400, "{why}");
}

#[tokio::test]
async fn a_sign_of_life_that_is_gone_is_unhealthy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alive").display().to_string();
    let file = FileProbe::new(&path).unwrap().must_exist(true);
    let verdict = probe(&file, "ftp-1").await.unwrap();
    assert_eq!(verdict.reason.unwrap().to_string(), format!("{path} does not exist"));
    std::fs::write(&path, "maintenance?").unwrap();
    assert_eq!(probe(&file, "ftp-1").await.unwrap(), Verdict::healthy());
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let endless = folder.path().join("endless");
    std::os::unix::fs::symlink(&endless, &endless).unwrap();
    let error = probe(&FileProbe::new(&endless.display().to_string()).unwrap(), "ftp-1").await.unwrap_err();
    assert!(matches!(error, ProbeError::Unusable { .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_no_regular_file_exists_and_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let verdict = probe(&FileProbe::new(&folder.path().display().to_string()).unwrap(), "ftp-1").await.unwrap();
    assert_eq!(verdict.maintenance.unwrap(), format!("{} exists", folder.path().display()));
    let endless = probe(&FileProbe::new("/dev/zero").unwrap(), "ftp-1").await.unwrap();
    assert_eq!(endless.maintenance.as_deref(), Some("/dev/zero exists"));
}

#[tokio::test]
async fn a_nodes_name_does_not_lead_out_of_the_folder() {
    let file = FileProbe::new("/run/{node}").unwrap();
    for name in ["../etc/passwd", "..", "a/b"] {
        assert!(probe(&file, name).await.is_err(), "{name}");
    }
    assert!(FileProbe::new("run/maintenance").is_err());
}

#[test]
fn a_file_verifies_no_move() {
    assert!(!FileProbe::new("/run/x").unwrap().runs_through_address());
}
