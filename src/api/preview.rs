//! Requests that no person made: prefetches of browsers, and link previews of chats and search
//! engines. Either would use up a one-shot stream before its receiver sees the link.

use crate::http::head::RequestHead;

/// Products in the `User-Agent` of programs that fetch links to show them, and where that is
/// documented or was observed. Compared as complete names, without regard to case.
const AGENTS: [(&str, &str); 37] = [
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
        10 if name.eq_ignore_ascii_case("user-agent") => is_preview_agent(value),
        _ => false,
    })
}

/// Whether the value begins with a purpose; parameters follow it, such as `prefetch;prerender`.
fn is_purpose(value: &[u8]) -> bool {
    let first = value.split(|byte| b";, ".contains(byte)).next().unwrap_or_default();
    PURPOSES.iter().any(|purpose| first.eq_ignore_ascii_case(purpose.as_bytes()))
}

fn is_preview_agent(user_agent: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let products = user_agent.split(|byte| !is_part(byte)).filter(|product| !product.is_empty());
    products.into_iter().any(|product| {
        AGENTS.iter().any(|(agent, _)| product.eq_ignore_ascii_case(agent.as_bytes()))
    })
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
            ("User-Agent: curl/8.14.1", false),
            ("User-Agent: mybot", false),
            ("Accept: text/html", false),
        ] {
            assert_eq!(preview(field), expected, "{field}");
        }
    }
}
