//! The word that QEMU was started with: which run is wanted.

use cortex_m_semihosting::nr;

const LENGTH: usize = 64;

/// The block that SYS_GET_CMDLINE of the Arm semihosting interface takes and fills in.
#[repr(C)]
struct Request {
    text: *mut u8,
    length: usize,
}

/// The command line, in `text`; empty where there is none.
pub fn read(text: &mut [u8; LENGTH]) -> &str {
    let mut request = Request { text: text.as_mut_ptr(), length: LENGTH };
    #[expect(unsafe_code, reason = "semihosting calls are instructions that the compiler does not know")]
    // SAFETY: `request` is the block that this call takes. The host writes at most `length` bytes to `text`, which has
    // that many, and the true length to the block; both are borrowed mutably for the whole call.
    let failed = unsafe { cortex_m_semihosting::syscall1(nr::GET_CMDLINE, &raw mut request as usize) };
    let length = if failed == 0 { request.length } else { 0 };
    text.get(..length).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or_default()
}
