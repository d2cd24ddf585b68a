// WASI preview 1, whole: the import module `wasi_snapshot_preview1`.

import { directoryCalls } from './directory-calls.ts';
import { fileCalls } from './file-calls.ts';
import { statCalls } from './file-stat.ts';
import { pathCalls } from './path-calls.ts';
import { pollCalls } from './poll.ts';
import { processCalls } from './process-calls.ts';
import { asImports, type System } from './system.ts';

export function preview1Imports(system: System): Record<string, (...args: (number | bigint)[]) => number> {
  return asImports(system.memory, {
    ...processCalls(system),
    ...fileCalls(system),
    ...directoryCalls(system),
    ...statCalls(system),
    ...pathCalls(system),
    ...pollCalls(system),
  });
}

/** The names above, for a check before any process exists. */
export const preview1Names: readonly string[] = [
  'args_get',
  'args_sizes_get',
  'clock_res_get',
  'clock_time_get',
  'environ_get',
  'environ_sizes_get',
  'fd_advise',
  'fd_allocate',
  'fd_close',
  'fd_datasync',
  'fd_fdstat_get',
  'fd_fdstat_set_flags',
  'fd_fdstat_set_rights',
  'fd_filestat_get',
  'fd_filestat_set_size',
  'fd_filestat_set_times',
  'fd_pread',
  'fd_prestat_dir_name',
  'fd_prestat_get',
  'fd_pwrite',
  'fd_read',
  'fd_readdir',
  'fd_renumber',
  'fd_seek',
  'fd_sync',
  'fd_tell',
  'fd_write',
  'path_create_directory',
  'path_filestat_get',
  'path_filestat_set_times',
  'path_link',
  'path_open',
  'path_readlink',
  'path_remove_directory',
  'path_rename',
  'path_symlink',
  'path_unlink_file',
  'poll_oneoff',
  'proc_exit',
  'proc_raise',
  'random_get',
  'sched_yield',
  'sock_accept',
  'sock_recv',
  'sock_send',
  'sock_shutdown',
];
