use super::settings::SETTINGS;
use super::*;

const ROLE: &str = "arn:aws:iam::123456789012:role/my-example-role";

fn read(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Command, Problems> {
    let environment: BTreeMap<&str, &str> = environment.iter().copied().collect();
    parse(arguments.iter().map(OsString::from), &environment)
}

fn config(arguments: &[&str], environment: &[(&str, &str)]) -> Config {
    match read(arguments, environment) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{other:?}"),
    }
}

fn problems(arguments: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    read(arguments, environment).expect_err("wrong settings").0
}

#[test]
fn an_injected_environment_is_enough() {
    let config = config(
        &[],
        &[
            ("AWS_ROLE_ARN", ROLE),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
            ("AWS_ROLE_SESSION_NAME", "default.nginx"),
            ("AWS_REGION", ""),
            ("IMDS_LISTEN", "169.254.169.254:80,[fd00:ec2::254]:80"),
        ],
    );
    assert_eq!(config.role_arn.name(), "my-example-role");
    assert_eq!(config.session_name.as_str(), "default.nginx");
    assert_eq!(config.listen, ["169.254.169.254:80".parse().unwrap(), "[fd00:ec2::254]:80".parse().unwrap()]);
    assert_eq!(config.session_duration.as_secs(), 3600);
    assert_eq!(config.start_timeout, Duration::from_secs(30));
    assert_eq!(config.sts.endpoint().url(), "https://sts.amazonaws.com/");
}

#[test]
fn a_flag_wins_over_its_variable_in_either_spelling() {
    let config = config(
        &[
            "--role-arn",
            ROLE,
            "--token-file=/t",
            "--listen",
            "127.0.0.1:1",
            "--listen=[::1]:1",
            "--region",
            "eu-central-1",
        ],
        &[("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/other"), ("HOSTNAME", "my-pod")],
    );
    assert_eq!(config.role_arn.name(), "my-example-role");
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.session_name.as_str(), "my-pod", "the host's name by default");
    assert_eq!(config.sts.endpoint().url(), "https://sts.eu-central-1.amazonaws.com/");
}

#[test]
fn every_wrong_setting_is_reported_with_its_name_and_an_accepted_form() {
    let all = problems(
        &["--listen", "localhost", "--frobnicate=1", "--session-duration", "60", "stray", "--http-tokens"],
        &[
            ("AWS_ROLE_ARN", "my-role"),
            ("AWS_REGION", "mars"),
            ("IMDS_START_TIMEOUT", "-1"),
            ("IMDS_LOG_LEVEL", "loud"),
        ],
    );
    let all = all.join("\n");
    for expected in [
        "--frobnicate: unknown flag",
        "\"stray\": unexpected argument",
        "--http-tokens: needs a value, optional|required",
        "AWS_ROLE_ARN: \"my-role\" is not accepted; accepted: the ARN of an IAM role",
        "--token-file PATH (or AWS_WEB_IDENTITY_TOKEN_FILE): missing",
        "--listen: \"localhost\" is not accepted; accepted: IP:PORT",
        "AWS_REGION: \"mars\" is not accepted; accepted: an AWS region",
        "--session-duration: \"60\" is not accepted; accepted: whole seconds from 900 to 43200",
        "IMDS_START_TIMEOUT: \"-1\" is not accepted; accepted: whole seconds",
        "IMDS_LOG_LEVEL: \"loud\" is not accepted; accepted: error, warn",
    ] {
        assert!(all.contains(expected), "{expected:?} is not in:\n{all}");
    }
    assert_eq!(all.lines().count(), 10, "{all}");
}

