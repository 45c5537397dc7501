//! The container image: its contents, and a relay in a container of it, with a read-only file system
//! and without a network. `install` builds it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Finished, Process, eventually, installation, parse, run, skip};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The OCI layout of the image, or `None` if it cannot be run here.
fn installed() -> Option<PathBuf> {
    let folder = installation("operation/image")?;
    for (tool, why) in [("umoci", "unpacks it"), ("runc", "runs it, as root")] {
        if let Err(error) = run(&format!("{tool} --version")) {
            skip("image", &format!("{tool} {why}: {error}"));
            return None;
        }
    }
    Some(folder.join("container"))
}

/// The arguments of the program for the health check, of which only Docker's part of the image's
/// configuration knows.
fn health_check(image: &Path) -> Vec<String> {
    let blobs = fs::read_dir(image.join("layout/blobs/sha256")).expect("the blobs");
    let contents = blobs.map(|blob| fs::read(blob.expect("a blob").path()).expect("a blob"));
    let found = contents
        .filter_map(|content| serde_json::from_slice::<Value>(&content).ok())
        .find_map(|value| value["config"]["Healthcheck"]["Test"].as_array().cloned());
    let words = found.expect("a health check");
    let words: Vec<&str> = words.iter().map(|word| word.as_str().expect("a word")).collect();
    assert_eq!(words[..2], ["CMD", "/usr/bin/rdv"]);
    words[2..].iter().map(|word| (*word).to_owned()).collect()
}

/// An image unpacked as a bundle: its root file system and its configuration.
struct Bundle {
    folder: TempDir,
}

impl Bundle {
    fn unpack(image: &Path) -> Bundle {
        let folder = tempfile::tempdir().expect("a folder");
        let (layout, path) = (image.join("layout"), folder.path().join("bundle"));
        let unpack =
            format!("umoci unpack --image {}:{VERSION} {}", layout.display(), path.display());
        run(&unpack).expect("umoci");
        let bundle = Bundle { folder };
        bundle.restrict();
        bundle
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("bundle")
    }

    fn configuration(&self) -> Value {
        parse(&fs::read(self.path().join("config.json")).expect("config.json"))
    }

    /// No terminal, no capability, and a file system that is read-only.
    fn restrict(&self) {
        let mut configuration = self.configuration();
        let process = &mut configuration["process"];
        process["terminal"] = false.into();
        process["capabilities"] = json!({});
        process["noNewPrivileges"] = true.into();
        configuration["root"]["readonly"] = true.into();
        let text = configuration.to_string();
        fs::write(self.path().join("config.json"), text).expect("config.json");
    }
}

/// A container of a bundle, deleted when this is dropped.
struct Container {
    name: String,
    bundle: Bundle,
}

impl Container {
    /// Runs the image's command until the relay listens.
    fn start(bundle: Bundle) -> (Container, Process) {
        let container = Container { name: format!("rdv-test-{}", std::process::id()), bundle };
        let mut command = container.runc();
        command.args(["run", "--bundle"]).arg(container.bundle.path()).arg(&container.name);
        let mut relay = Process::start(command);
        eventually("the relay listens", || {
            assert!(!relay.ended(), "the container ended: {}", relay.stderr());
            relay.stdout().contains("listening on http://0.0.0.0:8080").then_some(())
        });
        (container, relay)
    }

    /// With its state next to the bundle, for no other container.
    fn runc(&self) -> Command {
        let mut command = Command::new("runc");
        command.arg("--root").arg(self.bundle.folder.path().join("state"));
        command
    }

    /// The program in the container, with these arguments.
    fn exec(&self, arguments: &[&str]) -> Command {
        let mut command = self.runc();
        command.args(["exec", &self.name, "/usr/bin/rdv"]).args(arguments);
        command
    }

    fn rdv(&self, arguments: &[&str]) -> Finished {
        let finished = Process::start(self.exec(arguments)).finish();
        assert!(finished.status.success(), "{arguments:?}: {}", finished.stderr);
        finished
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.runc().args(["delete", "--force", &self.name]).output();
    }
}

