//! What a diagnostic looks like: lines that cause it, and what to write in their place.

use crate::compile::Code;

/// Returns lines of a file that cause a diagnostic, and the same lines without the mistake.
fn example(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::Syntax => ("[mqtt]\nbroker = 10.0.0.1", "[mqtt]\nbroker = \"10.0.0.1\""),
        Code::UnknownKey => {
            ("[sensor.lux]\nfilter = [{ median = 5 }]", "[sensor.lux]\nfilters = [{ median = 5 }]")
        }
        Code::MissingKey => {
            ("[sensor.node]\ndriver = \"internal\"", "[sensor.node]\ndriver = \"internal\"\nperiod = \"1m\"")
        }
        Code::WrongType => {
            ("[sensor.lux]\nreadings = \"illuminance\"", "[sensor.lux]\nreadings = [\"illuminance\"]")
        }
        Code::Duration => ("[sensor.lux]\nperiod = 2", "[sensor.lux]\nperiod = \"2s\""),
        Code::OutOfRange => ("[sensor.lux]\nqos = 3", "[sensor.lux]\nqos = 2"),
        Code::Identifier => ("[device]\nname = \"Living Room\"", "[device]\nname = \"living-room\""),
        Code::Broker => ("[mqtt]\nbroker = \"mqtt://10.0.0.1\"", "[mqtt]\nbroker = \"10.0.0.1\""),
        Code::Pin => ("[i2c.main]\nsda = 6", "[i2c.main]\nsda = 4"),
        Code::UnknownName => ("[sensor.lux]\ndriver = \"tsl2951\"", "[sensor.lux]\ndriver = \"tsl2591\""),
        Code::Reference => ("[report.all]\nof = [\"lxu\"]", "[report.all]\nof = [\"lux\"]"),
        Code::Later => ("[wifi]\nssid = \"home\"", "[usb]  # its cable carries the network"),
        Code::Topic => ("[sensor.lux]\ntopic = \"garden/#\"", "[sensor.lux]\ntopic = \"garden/light\""),
        Code::Duplicate => ("[i2c.main]\nsda = 4\nscl = 4", "[i2c.main]\nsda = 4\nscl = 5"),
        Code::Payload => (
            "[sensor.lux]\nreadings = [\"illuminance\", \"infrared\"]\npayload = \"plain\"",
            "[sensor.lux]\nreadings = [\"illuminance\", \"infrared\"]\npayload = \"json\"",
        ),
        Code::Placeholder => {
            ("[sensor.lux]\ntopic = \"{name}/light\"", "[sensor.lux]\ntopic = \"{device}/light\"")
        }
        Code::Period => ("[sensor.lux]\nperiod = \"100ms\"", "[sensor.lux]\nperiod = \"300ms\""),
        Code::Filter => ("[sensor.lux]\nfilters = [\"median\"]", "[sensor.lux]\nfilters = [{ median = 5 }]"),
        Code::Budget => (
            "[sensor.lux]\nreadings = [\"illuminance\", \"full-spectrum\", \"infrared\", \"gain\"]\n\
             filters = [{ median = 61 }, { mean = 61 }, { median = 61 }, { mean = 61 }]",
            "[sensor.lux]\nreadings = [\"illuminance\", \"full-spectrum\", \"infrared\", \"gain\"]\n\
             filters = [{ median = 5 }, { mean = 5 }]",
        ),
        Code::Secret => (
            "[mqtt]\nusername = \"shore\"\npassword = \"surf\"",
            "[mqtt]\nusername = \"shore\"\npassword = { env = \"MQTT_PASSWORD\" }",
        ),
        Code::Shape => ("[sensors.lux]\nperiod = \"2s\"", "[sensor.lux]\nperiod = \"2s\""),
        Code::Silence => (
            "[sensor.lux]\nfilters = [{ delta = 1.0 }]",
            "[sensor.lux]\nfilters = [{ delta = 1.0 }, { heartbeat = \"5m\" }]",
        ),
        Code::BootPin => ("[i2c.main]\nsda = 0", "[i2c.main]\nsda = 4"),
        Code::Text => ("[device]\nlabel = \"\"", "[device]\nlabel = \"Kitchen\""),
        Code::Address => ("[usb]\naddress = \"192.168.7.2\"", "[usb]\naddress = \"192.168.7.2/24\""),
        Code::NoSensor => ("", "[sensor.lux]\ndriver = \"tsl2591\"\nperiod = \"2s\""),
        Code::Unheard => (
            "[sensor.lux]\nreadings = [\"illuminance\", \"infrared\"]\n[report.one]\nof = [\"lux.illuminance\"]",
            "[sensor.lux]\nreadings = [\"illuminance\", \"infrared\"]\n[report.both]\nof = [\"lux\"]\nevery = \"60s\"",
        ),
        Code::Idle => (
            "[sensor.lux]\nperiod = \"10s\"\nfilters = [{ throttle = \"5s\" }]",
            "[sensor.lux]\nperiod = \"10s\"\nfilters = [{ throttle = \"30s\" }]",
        ),
    }
}

