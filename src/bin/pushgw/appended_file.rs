//! Opens a file for appending, for its owner only. It never follows a symbolic link, so that the target of a link stays as
//! it is.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Opens the file at `path` for reading and appending, and makes it if it does not exist.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let opened = options.read(true).append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path);
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other("it is a symbolic link, which is not followed"),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    #[test]
    fn follows_no_symbolic_link_and_gives_the_file_to_its_owner_alone() {
        let folder = std::env::temp_dir().join(format!("pushgw-appended-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (file, link, missing) = (folder.join("file"), folder.join("link"), folder.join("missing"));
        open(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        for target in [&file, &missing] {
            symlink(target, &link).unwrap();
            assert!(open(&link).unwrap_err().to_string().contains("symbolic link"), "{target:?}");
            fs::remove_file(&link).unwrap();
        }
        assert!(!missing.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
