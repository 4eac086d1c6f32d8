//! What defaults and placeholders say in a file, compared with the file that says it in full: both give the same image.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use dunlin::compile::{Source, compile, show};
use dunlin_config_format::config::Config;
use dunlin_config_format::image::Image;

const HEAD: &str = "[device]\nname = \"n-1\"\n[i2c.main]\nsda = 4\nscl = 5\n";
const MQTT: &str = "[mqtt]\nbroker = \"10.0.0.1\"\n";
const LUX: &str = "[sensor.lux]\ndriver = \"tsl2591\"\nperiod = \"2s\"\n";
const NODE: &str = "[sensor.node]\ndriver = \"internal\"\nperiod = \"9s\"\n";

fn image(parts: &[&str]) -> Vec<u8> {
    let source = Source { name: "file.toml".to_owned(), text: parts.concat() };
    let compiled = compile(&source);
    let problems: Vec<String> = compiled.diagnostics.iter().map(|problem| problem.short(&source)).collect();
    let image = compiled.image.unwrap_or_else(|| panic!("{problems:#?}\n{}", source.text));
    let shown = show(&image).unwrap();
    assert!(shown.is_exact, "{}", shown.text);
    image
}

/// Checks that a file with these tables is the one that says in full what they mean.
fn means(short: &[&str], full: &[&str]) {
    let text = |parts| show(&image(parts)).unwrap().text;
    let [short, full] = [short, full].map(|parts| [&[HEAD], parts].concat());
    assert_eq!(text(&short), text(&full));
}

/// Returns the topics of the reports of a file that are not the usual ones.
fn topics(parts: &[&str]) -> Vec<String> {
    let image = image(&[&[HEAD, MQTT], parts].concat());
    let config = Config::decode(Image::parse(&image).unwrap().body).unwrap();
    config.reports.iter().map(|report| report.topic.unwrap_or("-").to_owned()).collect()
}

#[test]
fn placeholders_are_replaced_in_every_text_that_has_them() {
    let short = "[vars]\nsite = \"barn\"\nme = \"{device}\"\nhost = \"10.0.0.2\"\n\
                 [mqtt]\nbroker = \"{vars.host}:1884\"\nclient-id = \"{vars.site}-{device}\"\n\
                 username = \"{vars.me}\"\nprefix = \"{vars.site}/d\"\npassword = { env = \"X\" }\n";
    let full = "[mqtt]\nbroker = \"10.0.0.2:1884\"\nclient-id = \"barn-n-1\"\nusername = \"n-1\"\n\
                prefix = \"barn/d\"\npassword = { env = \"X\" }\n";
    let labels = |label: &str| LUX.to_owned() + &format!("label = \"{label}\"\n");
    means(&[short, &labels("{sensor} of {device}")], &[full, &labels("lux of n-1")]);
    // A secret is looked for where it was said to be.
    let text = [HEAD, &short.replace("\"X\"", "\"MQTT_{vars.site}\"")].concat();
    let compiled = compile(&Source { name: String::new(), text });
    assert!(format!("{:?}", compiled.secrets).contains("MQTT_barn"));
    // A password is what it is.
    let text = [HEAD, &short.replace("{ env = \"X\" }", "\"{sensor}\"")].concat();
    assert!(!compile(&Source { name: String::new(), text }).is_refused());
}

#[test]
fn two_braces_are_one() {
    let device = |label: &str| format!("[device]\nname = \"n\"\nlabel = \"{label}\"\n{MQTT}{LUX}");
    let rest = "topic = \"a/{{b}}\"\n[i2c.main]\nsda = 4\nscl = 5\n";
    let shown = show(&image(&[&device("{{device}} }"), rest])).unwrap().text;
    assert!(shown.contains("label = \"{{device}} }}\"") && shown.contains("topic = \"a/{{b}}\""), "{shown}");
}

#[test]
fn sensor_and_reading_are_those_of_the_report() {
    let topic = "topic = \"x/{sensor}/{reading}\"\n";
    assert_eq!(topics(&[LUX, topic]), ["x/lux/illuminance"]);
    let both = "readings = [\"illuminance\", \"infrared\"]\npayload = \"plain\"\n";
    assert_eq!(topics(&[LUX, topic, both]), ["x/lux/illuminance", "x/lux/infrared"]);
    assert_eq!(topics(&[LUX, "[report.r]\nof = [\"lux.infrared\"]\n", topic]), ["x/lux/infrared"]);
    let all = "[report.r]\nof = [\"lux.*\"]\nevery = \"60s\"\ntopic = \"{device}/{sensor}\"\n";
    assert_eq!(topics(&[LUX, all]), ["n-1/lux"]);
}

