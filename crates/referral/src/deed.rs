//! What an act comes to before it is done: a handler does it at once, and a push does it together with the record that it was
//! done, so that it is done once.

use crate::App;
use crate::audit::{self, Entry};
use crate::db::{DbError, Rows, Stmt};

/// Statements that do something, under guards that say whether they still may.
pub(crate) struct Deed {
    /// All or nothing, in order.
    pub batch: Vec<Stmt>,
    /// Of a decision: its entry in the audit chain.
    pub entry: Option<Entry>,
}

impl From<Vec<Stmt>> for Deed {
    fn from(batch: Vec<Stmt>) -> Self {
        Deed { batch, entry: None }
    }
}

impl Deed {
    /// Does it. Answers what its statements answered.
    pub(crate) async fn done(self, app: &App) -> Result<Vec<Rows>, DbError> {
        match &self.entry {
            Some(entry) => audit::write(app, self.batch, std::slice::from_ref(entry)).await,
            None => app.db.batch(self.batch).await,
        }
    }
}
