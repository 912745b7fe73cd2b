use std::collections::BTreeMap;

use super::error::ApiError;
use super::parameters::{Filter, Parameters};

/// Something that describes find by ids and filters.
pub(super) trait Described {
    /// Its id.
    fn id(&self) -> &str;

    /// Its values for a filter; `None` if there is no such filter.
    fn values(&self, filter: &str) -> Option<Vec<String>>;

    /// Its tags, if it can have any.
    fn tags(&self) -> Option<&BTreeMap<String, String>>;

    /// Whether all filters let it through.
    fn passes(&self, filters: &[Filter<'_>]) -> Result<bool, ApiError> {
        for filter in filters {
            let values = match (filter.name.strip_prefix("tag:"), filter.name) {
                (Some(key), _) => self.tags().and_then(|tags| tags.get(key)).cloned().into_iter().collect(),
                (None, "tag-key") => self.tags().into_iter().flat_map(BTreeMap::keys).cloned().collect(),
                (None, name) => self.values(name).ok_or_else(|| {
                    ApiError::refused("InvalidParameterValue", format!("The filter '{name}' is invalid"))
                })?,
            };
            if !values.iter().any(|value| filter.values.iter().any(|pattern| matches(pattern, value))) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// EC2's wildcards: `*` is any text, `?` any character.
fn matches(pattern: &str, value: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => value.is_empty(),
        Some('*') => {
            let ends = value.char_indices().map(|(at, _)| at).chain([value.len()]);
            ends.into_iter().any(|at| matches(rest.as_str(), &value[at..]))
        }
        Some(first) => {
            let mut others = value.chars();
            others.next().is_some_and(|other| first == '?' || first == other) && matches(rest.as_str(), others.as_str())
        }
    }
}

/// One page of what a describe found, and the token of the next one.
///
/// # Source
/// Amazon EC2 API Reference, "Query requests", Pagination: MaxResults from 5 to 1000, and not together with ids.
pub(super) fn page<T: Described>(
    parameters: &Parameters,
    ids: &str,
    found: Vec<T>,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let max_results = parameters.parsed::<usize>("MaxResults")?;
    if max_results.is_some() && parameters.get(&format!("{ids}.1")).is_some() {
        let message = format!("The parameter {ids} cannot be used with the parameter MaxResults");
        return Err(ApiError::refused("InvalidParameterCombination", message));
    }
    if let Some(wrong) = max_results.filter(|max_results| !(5..=1000).contains(max_results)) {
        let message = format!("Value ({wrong}) for parameter MaxResults is invalid. Expecting a value from 5 to 1000.");
        return Err(ApiError::refused("InvalidParameterValue", message));
    }
    let after = match parameters.get("NextToken").filter(|token| !token.is_empty()) {
        None => "",
        Some(token) => token.strip_prefix("after-").ok_or_else(|| {
            ApiError::refused("InvalidParameterValue", format!("Value ({token}) for parameter NextToken is invalid."))
        })?,
    };
    let mut rest: Vec<T> = found.into_iter().filter(|one| one.id() > after).collect();
    let more = max_results.is_some_and(|max_results| rest.len() > max_results);
    rest.truncate(max_results.unwrap_or(usize::MAX));
    let next = rest.last().filter(|_| more).map(|last| format!("after-{}", last.id()));
    Ok((rest, next))
}
