//! The one command that the page can call.

use desk::{Desk, ErrorBody};
use serde_json::Value;
use tauri::State;

/// Passes a page's question to the desk.
#[tauri::command]
pub(crate) async fn rpc(desk: State<'_, Desk>, cmd: String, args: Option<Value>) -> Result<Value, ErrorBody> {
    desk.dispatch(&cmd, args.unwrap_or_default()).await
}
