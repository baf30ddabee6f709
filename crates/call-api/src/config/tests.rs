//! Files, environment and mistakes: what a configuration becomes.

use expect_test::expect_file;

use super::*;

fn parse(text: &str) -> Result<Config, String> {
    let mut config = Config::default();
    apply_file(&mut config, Path::new("call-api.yml"), text).map_err(|error| error.to_string())?;
    check(&config).map_err(|error| error.to_string())?;
    Ok(config)
}

#[test]
fn the_shipped_file_shows_every_key_at_its_default() {
    let sample = Config::sample();
    expect_file!["../../../../packaging/call-api.yml"].assert_eq(&sample);
    assert_eq!(parse(&sample), Ok(Config::default()));
    let uncommented: String = sample
        .lines()
        .map(|line| match line.strip_prefix("  #") {
            Some(setting) if !setting.starts_with(' ') => format!("  {setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(uncommented.contains("\n  port: 5059\n"), "{uncommented}");
    assert_eq!(parse(&uncommented), Ok(Config::default()));
}

#[test]
fn every_key_takes_what_it_shows() {
    let mut changed = Config::default();
    changed.ws_server.host = "10.0.0.1".to_owned();
    changed.ws_server.allow_remote = true;
    changed.ws_server.tokens = Some("/etc/call-api/tokens.yml".into());
    changed.ws_server.origins = vec!["https://a.example".into(), "http://b.example:81".into()];
    changed.mi.url = MiUrl::parse("127.0.0.1:8080");
    changed.mi.urls = MiUrl::parse_list("10.0.0.1:8080,unix:/run/mi").unwrap();
    changed.mi.events = EventListen::parse("tcp:127.0.0.1:5070");
    changed.mi.timeout = Duration::from_millis(700);
    changed.sip.uri = SipUri::parse("sip:127.0.0.1:5080");
    changed.sip.advertise = Some("pbx.example.com:5060".to_owned());
    changed.sip.users = Some("/etc/call-api/users.yml".into());
    changed.log.file_path = Some("/var/log/call-api.log".into());
    changed.log.level = LevelFilter::DEBUG;
    changed.log.audit_path = Some("/var/log/call-api-audit.log".into());
    changed.journal.directory = Some("/var/lib/call-api".into());
    changed.limits.drain = Duration::from_secs(7);
    changed.limits.idle = Some(Duration::from_secs(600));
    let mut copy = Config::default();
    for key in KEYS {
        let value = (key.show)(&changed);
        assert!(
            value.is_empty() || (key.set)(&mut copy, &value).is_some(),
            "{}: {value}",
            key.path
        );
    }
    assert_eq!(copy, changed);
    assert_eq!(changed.changes().len(), 17);
    assert_eq!(changed.changes()[0], "ws_server.host: 10.0.0.1");
    assert!(Config::default().changes().is_empty());
}

#[test]
fn files_of_the_go_implementation_work() {
    let config = parse(
        "ws_server:\n  host: localhost\n  port: 5059\n  http_path: /call-api\n\nmi:\n  url: 127.0.0.1:8080\n\n\
         sip:\n  # proxy\n  #uri: sip:127.0.0.1\n\nlog:\n  #file_path: /var/log/call-api.log\n  level: DEBUG\n",
    )
    .unwrap();
    assert_eq!(config.ws_server.host, "localhost");
    assert_eq!(config.mi.proxies(), [MiUrl::parse("udp:127.0.0.1:8080").unwrap()]);
    assert_eq!(config.log.level, LevelFilter::DEBUG);
}

#[test]
fn a_list_may_be_written_as_one() {
    let config = parse("ws_server:\n  origins: [\"https://a.example\", \"https://b.example\"]\n");
    assert_eq!(config.unwrap().ws_server.origins, ["https://a.example", "https://b.example"]);
    let urls = MiUrl::parse_list("10.0.0.1:8080, unix:/run/mi").unwrap();
    for list in ["[10.0.0.1:8080, unix:/run/mi]", "\n    - 10.0.0.1:8080\n    - unix:/run/mi"] {
        assert_eq!(parse(&format!("mi:\n  urls: {list}\n")).unwrap().mi.urls, urls, "{list:?}");
    }
}

#[test]
fn an_empty_file_is_the_defaults() {
    for text in ["", "\n", "# nothing\n", "---\n", "ws_server:\nsip:\n"] {
        assert_eq!(parse(text), Ok(Config::default()), "{text:?}");
    }
}

#[test]
fn mistakes_are_named_with_file_key_and_what_is_accepted() {
    let mistakes = [
        (
            "ws_server:\n  prot: 1\n",
            r#"call-api.yml: unknown key "ws_server.prot", did you mean "ws_server.port"?"#,
        ),
        (
            "ws_sever:\n  port: 1\n",
            r#"call-api.yml: unknown key "ws_sever.port", did you mean "ws_server.port"?"#,
        ),
        ("colour: red\n", r#"call-api.yml: unknown key "colour""#),
        (
            "ws_server:\n  port: 70000\n",
            r#"call-api.yml: ws_server.port: expected a port from 0 to 65535, not "70000""#,
        ),
        (
            "log:\n  level: loud\n",
            r#"call-api.yml: log.level: expected ERROR, WARN, INFO, DEBUG or TRACE, not "loud""#,
        ),
        (
            "sip:\n  listen: tcp:127.0.0.1:5060\n",
            r#"call-api.yml: sip.listen: expected udp:ADDRESS:PORT such as udp:127.0.0.1:5060, not "tcp:127.0.0.1:5060""#,
        ),
        (
            "sip:\n  uri: sips:proxy.example.com\n",
            r#"call-api.yml: sip.uri: expected a sip: URI such as sip:proxy.example.com (sips needs TLS, which is not spoken yet), not "sips:proxy.example.com""#,
        ),
        ("- 1\n", "call-api.yml: expected sections such as ws_server, with keys in them"),
        (
            "limits:\n  message_bytes: 1048576\n",
            "limits.queue_bytes (4194304) must be at least 8 times limits.message_bytes (1048576)",
        ),
        (
            "ws_server:\n  tls_key: key.pem\n",
            "ws_server.tls_certificate and ws_server.tls_key need each other",
        ),
    ];
    for (text, message) in mistakes {
        assert_eq!(parse(text), Err(message.to_owned()));
    }
    assert!(parse("ws_server:\n  port: 1\n  port: 2\n").is_err(), "a key given twice");
    assert!(parse("ws_server: [").is_err(), "not YAML");
}

#[test]
fn values_that_could_do_harm_are_refused() {
    for (path, value) in [
        ("ws_server.http_path", "call-api"),
        ("ws_server.http_path", "/healthz"),
        ("ws_server.http_path", "/openrpc.json"),
        ("ws_server.http_path", "/{x}"),
        ("ws_server.host", "a b"),
        ("sip.advertise", "a@b"),
        ("sip.advertise", "a\r\nb"),
        ("sip.uri", "http://x"),
        ("limits.ping_seconds", "0"),
        ("limits.json_depth", "128"),
        ("ws_server.origins", "*"),
        ("ws_server.origins", "https://a.example/page"),
    ] {
        let key = KEYS.iter().find(|key| key.path == path).unwrap();
        assert!((key.set)(&mut Config::default(), value).is_none(), "{path}: {value}");
    }
}

#[test]
fn the_environment_overrides_and_its_strangers_are_mentioned() {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut config = Config::default();
    let environment = HashMap::from([
        variable("CALL_API_WS_SERVER_PORT", "6000"),
        variable("CALL_API_PORT", "tcp://x"),
    ]);
    let warnings = apply_environment(&mut config, &environment).unwrap();
    assert_eq!(config.ws_server.port, 6000);
    assert_eq!(warnings, ["environment variable CALL_API_PORT is not a setting of ours"]);

    let bad = HashMap::from([variable("CALL_API_WS_SERVER_PORT", "six")]);
    assert_eq!(
        apply_environment(&mut config, &bad).unwrap_err().to_string(),
        r#"CALL_API_WS_SERVER_PORT: ws_server.port: expected a port from 0 to 65535, not "six""#
    );
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let error = load("call-api", Some("/nonexistent/call-api.yml".into()), []).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/call-api.yml: "), "{error}");
}
