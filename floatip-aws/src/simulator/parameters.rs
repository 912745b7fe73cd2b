use std::collections::BTreeMap;
use std::str::FromStr;

use super::error::ApiError;

/// The parameters of a request, by their names on the wire.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters(BTreeMap<String, String>);

/// One `Filter.N`.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    pub(super) name: &'a str,
    pub(super) values: Vec<&'a str>,
}

impl Parameters {
    pub(super) fn parse(form: &[u8]) -> Result<Self, ApiError> {
        let pairs = serde_urlencoded::from_bytes::<Vec<(String, String)>>(form)
            .map_err(|error| ApiError::refused("MalformedQueryString", format!("The query cannot be read: {error}")))?;
        Ok(Self(pairs.into_iter().collect()))
    }

    /// All but those that every request has.
    pub(super) fn of_interest(&self) -> BTreeMap<String, String> {
        let mut all = self.0.clone();
        all.retain(|name, _| name != "Action" && name != "Version");
        all
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| ApiError::missing(name))
    }

    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        self.get(name)
            .map(|value| {
                value.parse().map_err(|_| {
                    let message = format!("Value ({value}) for parameter {name} is invalid.");
                    ApiError::refused("InvalidParameterValue", message)
                })
            })
            .transpose()
    }

    pub(super) fn required_parsed<T: FromStr>(&self, name: &str) -> Result<T, ApiError> {
        self.required(name)?;
        self.parsed(name)?.ok_or_else(|| ApiError::missing(name))
    }

    /// A flag that is off if it is missing.
    pub(super) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        Ok(self.parsed(name)?.unwrap_or(false))
    }

    /// Ends a request that was checked, and that only asks whether it would succeed.
    pub(super) fn end_dry_run(&self) -> Result<(), ApiError> {
        match self.flag("DryRun")? {
            true => Err(ApiError::dry_run()),
            false => Ok(()),
        }
    }

    /// The values of `name.1`, `name.2` and so on.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|n| self.get(&format!("{name}.{n}"))).collect()
    }

    pub(super) fn filters(&self) -> Result<Vec<Filter<'_>>, ApiError> {
        let numbered = (1..).map_while(|n| {
            let name = self.get(&format!("Filter.{n}.Name"))?;
            Some(Filter { name, values: self.list(&format!("Filter.{n}.Value")) })
        });
        let filters: Vec<_> = numbered.collect();
        match filters.iter().map(|filter| filter.values.len()).sum::<usize>() {
            0..=200 => Ok(filters),
            _ => Err(ApiError::refused(
                "FilterLimitExceeded",
                "The maximum number of filter values specified on a single call is 200",
            )),
        }
    }
}
