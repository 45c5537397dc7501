//! Requests that no person made: prefetches of browsers, and link previews of chats and search
//! engines. Either would use up a one-shot stream before its receiver sees the link.

use crate::http::head::RequestHead;
use memchr::memmem;

/// Products in the `User-Agent` of programs that fetch links to show them, and where that is
/// documented or was observed. Compared as complete names, without regard to case.
const AGENTS: [(&str, &str); 43] = [
    ("Slackbot", "https://api.slack.com/robots"),
    ("Slackbot-LinkExpanding", "https://api.slack.com/robots"),
    ("Slack-ImgProxy", "https://api.slack.com/robots"),
    ("Twitterbot", "https://developer.x.com/en/docs/x-for-websites/cards/guides/getting-started"),
    // iMessage sends this name with Facebot and Twitterbot.
    ("facebookexternalhit", "https://developers.facebook.com/docs/sharing/webmasters/web-crawlers"),
    ("facebookcatalog", "https://developers.facebook.com/docs/sharing/webmasters/web-crawlers"),
    (
        "meta-externalfetcher",
        "https://developers.facebook.com/docs/sharing/webmasters/web-crawlers",
    ),
    ("Facebot", "https://developers.facebook.com/docs/sharing/webmasters/web-crawlers"),
    // Signal sends this name, too.
    ("WhatsApp", "https://developers.facebook.com/docs/whatsapp/link-previews"),
    ("TelegramBot", "https://core.telegram.org/bots/webhooks"),
    ("Discordbot", "https://support.discord.com/hc/articles/206342858"),
    ("LinkedInBot", "https://www.linkedin.com/robots.txt"),
    // Microsoft Teams, Skype and Outlook.
    (
        "SkypeUriPreview",
        "https://learn.microsoft.com/microsoftteams/platform/m365-apps/link-unfurling",
    ),
    (
        "MicrosoftPreview",
        "https://www.bing.com/webmasters/help/which-crawlers-does-bing-use-8c184ec0",
    ),
    ("BingPreview", "https://www.bing.com/webmasters/help/which-crawlers-does-bing-use-8c184ec0"),
    ("bingbot", "https://www.bing.com/webmasters/help/which-crawlers-does-bing-use-8c184ec0"),
    ("adidxbot", "https://www.bing.com/webmasters/help/which-crawlers-does-bing-use-8c184ec0"),
    (
        "Googlebot",
        "https://developers.google.com/search/docs/crawling-indexing/google-common-crawlers",
    ),
    (
        "Googlebot-Image",
        "https://developers.google.com/search/docs/crawling-indexing/google-common-crawlers",
    ),
    (
        "GoogleOther",
        "https://developers.google.com/search/docs/crawling-indexing/google-common-crawlers",
    ),
    (
        "Google-InspectionTool",
        "https://developers.google.com/search/docs/crawling-indexing/google-common-crawlers",
    ),
    (
        "Google-PageRenderer",
        "https://developers.google.com/search/docs/crawling-indexing/google-user-triggered-fetchers",
    ),
    (
        "Chrome-Lighthouse",
        "https://developers.google.com/search/docs/crawling-indexing/google-user-triggered-fetchers",
    ),
    (
        "GoogleImageProxy",
        "https://developers.google.com/search/docs/crawling-indexing/google-user-triggered-fetchers",
    ),
    (
        "GoogleMessages",
        "https://developers.google.com/search/docs/crawling-indexing/google-user-triggered-fetchers",
    ),
    (
        "Google-Read-Aloud",
        "https://developers.google.com/search/docs/crawling-indexing/google-user-triggered-fetchers",
    ),
    (
        "Google-Safety",
        "https://developers.google.com/search/docs/crawling-indexing/google-special-case-crawlers",
    ),
    (
        "AdsBot-Google",
        "https://developers.google.com/search/docs/crawling-indexing/google-special-case-crawlers",
    ),
    (
        "AdsBot-Google-Mobile",
        "https://developers.google.com/search/docs/crawling-indexing/google-special-case-crawlers",
    ),
    ("YandexBot", "https://yandex.com/bots"),
    ("DuckDuckBot", "https://duckduckgo.com/duckduckgo-help-pages/results/duckduckbot"),
    ("Applebot", "https://support.apple.com/119829"),
    ("Mastodon", "https://docs.joinmastodon.org/spec/activitypub"),
    ("Synapse", "https://element-hq.github.io/synapse/latest/development/url_previews.html"),
    ("Mattermost-Bot", "https://docs.mattermost.com/configure/site-configuration-settings.html"),
    ("Rocket.Chat", "https://docs.rocket.chat/docs/message"),
    ("Viber", "https://developers.viber.com/docs/tools/share-to-viber"),
    ("redditbot", "https://www.redditinc.com/policies/user-agents"),
    ("Pinterestbot", "https://help.pinterest.com/business/article/pinterestbot"),
    ("Iframely", "https://iframely.com/docs/about"),
    ("Embedly", "https://docs.embed.ly/docs/crawler"),
    ("Bluesky", "https://docs.bsky.app"),
    ("vkShare", "https://dev.vk.com/ru/api/share"),
];

/// What the previews of Snapchat contain (<https://developers.snap.com/robots>). None of the words is
/// a product: `snapchat`, which follows, is also that of its browser.
const SNAP: &[u8] = b"Snap URL Preview Service";

/// The values with which a browser announces a prefetch or a preview, as the first word of a field.
const PURPOSES: [&str; 3] = ["prefetch", "prerender", "preview"];

