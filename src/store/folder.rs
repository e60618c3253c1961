//! The folders on the disk: who may read them, what a process that died left in them, and whether there is room.

use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::Path,
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::StoreError;

/// sled may hold its lock a moment longer than its owner lives.
pub(super) const LOCK_TRIES: u32 = 10;
pub(super) const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// sled's log, and the file that it locks.
const LOG: &str = "db";

/// Names of files that are being written and get their own name at the end.
const UNFINISHED: &str = ".unfinished-";

/// How the names of the store's folder and of those that were moved aside begin.
const STORES: &str = "store";

/// A disk where this can be written has room for any one record.
pub(super) const TRIAL_BYTES: usize = 64 * 1024;

/// A copy is kept in memory, so a larger store is not copied. Ours has about a kilobyte per migration.
const COPY_BYTES_MAX: u64 = 256 << 20;

/// Memory that looks like a disk, on every Linux.
const IN_MEMORY: &str = "/dev/shm";

/// The bits of a mode that let others in.
const OTHERS: u32 = 0o077;

/// Folders of all users, as `/tmp`, have this bit. They are left as they are.
const SHARED_BY_ALL: u32 = 0o1000;

/// The id of the user that may do everything.
const ROOT: u32 = 0;

/// Returns the id of the user whose folder this is, where we are root and it is somebody else's: that user could not
/// read the files that sled would make in it now.
#[must_use]
pub fn other_owner(dir: &Path) -> Option<u32> {
    let owner = fs::metadata(dir).ok()?.uid();
    let user = fs::metadata("/proc/self").ok()?.uid();
    (user == ROOT && owner != ROOT).then_some(owner)
}

/// Makes `DATA_DIR` where it is missing. It and the files in it are for their owner alone, whatever their modes
/// were.
///
/// # Errors
///
/// Fails when the disk does. A mode that cannot be changed is only logged.
pub fn make_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    if fs::metadata(dir)?.mode() & SHARED_BY_ALL != 0 {
        tracing::warn!(dir = %dir.display(), "DATA_DIR is a folder of all users; others can see its names");
    } else {
        close_off(dir);
    }
    for entry in fs::read_dir(dir)?.filter_map(Result::ok) {
        match entry.file_type() {
            Ok(kind) if kind.is_file() => close_off(&entry.path()),
            Ok(kind) if kind.is_dir() && entry.file_name().to_string_lossy().starts_with(STORES) => {
                close_off_all(&entry.path());
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Takes from others what they may do with a folder of the store and with all that is in it.
pub(super) fn close_off_all(dir: &Path) {
    close_off(dir);
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.filter_map(Result::ok) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => close_off_all(&entry.path()),
            Ok(kind) if kind.is_file() => close_off(&entry.path()),
            Ok(_) | Err(_) => {}
        }
    }
}

fn close_off(path: &Path) {
    let closed = fs::symlink_metadata(path).and_then(|known| match known.mode() & OTHERS {
        0 => Ok(()),
        _ => fs::set_permissions(path, Permissions::from_mode(known.mode() & !OTHERS & 0o7777)),
    });
    match closed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "others may be able to read this and it cannot be changed");
        }
        Ok(()) | Err(_) => {}
    }
}

/// Locks sled's files as sled does, so that nobody opens them; `None` where there are none yet.
pub(super) fn lock(folder: &Path) -> Result<Option<File>, StoreError> {
    let path = folder.join(LOG);
    let file = match File::options().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io(path)(error)),
    };
    for _ in 1..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(StoreError::io(path)(error)),
        }
    }
    Err(StoreError::Locked { path: folder.to_owned() })
}

/// Removes snapshots that sled did not finish. A kill or a full disk leaves them, and sled then takes the store for
/// damaged, though each of them only repeats what its log has.
pub(super) fn remove_unfinished_snapshots(folder: &Path) -> Result<(), StoreError> {
    let Some(_lock) = lock(folder)? else { return Ok(()) };
    remove(folder, is_unfinished_snapshot)
}

fn is_unfinished_snapshot(name: &str) -> bool {
    name.starts_with("snap.") && name.ends_with(".generating")
}

/// Removes files that were being written when a process died. Only the owner of the store may do so.
pub(super) fn remove_unfinished(dir: &Path) -> Result<(), StoreError> {
    remove(dir, |name| name.starts_with(UNFINISHED))
}

fn remove(dir: &Path, is_left: impl Fn(&str) -> bool) -> Result<(), StoreError> {
    for entry in fs::read_dir(dir).map_err(StoreError::io(dir))?.filter_map(Result::ok) {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || !is_left(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        tracing::debug!(path = %path.display(), "removing a file that was never finished");
        fs::remove_file(&path).map_err(StoreError::io(path))?;
    }
    Ok(())
}

/// Writes a file anew beside the old one under a name of its own, puts it on disk, and only then in the old one's
/// place.
pub(super) fn replace(
    path: &Path,
    fill: impl FnOnce(&mut io::BufWriter<&mut File>) -> io::Result<()>,
) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder).and_then(|mut beside| {
        let mut writer = io::BufWriter::new(beside.as_file_mut());
        fill(&mut writer)?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        beside.persist(path).map(|_| ()).map_err(|error| error.error)
    });
    written.map_err(StoreError::io(path))
}

/// Puts the names in a folder on disk: a file that was renamed has its new name for certain only then.
pub(super) fn sync(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(StoreError::io(folder))
}

/// Makes sure that a record could be written.
pub(super) fn try_to_write(dir: &Path) -> Result<(), StoreError> {
    let written = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(dir).and_then(|mut trial| {
        trial.write_all(&[b'?'; TRIAL_BYTES])?;
        trial.as_file().sync_all()
    });
    written.map_err(StoreError::io(dir))
}

/// Copies sled's folder into memory.
pub(super) fn copy(folder: &Path) -> io::Result<TempDir> {
    let size = size(folder)?;
    if size > COPY_BYTES_MAX {
        return Err(io::Error::other(format!("{size} bytes are too many for a copy in memory")));
    }
    let places = [Path::new(IN_MEMORY).to_owned(), std::env::temp_dir()];
    let mut refused = io::Error::from(io::ErrorKind::NotFound);
    for place in places {
        let made = tempfile::Builder::new().prefix("vm-balancer-").tempdir_in(place);
        match made.and_then(|to| copy_into(folder, to.path()).map(|()| to)) {
            Ok(copied) => return Ok(copied),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// Removes the copy's files while they are open, so that a process that is killed leaves none in memory.
pub(super) fn remove_open_copy(copied: &Path) {
    for name in names(copied) {
        if name.is_file() {
            // A file that stays is removed with its folder.
            let _ = fs::remove_file(name);
        }
    }
}

fn names(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder)
        .map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let known = entry.metadata()?;
        bytes += if known.is_dir() { size(&entry.path())? } else { known.len() };
    }
    Ok(bytes)
}

fn copy_into(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if is_unfinished_snapshot(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            DirBuilder::new().mode(0o700).create(&to)?;
            copy_into(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
