//! A trace as a picture: readings as lines with what the world really was behind them, messages as ticks, faults as shaded
//! spans, all above one axis of time. The same trace gives the same bytes.

mod axis;
mod svg;

use super::bins::Bin;
use super::{Lane, Series, Span, Trace};
use axis::Scale;
use embassy_time::Instant;
use svg::{Anchor, Svg};

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = WIDTH - 24.0;
const PANEL_HEIGHT: f64 = 180.0;
/// Of a panel of bare numbers, such as raw counts.
const SMALL_PANEL_HEIGHT: f64 = 72.0;
const PANEL_GAP: f64 = 40.0;
const LANE_HEIGHT: f64 = 30.0;
const TICK_HEIGHT: f64 = 11.0;
const FAULT_ROW_HEIGHT: f64 = 16.0;

/// Most rows of ticks for messages; further topics share the last one.
const TOPICS_MAX: usize = 12;

/// Most values of a series that each get a dot.
const DOTS_MAX: usize = 150;

/// Width of a character of the small type, about.
const CHARACTER_WIDTH: f64 = 6.2;

/// Colors that people with any color vision can tell apart (Okabe and Ito 2008), without the pale ones.
const COLORS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#7a5c00"];
const TRUTH_COLOR: &str = "#9aa0a6";
const GRID_COLOR: &str = "#e6e8eb";
const AXIS_COLOR: &str = "#5f6368";
const FAULT_COLOR: &str = "#d93025";
/// Of a board without power.
const OFF_COLOR: &str = "#5f6368";
const MESSAGE_COLOR: &str = "#3c4043";
const SESSION_COLOR: &str = "#188038";

const STYLES: &str = "text{font-family:system-ui,'DejaVu Sans',Arial,sans-serif;fill:#202124}\
.title{font-size:17px;font-weight:600}.sub{font-size:12px;fill:#5f6368}.panel{font-size:12px;font-weight:600}\
.small{font-size:11px}.rim{fill:#fff;stroke:#fff;stroke-width:3px;stroke-linejoin:round}\
.tick{font-size:11px;fill:#5f6368}.fault{font-size:11px;fill:#b3261e}.off{font-size:11px;fill:#3c4043}";

/// Draws `trace` as an SVG document.
pub fn plot(trace: &Trace, title: &str) -> String {
    let end = trace.end.map_or(0.0, seconds).max(0.001);
    let mut plot = Plot { svg: Svg::new(), time: Scale::new((0.0, end), (LEFT, RIGHT)), end, y: 30.0 };
    plot.svg.text((LEFT, plot.y), Anchor::Start, "title", title);
    plot.y += 18.0;
    plot.svg.text((LEFT, plot.y), Anchor::Start, "sub", &summary(trace));
    plot.y += 14.0;
    let top = plot.fault_labels(&trace.faults);
    // Shades lie below everything else, but how far down they reach is known only at the end.
    let above = core::mem::replace(&mut plot.svg, Svg::new());
    for of_panel in panels(&trace.series) {
        plot.panel(&of_panel);
    }
    plot.lanes(trace);
    let bottom = plot.y;
    let content = core::mem::replace(&mut plot.svg, above);
    plot.shade(&trace.faults, top, bottom);
    plot.svg.append(content);
    plot.time_axis(bottom);
    plot.svg.finish(WIDTH, 14.0, STYLES)
}

fn seconds(at: Instant) -> f64 {
    at.as_micros() as f64 / 1e6
}

fn summary(trace: &Trace) -> String {
    let counts = trace.counts;
    let mut parts = Vec::new();
    for (count, one, many) in [
        (counts.readings, "reading", "readings"),
        (counts.failures, "failed sample", "failed samples"),
        (counts.messages, "message", "messages"),
        (counts.faults, "fault", "faults"),
        (counts.erases, "erased sector", "erased sectors"),
    ] {
        if count > 0 {
            parts.push(format!("{} {}", axis::whole(count), if count == 1 { one } else { many }));
        }
    }
    parts.join(" \u{b7} ")
}

/// Returns the lines of each panel, in the order in which they first came: those of one unit share a panel, and of bare numbers
/// those of one name.
fn panels(series: &[Series]) -> Vec<Vec<&Series>> {
    let belong = |a: &Series, b: &Series| a.unit == b.unit && (!a.unit.is_empty() || a.name == b.name);
    let mut panels: Vec<Vec<&Series>> = Vec::new();
    for each in series {
        match panels.iter_mut().find(|panel| panel.first().is_some_and(|first| belong(first, each))) {
            Some(panel) => panel.push(each),
            None => panels.push(vec![each]),
        }
    }
    panels
}

