//! Compares the normative documents with the code.

use std::process::Command;

use crate::routine::run;

/// Runs the tests that read `flash-layout.md` and `usb-protocol.md`.
pub(crate) fn spec(_: &[String]) -> Result<(), String> {
    let test = |package: &str, test: &str| {
        run(Command::new("cargo").args(["test", "--quiet", "--package", package, "--test", test]))
    };
    test("dunlin", "flash_layout")?;
    test("dunlin-config-format", "usb_protocol")
}
