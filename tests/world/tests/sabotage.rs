//! Every sabotage on the list still applies to the engine. `cargo run -p floatip-world --example sabotage` carries them out.

use std::path::Path;

use floatip_world::sabotage::SABOTAGES;

#[test]
fn every_sabotage_still_applies_to_the_engine() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../floatip-core/src/engine");
    let mut broken = Vec::new();
    for sabotage in SABOTAGES {
        let path = engine.join(sabotage.file);
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        match sabotage.applied_to(&source) {
            Ok(applied) => assert_ne!(applied, source, "{} changes nothing", sabotage.what),
            Err(error) => broken.push(error),
        }
    }
    assert!(broken.is_empty(), "adapt tests/world/src/sabotage.rs: {broken:#?}");
    assert!(SABOTAGES.len() >= 25);
}
