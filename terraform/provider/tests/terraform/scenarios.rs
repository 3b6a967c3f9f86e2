//! What must hold, one file for each side of it.

mod drift;
mod failures;
mod interruptions;
mod life;
mod secrets;

use crate::Installation;

type Scenario = fn(&Installation);

macro_rules! scenarios {
    ($($file:ident: $($name:ident),+;)+) => {
        /// Each with its name.
        pub(crate) const ALL: &[(&str, Scenario)] = &[$($((stringify!($name), $file::$name as Scenario)),+),+];
    };
}

scenarios! {
    life:
        everything_is_made_and_then_nothing_is_to_do,
        a_change_is_made_in_place,
        what_cannot_be_changed_is_made_anew,
        a_tenant_with_another_plan_is_moved_and_its_progress_is_logged,
        what_is_there_already_is_imported,
        two_workspaces_are_applied_at_once,
        a_server_is_registered_changed_and_forgotten,
        the_example_is_applied_and_destroyed;
    drift:
        what_was_changed_elsewhere_is_mended,
        what_was_deleted_elsewhere_is_made_again,
        a_tenant_that_was_deleted_elsewhere_is_restored;
    failures:
        a_tenant_that_no_server_can_hold_is_reported_and_made_later,
        what_is_wrong_is_told_where_it_is,
        a_slug_that_is_taken_is_told_with_its_way_out,
        a_control_plane_that_cannot_be_reached_is_told,
        a_key_that_is_none_is_told;
    interruptions:
        what_an_apply_has_left_that_was_killed_is_told_and_taken_over,
        a_key_that_nobody_has_is_told,
        an_apply_that_is_interrupted_says_how_to_go_on,
        an_operation_is_waited_for_as_long_as_is_said;
    secrets:
        no_secret_is_shown;
}
