//! The fuzz targets on stable Rust: every file of their corpora, and pseudo-random scripts.

use rdv::fuzzing::{Body, TARGETS};
use std::fs;
use std::path::{Path, PathBuf};

/// Scripts for each target in addition to its corpus.
const RANDOM_SCRIPTS: u64 = 2000;

#[test]
fn every_corpus_file_passes_its_target() {
    for (name, body) in TARGETS {
        let files = corpus(name);
        assert!(!files.is_empty(), "fuzz/corpus/{name} holds no file");
        for file in files {
            let data = fs::read(&file).unwrap();
            run(*body, &data, &format!("{name}: {}", file.display()));
        }
    }
}

#[test]
fn pseudo_random_scripts_pass_every_target() {
    for (name, body) in TARGETS {
        for seed in 1..=RANDOM_SCRIPTS {
            let script = rdv::fuzzing::script(seed, usize::try_from(seed % 600).unwrap());
            run(*body, &script, &format!("{name}: script {seed}"));
        }
    }
}

#[test]
fn exactly_the_listed_targets_are_built() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut built: Vec<_> = entries(&folder)
        .iter()
        .map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    built.sort();
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(built, names);
}

fn corpus(name: &str) -> Vec<PathBuf> {
    entries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.expect("the folder is readable").path()).collect()
}

/// Prints which input it was before the panic continues.
fn run(body: Body, data: &[u8], what: &str) {
    let result = std::panic::catch_unwind(|| body(data));
    if let Err(panic) = result {
        eprintln!("{what} fails: {}", data.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}
