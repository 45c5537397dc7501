//! One page, as a user sees and uses it.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::browser::Browser;

/// The function that waits for `LOOK` to return something true: it looks again after each change of
/// the document, and regularly, because properties change without an event.
const UNTIL: &str = "new Promise(done => {
    let timer;
    const observer = new MutationObserver(() => look());
    const look = () => {
        const found = (() => { try { return LOOK } catch { return null } })();
        if (!found) return;
        observer.disconnect();
        clearInterval(timer);
        done(found);
    };
    timer = setInterval(look, 50);
    observer.observe(document,
        { attributes: true, characterData: true, childList: true, subtree: true });
    look();
})";

/// What the page was when a wait timed out.
const SHOWN: &str = "location.href + ': ' + (document.body ? document.body.innerText : '')";

/// A tab.
pub(crate) struct Page<'b> {
    browser: &'b Browser,
    pub(crate) context: String,
    session: String,
}

impl<'b> Page<'b> {
    pub(crate) fn new(browser: &'b Browser, context: &str) -> Page<'b> {
        let target = json!({ "url": "about:blank", "browserContextId": context });
        let target = browser.call("Target.createTarget", target)["targetId"].take();
        let attach = json!({ "targetId": target, "flatten": true });
        let session = browser.call("Target.attachToTarget", attach)["sessionId"].take();
        let session = session.as_str().expect("a session").to_owned();
        let page = Page { browser, context: context.to_owned(), session };
        page.call("Page.enable", json!({}));
        page.call("Page.setLifecycleEventsEnabled", json!({ "enabled": true }));
        page
    }

    pub(crate) fn browser(&self) -> &'b Browser {
        self.browser
    }

