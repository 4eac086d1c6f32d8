//! Where the tool keeps what it shares with itself: sockets of held ports and of a running simulation, and which port
//! belongs to which device.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Most bytes of a socket's path: the system takes 107, some 103.
const PATH_LEN: usize = 100;

/// Returns the path of the socket called `name`, in a folder that is made if it is missing and closed to other users:
/// `$XDG_RUNTIME_DIR/dunlin`, or a folder of this user in the temporary folder. Where that path is longer than a socket's
/// may be, a short one that belongs to it alone.
///
/// # Errors
/// Where the folder can't be made, or where what is there belongs to another user; in words with the cure.
pub fn socket(name: &str) -> io::Result<PathBuf> {
    let own = format!("dunlin-{}", user());
    let folder = match std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty()) {
        Some(path) => Path::new(&path).join("dunlin"),
        None => std::env::temp_dir().join(&own),
    };
    let path = folder.join(name);
    let (folder, path) = if path.as_os_str().len() <= PATH_LEN {
        (folder, path)
    } else {
        let short = Path::new("/tmp").join(own);
        let path = short.join(format!("{:016x}.sock", digest(path.as_os_str().as_encoded_bytes())));
        (short, path)
    };
    make_private(&folder).map_err(|error| {
        let shown = folder.display();
        let text =
            format!("the folder `{shown}` can't be made ({error}): set XDG_RUNTIME_DIR to a folder of yours");
        io::Error::new(error.kind(), text)
    })?;
    Ok(path)
}

/// FNV-1a: the same in every version of this program.
fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Returns the file that remembers ports: `$XDG_STATE_HOME/dunlin/ports`, or `~/.local/state/dunlin/ports`.
pub fn remembered_ports() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("dunlin/ports"))
}

/// Returns the port that was last used for `device`.
pub fn remembered_port(device: &str) -> Option<String> {
    let text = fs::read_to_string(remembered_ports()?).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(device)?.strip_prefix('\t'))?;
    Some(line.to_owned())
}

/// Remembers the port of `device`. A file that can't be written is no error: the port is a convenience.
pub fn remember_port(device: &str, port: &str) {
    let Some(path) = remembered_ports() else { return };
    let text = fs::read_to_string(&path).unwrap_or_default();
    let kept = text.lines().filter(|line| {
        // A port that now belongs to this device belongs to no other.
        line.split_once('\t').is_some_and(|(name, its)| name != device && its != port)
    });
    let mut lines: Vec<String> = kept.map(str::to_owned).collect();
    lines.push(format!("{device}\t{port}"));
    let new = lines.join("\n") + "\n";
    if new != text {
        let _ = path.parent().map(fs::create_dir_all);
        let _ = fs::write(path, new);
    }
}

#[cfg(unix)]
fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

#[cfg(not(unix))]
fn user() -> u32 {
    0
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    // Another user could have made it first, as a folder or as a link to one.
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != user() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    if found.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}
