/*
 * image: a program whose memory begins with many pages (8 MiB) that are in its module; each page has its number and a pattern.
 *
 *   image [--write STEP] [--wait DS]   writes a word of every STEP-th page, says how many words are wrong and where the pages
 *                                      are, and again once the first word of dataspace DS is not 0
 */
#include <unistd.h>

#include "guest.h"

#ifndef PAGES
#define PAGES 2048
#endif
#define WORDS 1024
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)
#define PATTERN 0x5a5a5a5au

extern volatile uint32_t table[PAGES][WORDS];
__asm__(".macro one_page\n"
        ".long \\@ + 1\n"
        ".fill 1023, 4, 0x5a5a5a5a\n"
        ".endm\n"
        ".section .data.table,\"\",@\n"
        ".globl table\n"
        ".p2align 12\n"
        ".type table,@object\n"
        "table:\n"
        ".rept " TEXT(PAGES) "\n"
        "one_page\n"
        ".endr\n"
        ".size table, 4096 * " TEXT(PAGES) "\n");

static void say(uint32_t step) {
  uint32_t wrong = 0;
  for (uint32_t page = 0; page < PAGES; page++) {
    uint32_t second = step != 0 && page % step == 0 ? page : PATTERN;
    wrong += table[page][0] != page + 1;
    wrong += table[page][1] != second;
    for (uint32_t word = 2; word < WORDS; word++) wrong += table[page][word] != PATTERN;
  }
  printf("{\"wrong\":%u,\"address\":%u}\n", (unsigned)wrong, (unsigned)(uintptr_t)table);
  fflush(stdout);
}

int main(int argc, char **argv) {
  uint32_t step = (uint32_t)number_option(&argc, argv, "--write", 0);
  const char *name = take_option(&argc, argv, "--wait", true);
  no_more_options(argc, argv);
  for (uint32_t page = 0; step != 0 && page < PAGES; page += step) table[page][1] = page;
  say(step);
  if (name == NULL) return 0;
  struct mapping go = map_dataspace(name, 4096, ODONATA_READ);
  while (__atomic_load_n((uint32_t *)go.base, __ATOMIC_SEQ_CST) == 0) usleep(20000);
  say(step);
  return 0;
}
