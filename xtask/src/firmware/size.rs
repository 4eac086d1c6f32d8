//! How large the image is, by section and by crate, against `firmware/size-budget.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::inspect::{Symbol, sections, symbols};
use crate::routine::root;

/// Crates that the report names; the others are summed up.
const NAMED: usize = 12;

/// Prints the report; an error names what is over its budget.
pub(crate) fn report(elf: &Path) -> Result<(), String> {
    let size_of = sections(elf)?;
    let section = |name: &str| size_of.get(name).copied().unwrap_or(0);
    let spent = [
        ("flash", section(".iram") + section(".data") + section(".irom")),
        ("iram", section(".iram")),
        ("ram", section(".data") + section(".bss")),
        ("stack", section(".stack")),
    ];
    let path = root().join("firmware/size-budget.toml");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let budget: toml::Table = text.parse().map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{:<24} {:>9} {:>9}", "", "bytes", "budget");
    let mut over = Vec::new();
    for (name, bytes) in spent {
        let limit = budget.get(name).and_then(toml::Value::as_integer).unwrap_or(0);
        println!("{name:<24} {bytes:>9} {limit:>9}");
        if i64::from(bytes) > limit {
            over.push(format!("{name} has {bytes} bytes, its budget is {limit}"));
        }
    }
    println!();
    for (name, bytes) in by_crate(&symbols(elf)?, section(".iram") + section(".irom")) {
        println!("{name:<24} {bytes:>9}");
    }
    if over.is_empty() { Ok(()) } else { Err(over.join("; ")) }
}

/// Returns bytes of code and constants for each crate, most first.
fn by_crate(symbols: &[Symbol], total: u32) -> Vec<(String, u32)> {
    let mut sizes: BTreeMap<&str, u32> = BTreeMap::new();
    for symbol in symbols.iter().filter(|symbol| symbol.address >= 0x4010_0000) {
        *sizes.entry(crate_of(&symbol.name).unwrap_or("(assembly)")).or_default() += symbol.size;
    }
    let mut sizes: Vec<(String, u32)> =
        sizes.into_iter().map(|(name, size)| (name.to_owned(), size)).collect();
    sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let named: u32 = sizes.iter().map(|(_, size)| size).sum();
    let rest = sizes.split_off(sizes.len().min(NAMED));
    sizes.push(("(other crates)".to_owned(), rest.iter().map(|(_, size)| size).sum()));
    sizes.push(("(constants, literals)".to_owned(), total.saturating_sub(named)));
    sizes
}

/// Returns the crate of the item that a symbol is for, by the first crate root in its name (Rust's v0 mangling, RFC 2603).
fn crate_of(symbol: &str) -> Option<&str> {
    let mut rest = symbol.strip_prefix("_R")?;
    loop {
        let (_, after) = rest.split_once('C')?;
        rest = after;
        let identifier = match after.strip_prefix('s') {
            Some(disambiguated) => disambiguated.split_once('_').map_or("", |(_, identifier)| identifier),
            None => after,
        };
        let digits = identifier.len() - identifier.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let Some((Ok(len), name)) =
            identifier.split_at_checked(digits).map(|(len, name)| (len.parse::<usize>(), name))
        else {
            continue;
        };
        let name = name.strip_prefix('_').unwrap_or(name);
        if let Some(name) = name.get(..len) {
            return Some(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_belongs_to_the_crate_of_its_item() {
        let names = [
            ("_RNvNtCs5fcdBSy8fqs_12dunlin_agent3run4take", Some("dunlin_agent")),
            (
                "_RINvMs1_NtCs2nyPIDLJU06_6minimq3serNtB6_14MqttSerializer3newECs5fcdBSy8fqs_12dunlin_agent",
                Some("minimq"),
            ),
            ("_RNvNtC4core3fmt5write", Some("core")),
            ("memcpy", None),
            ("_RNvC", None),
        ];
        for (symbol, name) in names {
            assert_eq!(crate_of(symbol), name, "{symbol}");
        }
    }
}
