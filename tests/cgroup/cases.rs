//! The cases, one promise each.

use pinfold::cgroup::{Control, Hierarchies};

use crate::life::*;
use crate::limits::*;
use crate::world::World::{self, Hybrid, Legacy, Unified};

pub struct Case {
    pub name: &'static str,
    pub worlds: &'static [World],
    pub needs: &'static [Control],
    pub run: fn(&Hierarchies),
}

const EVERY: &[World] = &[Hybrid, Unified, Legacy];

macro_rules! cases {
    ($($name:ident in $worlds:expr, needs $needs:expr;)*) => {
        &[$(Case { name: stringify!($name), worlds: $worlds, needs: &$needs, run: $name }),*]
    };
}

pub const CASES: &[Case] = cases! {
    a_memory_limit_kills_a_hog in EVERY, needs [Control::Memory];
    a_swap_limit_is_for_swap_alone in EVERY, needs [Control::Memory, Control::Swap];
    memory_limits_move_both_ways in EVERY, needs [Control::Memory, Control::Swap];
    a_group_dies_as_a_whole in &[Unified], needs [Control::OomGroup];
    a_pids_limit_stops_forks in EVERY, needs [Control::Pids];
    a_cpu_quota_throttles in EVERY, needs [Control::Cpu];
    cpu_settings_move_both_ways in EVERY, needs [Control::Cpu];
    a_cpuset_confines in EVERY, needs [Control::Cpuset];
    an_io_limit_is_set in EVERY, needs [Control::Io];
    a_fork_bomb_is_killed in EVERY, needs [Control::Pids];
    a_kill_leaves_nobody in EVERY, needs [Control::Freeze];
    a_frozen_group_stands_still in EVERY, needs [Control::Freeze];
    a_frozen_group_can_be_killed in EVERY, needs [Control::Freeze];
    device_rules_hold_and_are_replaced in EVERY, needs [Control::Devices];
    nested_groups_are_removed in EVERY, needs [];
    a_group_in_use_is_refused in EVERY, needs [];
    a_frozen_group_is_refused in EVERY, needs [Control::Freeze];
    a_failed_create_leaves_nothing in EVERY, needs [];
    what_cannot_be_applied_is_an_error in EVERY, needs [];
    a_group_is_found_again in EVERY, needs [];
    a_child_is_born_in_the_group in EVERY, needs [];
    a_part_of_a_group_is_killed_alone in EVERY, needs [Control::Freeze];
    counters_count in EVERY, needs [];
    a_group_is_delegated in EVERY, needs [];
    a_delegated_part_is_enough in &[Unified], needs [];
    controllers_are_enabled_as_needed in &[Unified], needs [Control::Pids, Control::Cpu];
    processes_above_keep_controllers_away in &[Unified], needs [Control::Memory];
};
