//! Says so when there is no display, where the toolkit would only give up.

use std::io;

#[cfg(target_os = "linux")]
pub(crate) fn is_needed() -> io::Result<()> {
    use std::env;

    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    if !set("DISPLAY") && !set("WAYLAND_DISPLAY") {
        return Err(io::Error::other(
            "AIKit Partners needs a display for its window, and neither DISPLAY nor WAYLAND_DISPLAY is set. \
             Start it from a desktop session, or use the web dashboard at the API's address.",
        ));
    }
    // A display that is named but not there ends the toolkit with a panic of its own words.
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string();
        if text.to_lowercase().contains("gtk") {
            let display = env::var("WAYLAND_DISPLAY").or(env::var("DISPLAY")).unwrap_or_default();
            eprintln!("AIKit Partners cannot open its window on the display {display}. Check that it is running.");
        } else {
            eprintln!("AIKit Partners has ended because of a fault of its own. Please report this: {text}");
        }
    }));
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_needed() -> io::Result<()> {
    Ok(())
}