/// Returns sessions without the times at which the board had no power: the broker notices later that it is gone.
fn with_power(sessions: &[Span], faults: &[Span]) -> Vec<Span> {
    let mut rest: Vec<Span> = sessions.to_vec();
    for cut in faults.iter().filter(|fault| fault.cuts_power && !fault.momentary) {
        let end = cut.to.unwrap_or(Instant::MAX);
        rest = rest
            .into_iter()
            .flat_map(|span| {
                let to = span.to.unwrap_or(Instant::MAX);
                if to <= cut.from || span.from >= end {
                    return vec![span];
                }
                let before = Span { to: Some(cut.from), ..span.clone() };
                let after = Span { from: end, ..span };
                [before, after]
                    .into_iter()
                    .filter(|piece| piece.to.is_none_or(|to| piece.from < to))
                    .filter(|piece| piece.from < Instant::MAX)
                    .collect()
            })
            .collect();
    }
    rest
}

struct Plot {
    svg: Svg,
    time: Scale,
    /// End of the time axis, in seconds.
    end: f64,
    /// Where the next part begins.
    y: f64,
}

impl Plot {
    /// Writes the names of the faults above the panels, in as many rows as they need; returns where the shades begin.
    fn fault_labels(&mut self, faults: &[Span]) -> f64 {
        let mut row_ends: Vec<f64> = Vec::new();
        for fault in faults {
            let width = fault.name.chars().count() as f64 * CHARACTER_WIDTH;
            let x = self.time.at(seconds(fault.from)).min(RIGHT - width);
            let row = row_ends.iter().position(|&row_end| row_end <= x).unwrap_or(row_ends.len());
            if row == row_ends.len() {
                row_ends.push(0.0);
            }
            row_ends[row] = x + width + 8.0;
            let y = self.y + (row as f64 + 0.7) * FAULT_ROW_HEIGHT;
            let style = if fault.cuts_power { "off" } else { "fault" };
            self.svg.text((x, y), Anchor::Start, style, &fault.name);
        }
        self.y += row_ends.len() as f64 * FAULT_ROW_HEIGHT;
        self.y
    }

    fn shade(&mut self, faults: &[Span], top: f64, bottom: f64) {
        for fault in faults {
            let from = self.time.at(seconds(fault.from));
            let to = self.time.at(fault.to.map_or(self.end, seconds)).max(from + 1.0);
            let (color, opacity) = if fault.cuts_power { (OFF_COLOR, 0.22) } else { (FAULT_COLOR, 0.10) };
            if fault.momentary {
                self.svg.line((from, top), (from, bottom), color, "4 3");
            } else {
                self.svg.rect((from, top), (to - from, bottom - top), color, opacity);
                self.svg.rect((from, top), (1.0, bottom - top), color, 0.3);
            }
        }
    }

    fn panel(&mut self, series: &[&Series]) {
        let unit = series.first().map_or("", |first| first.unit.as_str());
        let bounds = series.iter().flat_map(|each| each.bins.iter()).fold(None, |bounds, bin| {
            let (low, high) = bounds.unwrap_or((bin.min, bin.max));
            Some((bin.min.min(low), bin.max.max(high)))
        });
        let Some((low, high)) = bounds.filter(|(low, high)| low.is_finite() && high.is_finite()) else {
            return;
        };
        let (height, ticks_max) = if unit.is_empty() { (SMALL_PANEL_HEIGHT, 4) } else { (PANEL_HEIGHT, 7) };
        let (range, ticks) = axis::value_ticks(f64::from(low), f64::from(high), ticks_max);
        let top = self.y + PANEL_GAP - 8.0;
        let bottom = top + height;
        let values = Scale::new(range, (bottom, top));
        for (value, label) in ticks {
            let y = values.at(value);
            self.svg.line((LEFT, y), (RIGHT, y), GRID_COLOR, "");
            self.svg.text((LEFT - 8.0, y + 4.0), Anchor::End, "tick", &label);
        }
        self.svg.line((LEFT, top), (LEFT, bottom), AXIS_COLOR, "");
        self.legend(unit, series, top - 8.0);
        for truth in series.iter().filter(|each| each.sensor.is_none()) {
            self.lines(truth, &values, TRUTH_COLOR, 3.0);
        }
        for (each, color) in
            series.iter().filter(|each| each.sensor.is_some()).zip(COLORS.into_iter().cycle())
        {
            self.lines(each, &values, color, 1.4);
        }
        self.y = bottom;
    }

    fn legend(&mut self, unit: &str, series: &[&Series], y: f64) {
        self.svg.text((LEFT - 8.0, y), Anchor::End, "panel", unit);
        let mut x = LEFT;
        let mut colors = COLORS.into_iter().cycle();
        for each in series {
            let (label, color) = match &each.sensor {
                Some(sensor) => (format!("{sensor}.{}", each.name), colors.next().unwrap_or(AXIS_COLOR)),
                None => (format!("{} in the world", each.name), TRUTH_COLOR),
            };
            self.svg.rect((x, y - 6.0), (14.0, 3.0), color, 1.0);
            self.svg.rimmed_text((x + 19.0, y), Anchor::Start, "small", &label);
            x += 19.0 + label.chars().count() as f64 * CHARACTER_WIDTH + 18.0;
        }
    }

