//! Checks of a page by axe-core, a common set of rules for accessibility.

use std::fs;

use serde_json::Value;

use crate::page::Page;
use crate::support::installation;

/// What a page must not have.
const SEVERE: [&str; 2] = ["serious", "critical"];

impl Page<'_> {
    /// Checks that the page has no severe violation of a rule.
    pub(crate) fn assert_accessible(&self, what: &str) {
        let Some(folder) = installation("browser") else { return };
        let source = folder.join("node_modules/axe-core/axe.min.js");
        // Evaluated by the debugger, so a policy against scripts does not apply.
        self.get(&format!("{}; 1", fs::read_to_string(source).expect("axe-core")));
        let found = self.get("axe.run().then(result => result.violations)");
        let severe = |rule: &&Value| SEVERE.iter().any(|&impact| rule["impact"] == impact);
        let severe: Vec<_> = found.as_array().expect("a list").iter().filter(severe).collect();
        assert!(severe.is_empty(), "{what}: {severe:#?}");
    }
}