/// Whether the request only prepares or previews what a person may request later.
pub fn is_preview(head: &RequestHead<'_, '_>) -> bool {
    head.fields.iter().any(|(name, value)| match name.len() {
        // `Sec-Purpose`: Fetch Standard 3.10; the others are its predecessors.
        11 if name.eq_ignore_ascii_case("sec-purpose") => is_purpose(value),
        7 if name.eq_ignore_ascii_case("purpose") => is_purpose(value),
        9 if name.eq_ignore_ascii_case("x-purpose") => is_purpose(value),
        5 if name.eq_ignore_ascii_case("x-moz") => is_purpose(value),
        10 if name.eq_ignore_ascii_case("user-agent") => {
            is_preview_agent(value) && !is_of_person(head)
        }
        _ => false,
    })
}

/// Whether a person requested it in a page, whose script or link it is: some apps add a name of the
/// list to the `User-Agent` of their browser (Fetch Metadata, sections 2.3 and 2.4). Without a page
/// (`none`) a browser has `Sec-Fetch-User` even if a program controls it.
fn is_of_person(head: &RequestHead<'_, '_>) -> bool {
    match head.fields.get("Sec-Fetch-Site") {
        Some(b"same-origin") => true,
        Some(b"same-site" | b"cross-site") => head.fields.get("Sec-Fetch-User") == Some(b"?1"),
        Some(_) | None => false,
    }
}

/// Whether the value begins with a purpose; parameters follow it, such as `prefetch;prerender`.
fn is_purpose(value: &[u8]) -> bool {
    let first = value.split(|byte| b";, ".contains(byte)).next().unwrap_or_default();
    PURPOSES.iter().any(|purpose| first.eq_ignore_ascii_case(purpose.as_bytes()))
}

fn is_preview_agent(user_agent: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let products = user_agent.split(|byte| !is_part(byte)).filter(|product| !product.is_empty());
    let is_listed = |product: &[u8]| {
        AGENTS.iter().any(|(agent, _)| product.eq_ignore_ascii_case(agent.as_bytes()))
    };
    products.into_iter().any(is_listed) || memmem::find(user_agent, SNAP).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{FieldSlots, HeadLimits, parse};

    fn preview(field: &str) -> bool {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
        let mut slots = FieldSlots::new();
        let limits = HeadLimits { bytes: 4096, target_bytes: 2048 };
        let head = parse(text.as_bytes(), &mut slots, &limits).unwrap().unwrap();
        is_preview(&head)
    }

    #[test]
    fn what_no_person_requested_is_recognized() {
        for (field, expected) in [
            ("Sec-Purpose: prefetch", true),
            ("Sec-Purpose: prefetch;prerender", true),
            ("sec-purpose: Prerender", true),
            ("Purpose: prefetch", true),
            ("X-Moz: prefetch", true),
            ("X-Purpose: preview", true),
            ("Purpose: to download", false),
            ("User-Agent: Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", true),
            ("User-Agent: Twitterbot/1.0", true),
            (
                "User-Agent: facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
                true,
            ),
            ("User-Agent: WhatsApp/2.23.20.0", true),
            ("User-Agent: TelegramBot (like TwitterBot)", true),
            ("User-Agent: Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", true),
            (
                "User-Agent: LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
                true,
            ),
            (
                "User-Agent: Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
                true,
            ),
            (
                "User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
                true,
            ),
            (
                "User-Agent: Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/1.0 Safari/537.36",
                true,
            ),
            (
                "User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                true,
            ),
            (
                "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
                false,
            ),
            (
                "User-Agent: Mozilla/5.0 (Macintosh) Chrome/98.0 Safari/537.36 (KHTML, like Gecko) Snap URL Preview Service; bot; snapchat; https://developers.snap.com/robots",
                true,
            ),
            ("User-Agent: Mozilla/5.0 (iPhone) Mobile/15E148 Snapchat/12.0", false),
            ("User-Agent: Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", true),
            ("User-Agent: DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)", true),
            ("User-Agent: Mozilla/5.0 (X11) Chrome/9 (compatible; Google-Read-Aloud)", true),
            ("User-Agent: Google-Safety", true),
            ("User-Agent: AdsBot-Google (+http://www.google.com/adsbot.html)", true),
            ("User-Agent: curl/8.14.1", false),
            ("User-Agent: mybot", false),
            ("Accept: text/html", false),
        ] {
            assert_eq!(preview(field), expected, "{field}");
        }
    }

    #[test]
    fn a_person_with_the_name_of_a_preview_is_recognized_by_the_page() {
        const APP: &str = "User-Agent: Mozilla/5.0 (iPhone) Mobile/15E148 WhatsApp/2.23";
        for (name, fields, expected) in [
            ("a page of the relay", "Sec-Fetch-Site: same-origin", false),
            ("a link", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-User: ?1", false),
            ("a link of the site", "Sec-Fetch-User: ?1\r\nSec-Fetch-Site: same-site", false),
            ("a page loads it", "Sec-Fetch-Site: cross-site", true),
            ("a program controls the browser", "Sec-Fetch-Site: none\r\nSec-Fetch-User: ?1", true),
            ("a browser without the field", "Sec-Fetch-User: ?1", true),
            (
                "a prefetch by a page of the relay",
                "Sec-Fetch-Site: same-origin\r\nSec-Purpose: prefetch",
                true,
            ),
        ] {
            assert_eq!(preview(&format!("{APP}\r\n{fields}")), expected, "{name}");
        }
    }
}
