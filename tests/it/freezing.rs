//! Workers that freeze before and after every message that they send in every operation, and wake up when
//! another has finished it and the world has moved on: nothing is lost, nothing doubled.

mod cases;
mod findings;
mod stage;
mod world;

use std::{collections::BTreeMap, env::var_os};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use tenantry_domain::operation::OperationKind;
use tenantry_tests::freezing::{Message, Side, say};

use cases::{Case, Undo};
use stage::{Point, Stage};

/// A row that a tenant has before it moves.
const MOVED: &str = "moved@example.com";

/// Points that are tried at once.
const AT_ONCE: usize = 24;

/// Chooses the points of a case from the messages of an undisturbed run.
type Choose<'a> = &'a mut dyn FnMut(Case, &[Message]) -> Vec<(usize, Side)>;

/// Whether a message is a point of its own in a case: until an operation fails, it sends what one sends that
/// does not.
fn is_of(case: Case, message: &Message) -> bool {
    case.undo != Some(Undo::Failed) || message.step.starts_with("und")
}

/// Before and after each message.
fn all(case: Case, messages: &[Message]) -> Vec<(usize, Side)> {
    let own = messages.iter().enumerate().filter(|(_, message)| is_of(case, message));
    own.flat_map(|(at, _)| [(at, Side::Before), (at, Side::After)]).collect()
}

/// One message of each step, to freeze before or after. Of the steps that are taken back about half: what fails and
/// what is cancelled is taken back alike.
fn of_each_step(case: Case, messages: &[Message], random: &mut StdRng) -> Vec<(usize, Side)> {
    let mut steps = BTreeMap::<&str, Vec<usize>>::new();
    for (at, message) in messages.iter().enumerate().filter(|(_, message)| is_of(case, message)) {
        steps.entry(&message.step).or_default().push(at);
    }
    steps
        .into_values()
        .filter_map(|of| {
            if case.undo.is_some() && random.random() {
                return None;
            }
            let at = of[random.random_range(0..of.len())];
            Some((at, if random.random() { Side::Before } else { Side::After }))
        })
        .collect()
}

/// Tries points of some cases, which one stage can hold; says how many, and asserts that nothing was lost.
async fn freeze(what: &str, cases: Vec<Case>, choose: Choose<'_>) {
    let mut stage = Stage::set(cases.iter().any(|case| case.warm)).await;
    stage.use_once().await;
    let undisturbed: Vec<Point> = cases.iter().map(|case| Point { case: *case, freeze: None }).collect();
    let mut points = Vec::new();
    for (outcome, case) in stage.run(&undisturbed).await.into_iter().zip(&cases) {
        assert!(outcome.losses.is_empty(), "undisturbed, {case}: {:#?}", outcome.losses);
        let chosen = choose(*case, &outcome.messages);
        points.extend(chosen.into_iter().map(|freeze| Point { case: *case, freeze: Some(freeze) }));
    }
    let (mut tried, mut frozen, mut losses, mut lost) = (0, 0, 0, Vec::new());
    for wave in points.chunks(AT_ONCE) {
        for outcome in stage.run(wave).await {
            frozen += usize::from(outcome.frozen);
            lost.extend(outcome.losses);
        }
        (tried, losses) = (tried + wave.len(), lost.len());
        let of = points.len();
        say(&format!(
            "freezing, {what}: {tried} of {of} points, frozen at {frozen} of them, {losses} losses"
        ));
    }
    assert!(lost.is_empty(), "{losses} losses: {lost:#?}");
    // One that a run does not come to is none: how many messages there are depends on time, on a busy machine more than else.
    assert!(frozen * 10 >= tried * 8, "only {frozen} of {tried} points were reached");
}

/// The seed of this run: of the environment, to repeat one, or a new one.
fn seed() -> u64 {
    let given = var_os("TENANTRY_TEST_SEED").and_then(|text| text.to_str()?.parse().ok());
    given.unwrap_or_else(|| rand::rng().next_u64())
}

async fn freeze_in_each_step(what: &str, cases: Vec<Case>) {
    let seed = seed();
    say(&format!("freezing, {what}: TENANTRY_TEST_SEED={seed}"));
    let mut random = StdRng::seed_from_u64(seed);
    freeze(what, cases, &mut |case, messages| of_each_step(case, messages, &mut random)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_frozen_in_any_step_harms_nothing_when_it_goes_on() {
    freeze_in_each_step("each step", cases::cold()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_frozen_in_any_step_with_a_warm_tenant_harms_nothing_when_it_goes_on() {
    freeze_in_each_step("each step, warm", cases::warm()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_frozen_while_it_gives_a_server_up_harms_nothing_when_it_goes_on() {
    freeze_in_each_step("each step, lost server", cases::of(OperationKind::RemoveLostServer)).await;
}

/// Each message of an operation: `cargo test -p tenantry-tests --test it -- freezing --ignored`.
macro_rules! every_message {
    ($($name:ident: $what:literal, $cases:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        #[ignore = "takes minutes; see CONTRIBUTING.md"]
        async fn $name() {
            freeze($what, $cases, &mut all).await;
        }
    )*};
}

every_message! {
    every_message_of_provision: "provision", cases::of(OperationKind::Provision);
    every_message_of_provision_with_a_warm_tenant: "provision, warm", cases::warm();
    every_message_of_suspend: "suspend", cases::of(OperationKind::Suspend);
    every_message_of_resume: "resume", cases::of(OperationKind::Resume);
    every_message_of_deactivate: "deactivate", cases::of(OperationKind::Deactivate);
    every_message_of_restore: "restore", cases::of(OperationKind::Restore);
    every_message_of_purge: "purge", cases::of(OperationKind::Purge);
    every_message_of_move: "move", cases::of(OperationKind::Move);
    every_message_of_undo_windows: "undo windows", cases::windows();
    every_message_of_remove_lost_server: "remove lost server", cases::of(OperationKind::RemoveLostServer);
}
