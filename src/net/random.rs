//! The system's random numbers, for keys and ids.

/// `N` random bytes.
///
/// # Panics
/// If the operating system has no random numbers to give: nothing secure could be done without.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    bytes
}
