//! Requests that are no proper ones: mutations, and the inputs of the fuzz targets.

use super::Case;
use super::generator::Generator;
use std::path::Path;

/// Changes a few bytes of a request.
pub(crate) fn mutate(case: &mut Case, generator: &mut Generator) {
    for _ in 0..=generator.below(2) {
        if case.is_json { mutate_json(&mut case.bytes, generator) } else { mutate_protobuf(&mut case.bytes, generator) }
    }
}

/// Changes a byte, copies some over others, or cuts the rest off.
fn mutate_protobuf(bytes: &mut Vec<u8>, generator: &mut Generator) {
    if bytes.is_empty() {
        return;
    }
    let at = generator.below(bytes.len());
    match generator.below(6) {
        0 => bytes[at] = generator.byte(),
        1 => bytes[at] ^= 1 << generator.below(8),
        2 => bytes[at] = bytes[at].wrapping_add(1),
        3 => bytes[at] = 0,
        4 => {
            let copy = bytes[at..bytes.len().min(at + 9)].to_vec();
            let to = generator.below(bytes.len() - copy.len() + 1);
            bytes[to..to + copy.len()].copy_from_slice(&copy);
        }
        _ => bytes.truncate(at),
    }
}

/// Removes, repeats or replaces a few bytes.
fn mutate_json(bytes: &mut Vec<u8>, generator: &mut Generator) {
    const PIECES: [&str; 24] = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        ",",
        ":",
        "null",
        "true",
        "0",
        "-1",
        "1.5",
        "1e3",
        "\"NaN\"",
        "\"-Infinity\"",
        "\"1\"",
        "\"\"",
        "{}",
        "[]",
        "\"stringValue\"",
        "\"asInt\"",
        " ",
        "\\u0041",
    ];
    let at = generator.below(bytes.len() + 1);
    let end = bytes.len().min(at + generator.below(5));
    match generator.below(3) {
        0 => drop(bytes.drain(at..end)),
        1 => {
            let copy = bytes[at..end].to_vec();
            let to = generator.below(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
        _ => drop(bytes.splice(at..end, PIECES[generator.below(PIECES.len())].bytes())),
    }
}

/// Returns the inputs of the fuzz targets of OTLP: seeds, findings, and what their last run here has found. `tests/fuzz/run` keeps that
/// in a folder that is not committed.
pub(crate) fn of_fuzz_targets() -> Vec<Case> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let mut cases = Vec::new();
    for (target, is_json) in [("otlp_protobuf", false), ("otlp_json", true)] {
        let found = fuzz.join("target").join("work");
        for folder in [fuzz.join("seeds"), fuzz.join("findings"), found.clone(), found.join("short")] {
            // There are no findings, and no corpus before the first run.
            let Ok(files) = folder.join(target).read_dir() else { continue };
            let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
            paths.sort();
            for scope in [false, true] {
                let case =
                    |path| Case { bytes: std::fs::read(path).unwrap(), is_json, promote: vec!["a".to_owned()], scope };
                cases.extend(paths.iter().map(case));
            }
        }
    }
    cases
}
