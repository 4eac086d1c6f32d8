//! Topic names and topic filters (MQTT 5.0, section 4.7; MQTT 3.1.1, section 4.7).

/// Returns whether `name` may be published to.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['+', '#', '\0'])
}

/// Returns whether `filter` may be subscribed to. Wildcards must fill a level, and `#` the last one.
pub(super) fn is_filter(filter: &str) -> bool {
    if filter.is_empty() || filter.contains('\0') {
        return false;
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let good = match level {
            "#" => levels.peek().is_none(),
            "+" => true,
            _ => !level.contains(['+', '#']),
        };
        if !good {
            return false;
        }
    }
    true
}

/// Returns whether `name` matches `filter`.
pub(super) fn matches(filter: &str, name: &str) -> bool {
    // A wildcard at the start doesn't match names that begin with `$` (MQTT-4.7.2-1).
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    if filter == "#" || filter == name {
        return true;
    }
    let mut name_levels = name.split('/');
    for filter_level in filter.split('/') {
        if filter_level == "#" {
            return true;
        }
        match name_levels.next() {
            Some(level) if filter_level == "+" || filter_level == level => {}
            _ => return false,
        }
    }
    name_levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of MQTT 5.0, sections 4.7.1 to 4.7.3.
    #[test]
    fn examples_of_the_standard() {
        for (filter, name, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "sport/tennis", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/uptime", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("ACCOUNTS", "Accounts", false),
            ("a/b", "a/b/", false),
            ("a/+/c/#", "a//c", true),
        ] {
            assert_eq!(matches(filter, name), expected, "{filter} {name}");
        }
        for filter in ["#", "sport/tennis/#", "+", "+/tennis/#", "sport/+/player1", "/", "$share/g/a"] {
            assert!(is_filter(filter), "{filter}");
        }
        for filter in ["", "sport/tennis#", "sport/tennis/#/ranking", "sport+", "a\0b"] {
            assert!(!is_filter(filter), "{filter}");
        }
        assert!(is_name("/") && is_name("a b") && !is_name("a/+") && !is_name("") && !is_name("#"));
    }
}
