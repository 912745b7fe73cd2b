//! Sabotages a copy of the engine, one edit at a time, and lets the world hunt for it.
//!
//!     cargo run -p floatip-world --example sabotage              all of them
//!     cargo run -p floatip-world --example sabotage -- lease     those whose description contains a word
//!
//! The copy is under `target/sabotage`. Each is hunted for in 100 000 scenarios, and then in those that have failed once. A
//! table is printed; it ends with an error if one was not caught.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{fs, io};

use floatip_world::sabotage::{SABOTAGES, Sabotage};

const SCENARIOS: &str = "100000";

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A workspace of the engine and the world alone.
fn lay_out(root: &Path, place: &Path) -> io::Result<()> {
    if place.join("floatip-core").exists() {
        fs::remove_dir_all(place.join("floatip-core"))?;
        fs::remove_dir_all(place.join("tests"))?;
    }
    copy(&root.join("floatip-core"), &place.join("floatip-core"))?;
    copy(&root.join("tests/world"), &place.join("tests/world"))?;
    fs::copy(root.join("Cargo.lock"), place.join("Cargo.lock"))?;
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let members = manifest.lines().map(|line| match line.starts_with("members = ") {
        true => "members = [\"floatip-core\", \"tests/world\"]",
        false => line,
    });
    fs::write(place.join("Cargo.toml"), members.collect::<Vec<_>>().join("\n"))
}

/// How many scenarios it took, or `-`, and what was found.
fn hunt(place: &Path) -> Result<(String, String), String> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["run", "--quiet", "-p", "floatip-world", "--example", "hunt", "--", SCENARIOS])
        .current_dir(place)
        // Not ours: cargo would take what was built of the copy for what is built of the original, sabotage and all.
        .env("CARGO_TARGET_DIR", place.join("target"))
        // With its checks, and many times as fast as without any optimisation.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .output()
        .map_err(|error| format!("cargo could not be run: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let (count, found) = line.split_once(' ').ok_or_else(|| format!("no answer: {line:?}"))?;
    let first = found.split("; ").next().unwrap_or_default();
    Ok((count.to_owned(), first.replace('|', "/").chars().take(150).collect()))
}

fn try_one(sabotage: &Sabotage, place: &Path) -> Result<(String, String), String> {
    let path = place.join("floatip-core/src/engine").join(sabotage.file);
    let sane = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    fs::write(&path, sabotage.applied_to(&sane)?).map_err(|error| error.to_string())?;
    let result = hunt(place);
    fs::write(&path, sane).map_err(|error| error.to_string())?;
    result
}

fn main() -> ExitCode {
    let word = std::env::args().nth(1).unwrap_or_default();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let place = root.join("target/sabotage");
    if let Err(error) = lay_out(&root, &place) {
        eprintln!("the copy could not be made in {}: {error}", place.display());
        return ExitCode::FAILURE;
    }
    let mut escaped = 0;
    println!("| sabotage | caught by scenario | what was seen first |\n|---|---|---|");
    for sabotage in SABOTAGES.iter().filter(|sabotage| sabotage.what.contains(&word)) {
        match try_one(sabotage, &place) {
            Ok((count, found)) => {
                escaped += u32::from(count == "-");
                println!("| {} | {count} | {found} |", sabotage.what);
            }
            Err(error) => {
                escaped += 1;
                println!("| {} | error | {error} |", sabotage.what);
            }
        }
    }
    eprintln!("{escaped} were not caught");
    if escaped == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
