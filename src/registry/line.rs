//! The addresses that serve one repository, asked in their order: what one of them does not
//! give, or gives wrong, the next is asked for.

use super::account::Accounts;
use super::config::{Endpoint, Limits};
use super::failed;
use super::fetcher::Fetcher;
use super::transfer::{Batch, Seen, Trouble};
use crate::error::Result;
use crate::sys::clock::monotonic_ms;

/// Who is asked, and what with.
pub struct Line<'l> {
    places: Vec<(Endpoint, Option<Fetcher>)>,
    accounts: &'l Accounts,
    limits: &'l Limits,
    /// The repository in its registry.
    repository: String,
    /// The user that fetchers become.
    id: Option<u32>,
    deadline: u64,
}

impl<'l> Line<'l> {
    /// Nobody is asked yet. The time of the pull begins.
    pub fn new(
        places: Vec<Endpoint>,
        repository: &str,
        accounts: &'l Accounts,
        limits: &'l Limits,
        id: Option<u32>,
    ) -> Self {
        let time = u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX);
        let deadline = monotonic_ms().saturating_add(time);
        let places = places.into_iter().map(|place| (place, None)).collect();
        Self { places, accounts, limits, repository: repository.to_owned(), id, deadline }
    }

    /// What a pull may cost.
    pub fn limits(&self) -> &'l Limits {
        self.limits
    }

    /// Lets the addresses that `may` be asked try, until one succeeds. Each has an account and a
    /// process of its own: none learns the account of another.
    ///
    /// # Errors
    /// What the last one did not do; what is this host's fault, at once.
    pub fn first<T>(
        &mut self,
        may: impl Fn(&Endpoint) -> bool,
        seen: &mut dyn FnMut(Seen),
        mut act: impl FnMut(&mut Batch<'_>) -> std::result::Result<T, Trouble>,
    ) -> Result<T> {
        let mut last = None;
        for (place, fetcher) in self.places.iter_mut().filter(|(place, _)| may(place)) {
            if let Some(error) = last.take() {
                crate::error::warn(format_args!("{error}"));
            }
            let started = match fetcher.take() {
                Some(started) => started,
                None => {
                    let login = self.accounts.login(&place.account, &self.repository)?;
                    Fetcher::start(place, login, self.id, self.limits)?
                }
            };
            let (limits, deadline) = (self.limits, self.deadline);
            let fetcher = fetcher.insert(started);
            match act(&mut Batch { fetcher, repository: &self.repository, limits, deadline, seen }) {
                Ok(done) => return Ok(done),
                Err(Trouble::Here(error)) => return Err(error),
                Err(Trouble::There(error)) => last = Some(error.field(place.location.clone())),
            }
        }
        Err(last.unwrap_or_else(|| failed("no address may say what a tag means")))
    }
}
