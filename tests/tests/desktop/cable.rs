//! The way from the window to the API, which a test can pull out and listen at.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};

use crate::computer::given;

/// The way from the window to the API, which the test can pull out.
pub(crate) struct Cable {
    api: String,
    port: u16,
    plugged: Option<Plugged>,
    /// What the API answered.
    heard: Arc<Mutex<Vec<u8>>>,
}

struct Plugged {
    pulled: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    accepting: thread::JoinHandle<()>,
}

impl Cable {
    pub(crate) fn to_the_api() -> Result<Self> {
        Self::to(&given("AIKIT_API")?)
    }

    /// The way to the API at that address.
    pub(crate) fn to(api: &str) -> Result<Self> {
        let api = api
            .trim_end_matches('/')
            .strip_prefix("http://")
            .context("the address of the API must begin with http://")?;
        let mut cable = Self { api: api.to_owned(), port: 0, plugged: None, heard: Arc::default() };
        cable.plug_in()?;
        Ok(cable)
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Listens, at the same port as before, and passes on what comes, both ways.
    pub(crate) fn plug_in(&mut self) -> Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).context("the cable's port is taken")?;
        self.port = listener.local_addr()?.port();
        let (pulled, streams) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (is_pulled, open, api) = (Arc::clone(&pulled), Arc::clone(&streams), self.api.clone());
        let heard = Arc::clone(&self.heard);
        let accepting = thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                if is_pulled.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(far) = TcpStream::connect(&api) else { continue };
                let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
                for (from, to, ear) in [(&near, &far, None), (&far, &near, Some(Arc::clone(&heard)))] {
                    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { continue };
                    open.extend(from.try_clone());
                    thread::spawn(move || {
                        let _ended = match ear {
                            None => io::copy(&mut from, &mut to),
                            Some(ear) => io::copy(&mut from, &mut Both { to: &mut to, ear: &ear }),
                        };
                        let _gone = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        self.plugged = Some(Plugged { pulled, streams, accepting });
        Ok(())
    }

    /// Every token that the API has given out through this cable.
    pub(crate) fn tokens(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = String::from_utf8_lossy(&heard);
        let of = |name: &str| -> Vec<String> {
            let before = format!("\"{name}\":\"");
            heard.split(&before).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
        };
        [of("access_token"), of("refresh_token")].concat()
    }

    pub(crate) fn pull_out(&mut self) {
        let Some(plugged) = self.plugged.take() else { return };
        plugged.pulled.store(true, Ordering::SeqCst);
        // Wakes the listener, which then goes.
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
        let _ended = plugged.accepting.join();
        for stream in plugged.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _gone = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Writes, and lets somebody hear it.
struct Both<'a> {
    to: &'a mut TcpStream,
    ear: &'a Mutex<Vec<u8>>,
}

impl io::Write for Both<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.ear.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.pull_out();
    }
}
