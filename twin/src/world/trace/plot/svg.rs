//! The few shapes of SVG 1.1 that a plot needs.

use std::fmt::Write as _;

/// A drawing under construction. Lengths are in pixels, y grows downwards.
pub(super) struct Svg {
    out: String,
    height: f64,
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(super) fn new() -> Self {
        Self { out: String::new(), height: 0.0 }
    }

    pub(super) fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str, opacity: f64) {
        self.reach(y + height);
        self.push(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}" fill-opacity="{opacity}"/>"#
        ));
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &str, dash: &str) {
        self.reach(from.1.max(to.1));
        let dash = if dash.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{dash}""#) };
        self.push(format_args!(
            r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{stroke}"{dash}/>"#,
            from.0, from.1, to.0, to.1
        ));
    }

    /// Draws many vertical strokes of one height at once.
    pub(super) fn ticks(&mut self, xs: impl Iterator<Item = f64>, y: f64, height: f64, stroke: &str) {
        self.reach(y + height);
        let path = xs.fold(String::new(), |mut path, x| {
            // Writing to a string does not fail.
            let _ = write!(path, "M{x:.1} {y:.1}v{height:.1}");
            path
        });
        if !path.is_empty() {
            self.push(format_args!(r#"<path d="{path}" stroke="{stroke}" stroke-width="1"/>"#));
        }
    }

    /// Draws a dot at each point.
    pub(super) fn dots(&mut self, points: &[(f64, f64)], fill: &str) {
        let path = points.iter().fold(String::new(), |mut path, (x, y)| {
            let _ = write!(path, "M{x:.1} {y:.1}h0");
            path
        });
        self.push(format_args!(
            r#"<path d="{path}" stroke="{fill}" stroke-width="4" stroke-linecap="round"/>"#
        ));
    }

    pub(super) fn polyline(&mut self, points: &[(f64, f64)], stroke: &str, width: f64) {
        let list = points.iter().fold(String::new(), |mut list, (x, y)| {
            let _ = write!(list, "{x:.1},{y:.1} ");
            list
        });
        self.push(format_args!(
            r#"<polyline points="{}" fill="none" stroke="{stroke}" stroke-width="{width}" stroke-linejoin="round"/>"#,
            list.trim_end()
        ));
    }

    /// Writes a text with a white rim, so that it can be read above lines. The rim is a text of its own: not everything that
    /// shows SVG knows `paint-order`.
    pub(super) fn rimmed_text(&mut self, at: (f64, f64), anchor: Anchor, style: &str, text: &str) {
        self.text(at, anchor, &format!("{style} rim"), text);
        self.text(at, anchor, style, text);
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, style: &str, text: &str) {
        self.reach(y + 4.0);
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.push(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{style}">{}</text>"#,
            escape(text)
        ));
    }

    /// Puts what another drawing shows over this one.
    pub(super) fn append(&mut self, other: Svg) {
        self.reach(other.height);
        self.out.push_str(&other.out);
    }

    /// Returns the document. `styles` is CSS; the height is what was reached, and `bottom` more.
    pub(super) fn finish(self, width: f64, bottom: f64, styles: &str) -> String {
        let height = self.height + bottom;
        format!(
            concat!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" width="{:.0}" height="{:.0}" viewBox="0 0 {:.0} {:.0}">"#,
                "\n<style>{}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{}</svg>\n"
            ),
            width, height, width, height, styles, self.out
        )
    }

    fn reach(&mut self, y: f64) {
        self.height = self.height.max(y);
    }

    fn push(&mut self, element: core::fmt::Arguments<'_>) {
        let _ = writeln!(self.out, "{element}");
    }
}

/// Returns `text` as XML character data; what XML cannot hold becomes U+FFFD.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, each| {
        match each {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\t' => out.push(' '),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            each if each.is_control() => out.push('\u{fffd}'),
            each => out.push(each),
        }
        out
    })
}
