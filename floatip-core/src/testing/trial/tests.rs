use super::*;

/// A mover that breaks its contract in one way, on the stage of another.
#[derive(Debug)]
struct Broken {
    stage: InMemoryStage,
    exclusive: bool,
}

impl Stage for Broken {
    fn nodes(&self) -> Vec<NodeId> {
        self.stage.nodes()
    }

    fn movers(&self) -> Vec<Arc<dyn AddressMover>> {
        self.stage.movers().into_iter().map(|inner| Arc::new(Grabbing(inner)) as Arc<dyn AddressMover>).collect()
    }

    fn holders(&self) -> Vec<NodeId> {
        self.stage.holders()
    }

    fn most_holders(&self) -> usize {
        self.stage.provider().set_exclusive(self.exclusive);
        self.stage.most_holders()
    }

    fn serving(&self) -> Option<NodeId> {
        self.stage.serving()
    }

    fn calls(&self) -> usize {
        self.stage.calls()
    }

    fn lose_reply(&self, skipped: usize) {
        self.stage.lose_reply(skipped);
    }

    fn pace(&self) -> Pace {
        Pace { patience: Duration::from_secs(15), ..Pace::default() }
    }
}

/// Claims at once, whoever holds the address.
#[derive(Debug)]
struct Grabbing(Arc<dyn AddressMover>);

#[async_trait::async_trait]
impl AddressMover for Grabbing {
    fn capabilities(&self) -> crate::Capabilities {
        crate::Capabilities::new(crate::Strategy::Overwrite).precondition(crate::Precondition::Enforced)
    }

    fn serves(&self, node: &NodeId) -> bool {
        self.0.serves(node)
    }

    async fn locate(&self) -> Result<crate::Placement, crate::MoveError> {
        self.0.locate().await
    }

    async fn release(
        &self,
        seen: &crate::Placement,
        mode: crate::ReleaseMode,
    ) -> Result<crate::Accepted, crate::MoveError> {
        self.0.release(seen, mode).await
    }

    async fn claim(&self, to: &NodeId, _: &crate::Placement) -> Result<crate::Accepted, crate::MoveError> {
        self.0.claim(to, &crate::Placement::Free).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_of_any_call_of_a_failover_breaks_nothing() {
    for make in [InMemoryStage::release_first as fn() -> InMemoryStage, InMemoryStage::overwrite] {
        let survey = lost_replies(move || std::future::ready(make()), 4).await;
        survey.assert_sound();
        assert!(survey.calls >= 8 && survey.finished == survey.calls, "{survey}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_convinced_monitors_one_wins_where_tokens_are_generations_and_the_loser_says_so() {
    let races = races(async |_| InMemoryStage::release_first(), 0..150, 4).await;
    races.assert_sound();
    assert!(races.contended > 25 && races.lost > 50, "{races}");
}

#[tokio::test(start_paused = true)]
async fn two_convinced_monitors_that_overwrite_come_to_rest_on_one_healthy_node() {
    let races = races(async |_| InMemoryStage::overwrite(), 0..150, 4).await;
    races.assert_sound();
    assert!(races.contended > 25 && races.lost > 25, "{races}");
}

#[tokio::test(start_paused = true)]
async fn two_holders_at_a_time_are_found() {
    let make = async || Broken { stage: InMemoryStage::release_first(), exclusive: false };
    let survey = lost_replies(make, 4).await;
    assert!(survey.broken.iter().any(|broken| broken.contains("on 2 holders")), "{:#?}", survey.broken);
}

#[tokio::test(start_paused = true)]
async fn a_failover_that_neither_ends_nor_is_stuck_is_found() {
    let make = async || Broken { stage: InMemoryStage::release_first(), exclusive: true };
    let survey = lost_replies(make, 4).await;
    assert!(survey.broken.iter().any(|broken| broken.contains("neither finished")), "{:#?}", survey.broken);
}
