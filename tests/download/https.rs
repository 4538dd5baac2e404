//! Torrents and announces over https, from a server whose certificate only `SSL_CERT_FILE` makes one to be trusted.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;

use bittrace_testing::tracker::announce_reply;
use flate2::Compression;
use flate2::write::GzEncoder;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{content, seeder, torrent};

/// A server over https, and one over http that sends everybody there.
struct Site {
    /// Of a certificate authority, in PEM.
    authority: String,
    https: String,
    http: String,
}

/// Answers each path: a torrent whose tracker is this site, the same in gzip, an announce.
fn site() -> Site {
    let key = KeyPair::generate().expect("keys can be made");
    let mut params = CertificateParams::new(Vec::new()).expect("no name is a valid list of names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).expect("it can be signed").pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("keys can be made");
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("localhost is a name");
    let leaf = leaf.signed_by(&key, &issuer).expect("it can be signed");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("it is a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows them")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("the key is the certificate's");
    let config = Arc::new(config);

    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let https = format!("https://localhost:{}", listener.local_addr().expect("it has an address").port());
    let (announce, peer) = (format!("{https}/announce"), seeder(false));
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).expect("the configuration is complete");
            let mut stream = StreamOwned::new(connection, socket);
            // Who does not trust us goes without a word.
            let Some(path) = asked(&mut stream) else { continue };
            let (coding, body) = match path.as_str() {
                "/file.torrent" => ("", torrent(&announce).torrent.to_vec()),
                "/zipped.torrent" => ("Content-Encoding: gzip\r\n", gzip(&torrent(&announce).torrent)),
                announce if announce.starts_with("/announce?info_hash=") => {
                    ("Content-Encoding: gzip\r\n", gzip(&announce_reply(&[peer])))
                }
                "/file.bin" => ("", content()),
                other => panic!("{other} is not there"),
            };
            let head = format!("HTTP/1.1 200 OK\r\n{coding}Content-Length: {}\r\n\r\n", body.len());
            if stream.write_all(&[head.as_bytes(), &body].concat()).is_ok() {
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });

    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let http = format!("http://{}", listener.local_addr().expect("it has an address"));
    let there = https.clone();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let Some(path) = asked(&mut socket) else { continue };
            let head = format!("HTTP/1.1 302 Found\r\nLocation: {there}{path}\r\nContent-Length: 0\r\n\r\n");
            let _ = socket.write_all(head.as_bytes());
        }
    });
    Site { authority, https, http }
}

/// The path that a request asks for.
fn asked(stream: &mut impl Read) -> Option<String> {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&request).split(' ').nth(1)?.to_owned())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory can be written")
}

/// Downloads what is at this URL, with no other authority than this one.
fn download(url: &str, authority: &str, folder: &Path) -> Output {
    download_with(url, authority, folder, &["--single-peer"])
}

fn download_with(url: &str, authority: &str, folder: &Path, more: &[&str]) -> Output {
    let file = folder.join("authority.pem");
    std::fs::write(&file, authority).expect("a file can be written");
    Command::new(env!("CARGO_BIN_EXE_bittrace"))
        .args(["download", url, "--port", "0", "--listen", "127.0.0.1", "-o"])
        .arg(folder.join("out"))
        .args(more)
        .env("SSL_CERT_FILE", file)
        .env_remove("SSL_CERT_DIR")
        .env("NO_PROXY", "*")
        .stdin(Stdio::null())
        .output()
        .expect("bittrace starts")
}

#[test]
fn torrents_and_announces_come_over_https() {
    let site = site();
    for url in [
        format!("{}/file.torrent", site.https),
        format!("{}/zipped.torrent", site.https),
        format!("{}/file.torrent", site.http),
    ] {
        let folder = bittrace_testing::command::scratch_folder();
        let output = download(&url, &site.authority, folder.path());
        let told = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{url}: {told}{errors}");
        assert!(told.contains(&format!("Response of {}/announce", site.https)), "{told}");
        assert_eq!(std::fs::read(folder.path().join("out/file.bin")).expect("it is there"), content());
    }
}

#[test]
fn who_is_not_trusted_is_told_as_such() {
    let (site, other) = (self::site(), self::site());
    let folder = bittrace_testing::command::scratch_folder();
    let output = download(&format!("{}/file.torrent", site.https), &other.authority, folder.path());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("certificate"), "{errors}");
}

/// A torrent from a path, whose tracker is over https and not trusted: there is no peer, and why is told.
#[test]
fn a_tracker_that_is_not_trusted_fails() {
    let (site, other) = (self::site(), self::site());
    let folder = bittrace_testing::command::scratch_folder();
    let path = folder.path().join("file.torrent");
    let announce = format!("{}/announce", site.https);
    std::fs::write(&path, torrent(&announce).torrent.to_vec()).expect("a torrent can be written");
    let output = download(&path.to_string_lossy(), &other.authority, folder.path());
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let failed = told.lines().find(|line| line.contains(&format!("Tracker {announce} failed")));
    assert!(failed.is_some_and(|line| line.contains("certificate")), "{told}");
}

/// The recording has the encrypted bytes, and before them the secrets that Wireshark needs to read them.
#[test]
fn what_a_tracker_and_a_web_seed_say_over_https_can_be_read_in_the_recording() {
    let site = self::site();
    let folder = bittrace_testing::command::scratch_folder();
    let (path, recording) = (folder.path().join("file.torrent"), folder.path().join("live.pcapng"));
    let seed =
        torrent(&format!("{}/announce", site.https)).with_url_list(&format!("{}/file.bin", site.https));
    std::fs::write(&path, seed.torrent.to_vec()).expect("a torrent can be written");
    let record = recording.to_string_lossy().into_owned();
    let options = ["--allow-local", "--record", &record];
    let output = download_with(&path.to_string_lossy(), &site.authority, folder.path(), &options);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains(&format!("Web seed {}/file.bin", site.https)), "{told}");
    let bytes = std::fs::read(&recording).expect("it is there");
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(has(b"KSLT") && has(b"CLIENT_TRAFFIC_SECRET_0 "), "secrets are there");
    assert!(!has(b"GET /announce?info_hash"), "nothing is there in clear");
    if !bittrace_testing::programs::is_there("tshark") {
        return;
    }
    let fields = ["-Y", "http.request", "-T", "fields", "-e", "http.request.uri"];
    let read = bittrace_testing::tshark::tshark(&recording, &fields);
    let requests: Vec<_> = read.lines().collect();
    assert!(requests.iter().any(|line| line.starts_with("/announce?info_hash=")), "{read:?}");
    assert!(requests.contains(&"/file.bin"), "{read:?}");
}
