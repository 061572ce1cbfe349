//! Builds the stand-in for the CUDA driver (`tests/cuda-stand-in/README.md`) with the C++ compiler, and loads it.
#![allow(unsafe_code)]

use gradus_cuda_kernels::{SOURCES, Source};
use libloading::Library;
use std::ffi::{CString, c_char, c_int, c_ulonglong};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What watches the kernels while they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Undefined behaviour ends a kernel; needs nothing but the compiler.
    UndefinedBehaviour,
    /// Races within a block are reported by ThreadSanitizer, which must be preloaded.
    Races,
}

impl Watch {
    /// `Races` where the environment variable `GRADUS_STAND_IN` is `races`.
    #[must_use]
    pub fn of_this_process() -> Self {
        let races = std::env::var("GRADUS_STAND_IN").is_ok_and(|value| value == "races");
        if races { Self::Races } else { Self::UndefinedBehaviour }
    }

    fn name(self) -> &'static str {
        match self {
            Self::UndefinedBehaviour => "undefined-behaviour",
            Self::Races => "races",
        }
    }

    /// Flags for kernels. Traps need no library of the sanitizer, so the tests depend on none.
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::UndefinedBehaviour => &["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"],
            Self::Races => &["-fsanitize=thread"],
        }
    }
}

// No contraction to fused multiply-adds: nvcc contracts where it likes, so nothing may depend on it.
const FLAGS: [&str; 8] = ["-std=c++17", "-O2", "-g1", "-fPIC", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"];
// Of the library's own name, so that code that opens `libcuda.so.1` after it has been loaded gets this one.
const LIBRARY_FLAGS: [&str; 4] = ["-shared", "-Wl,-soname,libcuda.so.1", "-Wl,-z,defs", "-ldl"];
const DRIVER: [&str; 6] = ["fiber", "memory", "block", "module", "stream", "driver"];

/// The workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

fn sources() -> PathBuf {
    root().join("tests/cuda-stand-in")
}

/// Builds `libcuda.so.1` with the kernels in it, where that is not done yet, and says in which folder it is.
///
/// # Errors
/// What the compiler said.
pub fn library(watch: Watch) -> Result<PathBuf, String> {
    let build = Build::new(watch)?;
    let mut objects = build.driver()?;
    let kernels: Vec<Object> = SOURCES.iter().map(|source| build.kernel(source)).collect::<Result<_, _>>()?;
    objects.extend(build.compile_all(&kernels)?);
    build.link("libcuda.so.1", &objects, &LIBRARY_FLAGS)?;
    Ok(build.folder)
}

/// A mistake in a `.cu` file or in a header that it includes: what stands there once, and what stands there instead.
#[derive(Debug, Clone, Copy)]
pub struct Mistake {
    /// The `.cu` file, without its suffix.
    pub source: &'static str,
    /// The file with the mistake.
    pub file: &'static str,
    /// What is right.
    pub right: &'static str,
    /// What is wrong.
    pub wrong: &'static str,
}

/// [`library`] with a mistake in it, in a folder of its own.
///
/// # Errors
/// When the file does not hold what is right once; what the compiler said.
pub fn library_with(mistake: &Mistake) -> Result<PathBuf, String> {
    let sound = library(Watch::UndefinedBehaviour)?;
    let build = Build::new(Watch::UndefinedBehaviour)?;
    let source = SOURCES.iter().find(|source| source.name == mistake.source).ok_or("no such file")?;
    let folder = build.folder.with_file_name("mistake");
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let failed = |error: std::io::Error| format!("cannot copy the kernels to {}: {error}", folder.display());
    for entry in fs::read_dir(root().join("cuda-kernels")).map_err(failed)?.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.extension().is_some_and(|suffix| suffix == "cu" || suffix == "cuh") {
            fs::copy(&path, folder.join(name)).map_err(failed)?;
        }
    }
    let wrong = folder.join(mistake.file);
    let text = fs::read_to_string(&wrong).map_err(failed)?;
    if text.matches(mistake.right).count() != 1 {
        return Err(format!("{} has not once: {}", mistake.file, mistake.right));
    }
    fs::write(&wrong, text.replace(mistake.right, mistake.wrong)).map_err(failed)?;
    let wrong = folder.join(source.name).with_extension("cu");
    let build = Build { folder, ..build };
    let mut objects = build.compile_all(&[build.kernel_of(source, &wrong)?])?;
    let others = DRIVER.into_iter().chain(SOURCES.iter().map(|other| other.name)).filter(|&name| name != source.name);
    objects.extend(others.map(|name| sound.join(name).with_extension("o")));
    build.link("libcuda.so.1", &objects, &LIBRARY_FLAGS)?;
    Ok(build.folder)
}