#[test]
fn defaults_give_what_a_sensor_does_not_say() {
    means(
        &[
            MQTT,
            "[defaults]\ndriver = \"tsl2591\"\nbus = \"main\"\naddress = 0x29\nperiod = \"2s\"\n",
            "[sensor.lux]\n",
        ],
        &[MQTT, LUX],
    );
    let defaults = "[defaults]\ngain = \"low\"\nbus = \"main\"\naddress = 0x29\nlabel = \"{sensor}!\"\n\
                    readings = [\"infrared\"]\nqos = 1\nretain = true\npayload = \"plain\"\n\
                    topic = \"d/{sensor}/{reading}\"\n";
    let shape = |topic: &str| format!("qos = 1\nretain = true\npayload = \"plain\"\ntopic = \"{topic}\"\n");
    let lux =
        format!("gain = \"low\"\nlabel = \"lux!\"\nreadings = [\"infrared\"]\n{}", shape("d/lux/infrared"));
    // What its driver does not have, a default does not give it.
    let node = format!("label = \"node!\"\n{}", shape("d/node/uptime"));
    means(&[MQTT, defaults, LUX, NODE], &[MQTT, LUX, &lux, NODE, &node]);
    // A sensor's own word goes before.
    means(
        &[MQTT, defaults, LUX, &lux.replace('!', "?"), NODE, &node],
        &[MQTT, LUX, &lux.replace('!', "?"), NODE, &node],
    );
}

#[test]
fn filters_of_the_defaults_can_be_removed() {
    let defaults =
        "[defaults]\nfilters = [{ median = 5 }]\n[defaults.reading.infrared]\nfilters = [{ mean = 3 }]\n";
    let both = "readings = [\"illuminance\", \"infrared\"]\n";
    let reading = |name: &str, filters: &str| format!("[sensor.lux.reading.{name}]\nfilters = {filters}\n");
    let (median, mean) = (reading("illuminance", "[{ median = 5 }]"), reading("infrared", "[{ mean = 3 }]"));
    means(&[MQTT, defaults, LUX, both], &[MQTT, LUX, both, &median, &mean]);
    means(&[MQTT, defaults, LUX, both, "filters = false\n"], &[MQTT, LUX, both]);
    means(
        &[MQTT, defaults, LUX, both, "filters = [{ round = 1 }]\n"],
        &[MQTT, LUX, both, "filters = [{ round = 1 }]\n"],
    );
    means(&[MQTT, defaults, LUX, both, &reading("illuminance", "false")], &[MQTT, LUX, both, &mean]);
    // Those of a report are its own.
    let report = "[report.r]\nof = [\"lux\"]\n";
    means(&[MQTT, defaults, LUX, report], &[MQTT, LUX, "filters = [{ median = 5 }]\n", report, &mean]);
}

#[test]
fn filters_of_a_sensor_are_for_every_report_of_its_readings() {
    let filters = "filters = [{ median = 5 }]\n";
    let report = "[report.r]\nof = [\"lux.infrared\"]\n";
    let reading = |name: &str| format!("[sensor.lux.reading.{name}]\n{filters}");
    means(&[MQTT, LUX, filters, report], &[MQTT, LUX, report, &reading("illuminance"), &reading("infrared")]);
}

#[test]
fn a_topic_of_its_own_keeps_the_report_of_a_sensor() {
    let report = "[report.r]\nof = [\"lux\"]\n";
    let topic = "topic = \"t\"\n";
    assert_eq!(topics(&[LUX]), ["-"]);
    assert_eq!(topics(&[LUX, report]), ["-"], "that of [report.r]");
    assert_eq!(topics(&[LUX, topic, report]), ["t", "-"]);
    assert_eq!(topics(&[LUX, topic, "report = false\n"]), ["t"]);
    assert_eq!(topics(&[LUX, topic, "report = false\n", report]), ["t", "-"]);
    assert_eq!(topics(&[LUX, "report = false\n"]), [""; 0]);
    // A topic that all of them have is none of its own.
    let defaults = "[defaults]\ntopic = \"d/{sensor}\"\nreport = false\n";
    assert_eq!(topics(&[defaults, LUX]), [""; 0]);
    assert_eq!(topics(&[defaults, LUX, "report = true\n"]), ["d/lux"]);
    assert_eq!(topics(&[defaults, LUX, topic]), ["t"]);
    assert_eq!(topics(&[defaults, LUX, report]), ["d/lux"], "that of [report.r]");
}

#[test]
fn reports_have_defaults_as_well() {
    let defaults = "[defaults]\nqos = 2\nevery = \"30s\"\n";
    let several = "[report.r]\nof = [\"lux.*\"]\n";
    let full = "every = \"30s\"\nqos = 2\n";
    means(&[MQTT, defaults, LUX, several], &[MQTT, LUX, several, full]);
    // A report of one reading follows its values.
    let one = "[report.r]\nof = [\"lux\"]\n";
    means(&[MQTT, defaults, LUX, one], &[MQTT, LUX, one, "qos = 2\n"]);
}
