//! Processes that work together: the ranks of an MPI run, or one alone.
//!
//! Ranks share what they make by files, which outlive them; by messages they wait for each other, learn what the first
//! of them has decided, and exchange gradients.

use std::env;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// Variables in which starters of MPI programs say how many ranks there are: Open MPI, MPICH and kin, Slurm.
const COUNTS: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// Reasons why ranks cannot work together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RanksError {
    /// The program is built without MPI.
    #[error(
        "this is one of {count} ranks, and this gradus is built without MPI: build it with --features mpi, or start it \
         alone"
    )]
    NotBuilt {
        /// Ranks that were started.
        count: usize,
    },
    /// MPI does not start, or cannot be called by a program with threads.
    #[error("MPI cannot be used here: {0}")]
    Unusable(&'static str),
}

/// The ranks of this run, seen from one of them.
#[derive(Default)]
pub struct Ranks {
    #[cfg(feature = "mpi")]
    world: Option<world::World>,
}

impl std::fmt::Debug for Ranks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.count())
    }
}

/// The number of ranks that were started together with this process.
fn started() -> usize {
    let count = |name: &&str| env::var(name).ok()?.parse().ok();
    COUNTS.iter().find_map(count).unwrap_or(1)
}

impl Ranks {
    /// Joins the others; a process that was started alone does not ask for MPI.
    ///
    /// # Errors
    /// [`RanksError`].
    pub fn join() -> Result<Self, RanksError> {
        match started() {
            0 | 1 => Ok(Self::default()),
            count => Self::of(count),
        }
    }

    #[cfg(not(feature = "mpi"))]
    fn of(count: usize) -> Result<Self, RanksError> {
        Err(RanksError::NotBuilt { count })
    }

    /// Threads for this rank: its share of the cores of its machine, where it may use all of them.
    #[must_use]
    pub fn threads(&self) -> usize {
        let usable = available_parallelism().map_or(1, NonZeroUsize::get);
        let cores = std::fs::read_to_string("/proc/cpuinfo")
            .map_or(0, |text| text.lines().filter(|line| line.starts_with("processor")).count());
        // A rank that is bound to some cores may use all of these.
        usable.min(cores.max(usable) / self.neighbours()).max(1)
    }

    /// True for the rank that decides, writes and speaks for all.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }
}

#[cfg(not(feature = "mpi"))]
impl Ranks {
    /// The number of this rank, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        0
    }

    /// The number of ranks.
    #[must_use]
    pub fn count(&self) -> usize {
        1
    }

    /// Ranks on this machine.
    #[must_use]
    fn neighbours(&self) -> usize {
        1
    }

    /// Returns when all ranks have come here.
    pub fn wait(&self) {}

    /// The first rank's word.
    #[must_use]
    pub fn agreed(&self, word: bool) -> bool {
        word
    }

    /// The first rank's text.
    #[must_use]
    pub fn text_of_first(&self, text: &str) -> String {
        text.to_owned()
    }

    /// Gives all ranks the numbers of `owner`.
    pub fn share(&self, _owner: usize, _loss: &mut f64, _numbers: &mut [f32]) {}

    /// Ends all ranks, where there are others.
    pub fn end_all(&self) {}
}

#[cfg(feature = "mpi")]
mod world {
    use super::{Ranks, RanksError};
    use mpi::Threading;
    use mpi::environment::Universe;
    use mpi::initialize_with_threading;
    use mpi::topology::SimpleCommunicator;
    use mpi::traits::{Communicator, CommunicatorCollectives, Root};

    /// MPI, from its begin to its end.
    pub(super) struct World {
        all: SimpleCommunicator,
        neighbours: usize,
        /// Ends MPI when it is dropped, the last of these.
        _universe: Universe,
    }

    impl Ranks {
        pub(super) fn of(count: usize) -> Result<Self, RanksError> {
            let unusable = RanksError::Unusable;
            let (universe, threading) =
                initialize_with_threading(Threading::Funneled).ok_or(unusable("it has begun"))?;
            if threading < Threading::Funneled {
                return Err(unusable("it was built for programs without threads"));
            }
            let all = universe.world();
            if usize::try_from(all.size()) != Ok(count) {
                let advice = "its ranks do not see each other: was gradus built with another MPI than mpirun's?";
                return Err(unusable(advice));
            }
            let neighbours = usize::try_from(all.split_shared(all.rank()).size()).unwrap_or(1);
            Ok(Self { world: Some(World { all, neighbours, _universe: universe }) })
        }

        /// The number of this rank, from 0.
        #[must_use]
        pub fn rank(&self) -> usize {
            self.world.as_ref().map_or(0, |world| usize::try_from(world.all.rank()).unwrap_or(0))
        }

        /// The number of ranks.
        #[must_use]
        pub fn count(&self) -> usize {
            self.world.as_ref().map_or(1, |world| usize::try_from(world.all.size()).unwrap_or(1))
        }

        /// Ranks on this machine.
        pub(super) fn neighbours(&self) -> usize {
            self.world.as_ref().map_or(1, |world| world.neighbours)
        }

        /// Returns when all ranks have come here.
        pub fn wait(&self) {
            self.world.iter().for_each(|world| world.all.barrier());
        }

        /// The first rank's word.
        #[must_use]
        pub fn agreed(&self, mut word: bool) -> bool {
            self.world.iter().for_each(|world| world.all.process_at_rank(0).broadcast_into(&mut word));
            word
        }

        /// The first rank's text.
        #[must_use]
        pub fn text_of_first(&self, text: &str) -> String {
            let Some(world) = &self.world else { return text.to_owned() };
            let (first, mut length) = (world.all.process_at_rank(0), text.len() as u64);
            first.broadcast_into(&mut length);
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(usize::try_from(length).unwrap_or(0), 0);
            first.broadcast_into(&mut bytes[..]);
            String::from_utf8_lossy(&bytes).into_owned()
        }

        /// Gives all ranks the numbers of `owner`.
        pub fn share(&self, owner: usize, loss: &mut f64, numbers: &mut [f32]) {
            let Some(world) = &self.world else { return };
            let owner = world.all.process_at_rank(i32::try_from(owner).unwrap_or(0));
            owner.broadcast_into(loss);
            owner.broadcast_into(numbers);
        }

        /// Ends all ranks, where there are others.
        pub fn end_all(&self) {
            const FAILED: i32 = 2;
            if let Some(world) = &self.world {
                world.all.abort(FAILED);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_is_the_first_and_has_all_cores() {
        let alone = Ranks::default();
        assert_eq!((alone.rank(), alone.count(), alone.is_first()), (0, 1, true));
        assert_eq!(alone.threads(), available_parallelism().map_or(1, NonZeroUsize::get));
        let (mut loss, mut numbers) = (1.5, [2.5]);
        alone.share(0, &mut loss, &mut numbers);
        alone.wait();
        assert_eq!((loss, numbers, alone.agreed(true), alone.text_of_first("a")), (1.5, [2.5], true, "a".to_owned()));
    }
}
