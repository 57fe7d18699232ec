use http::{HeaderName, HeaderValue, StatusCode};

use super::*;
use crate::distributors::PRESETS;

#[test]
fn every_preset_has_a_vendor_with_manners() {
    for preset in PRESETS {
        assert!(Manners::of(preset.name).is_ok(), "{}", preset.name);
    }
    let error = Manners::of("acme").expect_err("nobody's").to_string();
    assert!(error.contains("mouser, "), "{error}");
}

#[test]
fn what_the_tables_say_can_be_sent() {
    for vendor in vendors() {
        let mut words = vendor.refused.iter().chain(vendor.other);
        let all = words.by_ref().chain(vendor.rate).chain(vendor.spent);
        for said in all {
            assert!(StatusCode::from_u16(said.status).is_ok());
            for (name, value) in said.headers.iter().chain(vendor.always) {
                assert!(name.parse::<HeaderName>().is_ok(), "{name}");
                assert!(HeaderValue::from_str(value).is_ok(), "{value}");
            }
        }
        let manners = Manners(vendor);
        assert!(manners.has(vendor.call.path), "{}", vendor.name);
    }
}
