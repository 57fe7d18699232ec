//! What `build()` says about a store, before an account needs it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use reqwest_tollgate::{Account, AccountBuilder, BoxError, Error, ErrorKind, Grant};

use super::*;

fn acme() -> AccountBuilder {
    Account::builder("acme", "https://api.acme.example")
        .token_url("/token")
        .client_id("id")
        .client_secret("secret")
}

fn refreshing(store: impl TokenStore) -> Result<Account, Error> {
    let grant = Grant::refresh_token("r-0");
    acme().grant(grant).token_store(store).build()
}

#[track_caller]
fn refused(built: Result<Account, Error>, words: &str) {
    let error = built.expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(
        text.contains("token_store: ") && text.contains(words),
        "{text}"
    );
}

#[test]
fn building_makes_what_a_renewal_needs_while_there_is_space() {
    let folder = folder("built");
    refreshing(FileStore::new(&folder)).expect("nothing is wrong");
    assert!(file(&folder, "renew").exists());
}

#[test]
fn a_folder_that_cannot_be_one_is_told_at_building_where_renewals_need_it() {
    let folder = folder("built-on-a-file");
    fs::create_dir_all(folder.parent().expect("a parent")).expect("a folder");
    let _ = fs::remove_file(&folder);
    fs::write(&folder, "a file").expect("written");
    for path in [folder.clone(), folder.join("within")] {
        refused(refreshing(FileStore::new(&path)), "built-on-a-file");
        let repeatable = acme().token_store(FileStore::new(&path)).build();
        repeatable.expect("a token can be had without a store");
    }
    fs::remove_file(&folder).expect("removed");
}

#[cfg(feature = "encryption")]
#[tokio::test]
async fn a_key_that_is_none_or_another_is_told_at_building() {
    let key = |start: &str| format!("{}A=", start.repeat(42));
    let folder = folder("built-with-a-key");
    let store = || FileStore::new(&folder);
    refused(refreshing(store().encrypted_with("AAAA")), "found 3 bytes");
    let unset = reqwest_tollgate::Secret::env("TOLLGATE_TEST_NO_SUCH_KEY");
    refused(
        refreshing(store().encrypted_with(unset)),
        "TOLLGATE_TEST_NO_SUCH_KEY",
    );
    let sealed = store().encrypted_with(key("A"));
    refreshing(sealed.clone()).expect("nothing is wrong");
    // The key of the account, which is in the name of its files.
    let spy = Spy::default();
    refreshing(spy.clone()).expect("nothing is wrong");
    let asked = spy.asked.lock().expect("no panic")[0].0.clone();
    save(&sealed, &asked, None, &record(1, b"x")).await;
    refreshing(sealed).expect("it opens");
    refused(refreshing(store()), "no key was given");
    refused(refreshing(store().encrypted_with(key("/"))), "another key");
}

/// Notes what it is asked, and answers as it is told.
#[derive(Clone, Default)]
struct Spy {
    asked: Arc<Mutex<Vec<(String, bool)>>>,
    hangs: Option<Arc<Mutex<Receiver<()>>>>,
    panics: bool,
    refuses: bool,
}

#[async_trait]
impl TokenStore for Spy {
    async fn load(&self, _: &str) -> Result<Option<Record>, BoxError> {
        Ok(None)
    }

    async fn compare_and_swap(
        &self,
        _: &str,
        _: Option<u64>,
        _: &Record,
    ) -> Result<Swap, BoxError> {
        Ok(Swap::Saved)
    }

    fn check(&self, key: &str, needs_lease: bool) -> Result<(), BoxError> {
        let mut asked = self.asked.lock().expect("no panic");
        asked.push((key.to_owned(), needs_lease));
        drop(asked);
        if let Some(hangs) = &self.hangs {
            let _ = hangs.lock().expect("no panic").recv();
        }
        assert!(!self.panics, "as it was told");
        match self.refuses {
            true => Err("no such table".into()),
            false => Ok(()),
        }
    }
}

#[test]
fn a_store_is_asked_for_the_accounts_key_and_whether_its_token_may_be_good_for_one_use() {
    let spy = Spy::default();
    refreshing(spy.clone()).expect("nothing is wrong");
    acme()
        .token_store(spy.clone())
        .build()
        .expect("nothing is wrong");
    let login = Grant::authorization_code("https://acme.example/callback");
    let builder = acme().authorization_url("/authorize").grant(login);
    builder
        .token_store(spy.clone())
        .build()
        .expect("nothing is wrong");
    let asked = spy.asked.lock().expect("no panic").clone();
    let needs: Vec<_> = asked.iter().map(|(_, needs)| *needs).collect();
    assert_eq!(needs, [true, false, true]);
    assert!(
        asked.iter().all(|(key, _)| key.starts_with("acme-")),
        "{asked:?}"
    );
}

#[test]
fn a_store_that_refuses_or_panics_is_a_problem_of_its_field() {
    let refusing = Spy {
        refuses: true,
        ..Spy::default()
    };
    refused(refreshing(refusing), "no such table");
    let panicking = Spy {
        panics: true,
        ..Spy::default()
    };
    refused(refreshing(panicking), "panicked");
}

#[test]
fn a_store_that_hangs_does_not_hang_building() {
    let (sender, receiver): (Sender<()>, _) = channel();
    let hanging = Spy {
        hangs: Some(Arc::new(Mutex::new(receiver))),
        refuses: true,
        ..Spy::default()
    };
    refreshing(hanging.clone()).expect("it may pass by itself");
    assert_eq!(hanging.asked.lock().expect("no panic").len(), 1);
    drop(sender);
}
