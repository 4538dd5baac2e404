//! What the command does differently on each operating system: consoles, and the processes that it starts.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{
    ProcessTree, check_path, default_is_utf8, is_same_file, new_file_in, path_of_bytes, prepare_console,
    run_if_guard, temporary_folder, this_program,
};
#[cfg(windows)]
pub(crate) use windows::{
    ProcessTree, check_path, default_is_utf8, is_same_file, new_file_in, path_of_bytes, prepare_console,
    run_if_guard, temporary_folder, this_program,
};