#[test]
fn wrong_sts_settings_are_reported_too() {
    let all = problems(
        &["--role-arn", ROLE, "--token-file", "/t"],
        &[
            ("AWS_ENDPOINT_URL_STS", "ftp://example.com"),
            ("AWS_USE_FIPS_ENDPOINT", "maybe"),
            ("AWS_STS_REGIONAL_ENDPOINTS", "global"),
            ("HTTPS_PROXY", " http://proxy:3128 "),
            ("AWS_REGION", "us-west-2-lax-1"),
        ],
    )
    .join("\n");
    for expected in [
        "AWS_ENDPOINT_URL_STS: ",
        "AWS_USE_FIPS_ENDPOINT: ",
        "AWS_STS_REGIONAL_ENDPOINTS: ",
        "HTTPS_PROXY: there are blanks or quotes around the URL; accepted: http://host:port",
        "AWS_REGION: \"us-west-2-lax-1\" is not accepted; accepted: an AWS region, here us-west-2",
    ] {
        assert!(all.contains(expected), "{expected} is not in:\n{all}");
    }
}

#[test]
fn a_proxy_that_would_not_be_used_is_not_looked_at() {
    let needed = [("AWS_ROLE_ARN", ROLE), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")];
    config(&[], &[&needed[..], &[("HTTP_PROXY", "socks5://proxy:1080")]].concat());
    config(&[], &[&needed[..], &[("HTTPS_PROXY", "socks5://p:1"), ("NO_PROXY", ".amazonaws.com")]].concat());
}

#[test]
fn what_does_not_go_together_is_reported_with_the_name_it_was_given_under() {
    let needed = ["--role-arn", ROLE, "--token-file", "/t"];
    let all = problems(&[&needed[..], &["--region", "us-gov-west-1"]].concat(), &[]);
    assert!(
        matches!(all.as_slice(), [only] if only.starts_with("--region: region us-gov-west-1 is in")),
        "{all:?}"
    );
    let both = [("AWS_USE_FIPS_ENDPOINT", "true"), ("AWS_ENDPOINT_URL_STS", "https://sts.example.com")];
    let all = problems(&[], &both).join("\n");
    assert!(all.contains("AWS_USE_FIPS_ENDPOINT: ") && all.contains("--role-arn"), "{all}");
}

#[test]
fn a_flag_given_twice_is_told_unless_it_may_be() {
    let all = problems(
        &["--role-arn", ROLE, "--token-file", "/t", "--session-duration=5", "--session-duration=3600"],
        &[],
    );
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[0].contains("more than once") && all[1].contains("\"5\""), "{all:?}");
}

#[test]
fn an_address_that_others_reach_is_refused_unless_asked_for_twice() {
    let needed = ["--role-arn", ROLE, "--token-file", "/t", "--listen", "0.0.0.0:1338"];
    let all = problems(&needed, &[]).join("\n");
    assert!(all.contains("0.0.0.0:1338") && all.contains("--allow-remote"), "{all}");
    config(&[&needed[..], &["--allow-remote"]].concat(), &[]);
}

