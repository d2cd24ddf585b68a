/*
 * Link it in, and what a program prints to a terminal is there at once, a prompt without a line's end too:
 *
 *     clang --target=wasm32-wasi -O2 prog.c libs/guest/libc/terminal.c -o prog.wasm
 *
 * wasi-libc writes to a terminal by the line, and does not flush when standard input is read, as glibc does: a
 * `printf("name? ")` without an fflush stays in the program, where no virtual kernel can see it.
 */
#include <stdio.h>
#include <unistd.h>

__attribute__((constructor)) static void odonata_print_at_once(void) {
  if (isatty(STDOUT_FILENO)) setvbuf(stdout, NULL, _IONBF, 0);
}
