//! The least that a window can be: what the app is measured beside (`./dev bench desktop`).

use tauri::{Manager as _, Url, WebviewUrl, WebviewWindowBuilder, http};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let page = "<!doctype html><title>Empty</title><p data-testid=estimate-total>$0.00</p>";
    let app = tauri::Builder::default()
        .register_uri_scheme_protocol("empty", move |_, _| http::Response::new(page.as_bytes().to_vec()))
        .build(tauri::generate_context!())?;
    let url = WebviewUrl::CustomProtocol(Url::parse("empty://localhost/")?);
    WebviewWindowBuilder::new(app.app_handle(), "main", url).inner_size(1180.0, 800.0).build()?;
    app.run(|_, _| {});
    Ok(())
}
