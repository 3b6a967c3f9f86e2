//! Where an operation goes on: found by the names of its steps, so that a worker of another release may go
//! on with what this one began.

/// The first step to run, by its index in `known`, when the first `done` of the `stored` ones are finished.
/// What comes after them is as this worker has it: steps that were added there run, steps that are gone do not.
///
/// # Errors
/// The name of a finished step that this worker does not know, and so could not undo: another one must go on.
pub(super) fn resume_at<'s>(
    stored: &'s [String],
    done: usize,
    known: &[&'static str],
) -> Result<usize, &'s str> {
    let mut next = 0;
    for finished in stored.iter().take(done) {
        let at = known.iter().position(|name| name == finished).ok_or(finished.as_str())?;
        next = next.max(at + 1);
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_worker_of_the_same_release_goes_on_at_the_next_step() {
        assert_eq!(resume_at(&names("a b c"), 0, &["a", "b", "c"]), Ok(0));
        assert_eq!(resume_at(&names("a b c"), 2, &["a", "b", "c"]), Ok(2));
        assert_eq!(resume_at(&names("a b c"), 3, &["a", "b", "c"]), Ok(3));
    }

    #[test]
    fn a_step_that_was_inserted_runs_unless_its_place_is_passed() {
        assert_eq!(resume_at(&names("a b c"), 1, &["a", "new", "b", "c"]), Ok(1));
        assert_eq!(resume_at(&names("a b c"), 2, &["a", "new", "b", "c"]), Ok(3));
    }

    #[test]
    fn a_step_that_was_removed_or_renamed_before_it_ran_is_not_missed() {
        assert_eq!(resume_at(&names("a b c"), 1, &["a", "c"]), Ok(1));
        assert_eq!(resume_at(&names("a b c"), 1, &["a", "renamed", "c"]), Ok(1));
    }

    #[test]
    fn a_finished_step_that_is_not_known_is_left_to_who_knows_it() {
        assert_eq!(resume_at(&names("a b c"), 2, &["a", "c"]), Err("b"));
        assert_eq!(resume_at(&names("a b c"), 2, &["a", "renamed", "c"]), Err("b"));
    }
}
