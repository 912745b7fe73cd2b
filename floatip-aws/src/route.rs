//! Leads an overlay address to an interface by a route in every route table: the way across Availability Zones.

mod builder;
mod readiness;
mod reading;

use std::fmt;
use std::net::IpAddr;

use async_trait::async_trait;
use floatip_core::{
    Accepted, AddressMover, Capabilities, MoveError, NodeId, PartError, Placement, Precondition, Readiness,
    ReleaseMode, Strategy, Token,
};
use ipnet::IpNet;
use tokio::task::JoinSet;

use crate::client::Ec2;
use crate::error::{Call, readiness};
use crate::node_interface::NodeInterfaces;
pub use builder::{RouteBuilder, RouteTables};
use reading::{Leads, Reading};

const DESCRIBE: &str = "DescribeRouteTables";
const CREATE: &str = "CreateRoute";
const REPLACE: &str = "ReplaceRoute";

/// Moves an overlay address, one outside the VPC's own ranges, by its route (a /32, for IPv6 a /128) in several route
/// tables. Its nodes may be in any zones of the VPC.
///
/// # Guarantees
/// The token is what the routes lead to, a [`Token::Snapshot`]. All tables are read once more just before the first
/// request, which narrows the race with another monitor and does not close it. The tables are changed in parallel. Where
/// some have been changed and others not, the answer is [`MoveError::Partly`] with what each of the others said, the
/// placement is [`Placement::Split`] with one part a table, and a claim finishes the others. Seen free, the route is created in the first table before the others: EC2 refuses whoever comes
/// second, so that of two monitors one wins as a whole.
///
/// A table that does not have the route gets it. A black hole that leads to nothing of any node counts as no route, and
/// is replaced. A route that leads anywhere else in any of the tables is a stranger's.
///
/// # What it needs
/// The interfaces of all nodes must not check source and destination, and the guests must take packets for the address
/// (on a loopback device, say). On-premises networks reach it through a transit gateway, not through a virtual private
/// gateway. The permission to replace a route is control of the whole table.
///
/// # Source
/// Amazon EC2 API Reference: DescribeRouteTables, CreateRoute, ReplaceRoute. Amazon VPC User Guide, "Route tables".
pub struct RouteMover {
    ec2: Ec2,
    destination: IpNet,
    /// The destination in words, for errors and requests.
    name: String,
    tables: RouteTables,
    nodes: NodeInterfaces,
}

impl RouteMover {
    /// A mover of this address by its routes in these tables, without nodes.
    pub fn builder(ec2: Ec2, address: IpAddr, tables: RouteTables) -> RouteBuilder {
        RouteBuilder::new(ec2, address, tables)
    }

    fn call(&self) -> Call<'_> {
        Call::request(REPLACE, &self.name)
    }

    /// What is to be known just before the request: the interface, and that the routes are as they were seen.
    async fn prepare(&self, to: &NodeId, seen: &Placement) -> Result<(String, Reading), MoveError> {
        let target = self.nodes.of(&self.ec2, self.call(), to).await?;
        let reading = self.read().await?;
        let now = self.placement(&reading);
        if now.token() == seen.token() {
            return Ok((target, reading));
        }
        Err(self.call().conflict(format!("it was {seen}, and is {now} by now")))
    }

    async fn lead(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        let (target, reading) = Ec2::within_a_call(Call::read(DESCRIBE, &self.name), self.prepare(to, seen)).await?;
        let mut left: Vec<_> =
            reading.tables.into_iter().filter(|(_, leads)| leads.interface() != Some(&target)).collect();
        self.turns(&left).await?;
        let mut done = Vec::new();
        // Seen free, one table decides who was first. One that refuses everybody for good cannot.
        while *seen == Placement::Free && left.len() > 1 {
            let (table, leads) = left.remove(0);
            let answer = self.set(&table, &leads, &target).await;
            let decided = !answer.as_ref().is_err_and(is_for_good);
            done.push((table, answer));
            if decided {
                break;
            }
        }
        if done.last().is_some_and(|(_, answer)| answer.as_ref().is_err_and(|error| !is_for_good(error))) {
            return outcome(self.call(), done).map(|()| Accepted::without_token());
        }
        let mut requests = JoinSet::new();
        for (table, leads) in left {
            let (ec2, name, target) = (self.ec2.clone(), self.name.clone(), target.clone());
            requests.spawn(async move { (table.clone(), set(&ec2, &name, &table, &leads, &target).await) });
        }
        while let Some(joined) = requests.join_next().await {
            done.push(joined.map_err(|panic| self.call().unclear(panic))?);
        }
        done.sort_by(|(a, _), (b, _)| a.cmp(b));
        outcome(self.call(), done).map(|()| Accepted::with_token(Token::snapshot(target)))
    }

    /// The turns of all the requests, before the first of them: none is sent if one would have to wait for long.
    async fn turns(&self, left: &[(String, Leads)]) -> Result<(), MoveError> {
        let created = left.iter().filter(|(_, leads)| *leads == Leads::Nowhere).count();
        for (action, requests) in [(CREATE, created), (REPLACE, left.len() - created)] {
            let requests = u32::try_from(requests).unwrap_or(u32::MAX);
            self.ec2.turn(Call::request(action, &self.name), requests).await?;
        }
        Ok(())
    }

    async fn set(&self, table: &str, leads: &Leads, target: &str) -> Result<(), MoveError> {
        set(&self.ec2, &self.name, table, leads, target).await
    }
}