#[test]
fn a_role_chain_is_of_one_partition_and_an_hour_at_most() {
    let needed = [("AWS_ROLE_ARN", ROLE), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")];
    let further = "arn:aws:iam::444455556666:role/reader;external-id=Acme-42";
    let read = config(&["--assume-role-arns", further], &needed);
    assert_eq!(read.role_chain.to_string(), further);
    assert!(config(&[], &needed).role_chain.hops().is_empty());
    for (wrong, expected) in [
        (["my-role", "3600"], "--assume-role-arns: \"my-role\" is not accepted"),
        (
            ["arn:aws-cn:iam::444455556666:role/reader", "3600"],
            "--assume-role-arns: arn:aws-cn:iam::444455556666:role/reader is of another partition than",
        ),
        (
            [further, "7200"],
            "--assume-role-arns: a session duration of \"7200\" is not accepted; accepted: at most 3600",
        ),
    ] {
        let [chain, duration] = wrong;
        let all = problems(&["--assume-role-arns", chain, "--session-duration", duration], &needed);
        assert!(matches!(all.as_slice(), [only] if only.starts_with(expected)), "{all:?}");
    }
}

#[test]
fn what_is_known_of_the_pod_comes_from_the_environment() {
    let needed =
        [("AWS_ROLE_ARN", ROLE), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_REGION", "eu-central-1")];
    let pod = [
        ("IMDS_METADATA", "extended"),
        ("IMDS_POD_UID", "0b6d4d1e-8f3a-4a53-9d3c-2f1e5a7c9b10"),
        ("IMDS_POD_IPS", "fd00::7,10.1.2.3"),
        ("IMDS_AVAILABILITY_ZONE", "eu-central-1a"),
        ("HOSTNAME", "web-0"),
    ];
    let read = config(&[], &[&needed[..], &pod].concat());
    assert_eq!(read.metadata, Metadata::Extended);
    let expected = Facts {
        region: "eu-central-1".parse().ok(),
        zone: Some("eu-central-1a".to_owned()),
        uid: Some("0b6d4d1e-8f3a-4a53-9d3c-2f1e5a7c9b10".to_owned()),
        hostname: Some("web-0".to_owned()),
        ipv4: Some(Ipv4Addr::new(10, 1, 2, 3)),
    };
    assert_eq!(read.facts, expected);
    // Where the Pod has no such label, kubelet hands on an empty text.
    assert_eq!(config(&[], &[&needed[..], &[("IMDS_AVAILABILITY_ZONE", "")]].concat()).facts.zone, None);
    let all = problems(&[], &[&needed[..], &[("IMDS_POD_UID", "two\nlines")]].concat());
    assert!(matches!(all.as_slice(), [only] if only.starts_with("IMDS_POD_UID: ")), "{all:?}");
}

#[test]
fn the_guards_are_off_unless_set() {
    let needed = [("AWS_ROLE_ARN", ROLE), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")];
    let plain = config(&[], &needed);
    assert_eq!((plain.hop_limit, plain.allowed_hosts, plain.authorization_file), (None, None, None));
    let guards =
        ["--hop-limit", "1", "--allowed-hosts", "169.254.169.254,localhost", "--authorization-file=/a/token"];
    let guarded = config(&guards, &needed);
    assert_eq!(guarded.hop_limit.map(HopLimit::get), Some(1));
    assert_eq!(guarded.authorization_file, Some("/a/token".into()));
    assert!(guarded.allowed_hosts.is_some());
    let all = problems(&["--hop-limit", "65", "--allowed-hosts", "http://x"], &needed);
    assert_eq!(all.len(), 2, "{all:?}");
}

#[test]
fn wait_needs_neither_role_nor_token() {
    match read(&["--wait"], &[("IMDS_LISTEN", "169.254.169.254:80,[fd00:ec2::254]:80")]) {
        Ok(Command::Wait(wait)) => {
            assert_eq!(wait.imds, "169.254.169.254:80".parse().unwrap());
            assert_eq!(wait.timeout, Some(Duration::from_secs(40)));
        }
        other => panic!("{other:?}"),
    }
    let timeout = |arguments: &[&str], environment: &[(&str, &str)]| match read(arguments, environment) {
        Ok(Command::Wait(wait)) => wait.timeout.map(|timeout| timeout.as_secs()),
        other => panic!("{other:?}"),
    };
    assert_eq!(timeout(&["--wait"], &[("IMDS_START_TIMEOUT", "5")]), Some(15));
    assert_eq!(timeout(&["--wait"], &[("IMDS_START", "with-credentials")]), None, "as long as it takes");
    assert_eq!(timeout(&["--wait=8"], &[("IMDS_START", "with-credentials")]), Some(8));
    assert!(problems(&["--wait=soon"], &[])[0].starts_with("--wait: \"soon\" is not accepted"));
}

#[test]
fn help_names_every_flag_and_variable() {
    let Ok(Command::Print(text)) = read(&["--help"], &[]) else { panic!("no help") };
    for setting in SETTINGS {
        assert!(
            text.contains(&format!("--{}", setting.flag)) && text.contains(setting.variable),
            "{}",
            setting.flag
        );
    }
}