    /// Calls a method of the page, which must succeed.
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let answer = self.browser.devtools().call(Some(&self.session), method, params);
        answer.unwrap_or_else(|| panic!("timeout: {method}")).expect(method)
    }

    /// Opens a URL and waits until it is loaded.
    pub(crate) fn open(&self, url: &str) {
        let answer = self.call("Page.navigate", json!({ "url": url }));
        assert!(answer.get("errorText").is_none(), "{url}: {answer}");
        // No script of the page can be awaited: it may be forbidden to run any.
        self.await_event("Page.lifecycleEvent", |event| {
            let of_this = event["loaderId"] == answer["loaderId"];
            (event["name"] == "load" && of_this).then_some(())
        });
    }

    /// Starts to open a URL that is answered later, or with a download.
    pub(crate) fn start_opening(&self, url: &str) {
        self.browser.devtools().send(Some(&self.session), "Page.navigate", json!({ "url": url }));
    }

    /// The value of an expression, awaited if it is a promise; an exception is a failure.
    pub(crate) fn get(&self, expression: &str) -> Value {
        match self.evaluate(expression) {
            Some(Ok(value)) => value,
            Some(Err(error)) => panic!("{expression}: {error}"),
            None => panic!("timeout: {expression} in {}", self.shown()),
        }
    }

    /// The value of an expression as text.
    pub(crate) fn text(&self, expression: &str) -> String {
        let text = format!("(async () => String(await ({expression})))()");
        self.get(&text).as_str().expect("a string").to_owned()
    }

    /// Waits until an expression is true in some sense, across navigations, and returns its value.
    pub(crate) fn until(&self, expression: &str) -> Value {
        let wait = UNTIL.replace("LOOK", expression);
        loop {
            match self.evaluate(&wait) {
                Some(Ok(value)) => return value,
                // The page that waited was replaced.
                Some(Err(error)) if error.contains("context") || error.contains("navigated") => {}
                Some(Err(error)) => panic!("{expression}: {error}"),
                None => panic!("timeout: {expression} in {}", self.shown()),
            }
        }
    }

    /// Waits for an event of the page of which `take` accepts the parameters.
    pub(crate) fn await_event<T>(&self, method: &str, take: impl Fn(&Value) -> Option<T>) -> T {
        let found = self.browser.devtools().event(|event| {
            let of_this = event["method"] == method && event["sessionId"] == self.session.as_str();
            of_this.then(|| take(&event["params"])).flatten()
        });
        found.unwrap_or_else(|| panic!("timeout: {method} in {}", self.shown()))
    }

    /// Clicks on an element once it exists and is enabled.
    pub(crate) fn click(&self, selector: &str) {
        let element = format!("document.querySelector('{selector}')");
        self.until(&format!("{element} && !{element}.disabled"));
        self.get(&format!("{element}.click()"));
    }

    /// Clicks on an element of a page that runs no scripts.
    pub(crate) fn press(&self, selector: &str) {
        self.get(&format!("document.querySelector('{selector}').click()"));
    }

    /// Closes the page, which requests a confirmation.
    pub(crate) fn close_and_confirm(self) {
        self.browser.devtools().send(Some(&self.session), "Page.close", json!({}));
        let kind = |dialog: &Value| Some(dialog["type"].clone());
        assert_eq!(self.await_event("Page.javascriptDialogOpening", kind), "beforeunload");
        self.call("Page.handleJavaScriptDialog", json!({ "accept": true }));
    }

    /// Types into a text field.
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        self.get(&format!("document.querySelector('{selector}').focus()"));
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Chooses files in an `<input type=file>`, or a directory if it is for one.
    pub(crate) fn choose(&self, selector: &str, files: &[&Path]) {
        let input = json!({ "expression": format!("document.querySelector('{selector}')") });
        let object = self.call("Runtime.evaluate", input)["result"]["objectId"].take();
        self.call("DOM.setFileInputFiles", json!({ "files": files, "objectId": object }));
    }

    /// Drops files or directories on an element.
    pub(crate) fn drop_on(&self, selector: &str, files: &[&Path]) {
        let place = format!("document.querySelector('{selector}').getBoundingClientRect()");
        let [x, y] = ["x", "y"].map(|axis| self.get(&format!("{place}.{axis} + 5")));
        let data = json!({ "items": [], "files": files, "dragOperationsMask": 1 });
        for kind in ["dragEnter", "dragOver", "drop"] {
            let event = json!({ "type": kind, "x": x, "y": y, "data": data });
            self.call("Input.dispatchDragEvent", event);
        }
    }

    /// Grants a permission without a question.
    pub(crate) fn permit(&self, permission: &str) {
        let grant = json!({ "permissions": [permission], "browserContextId": self.context });
        self.browser.call("Browser.grantPermissions", grant);
    }

    /// Sets a media feature, such as `prefers-color-scheme` to `dark`.
    pub(crate) fn prefer(&self, feature: &str, value: &str) {
        let features = json!([{ "name": feature, "value": value }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Sets the size of the window.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Saves the complete page as `target/screenshots/NAME.png`.
    pub(crate) fn screenshot(&self, name: &str) {
        let options = json!({ "captureBeyondViewport": true });
        let answer = self.call("Page.captureScreenshot", options);
        let image = BASE64_STANDARD.decode(answer["data"].as_str().expect("an image"));
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        fs::create_dir_all(&folder).expect("a directory");
        fs::write(folder.join(format!("{name}.png")), image.expect("base64")).expect("a file");
    }

    /// The result of an expression, or its exception; `None` at the timeout.
    fn evaluate(&self, expression: &str) -> Option<Result<Value, String>> {
        let params = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let answer = self.browser.devtools().call(Some(&self.session), "Runtime.evaluate", params);
        answer?.map_or_else(
            |error| Some(Err(error)),
            |mut answer| {
                let thrown = answer.get("exceptionDetails").map(Value::to_string);
                Some(thrown.map_or_else(|| Ok(answer["result"]["value"].take()), Err))
            },
        )
    }

    fn shown(&self) -> String {
        format!("{:?}", self.evaluate(SHOWN))
    }
}