/// Builds the program that runs the planted faults.
///
/// # Errors
/// What the compiler said.
pub fn planted_faults(watch: Watch) -> Result<PathBuf, String> {
    let build = Build::new(watch)?;
    let mut objects = build.driver()?;
    let folder = sources().join("planted");
    let flags = watch.flags().iter().map(|&flag| flag.to_owned()).collect();
    objects.extend(build.compile_all(&[Object { source: folder.join("main.cpp"), name: "planted".into(), flags }])?);
    build.link("planted-faults", &objects, &["-ldl"])
}

/// A file to compile.
struct Object {
    source: PathBuf,
    name: String,
    flags: Vec<String>,
}

struct Build {
    watch: Watch,
    folder: PathBuf,
    /// Held while building: other tests may want the same.
    _lock: File,
}

impl Build {
    fn new(watch: Watch) -> Result<Self, String> {
        let folder = root().join("target/cuda-stand-in").join(watch.name());
        let failed = |error: std::io::Error| format!("cannot build in {}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Self { watch, folder, _lock: lock })
    }

    fn driver(&self) -> Result<Vec<PathBuf>, String> {
        let object = |name: &&str| Object {
            source: sources().join(name).with_extension("cpp"),
            name: (*name).into(),
            flags: vec![],
        };
        self.compile_all(&DRIVER.iter().map(object).collect::<Vec<_>>())
    }

    fn kernel(&self, source: &Source) -> Result<Object, String> {
        self.kernel_of(source, &root().join("cuda-kernels").join(source.name).with_extension("cu"))
    }

    /// A source that includes the `.cu` file and makes its kernels known.
    fn kernel_of(&self, source: &Source, path: &Path) -> Result<Object, String> {
        let kernels: String = source.entries.iter().map(|entry| format!("STAND_IN_KERNEL({})\n", entry.name)).collect();
        let generated = self.folder.join(source.name).with_extension("cpp");
        fs::write(&generated, format!("#include \"{}\"\n{kernels}", path.display()))
            .map_err(|error| format!("cannot write {}: {error}", generated.display()))?;
        let include = format!("-I{}", root().join("cuda-kernels").display());
        // Of the unrolled convolutions more optimisation costs a minute of compiling, and saves seconds: most of a test
        // is switching between CUDA threads.
        let level = if source.name.starts_with("conv") { "-O1" } else { "-O2" };
        let flags = [level, "-include", "device.h", "-Wno-maybe-uninitialized", &include]
            .into_iter()
            .chain(self.watch.flags().iter().copied());
        Ok(Object { source: generated, name: source.name.into(), flags: flags.map(str::to_owned).collect() })
    }

    /// Compiles what is out of date, two files at a time.
    fn compile_all(&self, objects: &[Object]) -> Result<Vec<PathBuf>, String> {
        let mut compiled = Vec::new();
        for pair in objects.chunks(2) {
            let both: Vec<Result<PathBuf, String>> = std::thread::scope(|scope| {
                let threads: Vec<_> = pair.iter().map(|object| scope.spawn(|| self.compile(object))).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread died".into())))
                    .collect()
            });
            for one in both {
                compiled.push(one?);
            }
        }
        Ok(compiled)
    }

    fn compile(&self, object: &Object) -> Result<PathBuf, String> {
        let output = self.folder.join(&object.name).with_extension("o");
        let include = format!("-I{}", sources().display());
        let mut command = Command::new("g++");
        command.args(FLAGS).args(&object.flags).arg(include).arg("-MMD").arg("-c").arg(&object.source);
        command.arg("-o").arg(&output);
        // Of the compiler's list `object: source header ...`, as it was when the object was made.
        let read = || fs::read_to_string(output.with_extension("d")).unwrap_or_default();
        run_once(&mut command, &output, || read().split_whitespace().skip(1).map(PathBuf::from).collect())?;
        Ok(output)
    }

    fn link(&self, name: &str, objects: &[PathBuf], flags: &[&str]) -> Result<PathBuf, String> {
        let output = self.folder.join(name);
        let mut command = Command::new("g++");
        command.args(objects).args(flags).arg("-o").arg(&output);
        if self.watch == Watch::Races {
            command.args(self.watch.flags());
        }
        run_once(&mut command, &output, || objects.iter().map(|object| object.with_extension("stamp")).collect())?;
        Ok(output)
    }
}

/// Runs a command unless its output exists and was made by the same command from files with the same content.
fn run_once(command: &mut Command, output: &Path, inputs: impl Fn() -> Vec<PathBuf>) -> Result<(), String> {
    let words = format!("{command:?}");
    let stamp = || {
        let mut hasher = DefaultHasher::new();
        words.hash(&mut hasher);
        inputs().iter().for_each(|path| fs::read(path).unwrap_or_default().hash(&mut hasher));
        hasher.finish().to_string()
    };
    let stamp_file = output.with_extension("stamp");
    if output.exists() && fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp()) {
        return Ok(());
    }
    let done = command.output().map_err(|error| format!("the tests of the CUDA backend need g++: {error}"))?;
    if !done.status.success() {
        return Err(format!("{command:?} failed:\n{}", String::from_utf8_lossy(&done.stderr)));
    }
    fs::write(stamp_file, stamp()).map_err(|error| format!("cannot write beside {}: {error}", output.display()))
}

