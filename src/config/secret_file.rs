//! Files that hold a secret: one line of text, readable by nobody else.

use super::ConfigError;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// The file's text, or `None` when there is no file. One that others on this machine can read is refused.
pub fn read(path: &Path) -> Result<Option<Zeroizing<String>>, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let text = Zeroizing::new(text);
            refuse_open_permissions(path)?;
            Ok(Some(text))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ConfigError::file("read", path, &error)),
    }
}

/// Makes the file; one that is there is not overwritten. It appears under its name only once it is whole: a crash on the
/// way would otherwise leave a file that holds no secret and that nobody may overwrite.
pub fn make(path: &Path, text: &str) -> Result<(), ConfigError> {
    let draft = path.with_extension("new");
    // A crash may have left one.
    let _ = std::fs::remove_file(&draft);
    let made = write_draft(&draft, text).and_then(|()| publish(&draft, path));
    let _ = std::fs::remove_file(&draft);
    made.map_err(|error| ConfigError::file("write", path, &error))
}

fn write_draft(draft: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = draft.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(draft)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

/// Gives the draft its name, unless something else has it.
fn publish(draft: &Path, path: &Path) -> io::Result<()> {
    match std::fs::hard_link(draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
        Ok(()) => {}
        // A file system without hard links. Nothing had the name a moment ago.
        Err(_) => std::fs::rename(draft, path)?,
    }
    // The name must survive a power failure too; not every system can sync a folder.
    if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(unix)]
fn refuse_open_permissions(path: &Path) -> Result<(), ConfigError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path).map_err(|error| ConfigError::file("read", path, &error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(ConfigError::TooOpen { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Elsewhere the user's own folders are private by default.
#[cfg(not(unix))]
fn refuse_open_permissions(_path: &Path) -> Result<(), ConfigError> {
    Ok(())
}
