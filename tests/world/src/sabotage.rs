//! Small sabotages of the engine, each of which breaks a rule: the world must catch every one.

mod list;

pub use list::SABOTAGES;

/// One edit of one file of floatip-core, or two.
#[derive(Debug, Clone, Copy)]
pub struct Sabotage {
    /// What is wrong with the engine afterwards.
    pub what: &'static str,
    /// The file, below `floatip-core/src/engine`.
    pub file: &'static str,
    /// What is replaced; it stands there exactly once.
    pub find: &'static str,
    /// What it is replaced with.
    pub with: &'static str,
    /// A second such edit of the file, where one safeguard stands behind another.
    pub also: Option<(&'static str, &'static str)>,
}

impl Sabotage {
    /// The source with the edits made.
    ///
    /// # Errors
    /// If what is to be replaced does not stand there exactly once.
    pub fn applied_to(&self, source: &str) -> Result<String, String> {
        let edits = [(self.find, self.with)].into_iter().chain(self.also);
        edits.into_iter().try_fold(source.to_owned(), |source, (find, with)| match source.matches(find).count() {
            1 => Ok(source.replacen(find, with, 1)),
            count => Err(format!("{}: {}: {find:?} stands there {count} times", self.what, self.file)),
        })
    }

    const fn and(self, find: &'static str, with: &'static str) -> Self {
        Self { also: Some((find, with)), ..self }
    }
}

const fn sabotage(what: &'static str, file: &'static str, find: &'static str, with: &'static str) -> Sabotage {
    Sabotage { what, file, find, with, also: None }
}
