//! A real browser, headless, over its debugging protocol: it can be as narrow as a telephone, and dark.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use data_encoding::BASE64;
use migrator_tests::wait;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// Ends the browser when its input ends, which it does with the test process, whatever ends that.
const SCRIPT: &str = r#"
folder=$(mktemp -d) || exit
chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars \
    --remote-debugging-port=0 --user-data-dir="$folder" about:blank </dev/null 2>&1 &
read -r _
kill $! 2>/dev/null
wait $!
rm -rf -- "$folder"
"#;

/// The browser of all tests, with one page.
pub(super) struct Browser {
    socket: WebSocket<TcpStream>,
    session: Value,
    last: u64,
    _shell: (Child, ChildStdin),
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) name: &'static str,
    pub(super) width: u32,
    pub(super) scheme: &'static str,
}

pub(super) const LOOKS: [Look; 4] = [
    Look { name: "narrow-light", width: 360, scheme: "light" },
    Look { name: "narrow-dark", width: 360, scheme: "dark" },
    Look { name: "wide-light", width: 1280, scheme: "light" },
    Look { name: "wide-dark", width: 1280, scheme: "dark" },
];

/// The browser, for one test at a time.
pub(super) fn browser() -> MutexGuard<'static, Browser> {
    static BROWSER: OnceLock<Mutex<Browser>> = OnceLock::new();
    BROWSER.get_or_init(|| Mutex::new(Browser::start())).lock().unwrap_or_else(PoisonError::into_inner)
}

impl Browser {
    fn start() -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("start sh");
        let input = child.stdin.take().expect("piped");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (sender, found) = mpsc::channel();
        // It goes on reading: a browser that cannot write its complaints stops.
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("DevTools listening on ") {
                    let _nobody_waits = sender.send(url.to_owned());
                }
            }
        });
        let url = found.recv_timeout(wait::DEADLINE).expect("chromium starts; scripts/test installs it");
        let address = url.trim_start_matches("ws://").split('/').next().expect("a host").to_owned();
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(wait::DEADLINE)).expect("a deadline");
        let (socket, _) = tungstenite::client(url, stream).expect("it speaks");
        let mut browser = Self { socket, session: Value::Null, last: 0, _shell: (child, input) };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        browser.session = browser.call("Target.attachToTarget", attach)["sessionId"].clone();
        browser.call("Page.enable", json!({}));
        browser
    }

    /// Opens a page as somebody would who looks at it so, and waits until it is there.
    pub(super) fn open(&mut self, url: &str, look: Look) {
        let metrics = json!({"width": look.width, "height": 800, "deviceScaleFactor": 1, "mobile": look.width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let features = json!([
            {"name": "prefers-color-scheme", "value": look.scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
        self.call("Page.navigate", json!({"url": url}));
        wait::until("the page", || {
            let there = format!("document.readyState === 'complete' && location.href === {}", json!(url));
            (self.evaluate(&there) == true).then_some(())
        });
    }

    /// The value of an expression in the page.
    pub(super) fn evaluate(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// What a screen reader is given: the role and the name of each node.
    pub(super) fn accessible(&mut self) -> Vec<(String, String)> {
        let tree = self.call("Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().expect("nodes").iter().filter(|node| node["ignored"] == false);
        let text = |node: &Value, key: &str| node[key]["value"].as_str().unwrap_or_default().to_owned();
        nodes.map(|node| (text(node, "role"), text(node, "name"))).collect()
    }

    /// The whole page, as PNG.
    pub(super) fn screenshot(&mut self) -> Vec<u8> {
        let size = self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1});
        let shot = self.call("Page.captureScreenshot", json!({"captureBeyondViewport": true, "clip": clip}));
        BASE64.decode(shot["data"].as_str().expect("a picture").as_bytes()).expect("base64")
    }

    pub(super) fn press(&mut self, key: &str) {
        for kind in ["rawKeyDown", "keyUp"] {
            let code = if key == "Tab" { 9 } else { 13 };
            let text = if key == "Enter" && kind == "rawKeyDown" { "\r" } else { "" };
            let kind = if text.is_empty() { kind } else { "keyDown" };
            let event = json!({"type": kind, "key": key, "code": key, "text": text, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let id = self.last;
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.socket.send(Message::text(message.to_string())).expect("it reads");
        loop {
            let Message::Text(text) = self.socket.read().expect("it answers") else { continue };
            let mut answer: Value = serde_json::from_str(&text).expect("JSON");
            if answer["id"] == id {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }
}

/// How long a page that asks for itself may take to do so.
pub(super) const SOON: Duration = wait::DEADLINE;
