//! A proxy with its file of `deploy/proxies/` or `deploy/scale/`: only addresses and paths are of the test.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Process, installation, skip};

/// A proxy with a file in `deploy/proxies/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    HaProxy,
    Caddy,
    Traefik,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::Nginx, Kind::HaProxy, Kind::Caddy, Kind::Traefik];

/// The addresses and paths of one run.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
    /// The folder of its files, from `deploy/proxies/`.
    pub(crate) folder: &'static str,
    /// What is replaced in them by what, such as the address of the relay.
    pub(crate) replaced: Vec<(&'static str, String)>,
    pub(crate) https: u16,
    pub(crate) http: u16,
}

/// A file of `deploy/proxies/`.
pub(crate) fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/proxies").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Replaces what must be in the text.
fn replace(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} in {text}");
        text.replace(from, to)
    })
}

/// Whether a program is in `PATH`.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

impl Kind {
    /// Whether its file offers HTTP/2.
    pub(crate) fn has_http2(self) -> bool {
        match self {
            Kind::HaProxy => false,
            Kind::Nginx | Kind::Caddy | Kind::Traefik => true,
        }
    }

    /// The program; without it the proxy is skipped.
    fn program(self) -> Option<PathBuf> {
        let name = match self {
            Kind::Nginx => "nginx",
            Kind::HaProxy => "haproxy",
            Kind::Caddy => return Some(installation("proxies")?.join("bin/caddy")),
            Kind::Traefik => return Some(installation("proxies")?.join("bin/traefik")),
        };
        if !has(name) {
            skip(name, &format!("{name} is not installed"));
            return None;
        }
        Some(name.into())
    }

    /// Starts it at free ports; `None` if it is not installed.
    pub(crate) fn start(self, place: &Place) -> Option<Process> {
        let program = self.program()?;
        let file = self.write(place);
        // A file of more than 1 MiB fails: nothing is buffered on disk.
        let mut command = Command::new("prlimit");
        command.arg("--fsize=1048576").arg(program).args(self.arguments(&file));
        let home = place.directory.path();
        command.current_dir(home).env("HOME", home);
        command.env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
        Some(Process::start(command))
    }

    fn arguments(self, file: &Path) -> Vec<String> {
        let file = file.display();
        match self {
            Kind::Nginx => {
                let folder = file.to_string().replace("nginx.conf", "");
                let global = format!("pid {folder}nginx.pid; daemon off; master_process off;");
                vec![
                    "-e".into(),
                    "stderr".into(),
                    "-c".into(),
                    file.to_string(),
                    "-g".into(),
                    global,
                ]
            }
            Kind::HaProxy => vec!["-db".into(), "-f".into(), file.to_string()],
            Kind::Caddy => vec!["run".into(), "--config".into(), file.to_string()],
            Kind::Traefik => vec![format!("--configFile={file}")],
        }
    }

    /// Writes its configuration, and returns the path.
    fn write(self, place: &Place) -> PathBuf {
        let folder = format!("{}/", place.directory.path().display());
        let replaced = place.replaced.iter().map(|(from, to)| (*from, to.as_str()));
        let common: Vec<_> = replaced.chain([("/etc/ssl/relay/", &*folder)]).collect();
        let own = |name: &str| replace(&file(&format!("{}{name}", place.folder)), &common);
        let write = |name: &str, text: &str| {
            let path = place.directory.path().join(name);
            fs::write(&path, text).expect("a configuration");
            path
        };
        let (http, https) = (place.http, place.https);
        match self {
            Kind::Nginx => {
                let line = |what: &str| format!("{what}_temp_path {folder}{what};\n");
                let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(line);
                let text = replace(
                    &own("nginx.conf"),
                    &[
                        ("/var/log/nginx/error.log", "stderr"),
                        ("\nhttp {\n", &format!("\nhttp {{\n{}", kinds.concat())),
                        ("listen 80;", &format!("listen 127.0.0.1:{http};")),
                        ("listen 443 ", &format!("listen 127.0.0.1:{https} ")),
                    ],
                );
                let no_ipv6 = text.lines().filter(|line| !line.contains("listen [::]:"));
                write("nginx.conf", &no_ipv6.collect::<Vec<_>>().join("\n"))
            }
            Kind::HaProxy => {
                write(
                    "haproxy.cfg",
                    &replace(
                        &own("haproxy.cfg"),
                        &[
                            // Within the limit on open files of any machine.
                            ("maxconn 16384", "maxconn 400"),
                            ("bind :::80 v4v6", &format!("bind 127.0.0.1:{http}")),
                            ("bind :::443 v4v6", &format!("bind 127.0.0.1:{https}")),
                        ],
                    ),
                )
            }
            Kind::Caddy => {
                let options =
                    format!("{{\n\tadmin off\n\thttp_port {http}\n\thttps_port {https}\n");
                let text = replace(&own("Caddyfile"), &[("\nrelay.example {", "\nlocalhost {")]);
                write("Caddyfile", &text.replacen("{\n", &options, 1))
            }
            Kind::Traefik => {
                let text = own("traefik-dynamic.yml");
                write("traefik-dynamic.yml", &replace(&text, &[("relay.example", "localhost")]));
                write(
                    "traefik.yml",
                    &replace(
                        &file("traefik.yml"),
                        &[
                            ("/etc/traefik/", &folder),
                            (":80\"", &format!("127.0.0.1:{http}\"")),
                            (":443\"", &format!("127.0.0.1:{https}\"")),
                        ],
                    ),
                )
            }
        }
    }
}

impl Place {
    /// Two ports that are free now: no proxy accepts a socket or reports a port that the kernel
    /// chose.
    pub(crate) fn new(directory: TempDir, relay: SocketAddr) -> Place {
        Place::of(directory, "", vec![("127.0.0.1:8080", relay.to_string())])
    }

    /// With these files, in which this is replaced.
    pub(crate) fn of(
        directory: TempDir,
        folder: &'static str,
        replaced: Vec<(&'static str, String)>,
    ) -> Place {
        let bound = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("bind"));
        let [http, https] = bound.map(|it| it.local_addr().expect("an address").port());
        Place { directory, folder, replaced, https, http }
    }
}
