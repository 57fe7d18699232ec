//! The scenarios of the line, each a test.

use tollgate_model::line_model;

#[test]
fn a_permit_granted_to_one_that_leaves_goes_to_the_next() {
    line_model::a_permit_granted_to_one_that_leaves_goes_to_the_next();
}
