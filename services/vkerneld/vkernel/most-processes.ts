// How much runs in one virtual kernel.

/** Threads of processes, and further ones of theirs: each has some megabytes of its own. A process that is parked has none. */
export const THREADS_MAX = 256;
/** With those that are parked. */
export const PROCESSES_MAX = 2_048;
