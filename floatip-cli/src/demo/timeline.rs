//! Where the time went, drawn to scale.

use std::fmt;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use floatip_core::Step;
use serde::{Serialize, Serializer};

use super::cloud::MoverKind;
use super::story::{Span, Story};

/// The demo's clock.
#[allow(clippy::disallowed_methods, reason = "the demo is a client outside the monitor, with a clock of its own")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Columns of the drawing.
const WIDTH: u16 = 40;

const RELEASE: [Step; 2] = [Step::Release, Step::AwaitReleased];
const CLAIM: [Step; 2] = [Step::Claim, Step::AwaitClaimed];
const VERIFY: [Step; 1] = [Step::Verify];

/// The last line of `--json`. A duration is null if that part of the failover never ended, and 0 if the mover has no
/// such step.
#[derive(Debug, Serialize)]
pub(super) struct Finished {
    event: &'static str,
    mover: MoverKind,
    verified: bool,
    #[serde(serialize_with = "millis")]
    detect_ms: Option<Duration>,
    #[serde(serialize_with = "millis")]
    release_ms: Option<Duration>,
    #[serde(serialize_with = "millis")]
    claim_ms: Option<Duration>,
    #[serde(serialize_with = "millis")]
    verify_ms: Option<Duration>,
    #[serde(serialize_with = "millis")]
    outage_ms: Option<Duration>,
}

impl Finished {
    pub(super) fn new(story: &Story, mover: MoverKind) -> Self {
        let over = story.is_over();
        let spent = |steps: &[Step]| {
            let spans = story.spent_on(steps);
            (over || !spans.is_empty()).then(|| total(&spans))
        };
        Self {
            event: "demo_finished",
            mover,
            verified: story.is_verified(),
            detect_ms: story.detection().map(Span::duration),
            release_ms: spent(&RELEASE),
            claim_ms: spent(&CLAIM),
            verify_ms: spent(&VERIFY),
            outage_ms: story.outage().map(Span::duration),
        }
    }
}

fn millis<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| (duration.as_secs_f64() * 1e6).round() / 1e3).serialize(serializer)
}

fn total(spans: &[Span]) -> Duration {
    spans.iter().copied().map(Span::duration).sum()
}

/// The parts of a failover, one a line, each as long as it took and where it was.
#[derive(Debug)]
pub(super) struct Timeline {
    rows: Vec<Row>,
    /// What the axis counts from.
    origin: Instant,
}

#[derive(Debug)]
struct Row {
    label: &'static str,
    color: AnsiColor,
    spans: Vec<Span>,
    remark: &'static str,
}

impl Timeline {
    /// The timeline of a story in which something was killed.
    pub(super) fn new(story: &Story, mover: MoverKind) -> Option<Self> {
        let (release, claim) = match mover {
            MoverKind::Eni => ("EC2 detaches", "EC2 attaches"),
            MoverKind::Eip => ("not needed", "EC2 associates"),
        };
        let outage = if story.outage().is_some() { "as the client saw it" } else { "it did not end" };
        let row = |label, color, spans, remark| Row { label, color, spans, remark };
        let rows = vec![
            row("detect", AnsiColor::Yellow, Vec::from_iter(story.detection()), "kill to decision"),
            row("release", AnsiColor::Blue, story.spent_on(&RELEASE), release),
            row("claim", AnsiColor::Cyan, story.spent_on(&CLAIM), claim),
            row("verify", AnsiColor::Green, story.spent_on(&VERIFY), "FTP answers"),
            row("outage", AnsiColor::Red, Vec::from_iter(story.outage()), outage),
        ];
        Some(Self { rows, origin: story.killed? })
    }

    /// From the earliest moment to the latest one.
    fn extent(&self) -> Option<Span> {
        let spans = || self.rows.iter().flat_map(|row| &row.spans);
        Some(Span { from: spans().map(|span| span.from).min()?, to: spans().map(|span| span.to).max()? })
    }
}

/// The scale of a drawing.
#[derive(Debug, Clone, Copy)]
struct Scale {
    from: Instant,
    seconds_per_column: f64,
}

impl Scale {
    fn new(extent: Span) -> Self {
        let seconds_per_column = extent.duration().as_secs_f64().max(1e-3) / f64::from(WIDTH);
        Self { from: extent.from, seconds_per_column }
    }

    fn columns(self, at: Instant) -> f64 {
        at.saturating_duration_since(self.from).as_secs_f64() / self.seconds_per_column
    }

    fn bar(self, spans: &[Span]) -> String {
        let width = usize::from(WIDTH);
        let mut bar = vec![' '; width];
        for span in spans {
            let from = (self.columns(span.from).round() as usize).min(width - 1);
            let to = (self.columns(span.to).round() as usize).clamp(from + 1, width);
            bar[from..to].fill('█');
        }
        bar.into_iter().collect()
    }

    /// The whole seconds from `origin` on, each under its column, as many as there is room for.
    fn axis(self, origin: Instant) -> String {
        let mut axis = String::new();
        for second in 0.. {
            let column = self.columns(origin + Duration::from_secs(second)).round() as usize;
            if column > usize::from(WIDTH) {
                break;
            }
            if axis.is_empty() || axis.len() < column {
                axis.extend(std::iter::repeat_n(' ', column - axis.len()));
                axis.push_str(&format!("{second}s"));
            }
        }
        axis
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(extent) = self.extent() else { return Ok(()) };
        let scale = Scale::new(extent);
        let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
        for Row { label, color, spans, remark } in &self.rows {
            let style = Style::new().fg_color(Some((*color).into()));
            let bar = scale.bar(spans);
            write!(f, "  {bold}{label:<8}{bold:#}{style}{bar}{style:#} ")?;
            match spans[..] {
                [] => write!(f, "{:>5}  ", "–")?,
                [..] => write!(f, "{:5.2} s", total(spans).as_secs_f64())?,
            }
            writeln!(f, "  {dim}{remark}{dim:#}")?;
        }
        let axis = scale.axis(self.origin);
        write!(f, "          {dim}{axis}  since the kill; one mark is {:.2} s{dim:#}", scale.seconds_per_column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(base: Instant, from: u64, to: u64) -> Span {
        Span { from: base + Duration::from_millis(from), to: base + Duration::from_millis(to) }
    }

    #[test]
    fn bars_are_to_scale_and_the_shortest_is_still_seen() {
        let base = now();
        let scale = Scale::new(span(base, 0, 4000));
        assert_eq!(scale.bar(&[span(base, 0, 1200)]).trim_end().chars().count(), 12);
        assert_eq!(scale.bar(&[span(base, 1200, 1201)]), format!("{}█{}", " ".repeat(12), " ".repeat(27)));
        assert_eq!(scale.bar(&[span(base, 3999, 4000)]).chars().last(), Some('█'));
        assert_eq!(scale.bar(&[]).trim(), "");
    }

    #[test]
    fn the_axis_counts_seconds_from_the_kill() {
        let base = now();
        let scale = Scale::new(span(base, 0, 4000));
        assert_eq!(scale.axis(base + Duration::from_millis(500)), format!("     0s{0}1s{0}2s{0}3s", " ".repeat(8)));
    }

    #[test]
    fn the_axis_leaves_out_seconds_that_have_no_room() {
        let base = now();
        let scale = Scale::new(span(base, 0, 40_000));
        assert_eq!(&scale.axis(base)[..12], "0s 3s 6s 9s ");
    }
}
