//! No secret shows anywhere: not in logs, events, files, answers, the environment of programs or the command line, however
//! much the servers that learn them repeat them.

use std::fs;
use std::path::Path;
use std::process::Output;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::Site;

const BY_ENV: &str = "s3cret-by-env-c0ffee";
const BY_FILE: &str = "s3cret-by-file-c0ffee";
const BEARER: &str = "s3cret-bearer-c0ffee";
const BASIC: &str = "s3cret-basic-c0ffee";
/// "monitor:" and the one above, as it goes over the wire.
const BASIC_ON_THE_WIRE: &str = "bW9uaXRvcjpzM2NyZXQtYmFzaWMtYzBmZmVl";
const HEADER: &str = "s3cret-header-c0ffee";
const TOKEN: &str = "s3cret-token-c0ffee";
const AWS: &str = "s3cret-aws-c0ffee";
const SECRETS: [&str; 8] = [BY_ENV, BY_FILE, BEARER, BASIC, BASIC_ON_THE_WIRE, HEADER, TOKEN, AWS];

/// A server of FTP and HTTP that repeats whatever it is told, and lets in whoever knows `right`.
async fn parrot(right: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(repeat(stream, right));
        }
    });
    host
}

async fn repeat(mut stream: TcpStream, right: &str) -> std::io::Result<()> {
    // Clients of HTTP speak first.
    let mut first = [0; 4];
    let waits = tokio::time::timeout(std::time::Duration::from_millis(200), stream.peek(&mut first));
    if waits.await.is_ok_and(|peeked| peeked.is_ok_and(|length| length > 0)) {
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await?;
        let said = String::from_utf8_lossy(&request[..length]).replace("\r\n", " ");
        let head = format!("HTTP/1.1 403 {said}\r\nX-Said: {said}\r\nContent-Length: {}\r\n\r\n{said}", said.len());
        return stream.write_all(head.as_bytes()).await;
    }
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 ready\r\n").await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let reply = match line.trim().split_once(' ') {
            Some(("PASS", password)) if password == right => format!("230-{password} is right\r\n230 {password}\r\n"),
            Some(("PASS", password)) => format!("530-{password}\r\n530 {password} is wrong\r\n"),
            Some(("USER", _)) => "331 go on\r\n".to_owned(),
            Some(_) | None => "500 what\r\n".to_owned(),
        };
        stream.write_all(reply.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

async fn site() -> Site {
    let mut site = Site::new().await;
    let folder = site.desk.path("").display().to_string();
    let config = fs::read_to_string(site.desk.path("floatip.toml")).unwrap();
    let (mut config, health) = {
        let (head, health) = config.split_once("[[floating_ip.probe]]\nkind = \"tcp\"\nport = 21\n").unwrap();
        (head.to_owned(), health.to_owned())
    };
    for (node, right) in [(0, BY_ENV), (1, BY_FILE)] {
        let address = site.nodes[node].as_ref().unwrap().address.to_string();
        config = config.replace(&address, &parrot(right).await);
    }
    let probe = |kind: &str, more: &str| format!("[[floating_ip.probe]]\nkind = \"{kind}\"\nverify = false\n{more}\n");
    let shell = |file: &str| {
        format!("[\"/bin/sh\", \"-c\", \"echo $0 $*; env >> {folder}/{file}\", \"{{json}}\", \"{{summary}}\"]")
    };
    config.push_str(&probe("ftp", "username = \"monitor\"\npassword = { env = \"BY_ENV\" }\nlist = true"));
    config.push_str(&probe("ftp", "username = \"monitor\"\npassword = { file = \"by_file\" }"));
    config.push_str(&probe("http", "bearer = { env = \"BEARER\" }"));
    config.push_str(&probe("http", "username = \"monitor\"\npassword = { env = \"BASIC\" }\nbody = \"nothing\""));
    config.push_str(&probe("http", &format!("status = 403\nheaders = {{ X-Key = \"{HEADER}\" }}")));
    config.push_str(&probe("exec", &format!("command = {}", shell("exec.env"))));
    config.push_str(&probe("push", ""));
    config.push_str(&health);
    let listen = "[push]\nlisten = \"127.0.0.1:0\"\ntoken = { env = \"TOKEN\" }\n";
    let hooks = ["pre_move", "post_move", "on_event"]
        .map(|on| format!("[[hook]]\non = \"{on}\"\ncommand = {}\n", shell("hook.env")));
    let config = format!("state_dir = \"state\"\n{config}{listen}{}", hooks.concat());
    fs::write(site.desk.path("floatip.toml"), config).unwrap();
    fs::write(site.desk.path("by_file"), format!("{BY_FILE}\n")).unwrap();
    let environment =
        [("BY_ENV", BY_ENV), ("BEARER", BEARER), ("BASIC", BASIC), ("TOKEN", TOKEN), ("AWS_SECRET_ACCESS_KEY", AWS)];
    site.desk.environment.extend(environment);
    site
}

/// Everything that was said or written, and what it is called.
#[derive(Default)]
struct Heard(Vec<(String, String)>);

impl Heard {
    fn note(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.0.push((name.into(), text.into()));
    }

    fn output(&mut self, arguments: &[&str], output: &Output) {
        let Output { stdout, stderr, .. } = output;
        self.note(arguments.join(" "), String::from_utf8_lossy(&[&stdout[..], stderr].concat()));
    }

    /// All files below the folder but those that hold the secrets.
    fn files(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                self.files(&path);
            } else if path.is_file() && !path.ends_with("by_file") && !path.ends_with("floatip.toml") {
                self.note(path.display().to_string(), String::from_utf8_lossy(&fs::read(&path).unwrap()));
            }
        }
    }

    fn all(&self) -> String {
        self.0.iter().map(|(_, text)| &**text).collect()
    }

    fn holds_no_secret(&self) {
        for (name, text) in &self.0 {
            for secret in SECRETS {
                assert!(!text.contains(secret), "{secret} shows in {name}:\n{text}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_shows_in_anything_that_a_monitor_says_or_writes() {
    let site = site().await;
    let mut heard = Heard::default();
    for format in ["text", "json"] {
        let events = format!("events-{format}.jsonl");
        let mut monitor = site.monitor(&["-vv", "--log-format", format, "--event-log", &events]);
        let cmdline = fs::read(format!("/proc/{}/cmdline", monitor.id())).unwrap();
        heard.note("cmdline", String::from_utf8_lossy(&cmdline));
        monitor.read_until("went down");
        for arguments in [
            &["status"][..],
            &["status", "--json"],
            &["history"],
            &["history", "--json"],
            &["probe"],
            &["probe", "--json", "-vv"],
            &["probe", "--explain", "-vv", "--log-format", "json"],
            &["probe", "--explain", "--json"],
            &["check"],
            &["check", "--json"],
            &["preflight", "--json", "-vv"],
            &["iam-policy"],
            &["move", "ftp", "--to", "ftp-2", "--force", "--no-wait", "-vv"],
            &["report", "--node", "ftp-1", "--healthy", "-vv"],
            &["run", "-vv"],
            &["--help"],
            &["report", "--help"],
        ] {
            let more: &[&str] = if arguments.contains(&"--help") { &[] } else { &["-c", "floatip.toml"] };
            let arguments = [arguments, more].concat();
            heard.output(&arguments, &site.desk.command(&arguments).output().unwrap());
        }
        // Over the network, with the right token and a wrong one: to nobody, which is an error.
        for token in [TOKEN, AWS] {
            let arguments = ["report", "--node", "ftp-1", "--healthy", "--monitor", "127.0.0.1:1", "-vv"];
            let mut command = site.desk.command(&arguments);
            heard.output(&arguments, &command.env("FLOATIP_PUSH_TOKEN", token).output().unwrap());
        }
        heard.note(format!("log, {format}"), monitor.end("-TERM").stderr);
    }
    // A monitor that cannot start.
    let config = fs::read_to_string(site.desk.path("floatip.toml")).unwrap();
    fs::write(site.desk.path("floatip.toml"), config.replace("127.0.0.1:0", "203.0.113.1:1")).unwrap();
    let failed = ["run", "-vv", "-c", "floatip.toml"];
    let output = site.desk.command(&failed).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    heard.output(&failed, &output);
    // A file that is spoilt, in each line that has a secret.
    let spoilt = config.replace("password = {", "password = 5 # {").replace("headers = {", "headers = 5 # {");
    fs::write(site.desk.path("floatip.toml"), spoilt).unwrap();
    heard.output(&["check"], &site.desk.command(&["check", "-c", "floatip.toml"]).output().unwrap());
    heard.files(&site.desk.path(""));
    // They were used: the servers' answers were shown, without them.
    let all = heard.all();
    for said in ["530", "*** is wrong", "-> PASS ***", "403", "FLOATIP_EVENT", "FLOATIP_NODE", "went down"] {
        assert!(all.contains(said), "{said} was never said: the test tests nothing\n{all}");
    }
    heard.holds_no_secret();
}
