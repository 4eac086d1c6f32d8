//! How large the image is, by section and by crate, against `firmware/size-budget.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::inspect::{Symbol, sections, symbols};
use super::shorten::is_made;
use crate::routine::root;

/// Crates that the report names; the others are summed up.
const NAMED: usize = 12;

/// Prints the report of the image that is built; an error names what is over its budget.
pub(crate) fn size(_: &[String]) -> Result<(), String> {
    let elf = root().join("target/firmware/dunlin.elf");
    if !elf.exists() {
        return Err(format!("`{}` is not there: build it with `cargo xtask firmware`", elf.display()));
    }
    report(&elf)
}

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
    let limit = |table: Option<&toml::Table>, name: &str| table?.get(name).and_then(toml::Value::as_integer);
    println!("{:<24} {:>9} {:>9}", "", "bytes", "budget");
    let mut over = Vec::new();
    let mut line = |name: &str, bytes: u32, limit: Option<i64>| {
        let shown = limit.map_or_else(String::new, |limit| limit.to_string());
        println!("{name:<24} {bytes:>9} {shown:>9}");
        over.extend(excess(name, bytes, limit));
    };
    for (name, bytes) in spent {
        line(name, bytes, Some(limit(Some(&budget), name).unwrap_or(0)));
    }
    println!();
    let crates = budget.get("crates").and_then(toml::Value::as_table);
    for (name, bytes) in by_crate(&symbols(elf)?, crates, section(".iram") + section(".irom")) {
        line(&name, bytes, limit(crates, &name));
    }
    if over.is_empty() { Ok(()) } else { Err(format!("{} (firmware/size-budget.toml)", over.join("; "))) }
}

/// Says by how much something is over its budget.
fn excess(name: &str, bytes: u32, limit: Option<i64>) -> Option<String> {
    let limit = limit?;
    let over = i64::from(bytes) - limit;
    (over > 0).then(|| format!("`{name}` has {bytes} bytes, {over} more than its budget of {limit}"))
}

/// Returns bytes of code and constants for each crate, most first. Those with a budget are always named.
fn by_crate(symbols: &[Symbol], budget: Option<&toml::Table>, total: u32) -> Vec<(String, u32)> {
    let mut sizes: BTreeMap<&str, u32> = BTreeMap::new();
    for symbol in symbols.iter().filter(|symbol| symbol.address >= 0x4010_0000) {
        *sizes.entry(owner_of(&symbol.name)).or_default() += symbol.size;
    }
    let mut sizes: Vec<(String, u32)> =
        sizes.into_iter().map(|(name, size)| (name.to_owned(), size)).collect();
    sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let sum: u32 = sizes.iter().map(|(_, size)| size).sum();
    let has_budget = |name: &str| budget.is_some_and(|budget| budget.contains_key(name));
    let rest = sizes.split_off(sizes.len().min(NAMED));
    let (named, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(name, _)| has_budget(name));
    sizes.extend(named);
    sizes.push(("(other crates)".to_owned(), rest.iter().map(|(_, size)| size).sum()));
    sizes.push(("(constants, literals)".to_owned(), total.saturating_sub(sum)));
    sizes
}

/// Returns what a symbol's bytes are counted for: a crate, or what has none.
fn owner_of(symbol: &str) -> &str {
    crate_of(symbol).unwrap_or(if is_made(symbol) { "(shared by functions)" } else { "(assembly)" })
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
    fn what_is_over_its_budget_is_told_with_the_excess() {
        assert_eq!(excess("minimq", 100, Some(100)), None);
        assert_eq!(excess("minimq", 1_000_000, None), None);
        let told = "`minimq` has 130 bytes, 30 more than its budget of 100";
        assert_eq!(excess("minimq", 130, Some(100)).as_deref(), Some(told));
    }

    #[test]
    fn a_crate_with_a_budget_is_named_however_small() {
        let symbol = |index: usize, size| Symbol {
            address: 0x4020_0000,
            size,
            name: format!(
                "_RNvNtC{}3run4take",
                [
                    "6minimq", "4core", "1a", "1b", "1c", "1d", "1e", "1f", "1g", "1h", "1i", "1j", "1k",
                    "4ryuu"
                ][index]
            ),
        };
        let symbols: Vec<Symbol> = (0..14).map(|index| symbol(index, 20 - index as u32)).collect();
        let budget: toml::Table = "ryuu = 3".parse().unwrap_or_default();
        let sizes = by_crate(&symbols, Some(&budget), 1000);
        assert_eq!(sizes.len(), NAMED + 3);
        assert!(sizes.contains(&("ryuu".to_owned(), 7)) && sizes.contains(&("(other crates)".to_owned(), 8)));
    }

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
