//! What holds of the state machine whatever happens in whatever order, and of the waits on a clock that the test drives.

use std::time::Duration;

use proptest::prelude::*;

use super::InitReport;
use super::connect::pause;
use super::flight::{Entry, Flight, Outcome, Served, Working};
use super::seeding::Seeding;
use crate::error::Error;
use crate::event::Hook;
use crate::mode::ServiceMode;
use crate::provider_state::{MissingSeed, Move, ProviderState, SeedStanding, Stage};
use crate::seed::{Phase, SeedOutcome, SeedReport, SeedRun, Skip};

fn standings() -> impl Strategy<Value = SeedStanding> {
    prop_oneof![
        Just(SeedStanding::Pending),
        Just(SeedStanding::Retrying),
        Just(SeedStanding::Exhausted),
        Just(SeedStanding::Skipped("it is not for here".to_owned())),
    ]
}

fn missing() -> impl Strategy<Value = Vec<MissingSeed>> {
    let seed = ("[ab]", 0..3_u32, standings());
    proptest::collection::vec(
        seed.prop_map(|(seed, attempts, standing)| MissingSeed { seed, attempts, critical: true, standing }),
        0..3,
    )
}

fn moves() -> impl Strategy<Value = Move> {
    let at = (0..3_u64).prop_map(Duration::from_secs);
    prop_oneof![
        3 => Just(Move::Begin),
        1 => (1..3_u32, at.clone()).prop_map(|(attempt, next)| Move::DatabaseIsDown { attempt, next }),
        1 => Just(Move::Connected),
        1 => (any::<bool>(), at.clone()).prop_map(|(known, at)| Move::LockIsHeld { holder: known.then(|| "x".to_owned()), at }),
        1 => Just(Move::Locked),
        1 => (0..3_usize, at).prop_map(|(pending, at)| Move::MigrationsAreMissing { pending, at }),
        1 => (1..3_usize).prop_map(|step| Move::Migrate { step, steps: 2, name: "m".to_owned() }),
        1 => (1..3_usize).prop_map(|number| Move::Statement { number }),
        1 => (1..3_u32).prop_map(|attempt| Move::Seed { seed: "s".to_owned(), attempt }),
        3 => Just(Move::Verify),
        4 => (any::<bool>(), missing()).prop_map(|(ahead, seeds)| Move::Serve { ahead, seeds }),
        1 => any::<bool>().prop_map(|retryable| Move::Fail {
            stage: Stage::Migrate, code: "c", remedy: "r".to_owned(), retryable
        }),
        1 => Just(Move::ShutDown),
    ]
}

fn outcomes() -> impl Strategy<Value = SeedOutcome> {
    prop_oneof![
        (1..3_u64).prop_map(|rows| SeedOutcome::Applied { rows }),
        Just(SeedOutcome::Unchanged),
        Just(SeedOutcome::Skipped(Skip::Background)),
        Just(SeedOutcome::Skipped(Skip::Manual)),
        Just(SeedOutcome::Skipped(Skip::Environment(Some("production".to_owned())))),
        Just(SeedOutcome::Skipped(Skip::Environment(None))),
        Just(SeedOutcome::Skipped(Skip::DependsOn("b".to_owned()))),
        Just(SeedOutcome::Skipped(Skip::Elsewhere)),
        (1..3_u32, any::<bool>()).prop_map(|(attempts, again)| SeedOutcome::Failed {
            error: "e".to_owned(),
            attempts,
            next_in: again.then_some(Duration::from_secs(1)),
        }),
    ]
}

fn report(outcome: SeedOutcome, phase: Phase) -> SeedReport {
    let (name, duration) = ("a".to_owned(), Duration::ZERO);
    SeedReport { seeds: vec![SeedRun { name, outcome, critical: true, phase, duration }], ..SeedReport::default() }
}

/// What may happen to a provider from outside, in the order in which one thread after the other does it.
#[derive(Debug, Clone)]
enum Call {
    Init,
    Succeeds,
    Fails,
    ShutDown,
}

