//! Compares the normative documents with the code.

use std::process::Command;

use crate::routine::run;

/// Runs the tests that read `flash-layout.md` and `usb-protocol.md`: tables and annotated bytes against the format, the order
/// of writes against the slot store, the errors against their vectors, and the tutorial's image against the compiler.
pub(crate) fn spec(_: &[String]) -> Result<(), String> {
    let test = |package: &str, test: &str| {
        run(Command::new("cargo").args(["test", "--quiet", "--package", package, "--test", test]))
    };
    for (package, name) in [
        ("dunlin-config-format", "flash_layout"),
        ("dunlin-config-format", "usb_protocol"),
        ("dunlin-config-format", "rejects"),
        ("dunlin-twin", "flash_layout"),
        ("dunlin-twin", "requests"),
        ("dunlin", "flash_layout"),
    ] {
        test(package, name)?;
    }
    Ok(())
}
