//! What is wrong with a configuration file, where, and what to do about it.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Error,
    Warning,
}

/// One finding. Prints with the file, line and column, the offending line and a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) hint: String,
    file: PathBuf,
    line: usize,
    column: usize,
    width: usize,
    text: String,
}

impl Diagnostic {
    /// `file:line:column: message; hint` on one line.
    pub(crate) fn line(&self) -> String {
        format!("{}:{}:{}: {}; {}", self.file.display(), self.line, self.column, self.message, self.hint)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, colour) = match self.severity {
            Severity::Error => ("error", AnsiColor::Red),
            Severity::Warning => ("warning", AnsiColor::Yellow),
        };
        let strong = Style::new().bold().fg_color(Some(colour.into()));
        let frame = Style::new().fg_color(Some(AnsiColor::Blue.into()));
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "{strong}{word}{strong:#}: {}", self.message)?;
        writeln!(f, "{gutter}{frame}-->{frame:#} {}:{}:{}", self.file.display(), self.line, self.column)?;
        if !self.text.is_empty() {
            let lead: String =
                self.text.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let marks = "^".repeat(self.width);
            writeln!(f, "{frame}{number} |{frame:#} {}", self.text)?;
            writeln!(f, "{frame}{gutter} |{frame:#} {lead}{strong}{marks}{strong:#}")?;
        }
        write!(f, "{gutter} {frame}={frame:#} hint: {}", self.hint)
    }
}

/// Collects findings about one file, so that all of them are told at once.
#[derive(Debug)]
pub(super) struct Report<'a> {
    file: &'a Path,
    text: &'a str,
    found: RefCell<Vec<(Range<usize>, Diagnostic)>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text, found: RefCell::default() }
    }

    pub(super) fn error(&self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Severity::Error, span, message.into(), hint.into());
    }

    pub(super) fn warning(&self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Severity::Warning, span, message.into(), hint.into());
    }

    /// A relative path as it is meant: from the folder of the file that names it.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.file.parent().map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }

    /// `file:line` of a place.
    pub(super) fn place(&self, span: &Range<usize>) -> String {
        format!("line {}", self.position(span.start).0)
    }

    pub(super) fn has_errors(&self) -> bool {
        self.found.borrow().iter().any(|(_, diagnostic)| diagnostic.severity == Severity::Error)
    }

    /// Everything that was found, in the order of the file.
    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(span, diagnostic)| (span.start, diagnostic.severity));
        found.into_iter().map(|(_, diagnostic)| diagnostic).collect()
    }

    fn add(&self, severity: Severity, span: Range<usize>, message: String, hint: String) {
        let (line, column) = self.position(span.start);
        let whole = self.text.lines().nth(line - 1).unwrap_or_default();
        let text = without_password(whole);
        let rest = text.chars().count().saturating_sub(column - 1).max(1);
        let marked =
            self.text.get(span.clone()).map_or(1, |text| text.lines().next().unwrap_or_default().chars().count());
        let width = marked.clamp(1, rest);
        let diagnostic = Diagnostic { severity, message, hint, file: self.file.to_owned(), line, column, width, text };
        self.found.borrow_mut().push((span, diagnostic));
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// The settings whose values are secrets, or may bear one.
const SECRET: [&str; 4] = ["password", "bearer", "token", "headers"];

/// The line as it may be shown. What follows `password =` might be one, so it is masked unless it plainly says where
/// the password is.
fn without_password(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let value_of = |key: &str| lower.find(key).and_then(|key| lower[key..].find('=').map(|equals| key + equals + 1));
    let Some(value) = SECRET.into_iter().filter_map(value_of).min() else { return line.to_owned() };
    let inner = line[value..].trim().strip_prefix('{').map(str::trim).unwrap_or_default();
    let says_where = (inner.starts_with("env") || inner.starts_with("file")) && !inner.contains(',');
    if says_where || line[value..].trim().is_empty() {
        return line.to_owned();
    }
    format!("{} ********", &line[..value])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(diagnostic: &Diagnostic) -> String {
        anstream::adapter::strip_str(&diagnostic.to_string()).to_string()
    }

    #[test]
    fn a_finding_shows_its_line_and_marks_the_place() {
        let text = "a = 1\n\tümlaut = 2\n";
        let report = Report::new(Path::new("x.toml"), text);
        let start = text.find("ümlaut").unwrap();
        report.error(start..start + "ümlaut".len(), "unknown key", "leave it out");
        let found = report.into_diagnostics();
        assert_eq!(
            plain(&found[0]),
            "error: unknown key\n --> x.toml:2:2\n2 | \tümlaut = 2\n  | \t^^^^^^\n  = hint: leave it out"
        );
    }

    #[test]
    fn findings_are_told_in_the_order_of_the_file() {
        let report = Report::new(Path::new("x.toml"), "a\nb\n");
        report.warning(2..3, "second", "-");
        report.error(0..1, "first", "-");
        let messages: Vec<_> = report.into_diagnostics().into_iter().map(|found| found.message).collect();
        assert_eq!(messages, ["first", "second"]);
    }

    #[test]
    fn a_line_with_a_password_is_shown_without_it() {
        let text = "probe = [{ kind = \"ftp\", password = \"hunter2\", port = 21 }]";
        let report = Report::new(Path::new("x.toml"), text);
        report.error(36..45, "refused", "-");
        assert!(!plain(&report.into_diagnostics()[0]).contains("hunter2"));
        for line in ["bearer = \"hunter2\"", "token = 'hunter2'", "headers = { Authorization = \"Bearer hunter2\" }"] {
            assert!(!without_password(line).contains("hunter2"), "{line}");
        }
        let where_it_is = "token = { env = \"FLOATIP_PUSH_TOKEN\" }";
        assert_eq!(without_password(where_it_is), where_it_is);
    }
}
