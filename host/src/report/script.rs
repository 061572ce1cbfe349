//! The page's script, and the policy under which a browser runs it and nothing else.
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

/// The modules in one strict function, so that none of their names leaves it.
pub(super) const SCRIPT: &str = concat!(
    "(() => {\n\"use strict\";\n",
    include_str!("script/pixels.js"),
    include_str!("script/grey.js"),
    include_str!("script/scene.js"),
    include_str!("script/view.js"),
    include_str!("script/pointer.js"),
    include_str!("script/toolbar.js"),
    include_str!("script/flicker.js"),
    include_str!("script/profile.js"),
    include_str!("script/start.js"),
    "})();\n"
);

/// The policy in a page's head: no request of any kind, and no script but [`SCRIPT`], which is known by its hash.
pub(super) fn policy() -> String {
    let hash = BASE64.encode(Sha256::digest(SCRIPT));
    format!("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{hash}'")
}
