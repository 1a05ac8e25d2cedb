//! What is counted of the cluster.

use doorbell_backplane::Role;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The families, their labels resolved once.
#[derive(Clone, Debug)]
pub struct Metrics {
    instances: [IntGauge; Role::ALL.len()],
    announced: [IntCounter; 2],
    unowned: IntCounter,
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// Where the registry holds one of the names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let instances = IntGaugeVec::new(
            Opts::new(
                "doorbell_cluster_instances",
                "Processes that are believed to be there, by role, this one among them.",
            ),
            &["role"],
        )?;
        let announced = IntCounterVec::new(
            Opts::new(
                "doorbell_cluster_announcements_total",
                "Times that this process said that it is there, by outcome.",
            ),
            &["outcome"],
        )?;
        let unowned = IntCounter::new(
            "doorbell_cluster_unowned_publishes_total",
            "Topics whose owner did not take a publish: stored without it, and seen by the gateways' look.",
        )?;
        registry.register(Box::new(instances.clone()))?;
        registry.register(Box::new(announced.clone()))?;
        registry.register(Box::new(unowned.clone()))?;
        Ok(Self {
            instances: Role::ALL.map(|role| instances.with_label_values(&[role.name()])),
            announced: ["done", "failed"].map(|outcome| announced.with_label_values(&[outcome])),
            unowned,
        })
    }

    pub(crate) fn seen(&self, view: &crate::View) {
        for (gauge, role) in self.instances.iter().zip(Role::ALL) {
            gauge.set(i64::try_from(view.with(role).count()).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn announced(&self, worked: bool) {
        self.announced[usize::from(!worked)].inc();
    }

    pub(crate) fn unowned(&self, topics: usize) {
        self.unowned.inc_by(topics as u64);
    }
}
