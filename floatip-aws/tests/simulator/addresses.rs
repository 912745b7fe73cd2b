use floatip_aws::simulator::{InstanceState, Timings};

use crate::{Lab, code, code_and_message, filter, soon, two_servers};

impl Lab {
    async fn try_associate(&self, interface: &str, private_ip: Option<&str>, allow: bool) -> Result<String, String> {
        let call = self.ec2.associate_address().allocation_id("eipalloc-1").network_interface_id(interface);
        match call.set_private_ip_address(private_ip.map(str::to_owned)).allow_reassociation(allow).send().await {
            Ok(reply) => Ok(reply.association_id.expect("an association id")),
            refused @ Err(_) => Err(code(refused)),
        }
    }

    async fn address(&self) -> aws_sdk_ec2::types::Address {
        let reply = self.ec2.describe_addresses().allocation_ids("eipalloc-1").send().await.expect("described");
        reply.addresses.unwrap_or_default().pop().expect("one address")
    }
}

#[tokio::test]
async fn an_associated_address_shows_where_it_leads() {
    let lab = Lab::two_servers(Timings::default()).await;
    let address = lab.address().await;
    assert_eq!(address.allocation_id.as_deref(), Some("eipalloc-1"));
    assert_eq!(address.public_ip.as_deref(), Some("203.0.113.10"));
    assert_eq!(address.association_id, Some(lab.association("eipalloc-1")));
    assert_eq!(address.network_interface_id.as_deref(), Some("eni-1-primary"));
    assert_eq!(address.private_ip_address.as_deref(), Some("172.16.11.10"));
    assert_eq!(address.instance_id.as_deref(), Some("i-1"));
    assert_eq!(address.domain.as_ref().map(|domain| domain.as_str()), Some("vpc"));
    assert_eq!(address.network_border_group.as_deref(), Some("ap-northeast-1"));
    let interface = lab.interface("eni-1-primary").await;
    assert_eq!(interface.association.and_then(|association| association.public_ip), Some("203.0.113.10".to_owned()));
}

#[tokio::test]
async fn an_address_moves_when_reassociation_is_allowed() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let old = lab.association("eipalloc-1");
    let new = lab.try_associate("eni-2-primary", Some("172.16.11.20"), true).await.expect("accepted");
    assert_ne!(new, old);
    let address = lab.address().await;
    assert_eq!(address.association_id, Some(new));
    assert_eq!(address.instance_id.as_deref(), Some("i-2"));
    assert_eq!(lab.simulator.world().carrier_of_address("eipalloc-1"), Some("i-2"));
}

#[tokio::test]
async fn an_address_stays_when_reassociation_is_not_allowed() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let refused = lab.try_associate("eni-2-primary", None, false).await.expect_err("refused");
    assert_eq!(refused, "Resource.AlreadyAssociated");
    assert_eq!(lab.simulator.world().carrier_of_address("eipalloc-1"), Some("i-1"));
}

#[tokio::test]
async fn an_association_with_the_present_holder_changes_nothing() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let present = lab.association("eipalloc-1");
    assert_eq!(lab.try_associate("eni-1-primary", None, false).await, Ok(present.clone()));
    assert_eq!(lab.try_associate("eni-1-primary", None, true).await, Ok(present));
    assert_eq!(lab.simulator.changes(), []);
}

#[tokio::test]
async fn a_free_address_is_associated_without_reassociation() {
    let lab = Lab::two_servers(Timings::instant()).await;
    lab.simulator.console().disassociate("eipalloc-1").expect("accepted");
    lab.try_associate("eni-2-primary", None, false).await.expect("accepted");
    assert_eq!(lab.simulator.world().carrier_of_address("eipalloc-1"), Some("i-2"));
}

#[tokio::test]
async fn an_association_silently_displaces_the_address_that_was_there() {
    let world = two_servers().elastic_ip("eipalloc-2", "203.0.113.20").associate("eipalloc-2", "eni-2-primary");
    let lab = Lab::start(world, Timings::instant()).await;
    lab.try_associate("eni-2-primary", None, true).await.expect("accepted");
    assert_eq!(lab.simulator.world().find_address("eipalloc-2").unwrap().association, None);
    assert_eq!(lab.simulator.world().carrier_of_address("eipalloc-1"), Some("i-2"));
}

