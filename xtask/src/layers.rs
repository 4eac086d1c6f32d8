//! Checks that crates depend on each other in one direction only.

use std::fs;

use crate::routine::root;

/// Each crate and the crates of this workspace that it may name.
const ALLOWED: &[(&str, &[&str])] = &[
    ("config-format", &[]),
    ("agent", &["dunlin-config-format"]),
    ("firmware", &["dunlin-agent", "dunlin-config-format"]),
    ("twin", &["dunlin-agent", "dunlin-config-format"]),
    ("config-tool", &["dunlin-twin", "dunlin-config-format"]),
    ("xtask", &["dunlin-config-format"]),
];

/// Compares the manifests with the table.
pub(crate) fn layers(_: &[String]) -> Result<(), String> {
    for (folder, allowed) in ALLOWED {
        let path = root().join(folder).join("Cargo.toml");
        let text = fs::read_to_string(&path).map_err(|error| format!("{folder}/Cargo.toml: {error}"))?;
        let manifest: toml::Table = text.parse().map_err(|error| format!("{folder}/Cargo.toml: {error}"))?;
        let dependencies = manifest.get("dependencies").and_then(|table| table.as_table());
        for name in dependencies.into_iter().flat_map(|table| table.keys()) {
            if name.starts_with("dunlin") && !allowed.contains(&name.as_str()) {
                return Err(format!("`{folder}` must not depend on `{name}`; it may name {allowed:?}"));
            }
        }
    }
    Ok(())
}
