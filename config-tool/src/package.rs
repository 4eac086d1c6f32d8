//! What `push` brings to a board, from what the user has: a file with a configuration.

use std::fmt;
use std::path::{Path, PathBuf};

use dunlin_config_format::config::Config;
use dunlin_config_format::image::{HeaderError, Image, ImageError, MAGIC};
use dunlin_config_format::limits::CREDENTIAL_LEN;

use crate::compile::{SecretSource, Source, compile, nearest, told};
use crate::device::Package;

/// The file that a verb takes where none is named; `new` writes it.
pub(crate) const DEFAULT_FILE: &str = "node.toml";

/// Why a file can't be pushed. Shown to people as it is.
#[derive(Debug)]
pub struct PackageError(String);

impl std::error::Error for PackageError {}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a file and makes a package of it.
///
/// # Errors
/// [`PackageError`] where the file can't be read or is not a configuration.
pub fn load(path: &Path) -> Result<Package, PackageError> {
    let (package, missing) = load_for_simulation(path)?;
    missing.into_iter().next().map_or(Ok(package), |missing| Err(PackageError(missing)))
}

/// Reads a file for a board that can do without secrets: the package has those that are there. Returns beside it which are
/// missing, and why.
///
/// # Errors
/// As [`load`].
pub fn load_for_simulation(path: &Path) -> Result<(Package, Vec<String>), PackageError> {
    let shown = path.display();
    let bytes = read(path)?;
    if bytes.starts_with(&MAGIC.to_le_bytes()) {
        let package = from_image(bytes, Vec::new());
        return package
            .map(|package| (package, Vec::new()))
            .map_err(|error| PackageError(format!("`{shown}`: {error}")));
    }
    let Compiled { image, secrets: sources, warnings } =
        compiled(&shown.to_string(), &text_of(bytes, &shown)?)?;
    let (mut secrets, mut missing) = (Vec::new(), Vec::new());
    for (name, source) in sources {
        match secret(path, &source) {
            Ok(value) => secrets.push((name.to_owned(), value)),
            Err(error) => missing.push(error.to_string()),
        }
    }
    Ok((Package { warnings, ..from_image(image, secrets)? }, missing))
}

/// Compiles a text; secrets are not looked for.
///
/// # Errors
/// Every problem of the text, as people read it.
pub fn from_text(name: &str, text: &str) -> Result<Package, PackageError> {
    let Compiled { image, warnings, .. } = compiled(name, text)?;
    Ok(Package { warnings, ..from_image(image, Vec::new())? })
}

fn read(path: &Path) -> Result<Vec<u8>, PackageError> {
    let shown = path.display();
    std::fs::read(path).map_err(|error| {
        PackageError(match error.kind() {
            std::io::ErrorKind::NotFound => not_there(path),
            _ => format!("`{shown}` can't be read: {error}"),
        })
    })
}

/// Says that a file does not exist, and what to do.
pub(crate) fn not_there(path: &Path) -> String {
    let shown = path.display();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let cure = match (near_file(path), folder) {
        (Some(near), _) => format!("did you mean `{}`?", near.display()),
        (None, Some(folder)) if !folder.is_dir() => {
            format!("there is no folder `{}` either; name another file", folder.display())
        }
        (None, None) if path == Path::new(DEFAULT_FILE) => {
            "name a file, or let `dunlin new` write it".to_owned()
        }
        (None, _) if path.extension().is_some_and(|extension| extension == "toml") => {
            format!("name another file, or let `dunlin new {shown}` write it")
        }
        (None, _) => "name another file".to_owned(),
    };
    format!("`{shown}` does not exist: {cure}")
}

/// Returns the file that is called much like one that does not exist, in the same folder.
pub(crate) fn near_file(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names =
        std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let names: Vec<String> =
        names.filter(|name| [".toml", ".dunlin"].iter().any(|end| name.ends_with(end))).collect();
    let wanted = path.file_name()?.to_str()?;
    // Endings alone make no two names alike.
    let stem = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let is_like = |name: &&str| nearest(&stem(wanted), &[stem(name).as_str()]).is_some();
    let names: Vec<&str> = names.iter().map(String::as_str).filter(is_like).collect();
    let near = nearest(wanted, &names).or_else(|| nearest(&format!("{wanted}.toml"), &names))?;
    Some(path.with_file_name(near))
}

fn text_of(bytes: Vec<u8>, shown: &impl fmt::Display) -> Result<String, PackageError> {
    String::from_utf8(bytes).map_err(|error| {
        PackageError(format!(
            "`{shown}` is neither an image nor text (byte {}): is it the right file? Text is UTF-8",
            error.utf8_error().valid_up_to()
        ))
    })
}

