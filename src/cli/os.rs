//! What the command does differently on each operating system: consoles, and the processes that it starts.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{
    LOOPBACK_INTERFACE, ProcessTree, SCRIPT_NAME, at_home, check_namespaces, check_path,
    default_extcap_folder, default_is_utf8, interface_script, is_pipe, is_same_file, is_standard_output,
    listen_in_namespace, new_file_in, open_pipe, path_of_bytes, prepare_console, run_if_guard,
    standard_output, state_folder, temporary_folder, this_program, tshark_programs, write_script,
};
#[cfg(windows)]
pub(crate) use windows::{
    LOOPBACK_INTERFACE, ProcessTree, SCRIPT_NAME, at_home, check_namespaces, check_path,
    default_extcap_folder, default_is_utf8, interface_script, is_pipe, is_same_file, is_standard_output,
    listen_in_namespace, new_file_in, open_pipe, path_of_bytes, prepare_console, run_if_guard,
    standard_output, state_folder, temporary_folder, this_program, tshark_programs, write_script,
};
