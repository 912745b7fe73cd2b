//! The play: all is well, a server dies, the address moves, a client is served again.

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use floatip_aws::simulator::Simulator;
use floatip_core::{Notice, Subscription};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Args;
use super::client::Attempt;
use super::cloud;
use super::data_plane::Loopback;
use super::ftp_server::{PASSWORD, USER};
use super::server::Server;
use super::story::Story;
use super::timeline::{Finished, Timeline, now};
use super::view::View;
use crate::exit::Failure;

/// How long everything may take until it is well for the first time.
const WARM_UP: Duration = Duration::from_secs(10);
/// How long the audience sees that all is well.
const PROLOGUE: Duration = Duration::from_secs(1);
/// How long the failover may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the audience sees that all is well again.
const EPILOGUE: Duration = Duration::from_millis(500);

pub(super) struct Show<'a> {
    args: &'a Args,
    plane: &'a Loopback,
    simulator: &'a Simulator,
    events: Subscription,
    attempts: mpsc::Receiver<Attempt>,
    story: Story,
    view: View,
}

impl<'a> Show<'a> {
    pub(super) fn new(
        args: &'a Args,
        plane: &'a Loopback,
        simulator: &'a Simulator,
        events: Subscription,
        attempts: mpsc::Receiver<Attempt>,
    ) -> Self {
        let story = Story::new(now(), Server::Ftp1, Server::Ftp2);
        Self { args, plane, simulator, events, attempts, story, view: View::new(args.json) }
    }

    /// Plays it to the end, which is a success only if the client has reached the other server.
    pub(super) async fn play(mut self) -> Result<(), Failure> {
        self.introduce()?;
        if !self.watch(Story::is_well, WARM_UP).await? {
            return Err(anyhow!("the monitor did not find everything well within {WARM_UP:?}").into());
        }
        self.watch(|_| false, PROLOGUE).await?;
        let mut faults = JoinSet::new();
        self.kill(&mut faults).await?;
        let over = self.watch(Story::is_over, PATIENCE).await?;
        if over {
            self.watch(|_| false, EPILOGUE).await?;
        }
        self.conclude(over)
    }

    fn introduce(&mut self) -> Result<(), Failure> {
        let Show { args, plane, simulator, view, .. } = self;
        let [first, second] = plane.addresses.own;
        let floating = plane.addresses.floating;
        view.say(&format!(
            "floatip demo: failover of an {mover}, without AWS. Ctrl-C ends it.\n\n  \
             ftp-1             {first}\n  \
             ftp-2             {second}\n  \
             floating address  ftp://{USER}:{PASSWORD}@{floating}\n  \
             EC2 API           {api}  (simulated; everything else is real)\n",
            mover = args.mover,
            api = simulator.endpoint_url(),
        ))
    }

    /// Shows what happens until the story has come so far, or for so long; says whether it came so far.
    async fn watch(&mut self, far_enough: impl Fn(&Story) -> bool, patience: Duration) -> Result<bool, Failure> {
        match timeout(patience, self.follow(far_enough)).await {
            Ok(end) => end.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    async fn follow(&mut self, far_enough: impl Fn(&Story) -> bool) -> Result<(), Failure> {
        while !far_enough(&self.story) {
            tokio::select! {
                notice = self.events.next() => {
                    let Some(Notice::Event(event)) = notice else {
                        return Err(anyhow!("the monitor has stopped, or more happened than could be followed").into());
                    };
                    let at = now();
                    self.story.note(at, &event.kind);
                    self.view.event(&self.story, at, &event)?;
                }
                attempt = self.attempts.recv() => {
                    let attempt = attempt.context("the client has stopped")?;
                    self.view.attempt(&self.story, &attempt)?;
                    self.story.attempts.push(attempt);
                }
            }
            if self.view.is_live() {
                let placement = cloud::placement(self.simulator, self.args.mover);
                self.view.draw(&self.story, &self.plane.addresses, &placement)?;
            }
        }
        Ok(())
    }

    async fn kill(&mut self, faults: &mut JoinSet<()>) -> Result<(), Failure> {
        let at = now();
        if let Some(fault) = self.args.fault {
            let plan = self.simulator.faults();
            if let Some(duration) = fault.strike(&plan) {
                faults.spawn(async move {
                    sleep(duration).await;
                    plan.clear();
                });
            }
            let help = fault.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
            self.view.act(&self.story, at, &format!("the EC2 API fails: {}", help.unwrap_or_default()))?;
        }
        let victim = self.story.victim;
        self.view.act(&self.story, at, &format!("killing {}, which holds the address", victim.name()))?;
        self.story.killed = Some(now());
        self.plane.kill(victim).await;
        Ok(())
    }

    fn conclude(mut self, over: bool) -> Result<(), Failure> {
        let Self { args, plane, ref story, ref mut view, .. } = self;
        if let Some(timeline) = Timeline::new(story, args.mover) {
            view.say(&format!("\nWhere the time went:\n\n{timeline}\n"))?;
        }
        view.result(&Finished::new(story, args.mover))?;
        if over {
            return view.say(&format!("{} serves the floating address.", story.heir.name()));
        }
        let complaint = story.complaint.as_deref().unwrap_or("none");
        Err(anyhow!(
            "no FTP login through {} reached {} within {PATIENCE:?} after {} was killed; the monitor's last complaint: \
             {complaint}",
            plane.addresses.floating,
            story.heir.name(),
            story.victim.name(),
        )
        .into())
    }
}
