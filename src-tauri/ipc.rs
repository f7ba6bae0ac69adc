//! The one command that the page can call.

use std::sync::Arc;

use desk::{Desk, ErrorBody};
use serde_json::Value;
use tauri::State;

/// Passes a page's question to the desk.
#[tauri::command]
pub(crate) async fn rpc(desk: State<'_, Arc<Desk>>, cmd: String, args: Option<Value>) -> Result<Value, ErrorBody> {
    desk.dispatch(&cmd, args.unwrap_or_default()).await
}
