//! The ping probe where echoes are really lost, by a rule that throws away every so many.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use floatip_core::{HealthProbe, NodeId, Target, Verdict, Via};
use floatip_probes::PingProbe;
use floatip_tests::lab::{Host, Lab};
use floatip_tests::need::Need;
use floatip_tests::process::output;
use floatip_tests::suite::Suite;

const NEEDS: &[Need] = &[Need::Lab, Need::Firewall];
const LIMIT: Duration = Duration::from_secs(120);

const V4: &str = "172.16.11.10";
const V6: &str = "fd00:11::10";

/// Two hosts with an address of each IP version, of which the second loses echoes.
struct Lossy {
    lab: Lab,
}

impl Lossy {
    fn new() -> Result<Self> {
        let lab = Lab::new()?;
        lab.mon().ip(["addr add fd00:11::5/64 dev eth0 nodad"])?;
        lab.host(Host::Ftp1).ip([format!("addr add {V6}/64 dev eth0 nodad")])?;
        Ok(Self { lab })
    }

    /// What the probe finds while of each five echoes those are thrown away whose numbers, from 0 on, are `lost`.
    fn probe(&self, host: &str, lost: &str, probe: &PingProbe) -> Result<Verdict> {
        let rule =
            |kind: &str| format!("add rule inet floatip in {kind} type echo-request numgen inc mod 5 {lost} drop");
        let rules = format!(
            "add table inet floatip; add chain inet floatip in {{ type filter hook input priority 0; }}; \
             flush chain inet floatip in; {}; {}",
            rule("icmp"),
            rule("icmpv6")
        );
        output(self.lab.host(Host::Ftp1).command("nft").arg(rules))?;
        // A lost echo takes its share of the timeout, a reply much less on any machine.
        let target = Target::new(NodeId::new("ftp-1")?, host.parse()?, Via::Direct, Duration::from_millis(2500));
        let verdict = self.lab.mon().enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(probe.probe(&target)).context("the prober lacks nothing")
        });
        verdict?
    }
}

fn five() -> Result<PingProbe> {
    Ok(PingProbe::new().count(5)?)
}

fn reason(verdict: &Verdict) -> String {
    verdict.reason.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn loss_is_judged_by_its_bounds() -> Result<()> {
    let lossy = Lossy::new()?;
    for host in [V4, V6] {
        let kept = lossy.probe(host, "> 2", &five()?.max_loss(40)?)?;
        ensure!(kept == Verdict::healthy(), "{host}: two of five are 40 %: {kept:?}");
        let exceeded = lossy.probe(host, "> 2", &five()?.max_loss(39)?)?;
        ensure!(reason(&exceeded) == "2 of 5 echoes were lost, more than 39 %", "{host}: {exceeded:?}");
        let warned = lossy.probe(host, "> 2", &five()?.max_loss(40)?.warn_loss(20)?)?;
        let warning = "2 of 5 echoes were lost, more than 20 %".to_owned();
        ensure!(warned.is_healthy() && warned.warnings == [warning], "{host}: {warned:?}");
    }
    Ok(())
}

fn without_a_bound_one_reply_is_enough_and_none_is_not() -> Result<()> {
    let lossy = Lossy::new()?;
    for host in [V4, V6] {
        let last = lossy.probe(host, "< 4", &five()?)?;
        ensure!(last == Verdict::healthy(), "{host}: the fifth is answered: {last:?}");
        let none = lossy.probe(host, ">= 0", &five()?)?;
        ensure!(reason(&none) == "timed out at echo reply", "{host}: {none:?}");
    }
    Ok(())
}

fn a_round_trip_is_judged_by_its_bounds_over_the_replies_alone() -> Result<()> {
    let lossy = Lossy::new()?;
    let (short, long) = (Duration::from_nanos(1), Duration::from_millis(450));
    for host in [V4, V6] {
        // Were the lost ones counted with their 500 ms, the average would be beyond it.
        let kept = lossy.probe(host, "< 4", &five()?.max_round_trip(long)?)?;
        ensure!(kept == Verdict::healthy(), "{host}: {kept:?}");
        let exceeded = lossy.probe(host, "> 3", &five()?.max_round_trip(short)?)?;
        ensure!(reason(&exceeded).starts_with("a round trip takes "), "{host}: {exceeded:?}");
        let warned = lossy.probe(host, "> 3", &five()?.warn_round_trip(short)?)?;
        ensure!(warned.is_healthy() && warned.warnings.len() == 1, "{host}: {warned:?}");
    }
    Ok(())
}

fn main() -> ExitCode {
    Suite::default()
        .test("loss_is_judged_by_its_bounds", NEEDS, LIMIT, loss_is_judged_by_its_bounds)
        .test(
            "without_a_bound_one_reply_is_enough_and_none_is_not",
            NEEDS,
            LIMIT,
            without_a_bound_one_reply_is_enough_and_none_is_not,
        )
        .test(
            "a_round_trip_is_judged_by_its_bounds_over_the_replies_alone",
            NEEDS,
            LIMIT,
            a_round_trip_is_judged_by_its_bounds_over_the_replies_alone,
        )
        .run()
}
