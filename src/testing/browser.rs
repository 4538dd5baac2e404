//! A real browser for the tests of HTML reports: Chromium without a window, driven over pipes in its DevTools protocol.
//! Objects of JSON go both ways, each ended by a zero byte.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::command::scratch_folder;
use crate::programs::{has_path, is_there, skip};

/// A browser with one page. It ends with the value.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    input: ChildStdin,
    answers: Receiver<Value>,
    /// The number of the last command.
    last: u64,
    session: String,
    /// What the browser told that was not an answer.
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

/// How long the browser may take for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// No window, no sandbox (tests run as root), and nothing that the browser asks the network for by itself.
const OPTIONS: &str = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
                       --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars";

impl Browser {
    /// Starts Chromium with an empty page; `None` where there is none, which is told.
    ///
    /// # Panics
    /// When it is there and does not start, or when it must be there and is not.
    pub fn start() -> Option<Self> {
        if !has_path("/bin/sh") || !is_there("chromium") {
            return None;
        }
        let profile = scratch_folder();
        // The shell puts the pipes where the browser wants them: commands on 3, answers on 4.
        let script =
            format!("exec chromium {OPTIONS} --user-data-dir=\"$0\" --remote-debugging-pipe 3<&0 4>&1");
        let mut child = Command::new("/bin/sh")
            .args(["-c", &script])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        let input = child.stdin.take().expect("the pipe was asked for");
        let output = child.stdout.take().expect("the pipe was asked for");
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for answer in BufReader::new(output).split(0).map_while(Result::ok) {
                let answer = serde_json::from_slice(&answer).expect("the browser writes JSON");
                if sender.send(answer).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            input,
            answers,
            last: 0,
            session: String::new(),
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach);
        session["sessionId"].as_str().expect("a session has a name").clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.resize(1400, 1000);
        Some(browser)
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Panics
    /// When the browser refuses the command, has ended, or takes too long.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": parameters});
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).and_then(|()| self.input.flush()).expect("the browser reads commands");
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut answer = match self.answers.recv_timeout(left) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout) => panic!("{method} takes too long"),
                Err(RecvTimeoutError::Disconnected) => panic!("the browser ended at {method}"),
            };
            if answer["id"] != self.last {
                self.events.push(answer);
                continue;
            }
            assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
            return answer["result"].take();
        }
    }

    /// The value of an expression in the page; of a promise, what it becomes.
    ///
    /// # Panics
    /// When the expression throws.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", parameters);
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{}: {thrown}", expression.chars().take(400).collect::<String>());
        answer["result"]["value"].take()
    }

    /// Opens a file, with what stands after its name in the address (`#n=36`), and waits until it has loaded.
    ///
    /// # Panics
    /// When it does not load.
    pub fn open(&mut self, file: &Path, fragment: &str) {
        // A new document each time, also where only the fragment differs.
        self.call("Page.navigate", json!({"url": "about:blank"}));
        self.events.clear();
        let url = format!("file://{}{fragment}", file.display());
        let answer = self.call("Page.navigate", json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {}", answer["errorText"]);
        let until = Instant::now() + PATIENCE;
        while self.evaluate("document.readyState + location.protocol") != json!("completefile:") {
            assert!(Instant::now() < until, "{url} does not load");
        }
        self.settle();
    }

    /// Waits until the page has drawn what was asked for before.
    pub fn settle(&mut self) {
        self.evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))",
        );
    }

    /// What the browser told since the page was opened: requests, errors, messages of the console.
    pub fn events(&self) -> &[Value] {
        &self.events
    }

    /// Gives the page another size, in pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Has the page believe a medium and features of it, as in `("prefers-color-scheme", "dark")`.
    pub fn emulate(&mut self, medium: &str, features: &[(&str, &str)]) {
        let features: Vec<Value> =
            features.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        self.call("Emulation.setEmulatedMedia", json!({"media": medium, "features": features}));
    }

    /// Moves the mouse to a place of the window.
    pub fn move_to(&mut self, x: f64, y: f64) {
        self.mouse("mouseMoved", x, y, json!({}));
        self.settle();
    }

    /// Clicks; `count` is 2 for a double click.
    pub fn click(&mut self, x: f64, y: f64, count: u32) {
        self.mouse("mouseMoved", x, y, json!({}));
        for one in 1..=count {
            let button = json!({"button": "left", "clickCount": one});
            self.mouse("mousePressed", x, y, button.clone());
            self.mouse("mouseReleased", x, y, button);
        }
        self.settle();
    }

    /// Presses the button at one place, moves, and lets go at the other.
    pub fn drag(&mut self, from: (f64, f64), to: (f64, f64)) {
        let held = json!({"button": "left", "buttons": 1, "clickCount": 1});
        self.mouse("mouseMoved", from.0, from.1, json!({}));
        self.mouse("mousePressed", from.0, from.1, held.clone());
        for step in 1..=4 {
            let share = f64::from(step) / 4.0;
            let at = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            self.mouse("mouseMoved", at.0, at.1, held.clone());
        }
        self.mouse("mouseReleased", to.0, to.1, held);
        self.settle();
    }

    /// Turns the wheel with Ctrl held: away (negative) is closer.
    pub fn wheel_with_ctrl(&mut self, x: f64, y: f64, turn: f64) {
        self.mouse("mouseWheel", x, y, json!({"deltaX": 0, "deltaY": turn, "modifiers": 2}));
        self.settle();
    }

    fn mouse(&mut self, kind: &str, x: f64, y: f64, more: Value) {
        let mut parameters = json!({"type": kind, "x": x, "y": y});
        for (key, value) in more.as_object().expect("an object") {
            parameters[key] = value.clone();
        }
        self.call("Input.dispatchMouseEvent", parameters);
    }

    /// Presses a key by its name in the DOM: a character, or as in `ArrowLeft`.
    pub fn press(&mut self, key: &str) {
        let mut down = json!({"type": "keyDown", "key": key});
        if key.chars().count() == 1 {
            down["text"] = json!(key);
        }
        // What the browser itself does on a key, such as closing a dialog, goes by the number of the key.
        let number = match key {
            "Enter" => {
                down["text"] = json!("\r");
                13
            }
            "Escape" => 27,
            "Tab" => 9,
            _ => 0,
        };
        down["windowsVirtualKeyCode"] = json!(number);
        self.call("Input.dispatchKeyEvent", down);
        let up = json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": number});
        self.call("Input.dispatchKeyEvent", up);
        self.settle();
    }
}