fn calls() -> impl Strategy<Value = Call> {
    prop_oneof![4 => Just(Call::Init), 2 => Just(Call::Succeeds), 2 => Just(Call::Fails), 1 => Just(Call::ShutDown)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_moves_lies(moves in proptest::collection::vec(moves(), 0..40)) {
        let (mut state, mut verified) = (ProviderState::NotStarted, false);
        for step in moves {
            let before = state.clone();
            let Some(next) = before.after(step.clone()) else { continue };
            prop_assert_ne!(&next, &before, "a change changes something");
            prop_assert_ne!(&before, &ProviderState::ShutDown, "there is no way out of the end");
            if matches!(before, ProviderState::Failed { .. } | ProviderState::NotStarted) {
                prop_assert!(matches!(step, Move::Begin | Move::ShutDown), "only a call leads out of {before:?}");
            }
            if next.is_initialized() {
                prop_assert!(before == ProviderState::Verifying || before.is_initialized(), "{before:?} served unverified");
                prop_assert!(verified);
            }
            prop_assert!(!(next.is_initialized() && next.is_in_flight()));
            prop_assert!(ProviderState::NAMES.contains(&next.name()));
            prop_assert!(step != Move::Locked || before.name() == "waiting_for_lock", "it takes {before:?} back");
            verified = verified && next.is_initialized() || next == ProviderState::Verifying;
            if let (ProviderState::Ready | ProviderState::Ahead, Move::Serve { seeds, .. }) = (&next, &step) {
                prop_assert!(seeds.is_empty(), "a service that lacks something is not ready");
            }
            if let ProviderState::Degraded { seeds, .. } = &next {
                let retrying = seeds.iter().any(|seed| seed.standing == SeedStanding::Retrying);
                prop_assert_eq!(next.is_retrying_seeding(), retrying, "what is exhausted is not retrying");
            } else {
                prop_assert!(!next.is_retrying_seeding());
            }
            state = next;
        }
        // Wherever it is, an end is an end, and a failure can be tried again.
        match state.after(Move::ShutDown) {
            Some(end) => prop_assert_eq!(end, ProviderState::ShutDown),
            None => prop_assert_eq!(&state, &ProviderState::ShutDown),
        }
        if let ProviderState::Failed { .. } = state {
            prop_assert_eq!(state.after(Move::Begin), Some(ProviderState::Starting));
        }
    }

    #[test]
    fn a_seed_holds_when_its_last_word_says_so(
        told in proptest::collection::vec((outcomes(), any::<bool>()), 1..8)
    ) {
        let mut seeding = Seeding::default();
        for (at, (outcome, background)) in told.into_iter().enumerate() {
            let phase = if background { Phase::Background } else { Phase::Blocking };
            seeding.report(&report(outcome.clone(), phase));
            let missing = seeding.missing();
            prop_assert!(!seeding.is_successful() || missing.is_empty(), "what is missing is no success");
            match outcome {
                SeedOutcome::Applied { .. } | SeedOutcome::Unchanged => prop_assert!(seeding.is_successful()),
                // A pass over the other phase says nothing of it.
                SeedOutcome::Skipped(Skip::Background) if at > 0 => {}
                SeedOutcome::Skipped(_) => prop_assert!(!seeding.is_successful(), "skipped is never success"),
                SeedOutcome::Failed { next_in, .. } => {
                    prop_assert!(!seeding.is_successful());
                    let retrying = missing[0].standing == SeedStanding::Retrying;
                    prop_assert_eq!(retrying, next_in.is_some() && background, "exhausted is never retrying");
                }
            }
        }
    }

    #[test]
    fn a_wait_for_the_database_ends_at_its_deadline(
        deadline in 0..200_000_u64, tries in proptest::collection::vec((0..3000_u64, 0.5..1.5_f64), 1..400)
    ) {
        let deadline = Duration::from_millis(deadline);
        let (mut clock, mut longest) = (Duration::ZERO, Duration::from_millis(375));
        for (attempt, (takes, chance)) in (1..).zip(tries) {
            clock += Duration::from_millis(takes);
            let Some(pause) = pause(attempt, clock, deadline, |pause| pause.mul_f64(chance)) else {
                prop_assert!(clock >= deadline, "it gives up at {clock:?}, before {deadline:?}");
                return Ok(());
            };
            prop_assert!(!pause.is_zero() && pause <= longest && pause <= Duration::from_secs(5), "{pause:?}");
            longest *= 2;
            clock += pause;
            prop_assert!(clock <= deadline, "it sleeps beyond its deadline");
        }
    }

    #[test]
    fn one_init_at_a_time_and_none_after_the_end(calls in proptest::collection::vec(calls(), 0..30)) {
        let flight = Flight::<Conn>::new();
        let mut running: Option<(Working<'_, Conn>, Outcome)> = None;
        let (mut initialised, mut over) = (false, false);
        for call in calls {
            match call {
                Call::Init => match flight.enter(&Hook::default(), Duration::ZERO) {
                    Entry::Work(working, outcome) => {
                        prop_assert!(!over && !initialised && running.is_none(), "a second one runs");
                        flight.go(Move::Begin);
                        running = Some((working, outcome));
                    }
                    Entry::Return(outcome) => {
                        // On this thread it does not wait for itself.
                        let code = outcome.as_ref().as_ref().err().map(Error::code);
                        let expected = if over && running.is_none() { Some("shut_down") }
                            else if running.is_some() { code.filter(|code| matches!(*code, "initializing" | "shut_down")) }
                            else { None };
                        prop_assert_eq!(code, expected);
                        prop_assert!(over || initialised || running.is_some(), "an init after a failure is refused");
                    }
                },
                Call::Succeeds | Call::Fails => {
                    let Some((working, mine)) = running.take() else { continue };
                    let outcome = if matches!(call, Call::Fails) {
                        let (code, remedy) = ("c", String::new());
                        flight.go(Move::Fail { stage: Stage::Seed, code, remedy, retryable: false });
                        Err(Error::new("c", "m", "r"))
                    } else {
                        flight.go(Move::Verify);
                        let served = Served { pool: None, ahead: false, seeding: Seeding::default(), migrator: None, seeder: None };
                        let moved = flight.serve(served);
                        prop_assert_eq!(moved, !over, "nothing is served after the end");
                        initialised = moved;
                        Ok(InitReport {
                            state: flight.state(), mode: ServiceMode::MigrateOnly, migrations: None, seeds: None,
                            duration: Duration::ZERO,
                        })
                    };
                    flight.finish(&mine, &outcome);
                    drop(working);
                }
                Call::ShutDown => {
                    let _something_may_run = flight.shut_down(|_, _| {});
                    (over, initialised) = (true, false);
                }
            }
            prop_assert_eq!(flight.state() == ProviderState::ShutDown, over);
            prop_assert_eq!(flight.state().is_initialized(), initialised);
            prop_assert_eq!(flight.is_seeding_successful(), initialised, "what nobody knows is no success");
            prop_assert_eq!(flight.pool().is_err(), true);
        }
    }
}

/// The machine asks no database; a provider has some kind of connection.
type Conn = diesel::SqliteConnection;
