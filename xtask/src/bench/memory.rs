//! RAM of the node on the chip: what the compiler lays out for the 32-bit target.

use std::fs;

use crate::firmware::compile::{self, TYPE_SIZES};
use crate::{packages, routine::root};

/// What is in RAM, by the beginning of its type's name: name for people, and whether it is made of packet buffers.
const PARTS: [(&str, &str, bool); 5] = [
    ("{async fn body of dunlin_agent::run<", "agent's future", false),
    ("{async block@src/main.rs", "network stack's future", false),
    ("dunlin_agent::Memory`", "buffers of MQTT (2,944) and TCP (1,608)", false),
    ("dunlin_agent::network::Resources`", "network stack's resources", false),
    ("dunlin_agent::tether::Tether`", "packets of the tether", true),
];

/// Prints the sizes, each as the compiler gives it to the shipping image.
pub(super) fn print() -> Result<(), String> {
    packages::ensure_firmware()?;
    let folder = root().join("target/bench/types");
    let error = |error: std::io::Error| format!("{}: {error}", folder.display());
    // Anew each time: sizes are told while the program is compiled, and at no other time.
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(error)?;
    }
    fs::create_dir_all(&folder).map_err(error)?;
    let file = folder.join("sizes.txt");
    compile::compile_with(&folder, &[(TYPE_SIZES, file.as_os_str())])?;
    let text = fs::read_to_string(&file).map_err(error)?;
    let mut sum = [0, 0];
    println!("\n{:<44} {:>10}", "RAM on the chip, by the compiler's layout", "bytes");
    for (beginning, name, is_packets) in PARTS {
        let size = size_of(&text, beginning).ok_or_else(|| format!("no type `{beginning}…` was compiled"))?;
        println!("{name:<44} {size:>10}");
        sum[usize::from(is_packets)] += size;
    }
    println!("{:<44} {:>10}", "together, without packet buffers (goal 24,576)", sum[0]);
    println!("{:<44} {:>10}", "together", sum[0] + sum[1]);
    Ok(())
}

/// Returns the size of the largest type whose name begins like this.
fn size_of(text: &str, beginning: &str) -> Option<u64> {
    let sizes = text.lines().filter_map(|line| {
        let is_wanted = line.strip_prefix("print-type-size type: `")?.starts_with(beginning);
        let size = line.rsplit_once("`: ")?.1.split(' ').next()?;
        size.parse().ok().filter(|_| is_wanted)
    });
    sizes.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_compilers_words() {
        let text = "print-type-size type: `core::x`: 4 bytes, alignment: 4 bytes\n\
                    print-type-size type: `dunlin_agent::Memory`: 6240 bytes, alignment: 1 bytes\n\
                    print-type-size     field `.uplink`: 6240 bytes\n";
        assert_eq!(size_of(text, "dunlin_agent::Memory`"), Some(6240));
        assert_eq!(size_of(text, "nothing"), None);
    }
}