/// What a page must not do: ask for anything but its own file, throw, write to the console, break its own policy.
pub fn faults(browser: &Browser) -> Vec<String> {
    let is_fault = |event: &&Value| match event["method"].as_str().unwrap_or_default() {
        "Network.requestWillBeSent" => {
            let url = event["params"]["request"]["url"].as_str().unwrap_or_default();
            !url.contains("page.html")
        }
        "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded" => true,
        _ => false,
    };
    browser.events().iter().filter(is_fault).map(Value::to_string).collect()
}

/// The script of axe-core, which looks for broken rules of access; `None` where `BITTRACE_AXE` does not name its file,
/// which is told.
///
/// # Panics
/// When the file cannot be read.
pub fn axe() -> Option<String> {
    let Ok(axe) = std::env::var("BITTRACE_AXE") else {
        skip("BITTRACE_AXE does not name the file axe.min.js of axe-core");
        return None;
    };
    Some(std::fs::read_to_string(&axe).unwrap_or_else(|error| panic!("{axe}: {error}")))
}

/// The rules of access that the open page breaks, those of the gravity "minor" left out. `axe` is the script.
pub fn broken_rules_of_access(browser: &mut Browser, axe: &str) -> Value {
    browser.evaluate(&format!("{axe};0"));
    browser.evaluate(
        "axe.run().then((found) => found.violations.filter(({ impact }) => impact !== 'minor')\
         .map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 200)}`))",
    )
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own helpers end with it; the profile can be removed when it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
