//! The status page in a real browser: what is on it, that it is readable at each width and in the dark, and that nothing in it runs.
//! The pictures are in `target/tmp/status-page`.

mod browser;
mod states;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::{fs, thread};

use migrator::health::Health;
use migrator::http::router;

use self::browser::{Browser, LOOKS};

/// The pages of a handle on a port of their own, until the test process ends.
fn serve(health: &Health) -> SocketAddr {
    let (sender, address) = mpsc::channel();
    let app: axum::Router = axum::Router::new().nest("/internal", router(health.clone()));
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            sender.send(listener.local_addr().expect("an address")).expect("it is waited for");
            axum::serve(listener, app).await.expect("it serves");
        });
    });
    address.recv().expect("it listens")
}

/// Opens the page in each look, checks what has to hold in each, keeps a picture, and leaves it open in the last one.
fn look(browser: &mut Browser, name: &str, url: &str) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("status-page");
    fs::create_dir_all(&folder).expect("make a folder");
    for look in LOOKS {
        browser.open(url, look);
        fs::write(folder.join(format!("{name}-{}.png", look.name)), browser.screenshot()).expect("keep the picture");
        let wide = browser.evaluate("document.documentElement.scrollWidth");
        assert!(wide.as_u64().is_some_and(|wide| wide <= look.width.into()), "{name}, {look:?}: {wide} wide");
        let pale = browser.evaluate(&format!("({PALE})()"));
        assert_eq!(pale, serde_json::json!([]), "{name}, {look:?}: text that is hard to read");
        let loads = browser.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)");
        assert_eq!(loads, serde_json::json!([]), "{name}: it loads something");
        assert_eq!(browser.evaluate("document.scripts.length"), 0);
        let unnamed = "[...document.querySelectorAll('table')].filter(table => !table.caption || !table.tHead || \
                       [...table.tBodies[0].rows].some(row => !row.querySelector('th[scope=row]'))).length";
        assert_eq!(browser.evaluate(unnamed), 0, "{name}: a table without headers");
    }
    let told = browser.accessible();
    for (role, what) in
        [("banner", ""), ("main", ""), ("contentinfo", ""), ("status", ""), ("navigation", "The same for programs")]
    {
        let is_it = |node: &&(String, String)| node.0 == role && (what.is_empty() || node.1 == what);
        assert!(told.iter().any(|node| is_it(&node)), "{name}: no {role} {what}: {told:?}");
    }
    for region in
        browser.evaluate("[...document.querySelectorAll('h2')].map(h => h.textContent)").as_array().expect("a list")
    {
        let region = region.as_str().expect("text");
        assert!(told.contains(&("region".to_owned(), region.to_owned())), "{name}: no region {region}: {told:?}");
    }
    assert_eq!(browser.evaluate("document.querySelectorAll('h1').length"), 1);
}

/// The text with less contrast to what is behind it than WCAG's AA asks for (4.5), as `text: contrast`.
const PALE: &str = r"() => {
    const rgba = text => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return { r, g, b, a }; };
    const light = ({ r, g, b }) => {
        const [x, y, z] = [r, g, b].map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = node => {
        for (; node; node = node.parentElement) {
            const colour = rgba(getComputedStyle(node).backgroundColor);
            if (colour.a === 1) return colour;
        }
        return { r: 255, g: 255, b: 255 };
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) {
        const node = texts.currentNode.parentElement, text = texts.currentNode.textContent.trim();
        if (!text || node.closest('svg')) continue;
        const [a, b] = [light(rgba(getComputedStyle(node).color)), light(behind(node))].sort((a, b) => b - a);
        const contrast = (a + 0.05) / (b + 0.05);
        if (contrast < 4.5) found.push(`${text}: ${contrast.toFixed(2)}`);
    }
    return found;
}";

/// The text of the page as it is seen.
fn text(browser: &mut Browser) -> String {
    browser.evaluate("document.body?.innerText ?? ''").as_str().expect("text").to_owned()
}

/// After how many seconds the page asks for itself again.
fn refresh(browser: &mut Browser) -> Option<u64> {
    let content = browser.evaluate("document.querySelector('meta[http-equiv=refresh]')?.content ?? null");
    content.as_str().map(|content| content.parse().expect("seconds"))
}
