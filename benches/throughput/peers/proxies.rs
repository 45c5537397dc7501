//! Relays with TLS: their own, or that of nginx or `HAProxy`.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Bench, Build, Kind, Relay, Tls, installed, serve};
use crate::Result;
use crate::tls::create_certificate;

/// A proxy, and the relay to which it passes all requests.
const NGINX: &str = "nginx, rdv";
/// The same.
pub(crate) const HAPROXY: &str = "haproxy, rdv";

impl Bench {
    /// Starts a build that also accepts TLS.
    pub(crate) fn rdv_tls(&self, build: &Build) -> Result<Relay> {
        let tls = self.tls()?;
        let mut command = serve(&build.program);
        command.args(["--tls-listen", &tls.address.to_string()]);
        command.arg("--tls-cert").arg(&tls.certificate);
        command.arg("--tls-key").arg(self.scratch("tls.key"));
        let relay = self.start_rdv(build.name, &mut command, 4096)?;
        Ok(Relay { tls: Some(tls), ..relay })
    }

    /// Starts nginx with one worker, and a relay to which it passes all requests; none if it is not
    /// installed.
    pub(crate) fn nginx_tls(&self, build: &Build) -> Result<Option<Relay>> {
        let Some(program) = installed("nginx") else { return Ok(None) };
        let (tls, relay) = (self.tls()?, self.rdv(build)?);
        let folder = self.scratch("");
        let folder = folder.display();
        let config = format!(
            "daemon off; master_process off; worker_processes 1; pid {folder}/nginx-tls.pid;\n\
             error_log stderr; events {{ worker_connections 4096; }}\n\
             http {{ access_log off; keepalive_requests 1000000000;\n\
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
             client_max_body_size 0; client_body_buffer_size 256k;\n\
             proxy_request_buffering off; proxy_buffering off; proxy_buffer_size 256k; proxy_buffers 4 256k;\n\
             proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             ssl_protocols TLSv1.3; ssl_certificate {folder}/tls.crt;\n\
             ssl_certificate_key {folder}/tls.key; ssl_session_cache shared:tls:10m;\n\
             upstream relay {{ server {}; keepalive 64; }}\n\
             server {{ listen {} ssl backlog=4096;\n\
             location / {{ proxy_pass http://relay; }} }} }}\n",
            relay.address, tls.address
        );
        let path = self.scratch("nginx-tls.conf");
        fs::write(&path, config)?;
        let mut command = Command::new(program);
        command.arg("-c").arg(path);
        self.start_proxy(NGINX, &mut command, (tls, relay)).map(Some)
    }

    /// Starts `HAProxy` with one thread, and a relay to which it passes all requests; none if it is
    /// not installed.
    pub(crate) fn haproxy_tls(&self, build: &Build) -> Result<Option<Relay>> {
        let Some(program) = installed("haproxy") else { return Ok(None) };
        let (tls, relay) = (self.tls()?, self.rdv(build)?);
        let config = format!(
            "global\n  nbthread 1\n  maxconn 4096\n  tune.bufsize 65536\n  \
             ssl-default-bind-options ssl-min-ver TLSv1.3\n\
             defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  \
             timeout server 60s\n\
             frontend tls\n  bind {} ssl crt {}\n  default_backend relay\n\
             backend relay\n  server relay {}\n",
            tls.address,
            self.scratch("tls.pem").display(),
            relay.address
        );
        let path = self.scratch("haproxy-tls.cfg");
        fs::write(&path, config)?;
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(path);
        self.start_proxy(HAPROXY, &mut command, (tls, relay)).map(Some)
    }

    /// An address for TLS that is free now, and the certificate of this run.
    fn tls(&self) -> Result<Tls> {
        let certificate = self.scratch("tls.crt");
        if !certificate.exists() {
            create_certificate(certificate.parent().unwrap_or(Path::new(".")))?;
        }
        Ok(Tls { address: self.free_address()?, certificate })
    }

    /// Starts a proxy that listens at this address and passes all requests to this relay.
    fn start_proxy(
        &self,
        name: &str,
        command: &mut Command,
        (tls, relay): (Tls, Relay),
    ) -> Result<Relay> {
        let (address, plain) = (tls.address, relay.address);
        let proxy = self.start_silent(name, command, address, Kind::Rendezvous)?;
        Ok(Relay { address: plain, tls: Some(tls), backend: Some(Box::new(relay)), ..proxy })
    }
}
