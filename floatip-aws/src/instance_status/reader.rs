//! One DescribeInstanceStatus for all who ask at about the same time.

use std::collections::BTreeSet;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_ec2::types::InstanceStatus;
use floatip_core::MoveError;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::Refusal;
use crate::client::Ec2;
use crate::error::Call;

pub(crate) const CALL: &str = "DescribeInstanceStatus";

/// How long a call waits for others to join it.
const GATHER: Duration = Duration::from_millis(200);

/// How many instances one call takes.
///
/// # Source
/// Amazon EC2 API Reference, DescribeInstanceStatus: at most 100 instance ids.
const PER_CALL: usize = 100;

/// The status of one instance; `None` if EC2 does not know it.
type Answer = Result<Option<InstanceStatus>, Arc<MoveError>>;

/// Reads the statuses of instances, by as few calls as can be. Clones share them.
#[derive(Clone)]
pub struct InstanceStatusReader {
    ec2: Ec2,
    waiting: Arc<Mutex<Vec<Waiting>>>,
}

/// Somebody who has asked, and whose call is not sent yet.
struct Waiting {
    instance: String,
    reply: oneshot::Sender<Answer>,
}

impl InstanceStatusReader {
    pub(super) fn new(ec2: Ec2) -> Self {
        Self { ec2, waiting: Arc::default() }
    }

    /// The status of an instance, by a call that is sent after this was asked.
    pub(super) async fn read(&self, instance: &str) -> Answer {
        let (reply, answer) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push(Waiting { instance: instance.to_owned(), reply });
            waiting.len() == 1
        };
        if is_first {
            // Whoever asked first may leave before the others are served. The task ends with its calls.
            let reader = self.clone();
            tokio::spawn(async move {
                sleep(GATHER).await;
                reader.serve();
            });
        }
        answer.await.unwrap_or_else(|gone| Err(Arc::new(MoveError::TimedOut { call: CALL, source: gone.into() })))
    }

    /// Sends the calls of all who wait, each in a task of its own.
    fn serve(&self) {
        let mut waiting = mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.retain(|waiting| !waiting.reply.is_closed());
        waiting.sort_by(|a, b| a.instance.cmp(&b.instance));
        while !waiting.is_empty() {
            let mut ids = BTreeSet::new();
            let fits = waiting.iter().take_while(|waiting| {
                ids.contains(&waiting.instance) || (ids.len() < PER_CALL && ids.insert(waiting.instance.clone()))
            });
            let fits = fits.count();
            let rest = waiting.split_off(fits);
            let askers = mem::replace(&mut waiting, rest);
            let ec2 = self.ec2.clone();
            tokio::spawn(async move {
                let statuses = ec2.statuses(ids).await.map_err(Arc::new);
                for Waiting { instance, reply } in askers {
                    let answer = statuses.as_ref().map_err(Arc::clone).map(|statuses| {
                        statuses.iter().find(|status| status.instance_id() == Some(&*instance)).cloned()
                    });
                    // Whoever has gone misses nothing.
                    reply.send(answer).ok();
                }
            });
        }
    }
}

impl fmt::Debug for InstanceStatusReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceStatusReader").field("ec2", &self.ec2).finish_non_exhaustive()
    }
}

impl Ec2 {
    /// The statuses of those of the instances that EC2 knows. One that it does not know fails the whole call, so that the
    /// call is repeated without those that the refusal names.
    async fn statuses(&self, mut ids: BTreeSet<String>) -> Result<Vec<InstanceStatus>, MoveError> {
        loop {
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let resource = format!("{} instances", ids.len());
            let call = Call::read(CALL, &resource);
            let wanted = Some(ids.iter().cloned().collect());
            let request = self.sdk().describe_instance_status().set_instance_ids(wanted).include_all_instances(true);
            let error = match request.send().await {
                Ok(answer) => return Ok(answer.instance_statuses.unwrap_or_default()),
                Err(error) => call.failed(error),
            };
            let known = ids.len();
            if let Some(message) = unknown_ids(&error) {
                ids.retain(|id| {
                    !message.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| word == id)
                });
            }
            if ids.len() == known {
                return Err(error);
            }
        }
    }
}

/// What EC2 says about ids that it does not know.
fn unknown_ids(error: &MoveError) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return (refusal.code == "InvalidInstanceID.NotFound").then(|| refusal.message.clone());
        }
        cause = error.source();
    }
    None
}
