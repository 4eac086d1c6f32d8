//! Every routine that a developer runs. One file a routine; this table is the only place that names them all.

use std::process::ExitCode;

mod bench;
mod firmware;
mod fuzz;
mod layers;
mod mutants;
mod packages;
mod reproducible;
mod routine;
mod safety;
mod spec;
mod targets;
mod test;
mod torture;
mod workarounds;

/// A routine: its name on the command line, one line of help, and the function that runs it.
struct Routine {
    name: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<(), String>,
}

const ROUTINES: &[Routine] = &[
    Routine { name: "test", help: "everything that CI runs", run: test::test },
    Routine { name: "ci", help: "the same", run: test::test },
    Routine {
        name: "torture",
        help: "30 million power cuts; `--replay STRING`, `--mutants`, `--image`, `--kills`, `--year`",
        run: torture::torture,
    },
    Routine {
        name: "firmware",
        help: "the image for the ESP8266: target/firmware/dunlin.bin",
        run: firmware::firmware,
    },
    Routine {
        name: "size",
        help: "what the image that is built takes, against its budget",
        run: firmware::size::size,
    },
    Routine {
        name: "reproducible",
        help: "the image a second time in another folder, and every byte compared",
        run: reproducible::reproducible,
    },
    Routine {
        name: "fuzz",
        help: "MINUTES of inputs that nobody meant; `--replay STRING` repeats one",
        run: fuzz::fuzz,
    },
    Routine { name: "bench", help: "what is claimed of speed and size, measured", run: bench::bench },
    Routine { name: "spec", help: "the documents of flash and USB against the code", run: spec::spec },
    Routine {
        name: "layers",
        help: "which crate may name which, and why unsafe code is sound",
        run: layers::layers,
    },
    Routine {
        name: "workarounds",
        help: "which work-arounds the compiler still needs",
        run: workarounds::workarounds,
    },
    Routine {
        name: "targets",
        help: "the cores for a bare 32-bit processor and for a browser",
        run: targets::targets,
    },
];

fn main() -> ExitCode {
    if let Some(code) = firmware::compile::as_compiler() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        help();
        return ExitCode::from(64);
    };
    let Some(routine) = ROUTINES.iter().find(|routine| routine.name == name) else {
        help();
        return ExitCode::from(64);
    };
    match (routine.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn help() {
    println!("cargo xtask <routine>\n");
    for routine in ROUTINES {
        println!("  {:<12} {}", routine.name, routine.help);
    }
}
