//! The right to renew: taken, kept while something needs it, and given back.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::refresh_chain::{LEASE, new_id};
use super::{LONGEST_CALL, TokenPersistence};
use crate::auth::oauth::response::Refusal;
use crate::auth::store::Lease;
use crate::sync::Handle;

/// How often a right is prolonged: three times within its lifetime.
const PULSE: Duration = Duration::from_secs(2);

/// What came of asking for the right.
pub(crate) enum Taken {
    Granted,
    /// Another has it.
    Held,
    /// The store failed, or did not answer in time.
    Failed(Refusal),
}

/// Something needs the right, if there is one: it is given back when the last of these is dropped.
pub(crate) struct Hold(Arc<TokenPersistence>);

impl Drop for Hold {
    fn drop(&mut self) {
        let rights = {
            let mut memory = self.0.memory();
            memory.holds -= 1;
            match memory.holds {
                0 => (memory.chain.drop_right(), memory.asked.take()),
                _ => (None, None),
            }
        };
        let (right, asked) = rights;
        // One that was being prolonged is both.
        let asked = asked.filter(|asked| right.as_ref() != Some(asked));
        for id in right.into_iter().chain(asked) {
            self.0.release(id);
        }
    }
}

impl TokenPersistence {
    /// The right is needed from now on.
    pub(crate) fn hold(self: &Arc<Self>) -> Hold {
        self.memory().holds += 1;
        Hold(self.clone())
    }

    /// Asks for the sole right to renew, or prolongs it.
    pub(crate) async fn take_right(self: &Arc<Self>) -> Taken {
        let Some(store) = &self.store else {
            return Taken::Granted;
        };
        let id = {
            let mut memory = self.memory();
            let id = memory.chain.right_id().map(str::to_owned);
            // One that was asked for in vain may have been granted: it is asked for again.
            let id = id.or(memory.asked.take()).unwrap_or_else(new_id);
            memory.asked = Some(id.clone());
            id
        };
        // Before the call: the store counts from some later moment.
        let asked = self.clock.now();
        let lease = store.lease(&self.key, &id, LEASE);
        match self.within(LONGEST_CALL, lease).await {
            Some(Ok(Lease::Granted { previous_is_dead })) => {
                let mut memory = self.memory();
                memory.asked = None;
                memory.chain.granted(&id, previous_is_dead, asked);
                Taken::Granted
            }
            Some(Ok(Lease::Held { .. })) => {
                let mut memory = self.memory();
                memory.asked = None;
                memory.chain.drop_right();
                Taken::Held
            }
            Some(Err(error)) => Taken::Failed(self.report("cannot give a lease", Some(error))),
            None => Taken::Failed(self.report("did not answer", None)),
        }
    }

    /// Others may have the right while this process waits.
    pub(crate) fn give_right_back(self: &Arc<Self>) {
        let id = self.memory().chain.drop_right();
        if let Some(id) = id {
            self.release(id);
        }
    }

    /// Runs the future to its end and prolongs the right meanwhile.
    pub(crate) async fn while_right_is_kept<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        let (future, keeper) = (pin!(future), pin!(self.keep_right()));
        match select(future, keeper).await {
            Either::Left((output, _)) => output,
            Either::Right((never, _)) => match never {},
        }
    }

    async fn keep_right(self: &Arc<Self>) -> Infallible {
        loop {
            self.clock.sleep(PULSE).await;
            self.prolong().await;
        }
    }

    async fn prolong(self: &Arc<Self>) {
        let id = self.memory().chain.right_id().map(str::to_owned);
        let (Some(store), Some(id)) = (&self.store, id) else {
            return;
        };
        let asked = self.clock.now();
        let lease = store.lease(&self.key, &id, LEASE);
        let lease = self.within(LONGEST_CALL, lease).await;
        let is_ours = {
            let chain = &mut self.memory().chain;
            let is_ours = chain.right_id() == Some(&id);
            match lease {
                Some(Ok(Lease::Granted { previous_is_dead })) if is_ours => {
                    chain.granted(&id, previous_is_dead, asked);
                }
                Some(Ok(Lease::Held { .. })) if is_ours => drop(chain.drop_right()),
                // It ends by itself, unless a later pulse is answered.
                _ => {}
            }
            is_ours
        };
        // It was given back while the store was asked, and the store may have done that first: a
        // lock that was taken anew would be held for ever.
        if !is_ours && !matches!(lease, Some(Ok(Lease::Held { .. }))) {
            self.release(id);
        }
    }

    fn release(self: &Arc<Self>, id: String) {
        let mut count = self.memory();
        count.releasing += 1;
        self.releasing.send_replace(count.releasing);
        drop(count);
        let release = Release {
            persistence: self.clone(),
            id,
            is_done: false,
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(release.run())),
            Err(_) => drop(release),
        }
    }
}

/// A right that is being given back. Where that fails, or is torn down with its runtime, the store
/// hears at least that nothing holds it any more: a lock would be held for ever.
struct Release {
    persistence: Arc<TokenPersistence>,
    id: String,
    is_done: bool,
}

impl Release {
    async fn run(mut self) {
        let persistence = self.persistence.clone();
        if let Some(store) = &persistence.store {
            let release = store.release(&persistence.key, &self.id);
            let released = persistence.within(LONGEST_CALL, release).await;
            self.is_done = matches!(released, Some(Ok(())));
        }
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let persistence = &self.persistence;
        if let Some(store) = persistence.store.as_ref().filter(|_| !self.is_done) {
            store.abandon(&persistence.key, &self.id);
        }
        let mut memory = persistence.memory();
        memory.releasing -= 1;
        persistence.releasing.send_replace(memory.releasing);
    }
}
