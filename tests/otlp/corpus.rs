//! The inputs of the fuzz targets.

use super::Case;
use std::path::Path;

/// Returns the inputs of the fuzz targets of OTLP: seeds, findings, and what their last run here has found. `tests/fuzz/run` keeps that
/// in a folder that is not committed.
pub(crate) fn of_fuzz_targets() -> Vec<Case> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let mut cases = Vec::new();
    for (target, is_json) in [("otlp_protobuf", false), ("otlp_json", true)] {
        for folder in ["seeds", "findings", "target/work", "target/work/short"] {
            // There are no findings, and no corpus before the first run.
            let Ok(files) = fuzz.join(folder).join(target).read_dir() else { continue };
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
