use aws_sdk_ec2::types::RouteTable;
use floatip_core::{MoveError, NodeId};
use ipnet::IpNet;

use super::RouteMover;
use crate::interface;

impl RouteMover {
    /// Whether the routes could lead to a node's interface, and it would take what they bring.
    pub(super) async fn check(&self, to: &NodeId) -> Result<(), MoveError> {
        let call = self.call();
        let target = self.nodes.describe(&self.ec2, call, to).await?;
        let id = target.network_interface_id().unwrap_or("the interface");
        interface::plain(call, &target)?;
        let Some(instance) = interface::instance(&target) else {
            return Err(call.impossible(format!("{id} is attached to no instance; attach it to {to}")));
        };
        self.ec2.living_instance(call, instance).await?;
        if target.source_dest_check() != Some(false) {
            return Err(call.impossible(format!(
                "{id} checks source and destination, and would drop what is sent to {}; switch it off: aws ec2 \
                 modify-network-interface-attribute --network-interface-id {id} --no-source-dest-check",
                self.name
            )));
        }
        for table in self.describe().await? {
            let table_id = table.route_table_id().unwrap_or("a route table");
            if let Some(local) = self.local_range(&table) {
                return Err(call.impossible(format!(
                    "{} lies within {local} of the VPC, where EC2 allows no such route; choose an address outside of it, \
                     or move it by kind = \"eni\" or \"private-ip\"",
                    self.name
                )));
            }
            if let (Some(here), Some(there)) = (table.vpc_id(), target.vpc_id())
                && here != there
            {
                return Err(call.impossible(format!("{table_id} is in {here} and {id} in {there}: choose one VPC")));
            }
        }
        Ok(())
    }

    /// The range of the VPC that the destination lies in: every table has a local route for each.
    fn local_range(&self, table: &RouteTable) -> Option<IpNet> {
        let local = table.routes().iter().filter(|route| route.gateway_id() == Some("local"));
        let ranges = local.flat_map(|route| [route.destination_cidr_block(), route.destination_ipv6_cidr_block()]);
        let mut ranges = ranges.flatten().filter_map(|range| range.parse::<IpNet>().ok());
        ranges.find(|range| range.contains(&self.destination))
    }
}
