/**
 * What V8 may take to compile a program, beside its quota; its control group has room for it. The large programs that there
 * are, Go's, CPython, Ruby, PHP, ffmpeg, need up to 410 MiB by the estimate, and less in fact.
 */
export const FREE_COMPILE_BYTES = 512 * 2 ** 20;