/// How the stand-in runs kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// 0 first to last thread, 1 last to first, 2 drawn for each block.
    order: c_int,
    seed: c_ulonglong,
    /// Whether asynchronous work waits until somebody waits for it.
    lazy: bool,
}

impl Mode {
    /// First to last, at once.
    pub const FORWARD: Self = Self { order: 0, seed: 0, lazy: false };
    /// Last to first, at once.
    pub const REVERSE: Self = Self { order: 1, seed: 0, lazy: false };
    /// Drawn, at once.
    pub const SEEDED: Self = Self { order: 2, seed: 20_260, lazy: false };
    /// Drawn, and as late as possible.
    pub const LAZY: Self = Self { order: 2, seed: 4_711, lazy: true };
    /// All of them.
    pub const ALL: [Self; 4] = [Self::FORWARD, Self::REVERSE, Self::SEEDED, Self::LAZY];
}

/// The stand-in, loaded into this process as its CUDA driver; one user at a time.
///
/// Where the environment variable `GRADUS_STAND_IN` is `none`, it is not loaded and the machine's own driver is used.
#[derive(Debug)]
pub struct StandIn {
    library: Option<Library>,
    _alone: MutexGuard<'static, ()>,
}

impl StandIn {
    /// Builds and loads it. Must come before anything else looks for a driver.
    ///
    /// # Errors
    /// When it cannot be built or loaded.
    pub fn load() -> Result<Self, String> {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        if std::env::var("GRADUS_STAND_IN").is_ok_and(|value| value == "none") {
            return Ok(Self { library: None, _alone: alone });
        }
        let path = library(Watch::of_this_process())?.join("libcuda.so.1");
        // SAFETY: a library that was built a moment ago; its initialisers add kernels to a list.
        let library =
            unsafe { Library::new(&path) }.map_err(|error| format!("cannot load {}: {error}", path.display()))?;
        Ok(Self { library: Some(library), _alone: alone })
    }

    /// How kernels run from now on.
    ///
    /// # Errors
    /// When something failed before.
    pub fn set(&self, mode: Mode) -> Result<(), String> {
        type Set = unsafe extern "C" fn(c_int, c_ulonglong, c_int) -> c_int;
        let Some(library) = &self.library else { return Ok(()) };
        // SAFETY: the type of `stand_in_set` in driver.cpp, which has no other requirements.
        let status = unsafe {
            let set = library.get::<Set>("stand_in_set").map_err(|error| error.to_string())?;
            set(mode.order, mode.seed, mode.lazy.into())
        };
        if status == 0 { Ok(()) } else { Err(format!("the stand-in failed before: {status}")) }
    }

    /// How often a kernel has been launched in this process; unknown of a real driver.
    ///
    /// # Errors
    /// When the stand-in does not say.
    pub fn launches(&self, kernel: &str) -> Result<Option<u64>, String> {
        type Launches = unsafe extern "C" fn(*const c_char) -> c_ulonglong;
        let Some(library) = &self.library else { return Ok(None) };
        let name = CString::new(kernel).map_err(|error| error.to_string())?;
        // SAFETY: the type of `stand_in_launches` in driver.cpp; the name ends with a zero.
        unsafe {
            let launches = library.get::<Launches>("stand_in_launches").map_err(|error| error.to_string())?;
            Ok(Some(launches(name.as_ptr())))
        }
    }
}