    /// Draws a series, interrupted where values are missing; with a dot for each value where there is room for it.
    fn lines(&mut self, series: &Series, values: &Scale, color: &str, width: f64) {
        let mut pieces: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
        let finite = |bin: &&Bin| bin.min.is_finite() && bin.max.is_finite();
        for bin in series.bins.iter().filter(finite) {
            if bin.after_gap {
                pieces.push(Vec::new());
            }
            let Some(points) = pieces.last_mut() else { return };
            let x = self.time.at(bin.at_us as f64 / 1e6);
            points.push((x, values.at(f64::from(bin.min))));
            if bin.max > bin.min {
                points.push((x, values.at(f64::from(bin.max))));
            }
        }
        let count: usize = pieces.iter().map(Vec::len).sum();
        for points in pieces.iter().filter(|points| !points.is_empty()) {
            self.svg.polyline(points, color, width);
            if points.len() == 1 || series.sensor.is_some() && count <= DOTS_MAX {
                self.svg.dots(points, color);
            }
        }
    }

    fn lanes(&mut self, trace: &Trace) {
        self.y += 18.0;
        let mut ill: Vec<&str> = trace.failures.iter().map(|span| span.name.as_str()).collect();
        ill.sort_unstable();
        ill.dedup();
        for sensor in ill {
            let failures = trace.failures.iter().filter(|span| span.name == sensor);
            self.bars(&format!("{sensor} gives no readings"), failures, FAULT_COLOR);
        }
        if !trace.sessions.is_empty() {
            let sessions = with_power(&trace.sessions, &trace.faults);
            self.bars("connected to the broker", sessions.iter(), SESSION_COLOR);
        }
        for lane in trace.topics.iter().take(TOPICS_MAX) {
            let count = lane.bins.count();
            let noun = if count == 1 { "message" } else { "messages" };
            self.lane(&format!("{} \u{b7} {} {noun}", lane.name, axis::whole(count)), lane, MESSAGE_COLOR);
        }
        if let Some(rest) = trace.topics.len().checked_sub(TOPICS_MAX).filter(|&rest| rest > 0) {
            let label = format!("and {rest} more {}", if rest == 1 { "topic" } else { "topics" });
            let further = trace.topics.iter().skip(TOPICS_MAX).flat_map(|lane| lane.bins.iter());
            let times: Vec<u64> = further.map(|bin| bin.at_us).collect();
            self.ticks(&label, &times, MESSAGE_COLOR);
        }
        let erased: Vec<u64> = trace.erases.iter().map(|bin| bin.at_us).collect();
        if !erased.is_empty() {
            self.ticks("flash: sector erased", &erased, COLORS[1]);
        }
        let mut causes: Vec<&str> = trace.starts.iter().map(|(_, cause)| cause.as_str()).collect();
        causes.sort_unstable();
        causes.dedup();
        for cause in causes {
            let times = trace.starts.iter().filter(|(_, its)| its == cause).map(|(at, _)| at.as_micros());
            let times: Vec<u64> = times.collect();
            let noun = if times.len() == 1 { "start" } else { "starts" };
            let color = if matches!(cause, "watchdog" | "panic") { FAULT_COLOR } else { OFF_COLOR };
            self.ticks(&format!("{} {noun} \u{b7} {cause}", times.len()), &times, color);
        }
    }

    fn lane(&mut self, label: &str, lane: &Lane, color: &str) {
        let times: Vec<u64> = lane.bins.iter().map(|bin| bin.at_us).collect();
        self.ticks(label, &times, color);
    }

    fn ticks(&mut self, label: &str, times_us: &[u64], color: &str) {
        self.svg.rimmed_text((LEFT + 2.0, self.y + 12.0), Anchor::Start, "small", label);
        // Several in one column of pixels look like one.
        let mut columns: Vec<f64> = times_us.iter().map(|&at| self.time.at(at as f64 / 1e6)).collect();
        columns.dedup_by_key(|x| (*x * 2.0).round() as i64);
        self.svg.ticks(columns.into_iter(), self.y + 16.0, TICK_HEIGHT, color);
        self.y += LANE_HEIGHT;
    }

    fn bars<'s>(&mut self, label: &str, spans: impl Iterator<Item = &'s Span>, color: &str) {
        self.svg.rimmed_text((LEFT + 2.0, self.y + 12.0), Anchor::Start, "small", label);
        for span in spans {
            let from = self.time.at(seconds(span.from));
            let to = self.time.at(span.to.map_or(self.end, seconds)).max(from + 1.0);
            self.svg.rect((from, self.y + 18.0), (to - from, 5.0), color, 0.75);
        }
        self.y += LANE_HEIGHT;
    }

    fn time_axis(&mut self, y: f64) {
        let (ticks, unit) = axis::time_ticks(self.end);
        self.svg.line((LEFT, y), (RIGHT, y), AXIS_COLOR, "");
        for (time, label) in ticks {
            let x = self.time.at(time);
            self.svg.line((x, y), (x, y + 5.0), AXIS_COLOR, "");
            self.svg.text((x, y + 18.0), Anchor::Middle, "tick", &label);
        }
        let middle = (LEFT + RIGHT) / 2.0;
        self.svg.text((middle, y + 36.0), Anchor::Middle, "sub", &format!("time since start ({unit})"));
    }
}
