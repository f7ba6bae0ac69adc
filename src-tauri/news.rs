//! While the app runs, seen or not: looks for news, tells it, and keeps the menu and the tray up to date.

use std::sync::Arc;

use desk::{Desk, News};
use tauri::{AppHandle, Manager};
use tauri_plugin_notification::NotificationExt;

use crate::{menu, tray, window};

/// What a notification carries: where it leads.
const LINK: &str = "link";

pub(crate) fn listen(app: &AppHandle) {
    let handle = app.clone();
    // Whoever clicks on a notification is led to what it is about, by the way of any deep link.
    let _ = app.notification().on_action(move |action| {
        let link = action.notification().and_then(|shown| shown.extra().get(LINK)?.as_str());
        if let (Some(link), Some(desk)) = (link, handle.try_state::<Arc<Desk>>()) {
            desk.open_link(link);
        }
        window::show(&handle);
    });
    tauri::async_runtime::spawn(work(app.clone()));
}

async fn work(app: AppHandle) {
    let desk = Arc::clone(&app.state::<Arc<Desk>>());
    let mut shown = None;
    loop {
        let tray_before = tray::is_there(&app);
        tray::look_again(&app).await;
        let standing = desk.standing().await;
        show(&app, &mut shown, standing, tray_before);
        for news in desk.look().await {
            tell(&app, &news);
        }
        // The look may have brought another figure.
        let standing = desk.standing().await;
        show(&app, &mut shown, standing, true);
        desk.rest().await;
    }
}

fn show(app: &AppHandle, shown: &mut Option<desk::Standing>, standing: desk::Standing, tray_has_it: bool) {
    if shown.as_ref() == Some(&standing) && tray_has_it {
        return;
    }
    if shown.as_ref().map(|s| &s.menu) != Some(&standing.menu) {
        let _ = menu::show(app, &standing);
    }
    let _ = tray::show(app, &standing);
    *shown = Some(standing);
}

/// A computer without notifications does without: what is news is on the pages too.
fn tell(app: &AppHandle, news: &News) {
    let _ = app.notification().builder().title(news.title).body(&news.text).extra(LINK, &news.link).show();
}