type Secrets = Vec<(&'static str, SecretSource)>;

/// What became of a text that is not refused.
struct Compiled {
    image: Vec<u8>,
    secrets: Secrets,
    warnings: Vec<String>,
}

fn compiled(name: &str, text: &str) -> Result<Compiled, PackageError> {
    let source = Source { name: name.to_owned(), text: text.to_owned() };
    let compiled = compile(&source);
    let told = told(&source, &compiled.diagnostics, compiled.untold);
    match compiled.image {
        Some(image) => Ok(Compiled { image, secrets: compiled.secrets, warnings: told }),
        None => Err(PackageError(format!("`{name}` is refused\n\n{}", told.join("\n")))),
    }
}

/// Tells which secrets of the file at `path` a push would miss, and why: each a line that shows none of them.
pub(crate) fn missing_secrets(path: &Path, sources: &[(&'static str, SecretSource)]) -> Vec<String> {
    sources
        .iter()
        .filter_map(|(_, source)| secret(path, source).err())
        .map(|error| error.to_string())
        .collect()
}

/// Finds a secret of the file at `path`.
fn secret(path: &Path, source: &SecretSource) -> Result<Vec<u8>, PackageError> {
    let (text, whence) = match source {
        SecretSource::Plain(text) => (text.0.clone(), "the file".to_owned()),
        SecretSource::Env(name) => {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            let missing = || PackageError(format!("the variable `{name}` is not set: `export {name}=…`"));
            (value.ok_or_else(missing)?, format!("the variable `{name}`"))
        }
        SecretSource::File(name) => {
            let whole = path.parent().unwrap_or(Path::new("")).join(name);
            let text = std::fs::read_to_string(whole)
                .map_err(|error| PackageError(format!("the secret file `{name}` can't be read: {error}")))?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            if text.is_empty() {
                return Err(PackageError(format!("the secret file `{name}` is empty")));
            }
            (text.to_owned(), format!("the secret file `{name}`"))
        }
    };
    if text.len() > CREDENTIAL_LEN {
        let len = text.len();
        return Err(PackageError(format!(
            "the secret in {whence} has {len} bytes: at most {CREDENTIAL_LEN} are possible"
        )));
    }
    Ok(text.into_bytes())
}

/// Makes a package of an image and the secrets that it names. Secrets that are left out stay as they are on the board.
///
/// # Errors
/// [`PackageError`] where the bytes are not a valid image.
pub fn from_image(bytes: Vec<u8>, secrets: Vec<(String, Vec<u8>)>) -> Result<Package, PackageError> {
    let image = Image::parse(&bytes).map_err(|error| PackageError(damage(error)))?;
    let config = Config::decode(image.body)
        .map_err(|error| PackageError(format!("its body is not valid: {error:?}")))?;
    let mut drivers: Vec<(u8, String)> = config
        .sensors
        .iter()
        .map(|sensor| (sensor.driver.number(), sensor.driver.info().name.to_owned()))
        .collect();
    drivers.sort_unstable();
    drivers.dedup();
    Ok(Package {
        hash: image.header.hash,
        device: config.device.name.to_owned(),
        schema: image.header.lowest_reader,
        drivers,
        secrets,
        warnings: Vec::new(),
        image: bytes,
    })
}

/// Says why bytes are no image, and what to do.
pub(crate) fn damage(error: ImageError) -> String {
    let what = match error {
        ImageError::Header(HeaderError::TooNew { lowest_reader }) => {
            return format!(
                "the image has format {lowest_reader}, which this tool does not read: use a newer `dunlin`"
            );
        }
        ImageError::Header(HeaderError::Truncated) => "it ends within its header".to_owned(),
        ImageError::Header(HeaderError::Magic { .. } | HeaderError::Erased) => {
            "it does not begin as one".to_owned()
        }
        ImageError::Header(HeaderError::Checksum) => "its header's checksum is wrong".to_owned(),
        ImageError::Header(HeaderError::Length) => "its header tells a length that none has".to_owned(),
        ImageError::Length { expected, found } => {
            format!("it has {found} bytes, and its header tells {expected}")
        }
        ImageError::Body => "the checksum of its body is wrong".to_owned(),
        ImageError::Assets => "the checksum of its assets is wrong".to_owned(),
        ImageError::Hash => "its hash is wrong".to_owned(),
    };
    format!("the image is damaged ({what}): compile or pull it again")
}
