use std::{fs, io, path::Path};

use super::{Needles, Searched};

/// Searches every file under a folder (or one file), byte by byte: logs, a dump, or a
/// Postgres's own files with rows that are deleted and its write-ahead log.
///
/// A file that goes away in the middle is passed over.
///
/// # Errors
///
/// Those of the file system.
pub fn files(path: &Path, needles: &Needles) -> io::Result<Searched> {
    let mut searched = Searched::default();
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(searched),
        metadata => metadata?,
    };
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            searched.add(files(&entry?.path(), needles)?);
        }
    } else if metadata.is_file() {
        match fs::read(path) {
            Ok(bytes) => searched.look(needles, path.display(), &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(searched)
}
