//! Kernels as ptxas made them: the present ones by SASS.md.

/// A kernel as it runs, and the loop in which most of its time goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Code {
    pub registers: f64,
    pub shared_bytes: f64,
    /// Instructions of the loop.
    pub instructions: f64,
    /// Of these: multiply-adds, products on tensor cores, loads from shared memory.
    pub multiply_adds: f64,
    pub products: f64,
    pub shared_loads: f64,
    /// Of the shared loads, those of 128 bits.
    pub wide_loads: f64,
    /// Products for one multiply-add of each thread.
    pub compensation: f64,
}

const SASS: &str = include_str!("../../../cuda-kernels/SASS.md");
/// Multiply-adds of a thread's HMMA.
const HMMA: f64 = 32.0;
/// Instructions of a kernel that multiplies nothing, about.
const FEW: f64 = 60.0;

impl Code {
    /// A present kernel's, for an architecture.
    pub fn of(architecture: u32, kernel: &str) -> Self {
        let section = SASS.split("\n## sm_").find(|section| section.starts_with(&format!("{architecture}\n")));
        let row = section.and_then(|text| text.lines().find(|line| line.starts_with(&format!("| `{kernel}` |"))));
        let cells: Vec<&str> = row.into_iter().flat_map(|row| row.split(" | ").map(str::trim)).collect();
        let number =
            |at: usize| cells.get(at).and_then(|cell| cell.split(' ').next_back()?.parse().ok()).unwrap_or(0.0);
        let wide_loads = cells.get(8).and_then(|cell| cell.split(' ').next()?.parse().ok()).unwrap_or(0.0);
        Self {
            wide_loads,
            compensation: if kernel.contains("compensated") { 3.0 } else { 1.0 },
            registers: number(1),
            shared_bytes: number(2),
            instructions: number(4),
            multiply_adds: number(5),
            products: number(6),
            shared_loads: number(8),
        }
    }

    pub fn is_on_tensor_cores(&self) -> bool {
        self.products > 0.0
    }

    /// The work of a thread that makes so many multiply-adds.
    pub fn issued_for(&self, multiply_adds: f64) -> Issued {
        let of_tensor_cores = HMMA * self.products / self.compensation;
        let in_loop = if self.is_on_tensor_cores() { of_tensor_cores } else { self.multiply_adds };
        // A kernel that multiplies here and there has no loop that tells anything.
        if in_loop < 0.02 * self.instructions || multiply_adds == 0.0 {
            return Issued { instructions: FEW, shared_cycles: 0.0, products: 0.0 };
        }
        let loops = multiply_adds / in_loop;
        // Elsewhere all threads of a warp load the same 128 bits, here each its own: four cycles.
        let shared_cycles = self.shared_loads + if self.is_on_tensor_cores() { 3.0 * self.wide_loads } else { 0.0 };
        Issued {
            instructions: loops * self.instructions,
            shared_cycles: loops * shared_cycles,
            products: loops * self.products,
        }
    }
}

/// Instructions of a thread, cycles that its warp has shared memory, and its products on tensor cores.
#[derive(Debug, Clone, Copy)]
pub struct Issued {
    pub instructions: f64,
    pub shared_cycles: f64,
    pub products: f64,
}