/// Explains a diagnostic, with an example.
pub(super) fn diagnostic(code: Code) -> String {
    let (wrong, right) = example(code);
    let mut text = format!("{}: {}", code.name(), code.explanation());
    for (heading, lines) in [("such as", wrong), ("write", right)] {
        if !lines.is_empty() {
            text += &format!("\n\n{heading}\n  {}", lines.replace('\n', "\n  "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Source, compile};

    /// A file in which nothing is wrong; an example's lines go before its own.
    const FILE: &str = "[device]\nname = \"n\"\n[mqtt]\nbroker = \"10.0.0.1\"\n[i2c.main]\nsda = 4\nscl = 5\n\
                        [sensor.lux]\ndriver = \"tsl2591\"\nperiod = \"2s\"\n";

    /// Returns the lines of a text, each with the header of its table.
    fn lines(text: &str) -> Vec<(&str, &str)> {
        let mut table = "";
        text.lines()
            .map(|line| {
                if line.starts_with('[') {
                    table = line;
                }
                (table, line)
            })
            .collect()
    }

    fn key(line: &str) -> &str {
        line.split(" = ").next().unwrap_or(line)
    }

    /// Puts an example into [`FILE`].
    fn with(example: &str) -> String {
        let example = lines(example);
        let mut out: Vec<String> = Vec::new();
        let is_replaced = |table: &str, line: &str| {
            example.iter().any(|(its, own)| *its == table && key(own) == key(line) && !own.starts_with('['))
        };
        for (table, line) in lines(FILE) {
            if !is_replaced(table, line) {
                out.push(line.to_owned());
            }
            if line == table {
                let own = example.iter().filter(|(its, own)| *its == table && own != its);
                out.extend(own.map(|(_, own)| (*own).to_owned()));
            }
        }
        let is_new = |table: &str| !FILE.lines().any(|line| line == table);
        out.extend(example.iter().filter(|(table, _)| is_new(table)).map(|(_, line)| (*line).to_owned()));
        out.join("\n") + "\n"
    }

    fn codes(text: &str) -> Vec<String> {
        let compiled = compile(&Source { name: "example".to_owned(), text: text.to_owned() });
        compiled.diagnostics.iter().map(|problem| problem.code.name()).collect()
    }

    #[test]
    fn what_is_wrong_in_an_example_is_told_and_what_is_right_is_taken() {
        assert!(codes(FILE).is_empty());
        for code in Code::ALL {
            let (wrong, right) = example(*code);
            if !wrong.is_empty() {
                let text = with(wrong);
                assert!(codes(&text).contains(&code.name()), "{}: {:?}\n{text}", code.name(), codes(&text));
            }
            let text = with(right);
            assert!(codes(&text).is_empty(), "{}: {:?}\n{text}", code.name(), codes(&text));
        }
    }
}
