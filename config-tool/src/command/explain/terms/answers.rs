//! Words in the answers of a node to requests over MQTT.

use super::TermKind::Answer;
use super::{Term, term};

/// What an answer to `read` has, and what a request is refused with.
pub(super) const IN_ANSWERS: &[Term] = &[
    term(
        Answer,
        "raw",
        "in an answer to `read`: the values before the filters. Beside it are `sensor`, `health`, and the values that the \
         filters let pass now; one that they hold back is `null`",
        "{\"sensor\":\"lux-1\",\"health\":\"ok\",\"illuminance\":284.1,\"raw\":{\"illuminance\":284.1312}}",
    ),
    term(
        Answer,
        "busy",
        "a node measures for one request at a time, and another is under way: ask again",
        "{\"error\":\"busy\"}",
    ),
    term(
        Answer,
        "no-such-sensor",
        "`read` names no sensor of the node; `have` lists those that there are",
        "{\"error\":\"no-such-sensor\",\"have\":[\"lux-1\"]}",
    ),
    term(
        Answer,
        "no-such-request",
        "the last level of the topic is no request that a node takes: `read` and `info` are",
        "{\"error\":\"no-such-request\"}",
    ),
    term(
        Answer,
        "not-allowed",
        "a request that would change the node, such as `set`: push a file instead",
        "{\"error\":\"not-allowed\"}",
    ),
    term(
        Answer,
        "malformed",
        "`read` takes the name of a sensor, or a JSON object with it: {\"sensor\":\"lux-1\"}",
        "{\"error\":\"malformed\"}",
    ),
    term(
        Answer,
        "not-utf-8",
        "the payload of `read` is no text: send the name of a sensor",
        "{\"error\":\"not-utf-8\"}",
    ),
];
