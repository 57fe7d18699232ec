//! Every preset, as a customer of the sandbox makes an account of it.

use reqwest_tollgate::distributors::*;
use reqwest_tollgate::sandbox::Sandbox;
use reqwest_tollgate::{AccountBuilder, Window};
use url::Url;

const ID: &str = Sandbox::CLIENT_ID;

pub(crate) struct Vendor {
    pub(crate) name: &'static str,
    /// Of a secret and of a third thing, for vendors that want one.
    pub(crate) account: fn([&'static str; 2]) -> AccountBuilder,
    /// The token endpoint, where it is at another host than the API.
    token_url: Option<&'static str>,
}

impl Vendor {
    /// The account, on the sandbox's origin instead of the vendor's.
    pub(crate) fn at(&self, account: AccountBuilder, sandbox: &Sandbox) -> AccountBuilder {
        let account = account.base_url(sandbox.url());
        match self.token_url {
            None => account,
            Some(url) => {
                let path = Url::parse(url).unwrap().path().to_owned();
                account.token_url(sandbox.url().join(&path).unwrap())
            }
        }
    }

    /// The token endpoint as the preset has it.
    pub(crate) fn token_url(&self) -> Option<&'static str> {
        self.token_url
    }
}

const fn vendor(name: &'static str, account: fn([&'static str; 2]) -> AccountBuilder) -> Vendor {
    Vendor {
        name,
        account,
        token_url: None,
    }
}

pub(crate) const VENDORS: &[Vendor] = &[
    vendor("arrow_itemservice", |[secret, _]| {
        arrow_itemservice::account(ID, secret)
    }),
    vendor("avnet", |[secret, key]| {
        avnet::account(ID, secret, "api://sandbox/.default", key)
    }),
    vendor("buerklin", |[secret, key]| {
        buerklin::account(ID, secret, "sandbox-user", key)
    }),
    vendor("conrad", |[secret, _]| conrad::account(secret)),
    vendor("digikey", |[secret, _]| digikey::account(ID, secret)),
    Vendor {
        token_url: Some(disruptive::TOKEN_URL),
        ..vendor("disruptive", |[secret, key]| {
            disruptive::account(key, ID, secret)
        })
    },
    vendor("element14", |[_, key]| element14::account(key)),
    vendor("element14_contract", |[secret, key]| {
        element14::account_with_contract(key, ID, secret)
    }),
    vendor("findchips", |[secret, _]| findchips::account(secret)),
    vendor("future", |[secret, _]| future::account(secret)),
    vendor("jlcpcb", |[secret, key]| jlcpcb::account(ID, key, secret)),
    vendor("lcsc", |[secret, _]| lcsc::account(ID, secret)),
    vendor("masterelectronics", |[secret, _]| {
        masterelectronics::account(secret)
    }),
    vendor("mouser", |[secret, _]| mouser::account(secret)),
    vendor("my_arrow", |[secret, _]| my_arrow::account(ID, secret)),
    Vendor {
        token_url: Some(nexar::TOKEN_URL),
        ..vendor("nexar", |[secret, _]| nexar::account(ID, secret))
    },
    vendor("oemsecrets", |[secret, _]| oemsecrets::account(secret)),
    vendor("onlinecomponents", |[secret, _]| {
        onlinecomponents::account(secret)
    }),
    vendor("renesas", |[secret, _]| renesas::account(secret)),
    vendor("rs", |[secret, _]| rs::account(ID, secret)),
    vendor("rutronik", |[secret, _]| rutronik::account(secret)),
    vendor("sager", |[secret, _]| sager::account(secret)),
    vendor("samtec", |[secret, _]| samtec::account(secret)),
    // The preset has no window; this customer has found out how long theirs is.
    vendor("sourcengine", |[secret, _]| {
        sourcengine::account(secret).window(Window::per_day(1000))
    }),
    vendor("te", |[secret, _]| te::account(ID, secret)),
    vendor("ti", |[secret, _]| ti::account(ID, secret)),
    vendor("tme_v1", |[secret, _]| tme_v1::account(ID, secret)),
    vendor("tme_v2", |[secret, _]| tme_v2::account(ID, secret)),
    vendor("trusted_parts", |[secret, _]| {
        trusted_parts::account(ID, secret)
    }),
    vendor("tti", |[secret, _]| tti::account(secret)),
];
