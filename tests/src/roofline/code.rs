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
        Self {
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

    /// Instructions of a thread that makes so many multiply-adds, and its loads from shared memory.
    pub fn instructions_for(&self, multiply_adds: f64) -> (f64, f64) {
        let in_loop = if self.is_on_tensor_cores() { HMMA * self.products } else { self.multiply_adds };
        // A kernel that multiplies here and there has no loop that tells anything.
        if in_loop < 0.02 * self.instructions || multiply_adds == 0.0 {
            return (FEW, 0.0);
        }
        let loops = multiply_adds / in_loop;
        (loops * self.instructions, loops * self.shared_loads)
    }
}