/// Leads the route of one table to an interface: creates it where there is none, replaces it elsewhere.
async fn set(ec2: &Ec2, destination: &str, table: &str, leads: &Leads, target: &str) -> Result<(), MoveError> {
    let resource = format!("{destination} in {table}");
    let ipv6 = destination.contains(':');
    let [v4, v6] = [!ipv6, ipv6].map(|family| family.then(|| destination.to_owned()));
    let sdk = ec2.sdk();
    match leads {
        Leads::Nowhere => {
            let request = sdk.create_route().route_table_id(table).network_interface_id(target);
            let request = request.set_destination_cidr_block(v4).set_destination_ipv6_cidr_block(v6);
            ec2.send(Call::request(CREATE, &resource), request.send()).await.map(drop)
        }
        Leads::BlackHole(_) | Leads::ToNode { .. } | Leads::Elsewhere(_) => {
            let request = sdk.replace_route().route_table_id(table).network_interface_id(target);
            let request = request.set_destination_cidr_block(v4).set_destination_ipv6_cidr_block(v6);
            ec2.send(Call::request(REPLACE, &resource), request.send()).await.map(drop)
        }
    }
}

/// What all the tables together come to: a refusal only if nothing can have changed, and then the one that may pass
/// soonest, so that a table which refuses for good keeps no other from being asked again.
fn outcome(call: Call<'_>, tables: Vec<(String, Result<(), MoveError>)>) -> Result<(), MoveError> {
    let asked = tables.len();
    let mut left: Vec<_> =
        tables.into_iter().filter_map(|(table, answer)| Some(PartError::new(table, answer.err()?))).collect();
    if left.is_empty() {
        return Ok(());
    }
    if left.len() < asked {
        return Err(call.partly(left));
    }
    if asked == 1 || left.iter().all(|left| !left.error.may_have_changed()) {
        let first = left.iter().position(|left| !is_for_good(&left.error)).unwrap_or(0);
        return Err(left.swap_remove(first).error);
    }
    let words: Vec<_> =
        left.iter().map(|left| format!("{}: {}", left.part, floatip_core::chain(&left.error))).collect();
    Err(call.unclear(words.join("; ")))
}

/// Whether a table refuses until somebody changes something.
fn is_for_good(error: &MoveError) -> bool {
    matches!(error, MoveError::Denied { .. } | MoveError::NotFound { .. } | MoveError::Impossible { .. })
}

impl fmt::Debug for RouteMover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteMover")
            .field("destination", &self.destination)
            .field("tables", &self.tables)
            .field("nodes", &self.nodes)
            .field("ec2", &self.ec2)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl AddressMover for RouteMover {
    /// A claim is what is read before, the first table (seen free), and the others at once: each no longer than one call.
    fn capabilities(&self) -> Capabilities {
        let capabilities = Capabilities::new(Strategy::Overwrite).kind("route").call_timeout(3 * Ec2::CALL_TIMEOUT);
        capabilities.precondition(Precondition::BestEffort)
    }

    fn serves(&self, node: &NodeId) -> bool {
        self.nodes.contain(node)
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        let reading = Ec2::within_a_call(Call::read(DESCRIBE, &self.name), self.read()).await?;
        Ok(self.placement(&reading))
    }

    async fn release(&self, _seen: &Placement, _mode: ReleaseMode) -> Result<Accepted, MoveError> {
        Err(self.call().impossible("a route is led elsewhere, and never released before"))
    }

    async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        match seen {
            Placement::Free | Placement::Held { .. } | Placement::Stranger { .. } | Placement::Split { .. } => {
                self.lead(to, seen).await
            }
            Placement::Transition { .. } => Err(self.call().conflict("a route is never on its way")),
        }
    }

    async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError> {
        readiness(self.check(to).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_as_one_only_if_no_table_can_have_changed() {
        let call = Call::request(REPLACE, "10.99.0.1/32");
        let refused = || Err(call.conflict("somebody was first"));
        let told = |answers: Vec<Result<(), MoveError>>| {
            outcome(call, answers.into_iter().enumerate().map(|(n, answer)| (format!("rtb-{n}"), answer)).collect())
        };
        assert!(told(vec![Ok(()), Ok(())]).is_ok());
        assert!(matches!(told(vec![refused(), refused()]), Err(MoveError::Conflict { .. })));
        let partly = told(vec![Ok(()), refused()]).unwrap_err();
        assert!(partly.may_have_changed());
        let text = floatip_core::chain(&partly);
        assert!(!text.contains("rtb-0") && text.contains("rtb-1 is left"), "{text}");
        let unclear = told(vec![refused(), Err(call.unclear("no reply"))]);
        assert!(matches!(unclear, Err(MoveError::OutcomeUnknown { .. })), "none is known to have changed");
    }

    #[test]
    fn of_refusals_the_one_that_may_pass_is_told() {
        let call = Call::request(REPLACE, "10.99.0.1/32");
        let tables = vec![
            ("rtb-0".to_owned(), Err(call.impossible("too many routes"))),
            ("rtb-1".to_owned(), Err(call.conflict("somebody was first"))),
        ];
        assert!(matches!(outcome(call, tables), Err(MoveError::Conflict { .. })));
    }
}
