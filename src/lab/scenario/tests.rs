use super::*;

#[test]
fn an_empty_group_has_all_defaults() {
    let scenario = Scenario::parse("[[peers]]\nrole = \"seed\"\n[[peers]]\n[[peers]]\n").expect("a scenario");
    let names: Vec<_> = scenario.peers.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["seed", "leecher", "leecher2"]);
    assert_eq!((scenario.seed, scenario.tracker.numwant, scenario.link.mtu), (1, 50, 1500));
}

#[test]
fn a_whole_scenario_is_read() {
    let scenario = Scenario::parse(
        r#"
        title = "all of it"
        seed = 7
        [torrent]
        size = "100 MiB"
        piece = "256 KiB"
        [tracker]
        interval = 1800
        fails = ["60s..120s"]
        [[peers]]
        role = "seed"
        up = "750 kB/s"
        down = "inf"
        rtt = "50 ms"
        [[peers]]
        count = 999
        arrive = "poisson 0.04/s"
        leave = "exp 1000 s"
        rtt = "20..120 ms"
        [link]
        loss = 0.01
        [stop]
        when = "3600 s"
        "#,
    )
    .expect("a scenario");
    assert_eq!(scenario.host_count(), 1000);
    assert_eq!(scenario.peers[1].arrive, Arrival::Poisson(Duration::from_secs(25)));
    assert_eq!(scenario.peers[1].leave, Departure::Exponential(Duration::from_secs(1000)));
    assert_eq!(scenario.stop.when, StopWhen::After(Duration::from_secs(3600)));
    assert_eq!(scenario.tracker.fails[0].to, Duration::from_secs(120));
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let error = |text: &str| Scenario::parse(text).expect_err("an error").to_string();
    let unknown = error("seed = 2\n[torrent]\nsise = \"1 MiB\"\n[[peers]]\n");
    assert!(unknown.starts_with("line 3: unknown field `sise`"), "{unknown}");
    assert_eq!(
        error("[[peers]]\ncount = 2\nup = \"50 kb\"\n"),
        "line 3: \"50 kb\" is no rate such as \"50 kB/s\", \"400 kbit/s\" or \"inf\""
    );
    assert!(error("[[peers]]\narrive = \"soon\"").starts_with("line 2: \"soon\" is no arrival"));
    assert_eq!(error("seed = 1"), "the scenario has no [[peers]]");
    assert_eq!(
        error("[[peers]]\nname = \"a\"\n[[peers]]\nname = \"a\"\n"),
        "two groups of peers are called a"
    );
    assert_eq!(
        error("[torrent]\npiece = \"48 KiB\"\nkind = \"hybrid\"\n[[peers]]\n"),
        "a piece of version 2 has a power of two of bytes (BEP 52)"
    );
    assert!(error("[torrent]\nkind = \"v3\"\n[[peers]]\n").starts_with("line 2: unknown variant `v3`"));
    assert!(error("[torrent]\npiece = \"20 kB\"\n[[peers]]\n").starts_with("a piece has 16 KiB"));
}

#[test]
fn what_would_not_fit_into_a_machine_is_refused() {
    let refused = |text: &str| assert!(Scenario::parse(text).is_err(), "{text}");
    refused("[[peers]]\ncount = 60001");
    refused("[torrent]\nsize = \"1 GiB\"\npiece = \"16 KiB\"\n[[peers]]\ncount = 4000000000");
    refused("[torrent]\nsize = \"100 GiB\"\npiece = \"16 KiB\"\n[[peers]]");
    refused(&"[[peers]]\n".repeat(MOST_GROUPS + 1));
}

#[test]
fn rules_and_events_are_of_numbers_and_hosts_that_there_are() {
    let text = "[[peers]]\ncount = 3\n[[events]]\nat = '5 s'\ndo = 'cut up of leecher-2..3 to 1 kB/s'\n";
    let scenario = Scenario::parse(&format!("{text}[expect]\nlast = '< 2 bound'\nleecher.took = '> 1'\n"));
    let scenario = scenario.expect("a scenario");
    assert_eq!(scenario.expect.keys().collect::<Vec<_>>(), ["last", "leecher.took"]);
    let error = |rest: &str| Scenario::parse(&format!("{text}{rest}")).expect_err("an error").to_string();
    assert_eq!(error("[expect]\nlatest = '> 1'\n"), "expect: no number is called latest");
    assert_eq!(error("[expect]\nseed.took = '> 1'\n"), "expect: no number is called seed.took");
    assert_eq!(error("[expect]\nlast = '> 1 boundary'\n"), "expect: no number is called boundary");
    assert_eq!(error("[[events]]\nat = 1\ndo = 'kill seed'\n"), "events: no host is called seed");
    assert!(error("[expect]\nlast = 'soon'\n").starts_with("line 7: \"soon\" is no rule"));
    assert!(error("[[events]]\nat = 1\ndo = 'explode'\n").starts_with("line 8: \"explode\" is no event"));
}

#[test]
fn a_seed_that_leaves_when_it_is_done_is_refused() {
    let seed = |leave: &str| Scenario::parse(&format!("[[peers]]\nrole = 'seed'\nleave = '{leave}'\n"));
    let error = seed("when done").expect_err("a seed is done when it comes").to_string();
    assert!(error.contains("peers seed: a seed has the file when it comes"), "{error}");
    assert!(seed("exp 100 s").is_ok() && seed("after 100 s").is_ok() && seed("never").is_ok());
}

#[test]
fn what_a_host_that_is_no_client_does_not_have_is_refused() {
    for behaviour in ["sybil", "bitfield-flipper", "choke-flipper", "dht-node"] {
        for key in ["discover = ['pex']", "encryption = 'require'", "transport = 'both'"] {
            let text = format!("[[peers]]\nrole = 'seed'\nbehaviour = '{behaviour}'\n");
            assert!(Scenario::parse(&text).is_ok(), "{text}");
            let error = Scenario::parse(&format!("{text}{key}\n")).expect_err("an error").to_string();
            let wanted = "peers seed: a host that is no client has no discover, encryption or transport";
            assert!(error.ends_with(wanted), "{error}");
        }
    }
    // The nodes of the DHT of a scenario are such hosts.
    let nodes = "dht = { nodes = 4 }\n[[peers]]\ndiscover = ['dht']\nencryption = 'require'\n";
    assert!(Scenario::parse(nodes).is_ok());
}
