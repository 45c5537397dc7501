use super::*;

fn token(scopes: &str) -> Token {
    Token { name: "ci".into(), grants: scopes.parse().unwrap() }
}

#[test]
fn scopes_are_parsed_and_printed() {
    for (text, printed) in [
        ("create", "create"),
        ("create,send,receive,list,call,agent", "create,send,receive,list,call,agent"),
        ("agent:billing,agent:mail", "agent:billing,agent:mail"),
        ("agent:*", "agent"),
        ("agent:a,agent", "agent"),
        ("agent,agent:a", "agent"),
        ("call:billing,list,list", "call:billing,list"),
    ] {
        let grants: Grants = text.parse().unwrap();
        assert_eq!(grants.to_string(), printed, "{text}");
        assert_eq!(printed.parse::<Grants>().unwrap().to_string(), printed, "{text}");
    }
    for (text, part) in [
        ("", "the scopes are"),
        ("create,", "the scopes are"),
        ("Create", "the scopes are"),
        ("create:a", "the scope create takes no name"),
        ("agent:Billing", "a name is 1 to 63"),
        ("agent:", "a name is 1 to 63"),
        ("hush-hush", "the scopes are"),
    ] {
        let error = text.parse::<Grants>().unwrap_err();
        assert!(error.contains(part) && !error.contains("hush"), "{text}: {error}");
    }
}

#[test]
fn an_agent_has_a_name_of_its_token_or_none() {
    for (name, scopes, asked, allowed) in [
        ("its name", "agent:billing", Some("billing"), true),
        ("another", "agent:billing", Some("mail"), false),
        ("none", "agent:billing", None, true),
        ("any", "agent", Some("mail"), true),
        ("no agent", "create", None, false),
    ] {
        assert_eq!(token(scopes).grants.allows_agent(asked), allowed, "{name}");
    }
}

#[test]
fn only_required_scopes_need_a_token() {
    let stream = Some(uuid::Uuid::nil());
    let call = |name| Route::Call { callee: Callee::Name(name), rest: "/" };
    let every = &Scope::ALL[..];
    for (name, route, required, scopes, missing) in [
        ("nothing required", Route::Create, &[][..], None, None),
        ("another scope", Route::Create, &[Scope::Send], None, None),
        ("no token", Route::Create, &[Scope::Create], None, Some(Scope::Create)),
        ("its token", Route::Create, &[Scope::Create], Some("create"), None),
        ("another token", Route::Create, &[Scope::Create], Some("send"), Some(Scope::Create)),
        ("upload", Route::Source(stream, None), every, Some("receive"), Some(Scope::Send)),
        ("download", Route::Destination(stream), every, Some("receive"), None),
        ("status for the sender", Route::Status(stream), every, Some("send"), None),
        ("status for the receiver", Route::Status(stream), every, Some("receive"), None),
        ("status for others", Route::Status(stream), every, Some("list"), Some(Scope::Send)),
        ("receivers need none", Route::Status(stream), &[Scope::Create, Scope::Send], None, None),
        ("a list", Route::List { active_only: true }, every, Some("list"), None),
        ("a call", call("a"), every, Some("call"), None),
        ("a call by name", call("a"), every, Some("call:a"), None),
        ("of another", call("b"), every, Some("call:a"), Some(Scope::Call)),
        (
            "of a connection",
            Route::Call { callee: Callee::Connection(stream), rest: "/" },
            every,
            Some("call:a"),
            Some(Scope::Call),
        ),
        (
            "both for a path",
            Route::Path(PathRoute::Upload("x")),
            every,
            Some("create"),
            Some(Scope::Send),
        ),
        ("a public resource", Route::Ping, every, None, None),
        ("an agent may still introduce itself", Route::Attach, every, None, None),
        ("an agent's token", Route::Attach, every, Some("agent:a"), None),
        ("another token", Route::Attach, every, Some("call"), Some(Scope::Agent)),
    ] {
        let token = scopes.map(token);
        let expected = match (missing, &token) {
            (None, _) => Ok(()),
            (Some(scope), None) => Err(Failure::Token(TokenFailure::Needed(scope))),
            (Some(scope), Some(_)) => Err(Failure::Token(TokenFailure::ScopeMissing(scope))),
        };
        if missing.is_some() {
            assert!(depends_on_token(&route, required), "{name}");
        }
        assert_eq!(check(&route, required, token.as_ref().map(Ok)), expected, "{name}");
    }
}

#[test]
fn responses_depend_on_a_token_where_it_is_needed_or_allows_more() {
    let list = Route::List { active_only: false };
    for (name, route, required, depends) in [
        ("needed", Route::Create, &[Scope::Create][..], true),
        ("an identifier can be chosen with it", Route::Create, &[], true),
        ("lists are shown with it", list, &[], true),
        ("open", Route::Status(None), &[Scope::Agent], false),
        ("one of them", Route::Status(None), &[Scope::Receive], true),
        ("never", Route::Ping, &Scope::ALL, false),
    ] {
        assert_eq!(depends_on_token(&route, required), depends, "{name}");
    }
}

#[test]
fn an_unknown_token_matters_only_where_one_is_needed() {
    for refused in [Failure::Token(TokenFailure::Unknown), Failure::Token(TokenFailure::TooMany)] {
        let presented = Some(Err(&refused));
        assert_eq!(check(&Route::Create, &[], presented), Ok(()));
        for (route, scope) in [(Route::Create, Scope::Create), (Route::Attach, Scope::Agent)] {
            assert_eq!(check(&route, &[scope], presented), Err(refused.clone()));
        }
    }
}