#[tokio::test]
async fn each_private_address_of_an_interface_takes_an_elastic_ip_of_its_own() {
    let world = two_servers()
        .secondary_private_ip("eni-2-primary", "172.16.11.21")
        .elastic_ip("eipalloc-2", "203.0.113.20")
        .associate("eipalloc-2", "eni-2-primary");
    let lab = Lab::start(world, Timings::instant()).await;
    lab.try_associate("eni-2-primary", Some("172.16.11.21"), true).await.expect("accepted");
    assert_eq!(lab.simulator.world().carrier_of_address("eipalloc-2"), Some("i-2"));
    let addresses = lab.interface("eni-2-primary").await.private_ip_addresses.unwrap_or_default();
    let seen: Vec<_> = addresses
        .iter()
        .map(|address| {
            let public = address.association.as_ref().and_then(|association| association.public_ip.as_deref());
            (address.private_ip_address.as_deref().unwrap_or_default(), address.primary, public)
        })
        .collect();
    assert_eq!(
        seen,
        [("172.16.11.20", Some(true), Some("203.0.113.20")), ("172.16.11.21", Some(false), Some("203.0.113.10")),]
    );
}

#[tokio::test]
async fn an_address_cannot_lead_to_a_private_address_that_is_not_there() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let refused = lab.try_associate("eni-2-primary", Some("172.16.11.99"), true).await.expect_err("refused");
    assert_eq!(refused, "InvalidParameterValue");
}

#[tokio::test]
async fn an_address_cannot_lead_to_an_instance_that_is_pending_or_on_its_way_out() {
    for state in [InstanceState::Pending, InstanceState::ShuttingDown, InstanceState::Terminated] {
        let lab = Lab::start(two_servers().instance_state("i-2", state), Timings::instant()).await;
        let refused = lab.try_associate("eni-2-primary", None, true).await.expect_err("refused");
        assert_eq!(refused, "IncorrectInstanceState", "{state:?}");
    }
}

#[tokio::test]
async fn an_instance_stands_for_its_only_interface() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let associate = |instance: &str| {
        let call = lab.ec2.associate_address().allocation_id("eipalloc-1").instance_id(instance);
        call.allow_reassociation(true).send()
    };
    associate("i-2").await.expect("accepted");
    assert_eq!(lab.simulator.world().carrier_of_address("eipalloc-1"), Some("i-2"));
    let (code, message) = code_and_message(associate("i-1").await);
    assert_eq!(code, "InvalidInstanceID");
    assert!(message.contains("There are multiple interfaces attached"), "{message}");
}

#[tokio::test]
async fn a_disassociated_address_leads_nowhere() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let association = lab.association("eipalloc-1");
    lab.ec2.disassociate_address().association_id(&association).send().await.expect("accepted");
    let address = lab.address().await;
    assert_eq!(address.association_id, None);
    assert_eq!(address.network_interface_id, None);
    assert_eq!(address.instance_id, None);
}

#[tokio::test]
async fn a_stale_association_id_does_not_end_a_newer_association() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let stale = lab.association("eipalloc-1");
    lab.simulator.console().associate("eipalloc-1", "eni-2-primary", None).expect("accepted");
    let refused = lab.ec2.disassociate_address().association_id(stale).send().await;
    assert_eq!(code(refused), "InvalidAssociationID.NotFound");
    assert_eq!(lab.simulator.world().carrier_of_address("eipalloc-1"), Some("i-2"));
}

#[tokio::test]
async fn address_calls_name_what_is_unknown_or_missing() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let associate = || lab.ec2.associate_address().network_interface_id("eni-2-primary");
    assert_eq!(code(associate().allocation_id("eipalloc-none").send().await), "InvalidAllocationID.NotFound");
    assert_eq!(code(associate().send().await), "MissingParameter");
    assert_eq!(lab.try_associate("eni-none", None, true).await, Err("InvalidNetworkInterfaceID.NotFound".to_owned()));
    assert_eq!(code(lab.ec2.associate_address().allocation_id("eipalloc-1").send().await), "MissingParameter");
    assert_eq!(code(lab.ec2.disassociate_address().send().await), "MissingParameter");
    let describe = lab.ec2.describe_addresses();
    assert_eq!(code(describe.clone().allocation_ids("eipalloc-none").send().await), "InvalidAllocationID.NotFound");
    assert_eq!(code(describe.public_ips("203.0.113.99").send().await), "InvalidAddress.NotFound");
}

