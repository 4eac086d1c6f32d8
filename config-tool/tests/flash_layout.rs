//! `flash-layout.md` against the compiler: the tutorial's image, which the document shows byte for byte.

use std::fs;
use std::path::{Path, PathBuf};

use dunlin::compile::{Source, compile};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn the_tutorials_image_is_the_compilers() {
    let vector = fs::read(repository("config-format/tests/vectors/tutorial.dunlin")).unwrap();
    let path = repository("examples/configs/tutorial.toml");
    let source = Source { name: "tutorial.toml".to_owned(), text: fs::read_to_string(path).unwrap() };
    assert_eq!(compile(&source).image.as_ref(), Some(&vector));
    let document = fs::read_to_string(repository("flash-layout.md")).unwrap();
    let section = document.split("\n### The tutorial's image\n").nth(1).unwrap();
    let block = section.split("```annotated\n").nth(1).unwrap().split("```").next().unwrap();
    let bytes = |line: &str| {
        let digits = line.split_once(": ").unwrap().1.get(..47).map(str::trim);
        digits
            .unwrap_or_default()
            .split(' ')
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect::<Vec<u8>>()
    };
    assert_eq!(block.lines().flat_map(|line| bytes(&format!("{line:<64}"))).collect::<Vec<u8>>(), vector);
}
