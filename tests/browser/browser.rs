//! A Chromium of a test's own, ended with all its processes.

use std::cell::RefCell;
use std::env;
use std::fs;
use std::process::{Command, Stdio};
use std::rc::Rc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::devtools::Devtools;
use crate::page::Page;
use crate::support::{Process, await_end_of, skip};

/// What makes a run independent of the machine: no network but loopback (all names end with
/// `localhost` or `relay.test` there; the latter may have any characters), no display, and the same colours everywhere.
const FLAGS: [&str; 14] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP *.relay.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost",
    "--proxy-server=direct://",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    // Fatal errors only: it misses the message bus of a desktop.
    "--log-level=3",
    // Its own sandbox needs namespaces that containers refuse, and root.
    "--no-sandbox",
    // Containers have a small one.
    "--disable-dev-shm-usage",
];

/// A running browser.
pub(crate) struct Browser {
    devtools: RefCell<Devtools>,
    process: Process,
    /// Where downloads are saved: it may write there until its end.
    saved_in: RefCell<Vec<Rc<TempDir>>>,
    /// The profile, and all other files of the browser; removed after its end.
    _home: TempDir,
}

/// Starts a browser; the test is skipped without Chromium.
pub(crate) fn browser() -> Option<Browser> {
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|folder| folder.join("chromium").is_file()) {
        return Some(Browser::start());
    }
    skip("browser", "chromium is not installed");
    None
}

impl Browser {
    fn start() -> Browser {
        let home = tempfile::tempdir().expect("a directory");
        let (reading, to) = std::io::pipe().expect("a pipe");
        let (from, writing) = std::io::pipe().expect("a pipe");
        let mut command = Command::new("sh");
        // It reads descriptor 3 and writes to 4.
        command.args(["-c", "exec chromium \"$@\" 3<&0 4>&1 1>&2 </dev/null", "sh"]);
        command.args(FLAGS).arg(format!("--user-data-dir={}", home.path().display()));
        command.env("HOME", home.path()).env("TMPDIR", home.path());
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_CACHE_HOME");
        command.env("DBUS_SESSION_BUS_ADDRESS", "disabled:");
        let process = Process::between(command, Stdio::from(reading), Stdio::from(writing));
        Browser {
            devtools: RefCell::new(Devtools::new(to, from)),
            process,
            saved_in: RefCell::default(),
            _home: home,
        }
    }

    /// An empty page with cookies and storage of its own, as of another user.
    pub(crate) fn page(&self) -> Page<'_> {
        let context = self.call("Target.createBrowserContext", json!({}));
        Page::new(self, context["browserContextId"].as_str().expect("a context"))
    }

    /// Keeps a directory of downloads until its end.
    pub(crate) fn keep(&self, directory: Rc<TempDir>) {
        self.saved_in.borrow_mut().push(directory);
    }

    /// The connection to it.
    pub(crate) fn devtools(&self) -> std::cell::RefMut<'_, Devtools> {
        self.devtools.borrow_mut()
    }

    /// Calls a method of the browser, which must succeed.
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let answer = self.devtools().call(None, method, params);
        answer.unwrap_or_else(|| panic!("timeout: {method}")).expect(method)
    }

    /// The peak memory in bytes of each of its processes so far, with its type: `browser`,
    /// `renderer`, `utility` and so on (`VmHWM`, `proc_pid_status(5)`).
    pub(crate) fn peaks(&self) -> Vec<(String, u64)> {
        let main = Pid::from_raw(i32::try_from(self.process.id()).expect("a process id"));
        let all = std::iter::once(main).chain(descendants(main));
        all.filter_map(|process| Some((kind(process)?, peak(process)?))).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let main = Pid::from_raw(i32::try_from(self.process.id()).expect("a process id"));
        // Stopped, it starts no other process; ended last, so that no id is reused before.
        let _ = kill(main, Signal::SIGSTOP);
        let all = descendants(main);
        for &process in all.iter().chain([&main]) {
            let _ = kill(process, Signal::SIGKILL);
        }
        all.into_iter().for_each(await_end_of);
    }
}

/// All living processes below this one.
fn descendants(of: Pid) -> Vec<Pid> {
    let mut found = vec![of];
    let mut at = 0;
    while let Some(parent) = found.get(at) {
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        let children =
            tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<i32> = children
            .flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>())
            .collect();
        found.extend(children.into_iter().map(Pid::from_raw));
        at += 1;
    }
    found.split_off(1)
}

/// The type of a process of the browser.
fn kind(process: Pid) -> Option<String> {
    let line = fs::read_to_string(format!("/proc/{process}/cmdline")).ok()?;
    // A process that renamed itself separates its arguments by spaces.
    let kind = line.split(['\0', ' ']).find_map(|word| word.strip_prefix("--type="));
    Some(kind.unwrap_or("browser").to_owned())
}

fn peak(process: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}
