//! Scenario tests: the ladder is the assertion. `UPDATE_EXPECT=1 cargo test` redraws it.

#[path = "../world/mod.rs"]
mod world;

mod start;

use expect_test::Expect;
use world::World;

/// Runs a scenario in virtual time, compares the ladder it drew, and sees that nothing is left.
fn check(scenario: impl FnOnce(&mut World), ladder: Expect) {
    let mut world = World::new(1);
    scenario(&mut world);
    world.run();
    ladder.assert_eq(&world.ladder.to_string());
    world.assert_at_rest();
}
