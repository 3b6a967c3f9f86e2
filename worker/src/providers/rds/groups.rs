//! Parameter groups: the settings of an instance, and the marks of deletions.

use aws_sdk_rds::types::Tag;
use chrono::{DateTime, Utc};
use tenantry_domain::ids::ServerId;

use super::{
    Rds,
    asked::{Asked, asked, next_page},
    name_of, parameters,
};
use crate::providers::{Order, ProviderError};

/// The parameter group that says that a server was deleted.
pub(super) fn mark_of(id: ServerId) -> String {
    format!("tenantry-{id}-deleted")
}

impl Rds {
    /// Makes a parameter group, unless it is there. Its description is what is read of it when all are listed.
    pub(super) async fn make_group(
        &self,
        name: String,
        version: u16,
        description: String,
        tags: Vec<Tag>,
    ) -> Result<(), ProviderError> {
        let create = self.client().create_db_parameter_group();
        let create =
            create.db_parameter_group_name(name).db_parameter_group_family(format!("postgres{version}"));
        match asked(create.description(description).set_tags(Some(tags)).send()).await? {
            Asked::Done(_) => Ok(()),
            Asked::Refused(refusal) if refusal.is("DBParameterGroupAlreadyExists") => Ok(()),
            Asked::Refused(refusal) => Err(refusal.into()),
        }
    }

    /// Takes a parameter group away, unless it is gone or an instance uses it.
    pub(super) async fn drop_group(&self, name: String) -> Result<(), ProviderError> {
        // What is not there has no tags either, by which a policy may say who may delete it.
        if !self.has_group(&name).await? {
            return Ok(());
        }
        match asked(self.client().delete_db_parameter_group().db_parameter_group_name(name).send()).await? {
            Asked::Done(_) => Ok(()),
            Asked::Refused(refusal)
                if refusal.is("DBParameterGroupNotFound") || refusal.is("InvalidDBParameterGroupState") =>
            {
                Ok(())
            }
            Asked::Refused(refusal) => Err(refusal.into()),
        }
    }

    async fn has_group(&self, name: &str) -> Result<bool, ProviderError> {
        let describe = self.client().describe_db_parameter_groups().db_parameter_group_name(name);
        match asked(describe.send()).await? {
            Asked::Done(found) => Ok(!found.db_parameter_groups().is_empty()),
            Asked::Refused(refusal) if refusal.is("DBParameterGroupNotFound") => Ok(false),
            Asked::Refused(refusal) => Err(refusal.into()),
        }
    }

    pub(super) async fn is_deleted(&self, id: ServerId) -> Result<bool, ProviderError> {
        self.has_group(&mark_of(id)).await
    }

    pub(super) async fn set_parameters(&self, order: &Order) -> Result<(), ProviderError> {
        for some in parameters::in_requests(&order.template.parameters)? {
            let modify = self.client().modify_db_parameter_group().db_parameter_group_name(name_of(order.id));
            asked(modify.set_parameters(Some(some)).send()).await?.or_refusal()?;
        }
        Ok(())
    }

    /// The servers of this registry that were deleted, and when.
    pub(super) async fn deletions(&self) -> Result<Vec<(ServerId, DateTime<Utc>)>, ProviderError> {
        let mut pages = self.client().describe_db_parameter_groups().max_records(100).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = next_page(pages.next()).await? {
            for group in page.db_parameter_groups.unwrap_or_default() {
                let id = group.db_parameter_group_name().and_then(|name| {
                    name.strip_prefix("tenantry-")?.strip_suffix("-deleted")?.parse::<ServerId>().ok()
                });
                let at = group.description().and_then(|text| self.read_deletion(text));
                found.extend(id.zip(at));
            }
        }
        Ok(found)
    }

    pub(super) fn write_deletion(&self, at: DateTime<Utc>) -> String {
        format!("Tenantry registry {} deleted it at {}", self.settings.label, at.timestamp())
    }

    fn read_deletion(&self, description: &str) -> Option<DateTime<Utc>> {
        let start = format!("Tenantry registry {} deleted it at ", self.settings.label);
        DateTime::from_timestamp(description.strip_prefix(&start)?.parse().ok()?, 0)
    }
}
