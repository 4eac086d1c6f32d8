//! Checks that crates depend on each other in one direction only, and on one version of everything else, and that unsafe code
//! says why it is sound.

use std::collections::BTreeMap;
use std::fs;

use crate::routine::root;
use crate::safety;

/// Each crate and the crates of this workspace that it may name.
const ALLOWED: &[(&str, &[&str])] = &[
    ("config-format", &[]),
    ("agent", &["dunlin-config-format"]),
    ("firmware", &["dunlin-agent", "dunlin-config-format"]),
    ("twin", &["dunlin-agent", "dunlin-config-format"]),
    ("config-tool", &["dunlin-twin", "dunlin-config-format"]),
    ("xtask", &["dunlin-config-format"]),
];

/// Compares the manifests with the table, and the firmware's versions, which are a workspace of their own, with the others.
pub(crate) fn layers(_: &[String]) -> Result<(), String> {
    safety::check()?;
    for (folder, allowed) in ALLOWED {
        let manifest = read(&format!("{folder}/Cargo.toml"))?;
        for (name, _) in dependencies(&manifest) {
            if name.starts_with("dunlin") && !allowed.contains(&name) {
                return Err(format!("`{folder}` must not depend on `{name}`; it may name {allowed:?}"));
            }
        }
    }
    let workspace = read("Cargo.toml")?;
    let table = workspace.get("workspace").and_then(|table| table.get("dependencies"));
    let table = table.and_then(toml::Value::as_table).ok_or("Cargo.toml has no table of versions")?;
    same_versions(&read("firmware/Cargo.toml")?, table)?;
    same_locks(&locked(&read("firmware/Cargo.lock")?), &locked(&read("Cargo.lock")?))
}

fn read(path: &str) -> Result<toml::Table, String> {
    let text = fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))?;
    text.parse().map_err(|error| format!("{path}: {error}"))
}

/// Returns what a crate is made with: its dependencies, those of its build script, and those for single targets.
fn dependencies(manifest: &toml::Table) -> Vec<(&str, &toml::Value)> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let targets = targets.into_iter().flat_map(|table| table.values()).filter_map(toml::Value::as_table);
    std::iter::once(manifest)
        .chain(targets)
        .flat_map(|table| ["dependencies", "build-dependencies"].map(|kind| table.get(kind)))
        .flatten()
        .filter_map(toml::Value::as_table)
        .flat_map(|table| table.iter().map(|(name, value)| (name.as_str(), value)))
        .collect()
}

/// Checks that the firmware's manifest asks for the versions of the workspace's table.
fn same_versions(firmware: &toml::Table, table: &toml::Table) -> Result<(), String> {
    let version = |value: &toml::Value| {
        let version = value.as_str().or_else(|| value.get("version").and_then(toml::Value::as_str));
        version.map(str::to_owned)
    };
    for (name, value) in dependencies(firmware) {
        let (Some(asked), Some(listed)) = (version(value), table.get(name).and_then(version)) else {
            continue;
        };
        if asked != listed {
            return Err(format!(
                "firmware/Cargo.toml asks for `{name}` {asked}, the workspace's table for {listed}; they must agree"
            ));
        }
    }
    Ok(())
}

/// Returns the versions of each crate from a registry that a lock file names.
fn locked(lock: &toml::Table) -> BTreeMap<String, Vec<String>> {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let packages = lock.get("package").and_then(toml::Value::as_array);
    for package in packages.into_iter().flatten().filter(|package| package.get("source").is_some()) {
        let text = |key| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
        if let (Some(name), Some(version)) = (text("name"), text("version")) {
            versions.entry(name).or_default().push(version);
        }
    }
    versions
}

/// Checks that what the image is made with is what the workspace's tests run: each locked version is locked there, too.
fn same_locks(
    firmware: &BTreeMap<String, Vec<String>>,
    workspace: &BTreeMap<String, Vec<String>>,
) -> Result<(), String> {
    for (name, versions) in firmware {
        let Some(others) = workspace.get(name) else { continue };
        if let Some(version) = versions.iter().find(|version| !others.contains(version)) {
            return Err(format!(
                "firmware/Cargo.lock has `{name}` {version}, Cargo.lock has {}; bring them together with \
                 `cargo update --precise`",
                others.join(", ")
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> toml::Table {
        text.parse().unwrap_or_default()
    }

    #[test]
    fn every_table_of_dependencies_is_read() {
        let manifest = table(
            "[dependencies]\na = \"1\"\n[build-dependencies]\nb = \"1\"\n[dev-dependencies]\nd = \"1\"\n\
             [target.'cfg(unix)'.dependencies]\nc = \"1\"\n",
        );
        let names: Vec<&str> = dependencies(&manifest).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn versions_that_differ_are_told() {
        let workspace = table("a = { version = \"1.2.0\", default-features = false }\n");
        assert!(same_versions(&table("[dependencies]\na = \"1.2.0\"\nb = \"2\"\n"), &workspace).is_ok());
        let told = same_versions(&table("[dependencies]\na = \"1.1.0\"\n"), &workspace);
        assert!(told.is_err_and(|told| told.contains("`a` 1.1.0") && told.contains("1.2.0")));
        let lock = |version| {
            locked(&table(&format!("[[package]]\nname = \"a\"\nversion = \"{version}\"\nsource = \"r\"\n")))
        };
        assert!(same_locks(&lock("1.2.0"), &lock("1.2.0")).is_ok());
        assert!(same_locks(&lock("1.2.1"), &lock("1.2.0")).is_err_and(|told| told.contains("`a` 1.2.1")));
    }
}