#[test]
fn the_image_has_the_program_and_what_it_reads_and_nothing_else() {
    let Some(image) = installed() else { return };
    let bundle = Bundle::unpack(&image);
    let root = bundle.path().join("rootfs");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let is_folder = entry.file_type().expect("a type").is_dir();
            if is_folder { &mut folders } else { &mut files }.push(entry.path());
        }
    }
    files.sort();
    let named = |path: &PathBuf| path.strip_prefix(&root).expect("within").display().to_string();
    assert_eq!(
        files.iter().map(named).collect::<Vec<_>>(),
        ["etc/group", "etc/passwd", "etc/ssl/certs/ca-certificates.crt", "usr/bin/rdv"]
    );
    let configuration = bundle.configuration();
    let user = &configuration["process"]["user"];
    assert_eq!((&user["uid"], &user["gid"]), (&json!(65532), &json!(65532)));
    assert_eq!(configuration["process"]["args"], json!(["/usr/bin/rdv", "serve"]));
    let annotations = &configuration["annotations"];
    assert_eq!(annotations["org.opencontainers.image.version"], VERSION);
    assert_eq!(annotations["org.opencontainers.image.stopSignal"], "SIGTERM");
}

#[test]
fn the_archives_for_docker_load_and_podman_load_have_the_image_of_the_layout() {
    let Some(image) = installed() else { return };
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let archive = image.join(format!("rdv-{VERSION}-{architecture}.tar"));
    let folder = tempfile::tempdir().expect("a folder");
    run(&format!("tar -xf {} -C {}", archive.display(), folder.path().display())).expect("tar");
    let read = |name: &str| fs::read(folder.path().join(name)).expect("a file of the archive");

    // Docker's storage drivers read this file; containerd and podman read the index.
    let listed = parse(&read("manifest.json"));
    assert_eq!(listed[0]["RepoTags"], json!([format!("rdv:{VERSION}")]));
    let index = parse(&read("index.json"));
    let names = &index["manifests"][0]["annotations"];
    assert_eq!(names["io.containerd.image.name"], format!("docker.io/library/rdv:{VERSION}"));
    let manifest = index["manifests"][0]["digest"].as_str().expect("a digest").replace(':', "/");
    let layers = listed[0]["Layers"].as_array().expect("layers");
    for part in layers.iter().chain([&listed[0]["Config"], &json!(format!("blobs/{manifest}"))]) {
        let name = part.as_str().expect("a name");
        let original = fs::read(image.join("layout").join(name)).expect("a blob of the layout");
        assert!(read(name) == original, "{name}");
    }
}

#[test]
fn a_relay_in_a_container_is_healthy_transfers_and_drains() {
    let Some(image) = installed() else { return };
    let (container, relay) = Container::start(Bundle::unpack(&image));
    let health = health_check(&image);
    let health: Vec<&str> = health.iter().map(String::as_str).collect();
    assert_eq!(container.rdv(&health).stdout, "alive\n");
    assert_eq!(container.rdv(&["ctl", "health", "--ready"]).stdout, "ready\n");

    let mut sending = container.exec(&["pipe", "send", "--quiet"]);
    sending.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut sender = sending.spawn().expect("runc");
    let id = eventually("the stream exists", || {
        let listed = parse(container.rdv(&["ctl", "list", "--json"]).stdout.as_bytes());
        listed[0]["id"].as_str().map(str::to_owned)
    });
    let receiver = Process::start(container.exec(&["pipe", "receive", &id]));
    let mut input = sender.stdin.take().expect("a pipe");
    input.write_all(b"begun before").expect("write");
    eventually("the transfer runs", || (receiver.stdout() == "begun before").then_some(()));

    // Of the first process in a container, which ignores signals without a handler.
    relay.signal(Signal::SIGTERM);
    eventually("it drains", || relay.stderr().contains("SIGTERM: draining").then_some(()));
    input.write_all(b", completed after").expect("write");
    drop(input);
    assert_eq!(receiver.finish().stdout, "begun before, completed after");
    assert!(sender.wait().expect("wait").success());
    assert_eq!(relay.finish().status.code(), Some(0));
}