#[tokio::test]
async fn a_dry_run_of_an_association_changes_nothing() {
    let lab = Lab::two_servers(Timings::instant()).await;
    let call = lab.ec2.associate_address().allocation_id("eipalloc-1").network_interface_id("eni-2-primary");
    assert_eq!(code(call.allow_reassociation(true).dry_run(true).send().await), "DryRunOperation");
    let association = lab.association("eipalloc-1");
    let call = lab.ec2.disassociate_address().association_id(&association).dry_run(true);
    assert_eq!(code(call.send().await), "DryRunOperation");
    assert_eq!(lab.association("eipalloc-1"), association);
    assert_eq!(lab.simulator.world().carrier_of_address("eipalloc-1"), Some("i-1"));
}

#[tokio::test]
async fn addresses_are_found_by_filters() {
    let world = two_servers()
        .elastic_ip("eipalloc-2", "203.0.113.20")
        .tag("eipalloc-2", "role", "standby")
        .service_managed("eipalloc-2", "nlb");
    let lab = Lab::start(world, Timings::instant()).await;
    for (name, value, wanted) in [
        ("allocation-id", "eipalloc-2", "eipalloc-2"),
        ("public-ip", "203.0.113.20", "eipalloc-2"),
        ("tag:role", "standby", "eipalloc-2"),
        ("network-interface-id", "eni-1-primary", "eipalloc-1"),
        ("instance-id", "i-1", "eipalloc-1"),
        ("private-ip-address", "172.16.11.10", "eipalloc-1"),
        ("association-id", &lab.association("eipalloc-1"), "eipalloc-1"),
    ] {
        let reply = soon(lab.ec2.describe_addresses().filters(filter(name, value)).send()).await.expect("described");
        let found: Vec<_> = reply.addresses().iter().filter_map(|address| address.allocation_id()).collect();
        assert_eq!(found, [wanted], "{name}");
    }
    let reply = lab.ec2.describe_addresses().send().await.expect("described");
    let managed: Vec<_> = reply.addresses().iter().map(|one| one.service_managed().map(|by| by.as_str())).collect();
    assert_eq!(managed, [None, Some("nlb")]);
}

#[tokio::test]
async fn an_address_is_refused_outside_of_its_border_group() {
    let world = two_servers()
        .elastic_ip("eipalloc-local", "203.0.113.20")
        .border_group("eipalloc-local", "ap-northeast-1-tpe-1");
    let lab = Lab::start(world, Timings::instant()).await;
    let request = lab.ec2.associate_address().allocation_id("eipalloc-local").network_interface_id("eni-2-primary");
    assert_eq!(code(request.send().await), "InvalidParameterCombination");
}

#[tokio::test]
async fn an_automatic_public_address_is_shown_without_an_allocation_and_ends_with_an_association() {
    let lab = Lab::start(two_servers().automatic_public_ip("eni-2-primary", "198.51.100.7"), Timings::instant()).await;
    let shown = lab.interface("eni-2-primary").await.association.expect("shown");
    assert_eq!((shown.public_ip(), shown.ip_owner_id()), (Some("198.51.100.7"), Some("amazon")));
    assert_eq!(shown.allocation_id(), None);
    let request = lab.ec2.associate_address().allocation_id("eipalloc-1").network_interface_id("eni-2-primary");
    request.allow_reassociation(true).send().await.expect("associated");
    assert_eq!(lab.interface("eni-2-primary").await.association.expect("shown").public_ip(), Some("203.0.113.10"));
    lab.simulator.console().disassociate("eipalloc-1").expect("disassociated");
    assert!(lab.interface("eni-2-primary").await.association.is_none(), "it does not come back here");
}
