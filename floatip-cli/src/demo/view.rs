//! What the audience sees while it happens.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use floatip_core::Event;

use super::client::Attempt;
use super::data_plane::Addresses;
use super::is_verbose;
use super::server::Server;
use super::story::{Opinion, Story};
use crate::exit::Failure;
use crate::output;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// How long one mark of the client's ribbon stands for.
const MARK: Duration = Duration::from_millis(200);
/// Marks of the ribbon that are shown.
const RIBBON: usize = 60;

/// Above, lines that stay; below, on a terminal that no logs go to, a board that is drawn afresh; or nothing but JSON
/// lines.
#[derive(Debug)]
pub(super) struct View {
    style: Kind,
    /// Lines of the board that are on the screen.
    drawn: usize,
    served_by: Option<Server>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Lines,
    Live,
}

impl View {
    pub(super) fn new(json: bool) -> Self {
        let colors = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        let style = match (json, colors && io::stdout().is_terminal() && !is_verbose()) {
            (true, _) => Kind::Json,
            (false, true) => Kind::Live,
            (false, false) => Kind::Lines,
        };
        Self { style, drawn: 0, served_by: None }
    }

    /// True if a board is to be drawn from time to time.
    pub(super) fn is_live(&self) -> bool {
        self.style == Kind::Live
    }

    /// Says something that stays, but for who wants JSON.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Failure> {
        match self.style {
            Kind::Json => Ok(()),
            Kind::Lines => output::line(text),
            Kind::Live => {
                let erased = self.erased();
                output::line(format_args!("{erased}{text}"))
            }
        }
    }

    fn tell(&mut self, story: &Story, at: Instant, who: &str, color: AnsiColor, text: &str) -> Result<(), Failure> {
        let since = at.saturating_duration_since(story.began).as_secs_f64();
        let style = Style::new().fg_color(Some(color.into()));
        self.say(&format!("{DIM}{since:6.2} s{DIM:#}  {style}{who:<8}{style:#} {text}"))
    }

    /// What the demo itself does.
    pub(super) fn act(&mut self, story: &Story, at: Instant, text: &str) -> Result<(), Failure> {
        self.tell(story, at, "demo", AnsiColor::Magenta, &format!("{BOLD}{text}{BOLD:#}"))
    }

    /// What the monitor tells.
    pub(super) fn event(&mut self, story: &Story, at: Instant, event: &Event) -> Result<(), Failure> {
        if self.style == Kind::Json {
            return json_line(event);
        }
        let color = if event.kind.is_trouble() { AnsiColor::Yellow } else { AnsiColor::Cyan };
        self.tell(story, at, "monitor", color, &event.kind.to_string())
    }

    /// What the client finds, where it is something new.
    pub(super) fn attempt(&mut self, story: &Story, attempt: &Attempt) -> Result<(), Failure> {
        let before = std::mem::replace(&mut self.served_by, attempt.by);
        match (before, attempt.by) {
            (before, Some(server)) if before != Some(server) => {
                let text = format!("logged in and listed: {} answered", server.name());
                self.tell(story, attempt.ended, "client", AnsiColor::Green, &text)
            }
            (Some(_), None) => {
                self.tell(story, attempt.ended, "client", AnsiColor::Red, "no answer at the floating address")
            }
            (_, Some(_)) | (None, None) => Ok(()),
        }
    }

    /// Draws the board afresh.
    pub(super) fn draw(&mut self, story: &Story, addresses: &Addresses, placement: &str) -> Result<(), Failure> {
        let board = board(story, addresses, placement);
        let erased = self.erased();
        self.drawn = board.lines().count();
        // Lines that are too long are cut, not wrapped: the board's height must be known.
        put(&format!("\x1b[?25l\x1b[?7l{erased}{board}\x1b[?7h"))
    }

    /// Ends with one last line of JSON, where that is wanted.
    pub(super) fn result(&mut self, result: &impl serde::Serialize) -> Result<(), Failure> {
        if self.style == Kind::Json { json_line(result) } else { Ok(()) }
    }

    /// What makes the board vanish.
    fn erased(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\r\x1b[J"),
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if self.is_live() {
            // The terminal may be gone; then it needs no cursor.
            put("\x1b[?25h").ok();
        }
    }
}

fn json_line(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(io::Error::from);
    output::line(text.map_err(|source| Failure::System { action: "write JSON", source })?)
}

fn put(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|source| Failure::System { action: "write to stdout", source })
}

fn board(story: &Story, addresses: &Addresses, placement: &str) -> String {
    let mut board = "\n".to_owned();
    for server in Server::BOTH {
        let (color, health) = match (story.killed.filter(|_| server == story.victim), story.opinions[server.index()]) {
            (Some(_), Opinion::Up | Opinion::Unknown) => (AnsiColor::Red, "killed"),
            (Some(_), Opinion::Down) => (AnsiColor::Red, "killed, noticed"),
            (None, Opinion::Up) => (AnsiColor::Green, "well"),
            (None, Opinion::Down) => (AnsiColor::Red, "down"),
            (None, Opinion::Unknown) => (AnsiColor::Yellow, "not known yet"),
        };
        let style = Style::new().fg_color(Some(color.into()));
        let holds = if story.holder == Some(server) { "◀ holds the floating address" } else { "" };
        let address = addresses.own[server.index()].to_string();
        // A String takes every write.
        writeln!(
            board,
            "  {BOLD}{:<8}{BOLD:#}{address:<22}{style}● {health:<16}{style:#}{BOLD}{holds}{BOLD:#}",
            server.name()
        )
        .ok();
    }
    writeln!(board, "  {BOLD}{:<8}{BOLD:#}{placement}", "EC2").ok();
    writeln!(board, "  {BOLD}{:<8}{BOLD:#}{}", "client", ribbon(story)).ok();
    board
}

/// The client's newest attempts: who answered in each moment, or a dot where nobody did.
fn ribbon(story: &Story) -> String {
    let mut marks: Vec<Option<Server>> = Vec::new();
    for attempt in &story.attempts {
        let since = attempt.ended.saturating_duration_since(story.began);
        let mark = (since.as_secs_f64() / MARK.as_secs_f64()) as usize;
        if marks.len() <= mark {
            let last = marks.last().copied().flatten();
            marks.resize(mark, last);
            marks.push(attempt.by);
        } else if let Some(newest) = marks.last_mut() {
            *newest = attempt.by.or(*newest);
        }
    }
    let shown = &marks[marks.len().saturating_sub(RIBBON)..];
    shown.iter().fold(String::new(), |ribbon, mark| {
        let (color, sign) = match mark {
            Some(Server::Ftp1) => (AnsiColor::Green, '1'),
            Some(Server::Ftp2) => (AnsiColor::Blue, '2'),
            None => (AnsiColor::Red, '·'),
        };
        let style = Style::new().fg_color(Some(color.into()));
        format!("{ribbon}{style}{sign}{style:#}")
    })
}
